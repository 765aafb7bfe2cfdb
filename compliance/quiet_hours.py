"""When a text may go: inside the allowed local hours of every zone the person may be in.

A rule says which hours of a local date are allowed (start inclusive, end exclusive). Everything is
computed exactly, also on days when clocks change: allowed times become intervals of UTC, and the
intervals of all zones are intersected. Nothing is submitted in the last minutes (`guard`), because
providers queue. Which rules hold for whom is asked of `compliance.hours`; here is only the arithmetic.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from compliance.place import zone_infos

END_GUARD: Final = timedelta(minutes=10)
HORIZON: Final = timedelta(days=14)

_DAY: Final = timedelta(days=1)
_MIDNIGHT: Final = time()

LocalInterval = tuple[time, time]
"""From the first time until before the second; midnight as the second is the end of the day."""


class Rule(Protocol):
    """Allowed local hours by date. Hashable: equal rules share what was computed for them."""

    def on(self, day: date, /) -> Sequence[LocalInterval]:
        """The allowed intervals of this local date."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Hours:
    """The same hours every day. Raises ValueError unless they end after they begin."""

    start: time
    end: time

    def __post_init__(self) -> None:
        if self.end != _MIDNIGHT and self.end <= self.start:
            raise ValueError(f"allowed hours end at {self.end} but begin at {self.start}")

    def on(self, _day: date, /) -> Sequence[LocalInterval]:
        """These hours, whatever the date."""
        return ((self.start, self.end),)


@dataclass(frozen=True, slots=True)
class Window:
    """Open until an instant, or closed until one; None: it does not open within two weeks.

    `ends` is when a closed one, once open, closes again; `code` and `detail` name what closes it, and `spread` is how much
    later than `until` whoever waits for it may go on, so that not everybody does at once.
    """

    is_open: bool
    until: datetime | None
    ends: datetime | None = field(default=None, compare=False)
    code: str = ""
    detail: str = ""
    spread: timedelta = field(default=timedelta(), compare=False)


@dataclass(frozen=True, slots=True)
class _Interval:
    start: datetime
    end: datetime


def local_instant(*, wall: datetime, zone: ZoneInfo) -> datetime:
    """The UTC instant of a wall time.

    A time the clocks skip is shifted forward by the gap; of one they show twice it is the first.
    """
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def window(*, zones: str, hours: Rule, now: datetime, guard: timedelta = END_GUARD) -> Window:
    """Whether a text may be submitted now to somebody in one of these zones, and until when."""
    for interval in _joined(zones, hours, now.astimezone(UTC).date()):
        last = interval.end - guard
        if last <= now or last <= interval.start:
            continue
        if interval.start <= now:
            return Window(is_open=True, until=last)
        if interval.start - now <= HORIZON:
            return Window(is_open=False, until=interval.start, ends=last)
        break
    return Window(is_open=False, until=None)


def windows(
    *, zones_keys: Iterable[str], hours: Rule, now: datetime, guard: timedelta = END_GUARD
) -> dict[str, Window]:
    """The window of each zones key."""
    return {key: window(zones=key, hours=hours, now=now, guard=guard) for key in set(zones_keys)}


def _joined(zones: str, rule: Rule, today: date) -> Iterator[_Interval]:
    """The intervals allowed in all zones, from today (UTC) on, joined across midnight."""
    pending: _Interval | None = None
    # One day more than the horizon: today is partly over.
    for offset in range(HORIZON // _DAY + 2):
        for interval in _common(zones, rule, today + offset * _DAY):
            if pending is not None and pending.end == interval.start:
                pending = _Interval(pending.start, interval.end)
                continue
            if pending is not None:
                yield pending
            pending = interval
    if pending is not None:
        yield pending


@lru_cache(maxsize=8192)
def _common(zones: str, rule: Rule, day: date) -> tuple[_Interval, ...]:
    """The intervals of a UTC day that are allowed in all zones."""
    first, *rest = zone_infos(zones)
    common = _allowed(first, rule, day)
    for zone in rest:
        other = _allowed(zone, rule, day)
        common = tuple(
            _Interval(max(a.start, b.start), min(a.end, b.end))
            for a in common
            for b in other
            if a.start < b.end and b.start < a.end
        )
    return common


@lru_cache(maxsize=8192)
def _allowed(zone: ZoneInfo, rule: Rule, day: date) -> tuple[_Interval, ...]:
    """The intervals of a UTC day that one zone's rule allows, in order.

    Between two neighbouring edges neither the clock jumps nor a limit is crossed, so the first
    instant of each piece answers for the whole piece.
    """
    midnight = datetime.combine(day, _MIDNIGHT, UTC)
    edges = {midnight, midnight + _DAY}
    for local_day in (day - _DAY, day, day + _DAY):
        for limit in _limits(rule, local_day):
            edges |= {limit.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    jump = _clock_change(zone, midnight)
    if jump is not None:
        edges.add(jump)
    inside = sorted(edge for edge in edges if midnight <= edge <= midnight + _DAY)
    allowed: list[_Interval] = []
    for start, end in pairwise(inside):
        if not _allows(rule, start.astimezone(zone)):
            continue
        if allowed and allowed[-1].end == start:
            start = allowed.pop().start  # noqa: PLW2901 - the piece grows to the left
        allowed.append(_Interval(start, end))
    return tuple(allowed)


def _limits(rule: Rule, day: date) -> Iterator[datetime]:
    """The wall times at which the rule's answer may change on a date; midnight is one."""
    yield datetime.combine(day, _MIDNIGHT)
    for start, end in rule.on(day):
        yield datetime.combine(day, start)
        yield datetime.combine(day, end)


def _allows(rule: Rule, local: datetime) -> bool:
    wall = local.time()
    return any(start <= wall and (wall < end or end == _MIDNIGHT) for start, end in rule.on(local.date()))


def _clock_change(zone: ZoneInfo, midnight: datetime) -> datetime | None:
    """The instant of the UTC day from this midnight at which the zone's offset changes."""
    low, high = midnight, midnight + _DAY
    before = low.astimezone(zone).utcoffset()
    if before == high.astimezone(zone).utcoffset():
        return None
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high
