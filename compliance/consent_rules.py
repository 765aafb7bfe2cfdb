"""What consent is made of, and how much of it each kind of message needs: dated rules, and nothing but rules.

Each row says since when it holds, where it comes from (a tag of the facts, §9.1) and how sure that is (§0.1). Pure: the
ledger is in `compliance.consent`, its tables in `compliance.consent_models`.
"""

import calendar
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import phonenumbers


class Tier(enum.StrEnum):
    """How strong a consent is, weakest first (facts §3.1)."""

    IMPLIED = "implied"
    EXPRESS = "express"
    WRITTEN = "written"
    EXPRESS_WRITTEN = "written"  # its full name in law


_RANK: Final = {tier: rank for rank, tier in enumerate(Tier, start=1)}


def at_least(tier: Tier) -> list[Tier]:
    """Return the tiers that are as strong as this one or stronger."""
    return [each for each in Tier if _RANK[each] >= _RANK[tier]]


def weaker(one: Tier, other: Tier) -> Tier:
    """Return the weaker of two."""
    return min(one, other, key=_RANK.__getitem__)


class Event(enum.StrEnum):
    """What happened to a person's consent (facts §3.2)."""

    ASKED = "asked"  # a double opt-in waits for the person's YES
    GRANTED = "granted"
    CONFIRMED = "confirmed"  # the YES of a double opt-in
    IMPORTED = "imported"  # given elsewhere; the importer vouches for it
    CORRECTED = "corrected"  # what stood before was wrong; this is what holds
    REVOKED = "revoked"
    EXPIRED = "expired"


GRANTS: Final = frozenset({Event.GRANTED, Event.CONFIRMED, Event.IMPORTED, Event.CORRECTED})


class Source(enum.StrEnum):
    """Through what a person, or whoever speaks for them, told us."""

    WEB_FORM = "web_form"
    KEYWORD = "keyword"
    API = "api"
    IMPORT = "import"
    PAPER = "paper"
    VERBAL = "verbal"
    POS = "pos"
    DOUBLE_OPTIN = "double_optin"
    ADMIN = "admin"
    SYSTEM = "system"  # nobody: a term was over, a carrier gave the number back


class Status(enum.StrEnum):
    """What of a person's consent holds now."""

    GRANTED = "granted"
    PENDING = "pending"
    REVOKED = "revoked"
    EXPIRED = "expired"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Need:
    """The tier that messages of a category need from a day on; none: no consent. Without a day: since ever."""

    category: str
    tier: Tier | None
    citation: str
    confidence: str
    version: int = 1
    since: date | None = None


NEEDS: Final = (
    Need("marketing", Tier.WRITTEN, "[CFR](f)(9); facts §2.2, §3.1", "Q"),
    Need("informational", Tier.EXPRESS, "[CFR](a)(1); facts §2.2, §3.1", "Q"),
    Need("transactional", None, "one-time codes, emergencies, the person's own business; facts §2.2", "D"),
    Need("keyword_reply", None, "the answer to the person's own text; facts §2.2", "D"),
)
"""A category that is not here needs the strongest tier."""


def needed(category: str, day: date) -> Need:
    """Return the rule on a category that is in force on this day."""
    known = [need for need in NEEDS if need.category == category and (need.since is None or need.since <= day)]
    if not known:
        return Need(category, Tier.WRITTEN, "no rule: the strictest", "D")
    return max(known, key=lambda need: need.since or date.min)


class Basis(enum.StrEnum):
    """What an implied consent follows from, where the law counts its term from that."""

    PURCHASE = "purchase"
    INQUIRY = "inquiry"


@dataclass(frozen=True, slots=True)
class Term:
    """How long a consent of this tier lasts in a country."""

    country: str
    tier: Tier
    basis: Basis
    months: int
    citation: str
    confidence: str
    version: int = 1


TERMS: Final = (
    Term("CA", Tier.IMPLIED, Basis.PURCHASE, 24, "[CASL]; facts §3.4", "B"),
    Term("CA", Tier.IMPLIED, Basis.INQUIRY, 6, "[CASL]; facts §3.4", "B"),
)


ENDING: Final = frozenset(term.tier for term in TERMS)


def ends_at(*, number: str, tier: Tier, basis: str, occurred_at: datetime) -> datetime | None:
    """Return when a consent given at this instant ends by itself, or None. Of unknown basis: the shortest term."""
    if tier not in ENDING:
        return None
    country = _country(number)
    terms = [term for term in TERMS if (term.country, term.tier) == (country, tier)]
    named = [term for term in terms if term.basis == basis] or terms
    return _months_later(occurred_at, min(term.months for term in named)) if named else None


def _country(number: str) -> str:
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(number)) or ""
    except phonenumbers.NumberParseException:  # an e-mail address, or what is kept of an erased number
        return ""


def _months_later(instant: datetime, months: int) -> datetime:
    year, month = divmod(instant.year * 12 + instant.month - 1 + months, 12)
    day = min(instant.day, calendar.monthrange(year, month + 1)[1])
    return instant.replace(year=year, month=month + 1, day=day)


CONFIRM_WITHIN: Final = timedelta(hours=72)  # facts §3.3 (D); a brand may set its own
KEPT_FOR_YEARS: Final = 5  # 16 CFR 310.5 (facts §3.4)

PROOF: Final[Mapping[Source, tuple[str, ...]]] = {
    Source.WEB_FORM: ("page_url", "ip"),
    Source.KEYWORD: ("inbound_id", "inbound_text", "our_number"),
    Source.IMPORT: ("attested_by", "attestation"),
    Source.PAPER: ("attested_by", "evidence_file"),
    Source.VERBAL: ("attested_by", "evidence_file"),
    Source.POS: ("attested_by", "evidence_file"),
    Source.DOUBLE_OPTIN: ("inbound_id", "inbound_text", "our_number"),
    Source.ADMIN: ("attested_by", "evidence_file"),
}
"""What must be known of a grant by its source, beside who, what, when and which act (facts §3.2)."""
