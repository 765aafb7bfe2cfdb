"""One row of a file, judged: what goes into the database, or why nothing does.

Pure: no database, no files. An empty cell says nothing, so it neither sets a field nor clears one.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from campaigns.csv_reader import FLAWS, Record
from campaigns.import_columns import Columns, Field, FieldType
from compliance import place
from compliance.data import npa
from compliance.place import Place, ZoneSource
from smsplatform.common import phone

MAX_LIST_NAME: Final = 120
_YES: Final = frozenset({"yes", "y", "true", "t", "1"})
_NO: Final = frozenset({"no", "n", "false", "f", "0"})
_SHORTEST_INSTANT: Final = len("2026-11-21T09")
_YEARS: Final = range(2000, 2101)
_LONGEST_INTEGER: Final = 16
_DECIMAL: Final = re.compile(r"([+-]?)([0-9]{1,12})(\.[0-9]{1,9})?").fullmatch
# The numbers that a float prints as they were written: no leading zero, no zero at the end.
_SAME_AS_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]{0,14}|-?(?:0|[1-9][0-9]{0,8})\.[0-9]{0,5}[1-9]").fullmatch
_TERRITORIES: Final = frozenset({"PR", "VI", "GU", "MP", "AS"})

KNOWN_NPAS: Final[Mapping[str, str]] = {
    code: npa.STATE[code] if npa.STATE.get(code) in _TERRITORIES else "US" if code in npa.STATE else "CA"
    for code in npa.ZONES
}
"""Area code -> country, for `phone.Rules`."""


class Taken(NamedTuple):
    """A row as it is staged; `fields` is a JSON object, `remark` what was wrong and left out."""

    line: int
    number: str
    country: str
    zones: str
    zone_source: str
    fields: str
    send_at: str | None
    list_name: str
    remark: tuple[str, str] | None = None


class Refused(NamedTuple):
    """A row that is not taken."""

    line: int
    reason: str
    detail: str


class _BadValueError(ValueError):
    """A cell does not hold what its column is said to hold."""


def judge(columns: Columns, rules: phone.Rules) -> Callable[[Record], Taken | Refused]:
    """Return the function that judges the rows of one file."""
    width, at = columns.width, columns.number
    zone_at, postal_at, send_at, list_at = columns.zone, columns.postal_code, columns.send_at, columns.list
    fields = [(field.index, f"{encode_basestring(field.name)}:", field, _writer(field)) for field in columns.fields]
    parse = rules.parse

    def judged(record: Record) -> Taken | Refused:
        line, cells, flaw = record
        if flaw:
            return Refused(line, flaw, FLAWS[flaw])
        if len(cells) != width:
            if any(cell.strip() for cell in cells[width:]):
                return Refused(line, "too_many_columns", f"{len(cells)} columns; the file has {width}")
            cells = cells + [""] * (width - len(cells))
        number = parse(cells[at])
        if isinstance(number, phone.Refusal):
            return Refused(line, number.code, f"{number.message}: {phone.masked(cells[at])}")
        found = _located(
            number.e164 if number.npa is None else f"+1{number.npa}2345678",
            "" if zone_at is None else cells[zone_at],
            "" if postal_at is None else cells[postal_at],
        )
        instant: str | None = None
        if send_at is not None and (wanted := cells[send_at].strip()):
            try:
                instant = _instant(wanted, found)
            except _BadValueError as error:
                return Refused(line, "bad_send_at", str(error))
        list_name = "" if list_at is None else cells[list_at].strip()
        if len(list_name) > MAX_LIST_NAME:
            return Refused(line, "list_name_too_long", f"the name of a list has at most {MAX_LIST_NAME} characters")
        kept = []
        for index, key, field, written in fields:
            if value := cells[index].strip():
                try:
                    kept.append(key + written(value))
                except _BadValueError as error:
                    return Refused(line, "bad_value", f"{field.name}: {error}")
        is_unknown = found.source is ZoneSource.UNKNOWN
        return Taken(
            line,
            number.e164,
            number.country,
            "" if is_unknown else found.zones,
            found.source.value,
            "{" + ",".join(kept) + "}",
            instant,
            list_name,
            ("unknown_zone", f"{found.flaw}; the row was taken, its zone is guessed") if found.flaw else None,
        )

    return judged


@lru_cache(maxsize=65_536)
def _located(number: str, zone: str, postal_code: str) -> Place:
    return place.locate(number=number, explicit_zone=zone, postal_code=postal_code)


def _instant(text: str, found: Place) -> str:
    """The instant as ISO 8601 with offset. A wall time without one is read in the row's zone, if that is one zone."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise _BadValueError("write it like 2026-11-21T09:30-05:00, or without -05:00 for local time") from None
    if len(text) < _SHORTEST_INSTANT or instant.year not in _YEARS:
        raise _BadValueError("it needs a date and a time of day, in this century")
    if instant.tzinfo is None:
        if "|" in found.zones:
            raise _BadValueError("it has no offset, and the row's zone is not certain; add an offset or a zone")
        instant = instant.replace(tzinfo=ZoneInfo(found.zones))
    return instant.astimezone(UTC).isoformat()


# -- Custom fields as JSON -----------------------------------------------------------------------------------------


def _writer(field: Field) -> Callable[[str], str]:
    """The function that writes a cell as JSON. A type that was only seen in the first rows gives way to the text."""
    strict = _STRICT[field.type]
    if field.is_told or strict is encode_basestring:
        return strict

    def lenient(value: str) -> str:
        return value if _SAME_AS_NUMBER(value) else encode_basestring(value)

    return lenient


def _integer(value: str) -> str:
    if not (value.isascii() and value.lstrip("+-").isdigit()) or len(value) > _LONGEST_INTEGER:
        raise _BadValueError(f"{value[:40]!r} is not a whole number")
    return str(int(value))


def _decimal(value: str) -> str:
    match = _DECIMAL(value)
    if match is None:
        raise _BadValueError(f"{value[:40]!r} is not a number; write it like 1234.56")
    return f"{'-' if match[1] == '-' else ''}{int(match[2])}{match[3] or ''}"


def _boolean(value: str) -> str:
    said = value.lower()
    if said in _YES:
        return "true"
    if said in _NO:
        return "false"
    raise _BadValueError(f"{value[:40]!r} is neither yes nor no")


_STRICT: Final[Mapping[FieldType, Callable[[str], str]]] = {
    FieldType.TEXT: encode_basestring,
    FieldType.INTEGER: _integer,
    FieldType.DECIMAL: _decimal,
    FieldType.BOOLEAN: _boolean,
}
