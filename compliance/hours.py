"""May these people be texted now, until when, and by which rules: statutes, brand hours, blackouts, regional holds.

The brand's terms are read in one statement; everything else is pure and answers per place key, so a batch of 500 people
costs as many answers as there are places among them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from compliance import law, place, quiet_hours
from compliance.data import states
from compliance.data.statutes import ANY_STATE, FEDERAL, RULES_VERSION
from compliance.law import Basis, Blackout, Law, OwnHours
from compliance.policy import BLACKOUT, QUIET, REGIONAL_HOLD, UNKNOWN_PLACE, Category
from compliance.quiet_hours import Window
from smsplatform.common.database import rows
from smsplatform.tenancy.models import Brand

HOLD_LOOK: Final = timedelta(minutes=15)
"""How often what a regional hold keeps is looked at again: so long after the hold is lifted it may take to go on."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A state in which nobody is texted, for a reason, until an instant or until it is lifted."""

    state: str
    until: datetime | None
    reason: str
    since: datetime | None = None

    def is_in_force(self, at: datetime) -> bool:
        """Return whether it keeps people at this instant."""
        return (self.since is None or self.since <= at) and (self.until is None or self.until > at)


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything about a brand and a category that decides when its people may be texted."""

    basis: Basis
    own: OwnHours
    blackouts: tuple[Blackout, ...] = ()
    holds: tuple[Hold, ...] = ()
    texts_unknown_places: bool = True

    def law(self, key: str) -> Law:
        """The rules for people of this place key."""
        named = place.jurisdictions(key) if self.basis is Basis.STATES else ()
        return Law(self.basis, named, self.own, self.blackouts)

    def hold(self, key: str, at: datetime) -> Hold | None:
        """The regional hold that keeps people of this place at an instant, the one that ends last."""
        found = [hold for hold in self.holds if place.may_be_in(key, hold.state) and hold.is_in_force(at)]
        return max(found, key=lambda hold: (hold.until is None, hold.until and hold.until.timestamp()), default=None)


def terms(*, brand: Brand, category: Category, now: datetime) -> Terms | None:
    """Read the terms of a brand for a category, those to come as well; None where no hours hold. One statement."""
    if not category.has_quiet_hours:
        return None
    found = rows(_TERMS, {"brand": brand.pk, "now": now})
    [(informational, texts_unknown)] = [(row[1], row[2] == "true") for row in found if row[0] == "tenant"]
    basis = Basis.STATES if category is Category.MARKETING else Basis(informational)
    if basis is Basis.NONE:
        return None
    is_marketing = category is Category.MARKETING
    return Terms(
        basis=basis,
        own=own_hours(brand),
        blackouts=tuple(Blackout(first, last, note) for kind, note, _, first, last, *_ in found if kind == "blackout"),
        holds=tuple(Hold(state, until, why, since) for kind, state, why, _, _, since, until in found if kind == "hold")
        if is_marketing
        else (),
        texts_unknown_places=texts_unknown or not is_marketing,
    )


_TERMS: Final = """
SELECT 'tenant', t.informational_hours, t.texts_unknown_places::text, NULL::date, NULL::date, NULL::timestamptz,
  NULL::timestamptz
FROM tenancy_brand b JOIN tenancy_tenant t ON t.id = b.tenant_id WHERE b.id = %(brand)s
UNION ALL
SELECT * FROM (
  SELECT 'blackout', note, '', first_on, last_on, NULL::timestamptz, NULL::timestamptz FROM compliance_blackout
  WHERE brand_id = %(brand)s AND last_on >= (%(now)s::timestamptz - interval '2 days')::date ORDER BY first_on, id) x
UNION ALL
SELECT * FROM (
  SELECT 'hold', state, reason, NULL::date, NULL::date, starts_at, ends_at FROM compliance_regionalhold
  WHERE (ends_at IS NULL OR ends_at > %(now)s) AND lifted_at IS NULL ORDER BY id) y
"""


def own_hours(brand: Brand) -> OwnHours:
    """The brand's own hours."""
    sunday = None
    if brand.sunday_opens_at is not None and brand.sunday_closes_at is not None:
        sunday = (brand.sunday_opens_at, brand.sunday_closes_at)
    return OwnHours(brand.opens_at, brand.closes_at, sunday)


def window(*, key: str, terms: Terms, now: datetime, guard: timedelta) -> Window:
    """The window of one place by the rules that can be foreseen: statutes, hours, blackouts."""
    return quiet_hours.window(zones=key, hours=terms.law(key), now=now, guard=guard)


def windows(
    *, keys: Iterable[str], terms: Terms, now: datetime, guard: timedelta, spread: timedelta = timedelta()
) -> dict[str, Window]:
    """The window of each place key, closed ones with the rule that closes them; regional holds count.

    `spread` delays who waits, by half of the time that will be open at most.
    """
    laws: dict[tuple[str, ...], Law] = {}
    found = {}
    for key in set(keys):
        named = place.jurisdictions(key)
        if named not in laws:
            laws[named] = terms.law(key)
        kept = _kept(key, terms, now)
        found[key] = kept or _present(key, laws[named], now, guard, spread)
    return found


def _kept(key: str, terms: Terms, now: datetime) -> Window | None:
    """The closed window of a place that is kept by more than hours: nobody knows it, or its state is held."""
    if not terms.texts_unknown_places and place.is_unknown(key):
        detail = "nothing is known about where the person is, and the tenant does not text such people"
        return Window(is_open=False, until=None, code=UNKNOWN_PLACE.code, detail=detail)
    hold = terms.hold(key, now) if terms.holds else None
    if hold is None:
        return None
    again = now + HOLD_LOOK
    until = again if hold.until is None else min(again, hold.until)
    ends = f"until {hold.until:%F %H:%M} UTC" if hold.until else "until it is lifted"
    detail = f"{hold.state} {ends}: {hold.reason}"[: law.MAX_DETAIL]
    return Window(is_open=False, until=until, code=REGIONAL_HOLD.code, detail=detail)


def _present(key: str, rules: Law, now: datetime, guard: timedelta, spread: timedelta) -> Window:
    """The window by hours. What was worked out for a place holds until the window opens or closes: batches share it."""
    known = _remembered(key, rules, guard)
    since, found = known.window
    if not (since <= now and found.until is not None and now < found.until):
        found = quiet_hours.window(zones=key, hours=rules, now=now, guard=guard)
        known.window = now, found
    if found.is_open:
        return found
    minute = now.replace(second=0, microsecond=0)
    at, reason = known.reason
    if at != minute:
        reason = law.why(law=rules, zones=key, now=now, guard=guard)
        known.reason = minute, reason
    room = found.ends - found.until if found.ends and found.until else timedelta()
    return Window(
        is_open=False,
        until=found.until,
        ends=found.ends,
        code=BLACKOUT.code if reason.is_blackout else QUIET.code,
        detail=reason.detail,
        spread=max(min(spread, room / 2), timedelta()),
    )


@dataclass(slots=True)
class _Remembered:
    """The last answer for a place under a law, and since when it was right; and why it was closed, in which minute."""

    window: tuple[datetime, Window]
    reason: tuple[datetime, law.Reason]


@lru_cache(maxsize=65_536)
def _remembered(_key: str, _rules: Law, _guard: timedelta) -> _Remembered:
    never = datetime.max.replace(tzinfo=UTC)
    return _Remembered((never, Window(is_open=False, until=None)), (never, law.Reason(is_blackout=False, detail="")))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person who asks gets: whether a text may go now, until or from when, and every rule that was looked at."""

    window: Window
    rules: tuple[str, ...]
    version: str = RULES_VERSION

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        if self.window.is_open:
            return "may be texted now" + (f", until {self.window.until:%F %H:%M} UTC" if self.window.until else "")
        when = f"not before {self.window.until:%F %H:%M} UTC" if self.window.until else "not within two weeks"
        return f"may not be texted now ({self.window.detail}); {when}"


def answer(*, key: str, terms: Terms | None, now: datetime, guard: timedelta) -> Answer:
    """Answer for one person; without terms (one-time codes and the like) any time is fine."""
    if terms is None:
        return Answer(Window(is_open=True, until=None), ())
    found = windows(keys=[key], terms=terms, now=now, guard=guard)[key]
    return Answer(found, tuple(law.told(law=terms.law(key), zones=key, now=now)))


def place_in_words(key: str) -> str:
    """Where the person may be, and whose law holds, for people."""
    if place.is_unknown(key):
        return "unknown: anywhere in the United States"
    zones = key.partition(";")[0].replace("|", " or ")
    named = [_jurisdiction_in_words(each) for each in place.jurisdictions(key)]
    return f"{zones}; law of {' and '.join(named)}"


def _jurisdiction_in_words(code: str) -> str:
    if code == ANY_STATE:
        return "every state (which one is not known yet)"
    return states.NAMES.get(code) or ("the United States" if code == FEDERAL else code.upper())
