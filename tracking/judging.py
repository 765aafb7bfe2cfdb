"""Judges stored hits, many at once, some seconds after they came: the redirect only stores.

A hit is judged with what came within ten seconds before and behind it. One statement reads the hits and their neighbours,
one writes. Two that judge at once, or one that judges twice, come to the same.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

from django.conf import settings

from smsplatform.common.database import rows
from tracking import ranges, surroundings, verdicts
from tracking.ranges import Ranges
from tracking.surroundings import Trace
from tracking.verdicts import Verdict

AT_ONCE: Final = 5_000  # hits of one turn
# Ids are given nearly in the order of time. Hits this much older than now have committed, and so have their neighbours.
_SLACK: Final = timedelta(seconds=5)
SETTLED: Final = surroundings.REACH + _SLACK
# A turn reads one stretch of the table; hits that lie far from its first are the next turn's.
_STRETCH: Final = 5 * AT_ONCE


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn did: hits looked at, how many of them are taken for something else now, and the id of the last one."""

    looked: int
    changed: int
    last: int


@dataclass(frozen=True, slots=True)
class _Stored:
    trace: Trace
    accepted_at: datetime | None
    is_due: bool
    was: tuple[str, str, str, int, str]


def scanner_ranges() -> Ranges:
    """Return the networks of the operator's file, read again when it changes."""
    path = settings.SCANNER_RANGES
    return _read(path, Path(path).stat().st_mtime_ns if path else 0)


@lru_cache(maxsize=1)
def _read(path: str, _changed: int) -> Ranges:
    return ranges.read(path)


def judge(*, message: str, now: datetime) -> Turn:
    """Judge the next hits that nobody has judged. `message` is SQL: `accepted_at` and `person` of dispatch `c.dispatch_id`."""
    return _turn(
        "verdict = '' AND at <= %(until)s",
        message=message,
        given={"until": now - SETTLED},
        lists=scanner_ranges(),
    )


def judge_again(*, message: str, after: int, everything: bool = False, is_dry: bool = False) -> Turn:
    """Judge the next hits behind an id again: those judged by other lists than today's, or all.

    A hit whose address and browser are gone keeps the verdict it has: there is nothing left to judge.
    """
    lists = scanner_ranges()
    which = "verdict <> '' AND id > %(after)s AND (ip IS NOT NULL OR user_agent <> '' OR signals <> '{}')"
    if not everything:
        which += " AND list_version <> %(version)s"
    given = {"after": after, "version": verdicts.version(lists)}
    return _turn(which, message=message, given=given, lists=lists, is_dry=is_dry)


def _turn(which: str, *, message: str, given: dict[str, object], lists: Ranges, is_dry: bool = False) -> Turn:
    stored = _stored(which, message, given)
    if not stored:
        return Turn(looked=0, changed=0, last=0)
    around = surroundings.around(one.trace for one in stored)
    due = [one for one in stored if one.is_due]
    judged = [(one.trace.id, verdicts.classify(_hit(one), around[one.trace.id], lists), one.was) for one in due]
    new = [(hit_id, verdict) for hit_id, verdict, was in judged if _columns(verdict) != was]
    written = {hit_id for hit_id, _ in new} if is_dry else _write(new)
    changed = sum(hit_id in written and verdict.verdict != was[0] for hit_id, verdict, was in judged)
    return Turn(looked=len(due), changed=changed, last=max(one.trace.id for one in due))


def _hit(one: _Stored) -> verdicts.Hit:
    trace = one.trace
    return verdicts.Hit(
        method=trace.method,
        user_agent=trace.user_agent,
        at=trace.at,
        headers=trace.headers,
        ip=trace.ip,
        accepted_at=one.accepted_at,
        is_https=settings.LINK_SCHEME == "https",
    )


def _stored(which: str, message: str, given: dict[str, object]) -> list[_Stored]:
    """Return the due hits with the neighbours that share a message or an address with one of them."""
    found = rows(
        f"""
        WITH asked AS MATERIALIZED (
          SELECT id, tenant_id, dispatch_id, ip, at FROM tracking_click WHERE {which} ORDER BY id LIMIT {AT_ONCE}),
        due AS MATERIALIZED (SELECT * FROM asked WHERE id < (SELECT min(id) FROM asked) + {_STRETCH}),
        stretch AS MATERIALIZED (
          SELECT min(id) AS first, max(id) AS last, min(at) - %(reach)s::interval AS since, max(at) + %(reach)s::interval AS until
          FROM due HAVING count(*) > 0)  -- no row, and nothing is read, where nothing is due
        SELECT c.id, c.tenant_id, c.code, c.dispatch_id, coalesce(m.person, c.dispatch_id::text), c.at, c.method, host(c.ip),
          c.user_agent, c.signals::text, l.links, m.accepted_at, c.id IN (SELECT id FROM due),
          c.verdict, c.subtype, c.reasons, c.points, c.list_version
        FROM stretch s
          CROSS JOIN LATERAL (SELECT max(o.id) AS id FROM (
            SELECT id FROM tracking_click WHERE id < s.first AND at < s.since - %(slack)s::interval
            ORDER BY id DESC LIMIT 1) o) low
          CROSS JOIN LATERAL (SELECT min(o.id) AS id FROM (
            SELECT id FROM tracking_click WHERE id > s.last AND at > s.until + %(slack)s::interval
            ORDER BY id LIMIT 1) o) high
          JOIN tracking_click c ON c.id > coalesce(low.id, 0) AND c.id < coalesce(high.id, {2**63 - 1})
            AND c.at BETWEEN s.since AND s.until
          LEFT JOIN LATERAL ({message} LIMIT 1) m ON true
          CROSS JOIN LATERAL (SELECT count(*) AS links FROM tracking_link WHERE dispatch_id = c.dispatch_id) l
        WHERE c.dispatch_id IN (SELECT dispatch_id FROM due) OR (c.tenant_id, c.ip) IN (SELECT tenant_id, ip FROM due)
        """,
        {**given, "reach": surroundings.REACH, "slack": _SLACK},
    )
    return [
        _Stored(
            Trace(
                id=hit_id,
                tenant=tenant,
                code=code,
                message=message_id,
                person=person,
                at=at,
                method=method,
                ip=ip,
                user_agent=user_agent,
                headers=_headers(signals),
                links=links,
            ),
            accepted_at=accepted_at,
            is_due=is_due,
            was=tuple(was),
        )
        for (
            hit_id, tenant, code, message_id, person, at, method, ip, user_agent, signals, links, accepted_at, is_due, *was
        ) in found
    ]  # fmt: skip


@lru_cache(maxsize=20_000)
def _headers(signals: str) -> Mapping[str, str]:
    """Return the headers of a hit; browsers of a kind send the same ones."""
    found: dict[str, str] = json.loads(signals)
    return found


def _columns(verdict: Verdict) -> tuple[str, str, str, int, str]:
    return verdict.verdict, verdict.subtype, " ".join(verdict.reasons), verdict.points, verdict.version


def _write(judged: Sequence[tuple[int, Verdict]]) -> set[int]:
    """Store the verdicts; return the ids of the hits that have one now. Hits somebody is erasing are left to the next turn."""
    if not judged:
        return set()
    columns = [_columns(verdict) for _, verdict in judged]
    return {
        hit_id
        for (hit_id,) in rows(
            """
            WITH given AS (
              SELECT * FROM unnest(%(ids)s::bigint[], %(verdicts)s::text[], %(subtypes)s::text[], %(reasons)s::text[],
                %(points)s::int[], %(versions)s::text[]) AS g(id, verdict, subtype, reasons, points, version)),
            mine AS MATERIALIZED (
              SELECT id FROM tracking_click WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
            UPDATE tracking_click c
            SET verdict = g.verdict, subtype = g.subtype, reasons = g.reasons, points = g.points, list_version = g.version
            -- a crash may cost the verdicts of the last half second: they are made again
            FROM given g CROSS JOIN set_config('synchronous_commit', 'off', true) JOIN mine ON mine.id = g.id WHERE c.id = g.id
            RETURNING c.id
            """,
            {
                "ids": [hit_id for hit_id, _ in judged],
                "verdicts": [one[0] for one in columns],
                "subtypes": [one[1] for one in columns],
                "reasons": [one[2] for one in columns],
                "points": [one[3] for one in columns],
                "versions": [one[4] for one in columns],
            },
        )
    }
