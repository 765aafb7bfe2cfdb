"""When a schedule fires: wall times, zones and crontabs turned into instants.

A crontab is a list of *wall* times. Each fires once, also on nights when the clocks change: a
time shown twice at its first showing, a time skipped as much later as the clocks jumped. An
occurrence is known by its local date and time as text, which makes two runs of it impossible
whoever launches them. Due instants are whole minutes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from itertools import takewhile
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from compliance.place import zone_infos
from compliance.quiet_hours import local_instant

_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)
# No clock moves by more in one change, so wall times and instants disagree about order within this.
_MAX_SHIFT: Final = timedelta(hours=3)
# Line Islands: no clock on Earth is ahead of theirs.
_FIRST_ON_EARTH: Final = timezone(timedelta(hours=14))

# Where to begin looking whether a schedule ever fires; any day would do.
_SOME_DAY: Final = datetime(2026, 1, 1)  # noqa: DTZ001 - crontabs are wall time

_FIELDS: Final = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of month", "1 to 31"),
    ("month", "1 to 12"),
    ("day of week", "0 to 7, Sunday is 0 and 7"),
)


class PastPolicy(StrEnum):
    """What happens to a person whose local time has already passed."""

    SEND_NOW = "send_now"
    NEXT_DAY = "next_day"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One firing of a schedule: its wall time, that time as text, and the instant it is due."""

    text: str
    wall: datetime
    at: datetime


def occurrence(*, wall: datetime, at: datetime) -> Occurrence:
    """The occurrence of a wall time, due at this instant."""
    return Occurrence(wall.isoformat(timespec="minutes"), wall, at)


def to_minute(instant: datetime) -> datetime:
    """The instant, rounded up to a whole minute, so that rows due together share a batch."""
    whole = instant.replace(second=0, microsecond=0)
    return whole if whole == instant else whole + _MINUTE


def latest_instant(*, wall: datetime, zones: str) -> datetime:
    """The instant at which it is this wall time, or later, in every zone the person may be in."""
    return max(local_instant(wall=wall, zone=zone) for zone in zone_infos(zones))


def best_instant(*, wall: datetime, zones: str, is_allowed: Callable[[datetime], bool]) -> datetime:
    """The instant at which to text a person at this wall time: the latest of those of their zones that is allowed (R41).

    Where none is, the latest: the person then waits for the next allowed instant.
    """
    candidates = sorted({to_minute(local_instant(wall=wall, zone=zone)) for zone in zone_infos(zones)}, reverse=True)
    return next(filter(is_allowed, candidates), candidates[0])


def _anywhen(_instant: datetime) -> bool:
    return True


def planned_instant(
    *,
    wall: datetime,
    zones: str,
    now: datetime,
    past_policy: PastPolicy | str,
    is_allowed: Callable[[datetime], bool] = _anywhen,
) -> datetime | None:
    """When to text a person at this wall time, never before now; None if the policy skips them."""
    at = best_instant(wall=wall, zones=zones, is_allowed=is_allowed)
    if at >= now:
        return at
    match PastPolicy(past_policy):
        case PastPolicy.SKIP:
            return None
        case PastPolicy.SEND_NOW:
            return to_minute(now)
        case PastPolicy.NEXT_DAY:
            # From the local date and time again, never plus 24 hours: days are 23 to 25 hours long.
            days = max(1, (now - at) // _DAY)
            while (later := best_instant(wall=wall + days * _DAY, zones=zones, is_allowed=is_allowed)) < now:
                days += 1
            return later


def check_crontab(text: str) -> str:
    """What is wrong with a crontab, naming the field; empty if nothing is."""
    parts = text.split()
    if len(parts) != len(_FIELDS):
        names = ", ".join(name for name, _ in _FIELDS)
        return f"a schedule has five fields ({names}); this one has {len(parts)}"
    for position, (name, allowed) in enumerate(_FIELDS):
        alone = ["*"] * len(_FIELDS)
        alone[position] = parts[position]
        if not _is_crontab(" ".join(alone)):
            return f"{name}: {parts[position]!r} is not valid ({allowed})"
    if not _is_crontab(text):
        return f"day of month: {parts[2]!r} never comes in month {parts[3]!r} on {parts[4]!r}"
    return ""


def latest_due(*, crontab: str, zone: ZoneInfo, after: datetime, now: datetime) -> Occurrence | None:
    """The latest occurrence in (after, now]; missed ones before it are forgotten."""
    return _latest(crontab, lambda wall: local_instant(wall=wall, zone=zone), zone, after, now)


def next_due(*, crontab: str, zone: ZoneInfo, after: datetime) -> Occurrence | None:
    """The first occurrence after this instant; None if the schedule never fires."""
    best: Occurrence | None = None
    start = after.astimezone(zone).replace(tzinfo=None) - _MAX_SHIFT
    for wall in CronSim(crontab, start):
        if best is not None and wall > best.wall + _MAX_SHIFT:
            break
        at = local_instant(wall=wall, zone=zone)
        if at > after and (best is None or at < best.at):
            best = occurrence(wall=wall, at=at)
    return best


def latest_opening(*, crontab: str, after: datetime, now: datetime, lead: timedelta) -> Occurrence | None:
    """The latest occurrence, in each recipient's own time, whose preparation has begun.

    It begins `lead` before the wall time is reached first on Earth; `at` is that beginning.
    """

    def opens(wall: datetime) -> datetime:
        return wall.replace(tzinfo=_FIRST_ON_EARTH).astimezone(UTC) - lead

    return _latest(crontab, opens, _FIRST_ON_EARTH, after, now, lead)


def _latest(
    crontab: str,
    instant: Callable[[datetime], datetime],
    clock: ZoneInfo | timezone,
    after: datetime,
    now: datetime,
    lead: timedelta = timedelta(),
) -> Occurrence | None:
    """The occurrence with the latest instant in (after, now]; of equals the later wall time."""
    best: Occurrence | None = None
    newest = (now + lead).astimezone(clock).replace(tzinfo=None) + _MAX_SHIFT
    oldest = (after + lead).astimezone(clock).replace(tzinfo=None) - _MAX_SHIFT
    for wall in takewhile(lambda wall: wall >= oldest, _backwards(crontab, newest)):
        if best is not None and wall < best.wall - _MAX_SHIFT:
            break
        at = instant(wall)
        if after < at <= now and (best is None or at > best.at):
            best = occurrence(wall=wall, at=at)
    return best


def _backwards(crontab: str, newest: datetime) -> Iterator[datetime]:
    """The wall times of a crontab up to this one, latest first."""
    # The iterator begins before the time it is given.
    return CronSim(crontab, newest.replace(second=0, microsecond=0) + _MINUTE, reverse=True)


def _is_crontab(text: str) -> bool:
    """Whether it can be read, and ever fires."""
    try:
        first = next(CronSim(text, _SOME_DAY), None)
    except CronSimError:
        return False
    return first is not None
