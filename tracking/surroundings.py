"""What happened around hits: the same one just before, all links of a message at once, links of many people from one place.

Looks at what is stored alone, never at verdicts, so judging again comes to the same. Pure.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tracking import verdicts
from tracking.ranges import is_private
from tracking.verdicts import Around

REPEAT_WITHIN: Final = timedelta(seconds=10)
ALL_LINKS_WITHIN: Final = timedelta(seconds=2)
MANY_PEOPLE_WITHIN: Final = timedelta(seconds=10)
MANY_PEOPLE: Final = 3
REACH: Final = max(REPEAT_WITHIN, ALL_LINKS_WITHIN, MANY_PEOPLE_WITHIN)
"""How far around a hit one must look, in both directions."""
_FEWEST_LINKS: Final = 2  # of a single link nobody can follow all but one


@dataclass(frozen=True, slots=True)
class Trace:
    """What a stored hit leaves for its neighbours. `links` is how many links its message has."""

    id: int
    tenant: int
    code: str
    message: Hashable
    person: Hashable
    at: datetime
    method: str
    ip: str | None
    user_agent: str
    headers: Mapping[str, str]
    links: int


def around(traces: Iterable[Trace]) -> dict[int, Around]:
    """Return what happened around each of these, by id."""
    ordered = sorted(traces, key=lambda trace: (trace.at, trace.id))
    repeats = _repeats(ordered)
    # What a phone fetches by itself beside its owner's tap must not make a sweep of the tap.
    asked = [one for one in ordered if not verdicts.may_be_own_device(user_agent=one.user_agent, headers=one.headers)]
    all_links = _dense(
        _grouped(asked, lambda one: one.message if one.links >= _FEWEST_LINKS else None),
        subject=lambda one: one.code,
        fewest=lambda one: one.links,
        within=ALL_LINKS_WITHIN,
    )
    many_people = _dense(
        _grouped(asked, lambda one: (one.tenant, one.ip) if one.ip and not is_private(one.ip) else None),
        subject=lambda one: one.person,
        fewest=lambda _: MANY_PEOPLE,
        within=MANY_PEOPLE_WITHIN,
    )
    return {
        one.id: Around(
            is_repeat=one.id in repeats, is_all_links=one.id in all_links, is_many_people=one.id in many_people
        )
        for one in ordered
    }


def _repeats(ordered: Iterable[Trace]) -> set[int]:
    """Return the ids of those before which the same visitor asked for the same page; fetching ahead is not asking."""
    latest: dict[Hashable, datetime] = {}
    found = set()
    for one in ordered:
        if not verdicts.is_click(method=one.method, headers=one.headers):
            continue
        visitor = (one.code, one.ip, one.user_agent)
        if visitor in latest and one.at - latest[visitor] <= REPEAT_WITHIN:
            found.add(one.id)
        latest[visitor] = one.at
    return found


def _grouped(ordered: Iterable[Trace], key: Callable[[Trace], Hashable]) -> Iterator[Sequence[Trace]]:
    groups: defaultdict[Hashable, list[Trace]] = defaultdict(list)
    for one in ordered:
        if (name := key(one)) is not None:
            groups[name].append(one)
    yield from groups.values()


def _dense(
    groups: Iterable[Sequence[Trace]],
    *,
    subject: Callable[[Trace], Hashable],
    fewest: Callable[[Trace], int],
    within: timedelta,
) -> set[int]:
    """Return the ids of all that lie in some window of time which holds so many different subjects."""
    found: set[int] = set()
    for group in groups:
        held: Counter[Hashable] = Counter()
        first = marked = 0
        for last, one in enumerate(group):
            held[subject(one)] += 1
            while one.at - group[first].at > within:
                left = subject(group[first])
                held[left] -= 1
                if not held[left]:
                    del held[left]
                first += 1
            if len(held) >= fewest(one):
                marked = max(marked, first)
                found.update(group[place].id for place in range(marked, last + 1))
                marked = last + 1
    return found
