"""Counts the people of a launch by what becomes of them: the question of the pipeline, put to rows that are not there yet.

Set by set, in ranges of recipient ids: the memory does not grow with the audience. What comes into Python is groups:
people who share place, rule, country and text.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from django.db import connection

from campaigns import audience, pipeline, spreading
from campaigns.models import Batch, Dispatch
from campaigns.preflight import looks
from campaigns.preflight.looks import Hours, Place
from campaigns.preflight.texts import SAMPLE, Reader, Texts
from campaigns.states import State
from compliance import erasure, person_caps
from compliance.policy import Category, Fate, Objection, Rule
from smsplatform.common.database import rows

CHUNK: Final = 50_000
_LARGE: Final = 200_000  # people, from which on two ranges are counted at a time
# More texts than this among the first CHUNK people, and they are no longer rendered one by one.
_MANY_TEXTS: Final = 2_000
_BEYOND: Final = 2**62


@dataclass(frozen=True, slots=True)
class Group:
    """People of a place to whom the same happens. `rule` is what they break, `until` when a rule lets them go on.

    `frees_at` is when a person at the limit of messages, by the rule `tired`, may get another one. `sample` and `longest`
    are recipients.
    """

    place: Place
    rule: Rule | None
    until: datetime | None
    frees_at: datetime | None
    tired: Rule | None
    country: str
    reader: Reader | None
    people: int
    example: int
    sample: tuple[int, ...]
    longest: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """The groups of a range of recipients."""

    groups: list[Group]
    people: int


def chunks(hours: Hours, texts: Texts, people: int) -> Iterator[Chunk]:
    """Yield the groups of one range of recipients after the other; `hours` are of the run that would be.

    Of large audiences two ranges are counted at a time, each through a connection of its own: it is the database that
    works, on one core for each. Their places come first, range by range: the slots of a run that is spread are given
    out in the order of the people.
    """
    batch, places = hours.batch, _Places(hours)
    every = max(people // SAMPLE, 1)
    has_erased = erasure.has_any(batch.tenant_id)

    def count(found: _Range) -> Chunk:
        erased = _erased(batch, found) if has_erased else erasure.NOBODY
        groups = _count(places, texts, found, every, erased)
        return Chunk(groups, sum(group.people for group in groups))

    ranges = (replace(found, met=places.in_range(found)) for found in _ranges(batch))
    first = next(ranges)
    chunk = count(first)
    if not texts.is_varied and len({group.reader for group in chunk.groups}) > _MANY_TEXTS:
        texts.is_varied = True
        chunk = count(first)
    yield chunk
    yield from map(count, ranges) if people < _LARGE else _two_at_a_time(count, ranges)


def _two_at_a_time(count: Callable[["_Range"], Chunk], ranges: Iterator["_Range"]) -> Iterator[Chunk]:
    def elsewhere(found: _Range) -> Chunk:
        try:
            return count(found)
        finally:
            connection.close()

    begun: deque[Future[Chunk]] = deque()
    with ThreadPoolExecutor(2) as pool:
        for found in ranges:
            begun.append(pool.submit(elsewhere, found))
            if len(begun) > 2:  # noqa: PLR2004 - one that waits keeps both at work
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


@dataclass(frozen=True, slots=True)
class _Range:
    """The recipients whose ids are above one and not above the other, and the places they are in."""

    after: int
    upto: int
    met: Sequence[Place] = ()

    def parameters(self, batch: Batch) -> dict[str, Any]:
        return {**audience.parameters(batch.run), "after": self.after, "upto": self.upto}


def _ranges(batch: Batch) -> Iterator[_Range]:
    after: int | None = 0
    while after is not None:
        upto = _end(batch, after)
        yield _Range(after, upto or _BEYOND)
        after = upto


def _erased(batch: Batch, found: _Range) -> erasure.Found:
    numbers = rows(f"SELECT r.number {audience.between()}", found.parameters(batch))
    return erasure.among(tenant_id=batch.tenant_id, numbers=[number for (number,) in numbers])


class _Places:
    """The places met so far; instants are worked out once for each, or for each of its slots in a run that is spread."""

    def __init__(self, hours: Hours) -> None:
        self.hours = hours
        run = hours.batch.run
        rate = spreading.per_hour(run)
        self.slots = spreading.Slots(run, rate, begins=run.launched_at, terms=hours.terms) if rate else None
        self._is_own = run.plan["schedule"] == "field"
        self._known: dict[tuple[str, Any], Place] = {}
        self._made = 0

    def in_range(self, found: _Range) -> list[Place]:
        """Return the places that occur in a range. One statement; ranges come in order."""
        batch = self.hours.batch
        own = audience.own_time(batch.run)
        met = rows(
            f"SELECT r.zones, ({own})::text, count(*) {audience.between()} GROUP BY 1, 2", found.parameters(batch)
        )
        return self._of(met)

    def _of(self, found: list[tuple[str, Any, int]]) -> list[Place]:
        if self.slots is not None:
            return list(self._slotted(self.slots, found))
        if self._is_own:
            # Nearly everybody has another time: those of earlier ranges are of no use, and would only pile up.
            self._known.clear()
        for zones, own, _ in found:
            if (zones, own) not in self._known:
                plan = looks.planned(self.hours, zones, audience.instant(own))
                self._known[zones, own] = looks.place(self.hours, self._number(), zones, plan, own=own)
        return [self._known[zones, own] for zones, own, _ in found]

    def _slotted(self, slots: spreading.Slots, found: list[tuple[str, Any, int]]) -> Iterator[Place]:
        plans = [(looks.planned(self.hours, zones, None), zones, people) for zones, _, people in found]
        for plan, zones, people in sorted(plans, key=lambda each: (each[0].due_at, each[1])):
            first = 0
            spread = slots.shares(plan, zones, people) if plan.state is State.QUEUED else [(plan, people)]
            for slot, share in spread:
                yield looks.place(self.hours, self._number(), zones, slot, first=first)
                first += share

    def _number(self) -> int:
        self._made += 1
        return self._made


def _end(batch: Batch, after: int) -> int | None:
    """Return up to which recipient the next range goes; None: it is the last."""
    [(upto,)] = rows(
        """
        SELECT min(q.upto) FROM unnest(%(lists)s::bigint[]) AS l(id) CROSS JOIN LATERAL (
          SELECT CASE WHEN count(*) = %(chunk)s THEN max(p.recipient_id) END AS upto FROM (
            SELECT recipient_id FROM campaigns_listmember WHERE list_id = l.id AND recipient_id > %(after)s
            ORDER BY recipient_id LIMIT %(chunk)s) p) q
        """,
        {"lists": batch.run.plan["lists"], "after": after, "chunk": CHUNK},
    )
    return None if upto is None else int(upto)


def _count(places: _Places, texts: Texts, found: _Range, every: int, erased: erasure.Found) -> list[Group]:
    """Count everybody of one range by place. One statement."""
    hours, met = places.hours, found.met
    batch, run = hours.batch, hours.batch.run
    given = found.parameters(batch)
    own = f"({audience.own_time(run)})"
    if not met:
        return []
    windows = {
        str(place.number): window for place in met if (window := hours.window(place.zones, place.look_at)) is not None
    }
    question = pipeline.question(batch, windows or None, run.launched_at, erased).at("d.look_at")
    first = pipeline.question(batch, None, run.launched_at, erased).at("d.due_at")
    caps = person_caps.foreseen(
        brand=batch.brand, category=Category(run.category), now=run.launched_at, number="j.number", zones="j.look_zones",
        at="j.look_at",
    )  # fmt: skip
    stop_join, is_stop_due = texts.stop_line()
    counted = rows(
        f"""
        SELECT j.look_place::int, j.rule, j.until,
          CASE WHEN f.broken IS NOT NULL THEN least({_minute("f.frees_at")}, j.expires_at) END, f.broken, j.look_country,
          j.look_text, j.look_language, j.look_told, count(*), min(j.recipient_id),
          {_SAMPLED if texts.is_varied else "NULL::bigint[], 0"}
        FROM (
          SELECT d.look_place, d.recipient_id, d.number, d.look_at, d.expires_at, d.look_zones, d.look_country, d.look_length,
            q.rule, CASE WHEN q.rule IS NOT NULL THEN {_minute(question.until)} END AS until, q.is_open,
            CASE WHEN q.is_open THEN d.look_text END AS look_text,
            CASE WHEN q.is_open THEN d.look_language END AS look_language,
            CASE WHEN q.is_open THEN {is_stop_due} END AS look_told
          FROM (
            SELECT {_columns()}, p.place AS look_place, p.look_at, p.ends AS look_ends, r.country AS look_country,
              r.zones AS look_zones, {texts.language()} AS look_language, {texts.columns()} AS look_text,
              {texts.length() if texts.is_varied else "0"} AS look_length
            {_SLOTTED if places.slots else audience.between(f"JOIN {_PLACES} ON p.zones = r.zones {_OWN.format(own=own)}")}
          ) d LEFT JOIN campaigns_recipient r ON r.id = d.recipient_id AND r.id > %(after)s AND r.id <= %(upto)s
          {question.joins}
          {_FIRST.format(joins=first.joins, place=first.place)}
          CROSS JOIN LATERAL (SELECT CASE WHEN NOT d.look_ends THEN coalesce(first.rule, {question.place}) END AS rule) x
          CROSS JOIN LATERAL (SELECT x.rule, x.rule IS NULL AND NOT d.look_ends AS is_open) q
          {stop_join}
        ) j LEFT JOIN LATERAL ({caps.query}) f ON j.is_open
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
        """,
        {
            **given,
            **first.parameters,
            **question.parameters,
            **texts.parameters(),
            **caps.parameters,
            **_arrays(met),
            "brand": run.brand_id,
            "final": _final(first, question),
            "every": every,
        },
    )
    numbered = {place.number: place for place in met}
    return [
        Group(
            place=numbered[number],
            rule=None if rule is None else question.rules[rule],
            until=until,
            # Where nobody may get anything, waiting does not help.
            frees_at=numbered[number].expires_at if frees_at is not None and caps.is_closed else frees_at,
            tired=None if broken is None else caps.rules[broken].rule,
            country=country,
            reader=None if text is None else Reader(text, language, told),
            people=people,
            example=example,
            sample=tuple(sample or ()),
            longest=longest,
        )
        for number, rule, until, frees_at, broken, country, text, language, told, people, example, sample, longest in counted
    ]


# What ends a message at its first look ends it, also where the answer would be another one when the hours begin.
_FIRST: Final = """
 LEFT JOIN LATERAL (
   SELECT (%(final)s::int[])[({place}) + 1] AS rule FROM (SELECT 1 WHERE d.look_at > d.due_at AND NOT d.look_ends) once
   {joins}) first ON true"""


def _final(first: Objection, later: Objection) -> list[int | None]:
    """Return, by the place of each rule of the first look, its place among the later ones; None where it only holds."""
    return [None if rule.fate is Fate.HELD else later.rules.index(rule) for rule in first.rules]


_PLACES: Final = """
 unnest(%(p_place)s::text[], %(p_zones)s::text[], %(p_own)s::text[], %(p_due)s::timestamptz[], %(p_expires)s::timestamptz[],
   %(p_look)s::timestamptz[], %(p_ends)s::bool[]) AS p(place, zones, own, due_at, expires_at, look_at, ends)"""
# Of a run that is spread: people take the slots of their place in the order of their ids.
_SLOTTED: Final = f"""
 FROM (SELECT r.*, row_number() OVER (PARTITION BY r.zones ORDER BY r.id) - 1 AS look_rank {audience.between()}) r
   JOIN unnest(%(b_zones)s::text[], %(b_first)s::int[], %(b_starts)s::text[]) AS b(zones, first, starts) ON b.zones = r.zones
   JOIN {_PLACES} ON p.place = (b.first + width_bucket(r.look_rank, b.starts::bigint[]) - 1)::text"""
_OWN: Final = "AND p.own IS NOT DISTINCT FROM {own}::text"
# The same people each time: whose turn it is, is a matter of their id. Those with the longest fields besides.
_SAMPLED: Final = """
 array_agg(j.recipient_id) FILTER (WHERE j.is_open AND (hashint8(j.recipient_id) & 2147483647) %% %(every)s = 0),
 max(CASE WHEN j.is_open THEN (j.look_length::bigint << 40) | j.recipient_id ELSE 0 END)"""


def _arrays(met: Sequence[Place]) -> dict[str, Any]:
    by_zones: dict[str, list[Place]] = {}
    for place in met:
        by_zones.setdefault(place.zones, []).append(place)
    return {
        "p_place": [place.number for place in met],
        "p_zones": [place.zones for place in met],
        "p_own": [place.own for place in met],
        "p_due": [place.due_at for place in met],
        "p_expires": [place.expires_at for place in met],
        "p_look": [place.look_at for place in met],
        "p_ends": [bool(place.ends) for place in met],
        "b_zones": list(by_zones),
        "b_first": [slots[0].number for slots in by_zones.values()],
        "b_starts": ["{" + ",".join(str(slot.first) for slot in slots) + "}" for slots in by_zones.values()],
    }


def _columns() -> str:
    """Return a dispatch's columns, as materialising would fill them."""
    known = {
        "tenant_id": "%(tenant)s::bigint",
        "brand_id": "%(brand)s::bigint",
        "recipient_id": "r.id",
        "number": "r.number",
        "state": "'queued'::text",
        "due_at": "p.due_at",
        "expires_at": "p.expires_at",
        "zones": "''::text",
    }
    return ", ".join(
        f"{known.get(str(field.column)) or f'NULL::{field.db_type(connection)}'} AS {field.column}"
        for field in Dispatch._meta.concrete_fields  # noqa: SLF001 - Django's own name for it
    )


def _minute(instant: str) -> str:
    """Return the instant rounded up to a minute, so that people share it."""
    return f"date_trunc('minute', {instant} + interval '59.999999 seconds')"
