"""Spreads a run: at most so many messages an hour, or all of them over some hours of allowed time.

Both are a rate. The hour is cut into slots, each takes its share of people, and each person gets the first slot that is
not before their own time, lies in the allowed hours of all their zones, and has room: so that what does not fit before
the evening goes on in the morning. Slots are due instants like any other, and their people whole batches. How full a
slot is, is counted from the batches that exist, so that a crashed expansion goes on where it was. What a pause moves
past its slots is slotted anew on resuming; and `check_caps` gives out no more permits per clock hour whatever happens.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings

from campaigns import audience, occurrences
from campaigns.models import Campaign, Run
from campaigns.states import State
from compliance import hours
from compliance.hours import Terms
from compliance.policy import Category
from compliance.quiet_hours import Window
from smsplatform.common.database import execute, rows
from smsplatform.common.errors import InvalidInput

if TYPE_CHECKING:
    from campaigns.launch import Planned

_MINUTES: Final = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)  # that divide an hour
_WORTH_A_BATCH: Final = 50
_HOUR: Final = timedelta(hours=1)
_LONGEST: Final = timedelta(days=7)
_SOME_DAY: Final = date(2026, 1, 1)  # any day would do


def flaws(campaign: Campaign) -> dict[str, str]:
    """Return what is wrong with how a campaign is to be spread, by field."""
    span, most = campaign.spread_hours, campaign.most_per_hour
    if span is not None and most is not None:
        return {"spread_hours": "give either the hours or the most per hour, not both"}
    name = "spread_hours" if span is not None else "most_per_hour"
    if (span or most) and campaign.schedule == Campaign.Schedule.FIELD:
        return {name: "each recipient has a time of their own, which is not spread; leave it empty"}
    if span and campaign.brand_id and Category(campaign.category).has_quiet_hours:
        begins, left = _allowed_hours(campaign)
        if span > left:
            return {
                name: f"{span} hours do not fit into one day: from {begins:%H:%M} until {campaign.brand.closes_at:%H:%M}"
                f" the brand texts for {math.floor(left * 10) / 10:g}; enter fewer, begin earlier, or give a most per hour"
            }
    return {}


def _allowed_hours(campaign: Campaign) -> tuple[time, float]:
    """Return from when on, and for how many hours, the campaign may text on its day."""
    brand, begins = campaign.brand, campaign.brand.opens_at
    if campaign.schedule == Campaign.Schedule.LOCAL:
        with suppress(ValueError):  # said at its own field
            begins = max(begins, datetime.fromisoformat(campaign.local_at).time())
    allowed = datetime.combine(_SOME_DAY, brand.closes_at) - datetime.combine(_SOME_DAY, begins) - settings.QUIET_GUARD
    return begins, max(allowed / _HOUR, 0.0)


def check_launch(campaign: Campaign, plan: Mapping[str, Any]) -> None:
    """Raise InvalidInput where a most per hour makes the run longer than a week."""
    most = campaign.most_per_hour
    if most is None:
        return
    people = audience.count(Run(plan=dict(plan)))
    span = math.ceil(people / most)
    if timedelta(hours=span) > _LONGEST:
        raise InvalidInput(
            f"{people:,} people at {most:,} an hour take {span:,} hours of allowed time, and more than"
            f" {_LONGEST // _HOUR} is too long; raise it, or launch to shorter lists",
            field="most_per_hour",
        )


def plan_of(campaign: Campaign) -> dict[str, int | None]:
    """Return what a run keeps of it."""
    return {"spread_hours": campaign.spread_hours, "per_hour": campaign.most_per_hour}


def per_hour(run: Run) -> int | None:
    """Return at most how many messages of the run may begin in an hour; None: it is not spread."""
    found: int | None = run.plan.get("per_hour")
    return found


def settle_rate(run: Run) -> int | None:
    """Return the rate of a run that is about to be expanded; over how many hours becomes a rate by how many people it is."""
    if per_hour(run) is None and run.plan.get("spread_hours"):
        run.plan["per_hour"] = rate_of(run.plan, audience.count(run))
        Run.objects.filter(pk=run.pk).update(plan=run.plan)
    return per_hour(run)


def rate_of(plan: Mapping[str, Any], people: int) -> int | None:
    """Return at most how many an hour a run of this plan to so many people texts; None: it is not spread."""
    most: int | None = plan.get("per_hour")
    hours: int | None = plan.get("spread_hours")
    if most is None and hours:
        return max(math.ceil(people / hours), 1)
    return most


@dataclass(frozen=True, slots=True)
class Grid:
    """The slots of a rate: their length, and how many people each takes. No 60 minutes hold more than the rate."""

    length: timedelta
    room: int
    origin: datetime  # one of the slots

    def next(self, at: datetime) -> datetime:
        """Return the first slot that is not before this instant."""
        return self.origin - (self.origin - at) // self.length * self.length


def grid(run: Run, rate: int) -> Grid:
    """Return the shortest slots that are worth a batch, an hour long for a slow rate; one begins when the run does."""
    plan = run.plan
    origin = datetime.fromisoformat(plan["at"] or plan["wall"] or run.launched_at.isoformat())
    origin = occurrences.to_minute(origin if origin.tzinfo else origin.replace(tzinfo=UTC))
    for minutes in _MINUTES:
        room = rate * minutes // 60
        if room >= _WORTH_A_BATCH:
            return Grid(timedelta(minutes=minutes), room, origin)
    return Grid(_HOUR, rate, origin)


def spread(
    run: Run, groups: "Mapping[Planned, list[audience.Person]]", *, begins: datetime, terms: Terms | None
) -> "dict[Planned, list[audience.Person]]":
    """Return the people by their slots, its canary first; people without a slot in two weeks stay where they were.

    `begins` is the run's: no slot is before it; `terms` are its hours. Whoever ends at once, for a rule, is not spread.
    """
    rate = settle_rate(run)
    if rate is None:
        return dict(groups)
    slots = Slots(run, rate, begins=begins, terms=terms, taken=_taken(run))
    found: dict[Planned, list[audience.Person]] = {}
    for planned, people in sorted(groups.items(), key=lambda group: (not group[0].is_canary, group[0].due_at)):
        if planned.state is not State.QUEUED:
            found.setdefault(planned, []).extend(people)
            continue
        by_zones: dict[str, list[audience.Person]] = {}
        for person in people:
            by_zones.setdefault(person.zones, []).append(person)
        for zones, members in sorted(by_zones.items()):
            start = 0
            for slot, share in slots.shares(planned, zones, len(members)):
                found.setdefault(slot, []).extend(members[start : start + share])
                start += share
    return found


class Slots:
    """The slots of a run that is being expanded, and how full they are.

    The others wait until the canary is judged, so its people do not wait for those who were given slots before them;
    what an hour then has too many is held by `check_caps`.
    """

    def __init__(
        self, run: Run, rate: int, *, begins: datetime, terms: Terms | None, taken: "Iterable[Taken]" = ()
    ) -> None:
        self._grid = grid(run, rate)
        self._begins, self._terms = begins, terms
        self._lateness = timedelta(minutes=run.plan["lateness_minutes"])
        self._taken: dict[bool, Counter[datetime]] = {True: Counter(), False: Counter()}
        for slot, people, is_canary in taken:
            self._take(slot, people, is_canary=is_canary)

    def _take(self, slot: datetime, people: int, *, is_canary: bool) -> None:
        self._taken[False][slot] += people
        if is_canary:
            self._taken[True][slot] += people

    def shares(self, planned: "Planned", zones: str, people: int) -> "Iterator[tuple[Planned, int]]":
        """Yield how many people of one place go into which slot, in order; lateness is counted from the slot."""
        taken = self._taken[planned.is_canary]
        window_at = partial(_window, self._terms, zones)
        for slot, room in _free(self._grid, max(planned.due_at, self._begins), taken, window_at):
            share = min(room, people)
            self._take(slot, share, is_canary=planned.is_canary)
            yield replace(planned, due_at=slot, expires_at=slot + self._lateness), share
            people -= share
            if not people:
                return
        yield planned, people


def _free(
    slots: Grid, begins: datetime, taken: Mapping[datetime, int], window_at: "partial[Window | None]"
) -> Iterator[tuple[datetime, int]]:
    """Yield the slots with room in allowed time, in order, and their room."""
    slot = slots.next(begins)
    window = window_at(slot)
    while True:
        while window is not None and not (window.is_open and (window.until is None or slot < window.until)):
            if window.until is None:
                return
            slot = max(slot, slots.next(window.until))
            window = window_at(slot)
        room = slots.room - taken.get(slot, 0)
        if room > 0:
            yield slot, room
        slot += slots.length


def _window(terms: Terms | None, place: str, at: datetime) -> Window | None:
    """Return the allowed time around an instant; None: any time is."""
    return None if terms is None else hours.window(key=place, terms=terms, now=at, guard=settings.QUIET_GUARD)


Taken = tuple[datetime, int, bool]
"""So many people are due at an instant already, and whether they are the canary."""


def _taken(run: Run) -> list[Taken]:
    return [
        (due_at, people, is_canary)
        for due_at, people, is_canary in rows(
            "SELECT due_at, sum(size)::int, is_canary FROM campaigns_batch WHERE run_id = %s GROUP BY due_at, is_canary",
            [run.pk],
        )
    ]


def slot_anew(run: Run, now: datetime) -> int:
    """Move what a pause has left behind into slots from now on, and what follows behind it; return how many batches.

    Batches keep their people and these their ends: what waited too long expires. Call in the resuming transaction.
    """
    rate = per_hour(run)
    if rate is None:
        return 0
    slots = grid(run, rate)
    waiting = rows(
        "SELECT id, due_at, size FROM campaigns_batch WHERE run_id = %s AND phase = 'waiting' ORDER BY id FOR UPDATE",
        [run.pk],
    )
    moved = list(_moved(slots, sorted(waiting, key=lambda row: (row[1], row[0])), now))
    execute(
        "UPDATE campaigns_batch b SET due_at = m.due_at"
        " FROM unnest(%s::bigint[], %s::timestamptz[]) AS m(id, due_at) WHERE b.id = m.id",
        [[id_ for id_, _ in moved], [due_at for _, due_at in moved]],
    )
    return len(moved)


def _moved(slots: Grid, waiting: Iterable[tuple[int, datetime, int]], now: datetime) -> Iterator[tuple[int, datetime]]:
    """Yield the batches whose instants change: each goes into the first slot from now on that has room for it."""
    taken: Counter[datetime] = Counter()
    slot = now
    for id_, due_at, size in waiting:
        slot = max(slot, due_at)
        while taken[slot] and taken[slot] + size > slots.room:
            slot = slots.next(slot + timedelta(microseconds=1))
        taken[slot] += size
        if slot != due_at:
            yield id_, slot
