"""What a row of a file says of the person's consent, judged: a record for the ledger, or why there is none.

Only what is certain counts. A file speaks of consent in its columns consent_at, consent_source, consent_tier and
consent_text, or not at all; whoever imports it signs for it. Without an instant and a source a consent is express at
most, and outlives no revocation (facts §3.2). Pure: no database.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from campaigns.imports.columns import Columns, normalised
from compliance.consent import Entry, Source, Tier
from compliance.consent_rules import weaker
from smsplatform.tenancy.models import Brand

Remark = tuple[str, str]

_FIRST_YEAR: Final = 1992  # of the first text message
# Where on Earth a day or a local time is reached first: read so, no revocation of that day is overtaken.
_EARLIEST: Final = timedelta(hours=14)
_LONGEST_DATE: Final = 60

_SOURCES: Final[Mapping[str, Source]] = {
    word: source
    for source, words in {
        Source.WEB_FORM: "web_form webform web website form online landing_page checkout signup sign_up",
        Source.KEYWORD: "keyword sms text text_message text_to_join",
        Source.API: "api app mobile_app",
        Source.PAPER: "paper card printed",
        Source.VERBAL: "verbal phone call call_center call_centre telephone",
        Source.POS: "pos store in_store point_of_sale register",
        Source.DOUBLE_OPTIN: "double_optin double_opt_in doi",
        Source.IMPORT: "import crm",
    }.items()
    for word in words.split()
}
_TIERS: Final[Mapping[str, Tier]] = {
    **{tier.value: tier for tier in Tier},
    "express_written": Tier.WRITTEN,
    "pewc": Tier.WRITTEN,
}


@dataclass(frozen=True, slots=True)
class Vouched:
    """For which brand the file's consents are, who signs for them with which words, and what people were shown."""

    brand: Brand
    attested_by: str
    attestation: str
    disclosure: str
    heard_at: datetime  # when we first heard of what has no date


def has_columns(columns: Columns) -> bool:
    """Return whether the file has a column about consent."""
    places = (columns.consent_at, columns.consent_source, columns.consent_tier, columns.consent_text)
    return any(place is not None for place in places)


def reader(
    columns: Columns, vouched: Vouched | None, now: datetime
) -> Callable[[str, list[str]], tuple[Entry | None, Remark | None]]:
    """Return the function that reads the consent of a person from a row's cells."""
    if vouched is None:
        return lambda _number, _cells: (None, None)
    if not has_columns(columns):
        return lambda number, _cells: (_undated(number, vouched), None)

    def cell(cells: list[str], index: int | None) -> str:
        return "" if index is None else cells[index].strip()

    def read(number: str, cells: list[str]) -> tuple[Entry | None, Remark | None]:
        at, source = cell(cells, columns.consent_at), cell(cells, columns.consent_source)
        tier, text = cell(cells, columns.consent_tier), cell(cells, columns.consent_text)
        if not (at or source or tier or text):
            return None, None
        occurred_at = _instant(at) if at else None
        if at and occurred_at is None:
            hint = "is no date we can be sure of; write it like 2026-11-21 or 2026-11-21T09:30-05:00"
            return None, ("bad_consent_at", f"consent_at {at[:40]!r} {hint}. No consent is on record")
        if occurred_at is not None and occurred_at > now:
            return None, ("bad_consent_at", f"consent_at {at[:40]!r} lies in the future. No consent is on record")
        if tier and _tier(tier) is None:
            told = ", ".join(Tier)
            return None, ("bad_consent_tier", f"consent_tier {tier[:40]!r} is none of {told}. No consent is on record")
        return _judged(number, _Said(at, occurred_at, source, tier, text or vouched.disclosure), vouched)

    return read


class _Said(NamedTuple):
    at: str
    occurred_at: datetime | None
    source: str
    tier: str
    disclosure: str


def _judged(number: str, said: _Said, vouched: Vouched) -> tuple[Entry, Remark | None]:
    source = _source(said.source)
    is_proven = said.occurred_at is not None and source is not None
    best = Tier.WRITTEN if is_proven and said.disclosure.strip() else Tier.EXPRESS
    wanted = _tier(said.tier) or best
    entry = Entry(
        number=number,
        tier=weaker(wanted, best),
        source=source or Source.IMPORT,
        occurred_at=said.occurred_at or vouched.heard_at,
        action=f"consent_source: {said.source}" if said.source else "the importer vouches for it",
        disclosure=said.disclosure,
        original_date=said.at[:_LONGEST_DATE],
        is_undated=said.occurred_at is None,
    )
    if said.source and source is None:
        known = ", ".join(Source)
        return entry, ("unknown_consent_source", f"{said.source[:40]!r} is none of {known}: {entry.tier} at most")
    if wanted != entry.tier:
        lacks = "the text that was shown (consent_text)" if is_proven else "consent_at and consent_source"
        return entry, ("consent_lowered", f"{wanted} consent needs {lacks}: it counts as {entry.tier}")
    return entry, None


def _undated(number: str, vouched: Vouched) -> Entry:
    return Entry(
        number=number,
        tier=Tier.EXPRESS,
        source=Source.IMPORT,
        occurred_at=vouched.heard_at,
        action="the importer vouches for it",
        disclosure=vouched.disclosure,
        is_undated=True,
    )


@lru_cache(maxsize=4_096)
def _source(text: str) -> Source | None:
    return _SOURCES.get(normalised(text))


@lru_cache(maxsize=4_096)
def _tier(text: str) -> Tier | None:
    return _TIERS.get(normalised(text))


@lru_cache(maxsize=4_096)
def _instant(text: str) -> datetime | None:
    """The instant, or the earliest that it can be where the offset is not told; None for what is no date."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.year < _FIRST_YEAR:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC) - _EARLIEST
