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

from campaigns.imports import consents
from campaigns.imports.columns import Columns, Field, FieldType
from campaigns.imports.consents import Remark, Vouched
from campaigns.imports.csv_reader import FLAWS, Record
from compliance import place
from compliance.consent import Entry
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
    state_source: str = ZoneSource.UNKNOWN.value
    remark: tuple[str, str] | None = None
    consent: Entry | None = None


class Refused(NamedTuple):
    """A row that is not taken."""

    line: int
    reason: str
    detail: str


class _RefusedError(Exception):
    """The row is refused: a reason, and a detail for its owner."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class _BadValueError(ValueError):
    """A cell does not hold what its column is said to hold."""


def judge(
    columns: Columns, rules: phone.Rules, *, vouched: Vouched | None = None, now: datetime | None = None
) -> Callable[[Record], Taken | Refused]:
    """Return the function that judges the rows of one file; what it says of consent is `vouched` for."""
    parse = rules.parse
    read_consent = consents.reader(columns, vouched, now or datetime.now(UTC))
    writers = [(field, f"{encode_basestring(field.name)}:", _writer(field)) for field in columns.fields]

    def judged(record: Record) -> Taken | Refused:
        try:
            return taken(record.line, _cells(record, columns.width))
        except _RefusedError as refused:
            return Refused(record.line, refused.reason, refused.detail)

    def taken(line: int, cells: list[str]) -> Taken:
        raw = cells[columns.number]
        number = parse(raw)
        if isinstance(number, phone.Refusal):
            raise _RefusedError(number.code, f"{number.message}: {phone.masked(raw)}")
        found = _located(
            # All numbers of an area code are in the same place: one answer serves them all.
            number.e164 if number.npa is None else f"+1{number.npa}2345678",
            _cell(cells, columns.zone),
            _cell(cells, columns.postal_code),
            _cell(cells, columns.state),
            _cell(cells, columns.country),
        )
        flaw = (
            "unknown_zone" if "time zone" in found.flaw else "unknown_place",
            f"{found.flaw}; the row was taken, its place is what the rest says",
        )
        consent, remark = read_consent(number.e164, cells)
        return Taken(
            line,
            number.e164,
            number.country,
            found.key,
            found.source.value,
            _fields(cells, writers),
            _send_at(_cell(cells, columns.send_at), found),
            _list_name(_cell(cells, columns.list)),
            found.state_source.value,
            _both(flaw if found.flaw else None, remark),
            consent,
        )

    return judged


def _both(first: Remark | None, second: Remark | None) -> Remark | None:
    """A line has one remark: of two, the first names it and both are told."""
    return (first[0], f"{first[1]}. {second[1]}") if first and second else first or second


def _cells(record: Record, width: int) -> list[str]:
    """The cells, as many as the file has columns."""
    if record.flaw:
        raise _RefusedError(record.flaw, FLAWS[record.flaw])
    cells = record.cells
    if len(cells) == width:
        return cells
    if any(cell.strip() for cell in cells[width:]):
        raise _RefusedError("too_many_columns", f"{len(cells)} columns; the file has {width}")
    return cells + [""] * (width - len(cells))


def _cell(cells: list[str], index: int | None) -> str:
    return "" if index is None else cells[index].strip()


def _list_name(name: str) -> str:
    if len(name) > MAX_LIST_NAME:
        raise _RefusedError("list_name_too_long", f"the name of a list has at most {MAX_LIST_NAME} characters")
    return name


def _fields(cells: list[str], writers: list[tuple[Field, str, Callable[[str], str]]]) -> str:
    """The custom fields as a JSON object."""
    kept = []
    for field, key, written in writers:
        value = cells[field.index].strip()
        if value:
            try:
                kept.append(key + written(value))
            except _BadValueError as error:
                raise _RefusedError("bad_value", f"{field.name}: {error}") from None
    return "{" + ",".join(kept) + "}"


@lru_cache(maxsize=65_536)
def _located(number: str, zone: str, postal_code: str, state: str, country: str) -> Place:
    return place.locate(number=number, explicit_zone=zone, postal_code=postal_code, state=state, country=country)


def _send_at(text: str, found: Place) -> str | None:
    """The instant as ISO 8601 in UTC. A wall time without offset is read in the row's zone, if that is one zone."""
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        hint = "write it like 2026-11-21T09:30-05:00, or without -05:00 for local time"
        raise _RefusedError("bad_send_at", hint) from None
    if len(text) < _SHORTEST_INSTANT or instant.year not in _YEARS:
        raise _RefusedError("bad_send_at", "it needs a date and a time of day, in this century")
    if instant.tzinfo is None:
        if "|" in found.zones:
            hint = "it has no offset, and the row's zone is not certain; add an offset or a zone"
            raise _RefusedError("bad_send_at", hint)
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
