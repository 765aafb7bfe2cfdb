"""What the owner of a file may say about it, checked when the import is made and not when it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

import phonenumbers

from campaigns.imports.columns import NAMES, FieldType, normalised
from campaigns.imports.csv_layout import DELIMITERS
from smsplatform.common.errors import InvalidInput

_MAX_COLUMN_CHARS: Final = 200
_MAX_NAME_CHARS: Final = 120


@dataclass(frozen=True, slots=True)
class Options:
    """How to read a file. Empty means: find out by looking."""

    default_region: str = "US"
    includes_country_code: bool = False
    sandbox: bool = False
    has_header: bool | None = None
    encoding: str = ""
    delimiter: str = ""
    types: Mapping[str, str] = field(default_factory=dict)
    consent_brand: str = ""
    attested_by: str = ""
    attestation: str = ""
    disclosure: str = ""

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """Return the options. Raises InvalidInput, which names what is wrong and what would be right."""
        known = [one.name for one in fields(cls)]
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise InvalidInput(f"no option {', '.join(unknown)}; there are {', '.join(known)}", field="options")
        for name, check in _CHECKS.items():
            if name in given and (problem := check(given[name])):
                raise InvalidInput(problem, field=f"options.{name}")
        _check_signed(given)
        return cls(**given)


def check_columns(columns: Mapping[str, Any]) -> None:
    """Raise InvalidInput unless the mapping goes from roles or field names to headers or positions."""
    for role, wanted in columns.items():
        if role not in NAMES and role != normalised(role):
            raise InvalidInput(f"{role!r} cannot name a field; write {normalised(role)!r}", field="columns")
        if not isinstance(wanted, str) or not 0 < len(wanted) <= _MAX_COLUMN_CHARS:
            raise InvalidInput(f"{role}: give the header of a column, or #2 for the second", field="columns")


def _check_signed(given: Mapping[str, Any]) -> None:
    """Whoever says something of consent signs for it, with a name and in words."""
    for name, other in (("attestation", "attested_by"), ("attested_by", "attestation")):
        if given.get(other) and not given.get(name):
            raise InvalidInput(f"goes with {other}: say who vouches for the consent, and how", field=f"options.{name}")
    if (given.get("disclosure") or given.get("consent_brand")) and not given.get("attestation"):
        raise InvalidInput(
            "say how you know that these people consented; without it no consent is put on record",
            field="options.attestation",
        )


def _region(value: object) -> str:
    known = value in phonenumbers.SUPPORTED_REGIONS
    return "" if known else f"{value!r} is not a country; write two capital letters, like US"


def _switch(value: object) -> str:
    return "" if isinstance(value, bool) else "must be true or false"


def _header(value: object) -> str:
    return "" if value is None or isinstance(value, bool) else "must be true, false or null (found by looking)"


def _encoding(value: object) -> str:
    if not isinstance(value, str):
        return "must be the name of an encoding, like utf-8"
    try:
        "".encode(value or "utf-8")
    except (LookupError, UnicodeError):
        return f"there is no text encoding {value!r}; write utf-8, utf-16, cp1252 …"
    return ""


def _delimiter(value: object) -> str:
    return "" if value in ("", *DELIMITERS) else f"must be one of {', '.join(map(repr, DELIMITERS))}"


def _types(value: object) -> str:
    if not isinstance(value, Mapping):
        return 'must say the type of fields, like {"age": "integer"}'
    wrong = [name for name, told in value.items() if told not in list(FieldType)]
    return f"{', '.join(map(str, wrong))}: the types are {', '.join(FieldType)}" if wrong else ""


def _text(value: object) -> str:
    return "" if isinstance(value, str) else "must be a text"


def _name(value: object) -> str:
    return "" if isinstance(value, str) and len(value) <= _MAX_NAME_CHARS else f"at most {_MAX_NAME_CHARS} characters"


_CHECKS: Final = {
    "consent_brand": _text,
    "attested_by": _name,
    "attestation": _text,
    "disclosure": _text,
    "default_region": _region,
    "includes_country_code": _switch,
    "sandbox": _switch,
    "has_header": _header,
    "encoding": _encoding,
    "delimiter": _delimiter,
    "types": _types,
}
