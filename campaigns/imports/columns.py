"""Which column of a file is what: its number, its zone, and which custom fields the others are, with their types.

Types are told by the owner or seen in the first rows. A type that is only seen never changes how a value prints
("02139" and "19.90" stay text), so a wrong guess cannot spoil a message.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Self

from campaigns.imports.csv_layout import Layout, UnreadableFileError
from smsplatform.common import phone

MAX_FIELDS: Final = 100
MAX_NAME_CHARS: Final = 40
_FEW_DIGITS: Final = 3


class FieldType(StrEnum):
    """What a custom field holds."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Field:
    """A column that becomes a custom field; `is_told` if its owner named the type, which then binds."""

    index: int
    name: str
    type: FieldType = FieldType.TEXT
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class Columns:
    """Where in a row everything stands; `width` is the number of columns."""

    width: int
    number: int
    zone: int | None
    postal_code: int | None
    send_at: int | None
    list: int | None
    fields: tuple[Field, ...]
    consent_at: int | None = None
    consent_source: int | None = None
    consent_tier: int | None = None
    consent_text: int | None = None
    state: int | None = None
    country: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what is stored with the import, so that a resumed one means the same by every column."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        fields = tuple(
            Field(one["index"], one["name"], FieldType(one["type"]), one["is_told"]) for one in stored["fields"]
        )
        return cls(**{**stored, "fields": fields})


NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "number": (
        "number", "msisdn", "mobile", "mobile_number", "mobile_phone", "mobile_no", "cell", "cell_phone", "cellphone",
        "cell_number", "phone", "phone_number", "phonenumber", "phone_no", "telephone", "telephone_number", "tel",
        "gsm", "handset", "contact_number", "destination", "recipient", "to",
    ),
    "zone": ("zone", "time_zone", "timezone", "tz"),
    "postal_code": ("postal_code", "postcode", "postalcode", "post_code", "zip", "zip_code", "zipcode"),
    "state": ("state", "state_code", "us_state", "state_province"),
    "country": ("country", "country_code", "country_iso", "iso_country"),
    "send_at": ("send_at", "sendat"),
    "list": ("list", "list_name"),
    "consent_at": ("consent_at", "consent_date", "opt_in_at", "optin_at", "opt_in_date", "optin_date"),
    "consent_source": ("consent_source", "opt_in_source", "optin_source"),
    "consent_tier": ("consent_tier",),
    "consent_text": ("consent_text", "consent_disclosure", "opt_in_text", "optin_text"),
}  # fmt: skip
"""The roles a column can have, with the headers that say so, the most telling first."""
CONSENT: Final = ("consent_at", "consent_source", "consent_tier", "consent_text")

_KEPT: Final = frozenset({"postal_code", "state", "country"})
"""Columns that are custom fields as well: campaigns segment by them, and `locate_recipients` reads them again."""

_IDENTIFIER: Final = re.compile(
    r"(?:^|_)(?:id|ids|code|codes|zip|zipcode|postal|postcode|account|ssn|sku|phone|mobile|fax|ref|reference)(?:_|$)"
).search
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,14}").fullmatch
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{0,5}[1-9])?").fullmatch


def normalised(header: str) -> str:
    """Return a header as the name of a field: lower case, one underscore between words."""
    name = re.sub(r"\W+", "_", header.strip().lower()).strip("_")[:MAX_NAME_CHARS].strip("_")
    return f"_{name}" if name[:1].isdigit() else name


def is_header(cells: Sequence[str], mapping: Mapping[str, str], rules: phone.Rules) -> bool:
    """Whether these cells, the first of a file, name its columns: no number where one must be, but words."""
    names = [normalised(cell) for cell in cells]
    wanted = {normalised(name) for name in mapping.values() if not name.startswith("#")}
    if wanted.intersection(names):
        return True
    by_name = [position for position, name in enumerate(names) if name in NAMES["number"]]
    place = by_name[0] if by_name else _numbered(mapping.get("number", "#1"), len(cells)) or 0
    cell = cells[place]
    if isinstance(rules.parse(cell), phone.Number):
        return False
    # A number that is merely wrong is a row to refuse, never a header to skip.
    return any(mark.isalpha() for mark in cell) and sum(mark.isdigit() for mark in cell) < _FEW_DIGITS


def match(layout: Layout, mapping: Mapping[str, str], types: Mapping[str, str]) -> Columns:
    """Return which column is what. Raises UnreadableFileError with a reason when a column asked for is missing."""
    width = len(layout.header) or max(map(len, layout.sample), default=1)
    names = [normalised(header) for header in layout.header]
    places = {role: _place(role, wanted, layout, names, width) for role, wanted in mapping.items()}
    taken = set(places.values())
    for role, aliases in NAMES.items():
        if role not in places:
            free = [names.index(alias) for alias in aliases if alias in names and names.index(alias) not in taken]
            if free:
                places[role] = free[0]
                taken.add(free[0])
    places.setdefault("number", 0)
    return Columns(
        width,
        places["number"],
        places.get("zone"),
        places.get("postal_code"),
        places.get("send_at"),
        places.get("list"),
        _fields(layout, {place: role for role, place in places.items()}, names, width, types),
        state=places.get("state"),
        country=places.get("country"),
        **{role: places.get(role) for role in CONSENT},
    )


def _place(role: str, wanted: str, layout: Layout, names: list[str], width: int) -> int:
    numbered = _numbered(wanted, width)
    if numbered is not None:
        return numbered
    if not layout.header:
        raise UnreadableFileError(
            f"{role} should be in the column {wanted!r}, but the file has no header line;"
            " name the first column #1, the second #2"
        )
    if wanted in layout.header:
        return layout.header.index(wanted)
    if normalised(wanted) in names:
        return names.index(normalised(wanted))
    raise UnreadableFileError(f"there is no column {wanted!r} for {role}; the file has: {', '.join(layout.header)}")


def _numbered(wanted: str, width: int) -> int | None:
    """The position that "#2" means."""
    if wanted[:1] != "#" or not wanted[1:].isdecimal():
        return None
    if not 1 <= int(wanted[1:]) <= width:
        raise UnreadableFileError(f"there is no column {wanted}; the file has {width}")
    return int(wanted[1:]) - 1


def _fields(
    layout: Layout, roles: Mapping[int, str], names: list[str], width: int, types: Mapping[str, str]
) -> tuple[Field, ...]:
    fields: list[Field] = []
    used: set[str] = set()
    for index in range(width):
        role = roles.get(index, "")
        if role in NAMES and role not in _KEPT:
            continue
        base = role or (names[index] if index < len(names) else "") or f"column_{index + 1}"
        name, copies = base, 1
        while name in used:
            copies += 1
            name = f"{base}_{copies}"
        used.add(name)
        told = types.get(name)
        seen = FieldType.TEXT if role in _KEPT else _seen_type(name, layout.sample, index)
        fields.append(Field(index, name, FieldType(told) if told else seen, told is not None))
    if len(fields) > MAX_FIELDS:
        raise UnreadableFileError(f"the file has {len(fields)} custom fields; at most {MAX_FIELDS} are kept")
    missing = sorted(set(types) - used)
    if missing:
        raise UnreadableFileError(f"a type is given for {', '.join(missing)}; the file has: {', '.join(sorted(used))}")
    return tuple(fields)


def _seen_type(name: str, sample: Sequence[Sequence[str]], index: int) -> FieldType:
    if _IDENTIFIER(name):
        return FieldType.TEXT
    values = [value for row in sample if index < len(row) and (value := row[index].strip())]
    if not values:
        return FieldType.TEXT
    if all(map(_INTEGER, values)):
        return FieldType.INTEGER
    return FieldType.DECIMAL if all(map(_DECIMAL, values)) else FieldType.TEXT
