"""When the checks decide about the people of a place, and what becomes of those who have to wait."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final

from campaigns import launch, pipeline
from campaigns.models import Batch
from campaigns.preflight.rooms import Rooms
from campaigns.states import State
from compliance import policy
from compliance.policy import Rule
from compliance.quiet_hours import Window

NOW: Final = "now"
LATER: Final = "later"
NEVER: Final = "never"

_LATE: Final = f"{State.EXPIRED}: {policy.LATE}"
_NO_WINDOW: Final = f"{State.EXPIRED}: {policy.NO_WINDOW}"
_CLOSING: Final = {
    rule.code: rule for rule in (policy.QUIET, policy.BLACKOUT, policy.REGIONAL_HOLD, policy.UNKNOWN_PLACE)
}


class Hours:
    """When people may be texted, by the terms that the brand has at the launch."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.terms = pipeline.terms(batch, batch.run.launched_at)

    def window(self, zones: str, at: datetime) -> Window | None:
        """Return the window of people of these zones at an instant; None: any time is fine."""
        return pipeline.window_at(self.batch, zones, at, self.terms)

    def opens(self, zones: str, window: Window, at: datetime) -> datetime | None:
        """Return when what closes this window at this instant is over; None: nobody knows, or never.

        What a regional hold keeps is looked at every few minutes; here only its end matters.
        """
        if window.code != policy.REGIONAL_HOLD.code or self.terms is None:
            return window.until
        hold = self.terms.hold(zones, at)
        return hold.until if hold is not None else window.until


@dataclass(frozen=True, slots=True)
class Place:
    """People who share their zones, and so their instants. `look_at` is when it is decided whether they are texted.

    `waits_for` is the rule that made it later than `due_at`. Of a place that `ends` at once nobody is looked at. `own` is
    the time of their own as it is stored, and `first` how many people of these zones have earlier slots.
    """

    number: int
    zones: str
    due_at: datetime
    expires_at: datetime
    look_at: datetime
    waits_for: str = ""
    ends: str = ""
    own: str | None = None
    first: int = 0


@dataclass(frozen=True, slots=True)
class Next:
    """When somebody who waits is looked at again; None: not any more, and `ends` is what the report will say.

    `waits_for` is the first rule that made it later than it was asked for.
    """

    at: datetime | None
    ends: str = ""
    waits_for: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """So many people of some zones who are texted at an instant; `waits_for` is what made them wait, if anything.

    `segments` are those of each one's text; 0: they are not known one by one.
    """

    at: datetime
    zones: str
    expires_at: datetime
    country: str
    people: int
    waits_for: str = ""
    ends: str = ""
    segments: float = 0


def planned(hours: Hours, zones: str, own_time: datetime | None) -> launch.Planned:
    """Return when the people of these zones, with this time of their own, would be due."""
    return launch.place_plan(hours.batch.run, zones, own_time, hours.terms)


def place(
    hours: Hours, number: int, zones: str, plan: launch.Planned, *, own: str | None = None, first: int = 0
) -> Place:
    """Return when people of these zones who are due then would be looked at."""
    run = hours.batch.run
    due_at = max(plan.due_at, run.launched_at)
    if plan.state is not State.QUEUED:
        ends = f"{plan.state}: {plan.reason}"
        return Place(number, zones, due_at, plan.expires_at, due_at, ends=ends, own=own, first=first)
    found = again(hours, zones, plan.expires_at, due_at)
    # What finds no hour in time is judged when it is due, and ends then.
    look_at = found.at or due_at
    waits = found.waits_for or (str(policy.NOT_DUE) if due_at > run.launched_at else "")
    return Place(number, zones, due_at, plan.expires_at, look_at, waits_for=waits, own=own, first=first)


def again(hours: Hours, zones: str, expires_at: datetime, at: datetime) -> Next:
    """Return when somebody is decided about who is looked at, or waits until, this instant."""
    waits_for = ""
    while at < expires_at:
        window = hours.window(zones, at)
        if window is None or window.is_open:
            return Next(at, waits_for=waits_for)
        rule = _closing(window)
        if rule is policy.UNKNOWN_PLACE:
            return Next(None, f"{State.BLOCKED}: {rule}")
        opens = hours.opens(zones, window, at)
        if rule is policy.REGIONAL_HOLD:
            # Its end is asked for first: what waits for it finds out then that it is too late.
            at = expires_at if opens is None else opens
        elif opens is None or opens >= expires_at:
            return Next(None, _NO_WINDOW)
        else:
            at = opens
        waits_for = waits_for or str(rule)
    return Next(None, _LATE)


def _closing(window: Window) -> Rule:
    return _CLOSING.get(window.code, policy.QUIET)


def in_vain(hours: Hours, zones: str, expires_at: datetime, at: datetime) -> str:
    """Return how it ends for somebody whom nothing may be sent to from this instant on, however often it is tried."""
    while True:
        window = hours.window(zones, at)
        if window is None or window.until is None or window.until >= expires_at:
            return _LATE
        found = again(hours, zones, expires_at, window.until)
        if found.at is None:
            return found.ends
        at = found.at


def under_limits(hours: Hours, turns: Iterable[Turn], rooms: Rooms) -> Iterator[tuple[Turn, bool]]:
    """Yield the turns as the limits of a day or an hour let them go, in order of time, and whether they go at all.

    Who finds no room waits for the next window and then for the next open hour, if that comes before they expire.
    """
    if not rooms.are_limited:
        yield from ((turn, True) for turn in turns)
        return
    order = count()
    waiting = [(turn.at, next(order), turn) for turn in turns]
    heapify(waiting)
    while waiting:
        at, _, turn = heappop(waiting)
        taken, full = rooms.take(at, turn.people, turn.segments)
        if taken:
            yield replace(turn, people=taken), True
        if full is None:
            continue
        found = again(hours, turn.zones, turn.expires_at, min(full.key.ends_at, turn.expires_at))
        late = replace(turn, at=found.at or at, people=turn.people - taken, waits_for=str(full.rule), ends=found.ends)
        if found.at is None:
            yield late, False
        else:
            heappush(waiting, (found.at, next(order), late))
