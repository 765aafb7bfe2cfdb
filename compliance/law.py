"""Which rules hold for a group of people on a date, and which of them forbids: pure, and fast by sharing answers.

A `Law` is everything that limits the hours of people who share jurisdictions: the statutes of each, the brand's own hours
and its blackout dates. All of them must allow, in every zone the person may be in.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

from compliance.data import statutes
from compliance.data.statutes import ANY_STATE, Statute
from compliance.place import zone_infos
from compliance.quiet_hours import LocalInterval

_MIDNIGHT: Final = time()
_SUNDAY: Final = 6
_FEDERAL_HOURS: Final = (time(8), time(21))
MAX_DETAIL: Final = 200


class Basis(StrEnum):
    """By which law the hours of a category go."""

    STATES = "states"
    FEDERAL = "federal"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class OwnHours:
    """A brand's own hours; they can only tighten what the law allows. None for Sunday: as on other days."""

    opens_at: time
    closes_at: time
    sunday: LocalInterval | None = None

    def on(self, day: date, /) -> Sequence[LocalInterval]:
        """The brand's hours on a date."""
        return ((self.opens_at, self.closes_at) if self.sunday is None or day.weekday() != _SUNDAY else self.sunday,)

    def told(self, day: date) -> str:
        """The hours in words."""
        return f"brand hours {statutes.spelled(self.on(day)[0])}"


@dataclass(frozen=True, slots=True)
class Blackout:
    """Dates, in each recipient's own calendar, on which a brand texts nobody."""

    first_on: date
    last_on: date
    note: str = ""

    def on(self, day: date, /) -> Sequence[LocalInterval]:
        """Nothing within, everything outside."""
        return () if self.first_on <= day <= self.last_on else ((_MIDNIGHT, _MIDNIGHT),)

    def told(self, _day: date) -> str:
        """The dates in words."""
        span = f"{self.first_on}" if self.first_on == self.last_on else f"{self.first_on} to {self.last_on}"
        return f"brand blackout {span}" + (f": {self.note}" if self.note else "")


@dataclass(frozen=True, slots=True)
class _Federal:
    """The federal hours alone, wherever somebody is."""

    def on(self, _day: date, /) -> Sequence[LocalInterval]:
        return (_FEDERAL_HOURS,)

    def told(self, _day: date) -> str:
        return "federal 08-21 47 CFR 64.1200(c)(1)"


Part = Statute | OwnHours | Blackout | _Federal


@dataclass(frozen=True, slots=True)
class Law:
    """All rules for people of these jurisdictions; hashable, so equal laws share what was computed for them."""

    basis: Basis
    jurisdictions: tuple[str, ...]
    own: OwnHours
    blackouts: tuple[Blackout, ...] = ()
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Asked for with every look into a cache, and dear: computed once.
        object.__setattr__(self, "_hash", hash((self.basis, self.jurisdictions, self.own, self.blackouts)))

    def __hash__(self) -> int:
        return self._hash

    def on(self, day: date, /) -> Sequence[LocalInterval]:
        """The hours of a local date that every rule allows."""
        return _on(self, day)

    def parts(self, day: date) -> Iterator[Part]:
        """The rules that hold on a local date."""
        if self.basis is Basis.FEDERAL:
            yield _Federal()
        elif self.basis is Basis.STATES:
            for jurisdiction in self.jurisdictions:
                yield from statutes.in_force(jurisdiction, day)
        yield self.own
        yield from self.blackouts


@lru_cache(maxsize=32_768)
def _on(law: Law, day: date) -> tuple[LocalInterval, ...]:
    allowed: tuple[LocalInterval, ...] = ((_MIDNIGHT, _MIDNIGHT),)
    for part in law.parts(day):
        allowed = tuple(both for a in allowed for b in part.on(day) if (both := _both(a, b)) is not None)
    return allowed


def _both(a: LocalInterval, b: LocalInterval) -> LocalInterval | None:
    """What lies in both; midnight as an end is the end of the day."""
    start, end = max(a[0], b[0]), min(a[1], b[1], key=lambda each: (each == _MIDNIGHT, each))
    return (start, end) if end == _MIDNIGHT or start < end else None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why nobody of a place may be texted: by the brand's blackout alone, or by the hours; and the rules that say so."""

    is_blackout: bool
    detail: str


def why(*, law: Law, zones: str, now: datetime, guard: timedelta) -> Reason:
    """Return the rules that forbid a text now; in the last minutes before an end, those that are about to."""
    forbidding = _forbidding(law, zones, now) or _forbidding(law, zones, now + guard)
    told = list(dict.fromkeys(part.told(day) for part, day in forbidding))
    if ANY_STATE in law.jurisdictions and law.basis is Basis.STATES:
        told = ["state not known yet: the strictest of all states holds (manage.py locate_recipients)"]
    only_blackouts = bool(forbidding) and all(isinstance(part, Blackout) for part, _ in forbidding)
    return Reason(only_blackouts, "; ".join(told)[:MAX_DETAIL])


def _forbidding(law: Law, zones: str, at: datetime) -> list[tuple[Part, date]]:
    """The rules that forbid at an instant, in any of the zones, with the local date there."""
    found = []
    for zone in zone_infos(zones):
        local = at.astimezone(zone)
        wall, day = local.time(), local.date()
        found += [
            (part, day)
            for part in law.parts(day)
            if not any(start <= wall and (wall < end or end == _MIDNIGHT) for start, end in part.on(day))
        ]
    return found


def told(*, law: Law, zones: str, now: datetime) -> list[str]:
    """Return every rule that is looked at now, in words: what a person who asks "by which rules" gets."""
    days = {now.astimezone(zone).date() for zone in zone_infos(zones)}
    return list(dict.fromkeys(part.told(day) for day in sorted(days) for part in law.parts(day)))
