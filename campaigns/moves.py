"""The one statement that changes the state of dispatches.

Whoever moves rows locks them first, in the order of their ids, in a statement of its own: only then does the next
statement's snapshot show every permit and lock that belongs to them. In that one statement the rows change, what the
new state does not hold is given back, troubles are listed, and the run's totals are told.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from django.conf import settings

from campaigns.states import HOLDS, PROOF_RANK, SETTLED, TROUBLE, Hold, State, may_move
from compliance import caps
from smsplatform.common.database import rows

Moved = Counter[tuple[State, State]]


# Lists of states as array literals: the statements are the same for all of them.
_STATES: Final = {
    "settled": f"{{{','.join(SETTLED)}}}",
    "troubles": f"{{{','.join(TROUBLE)}}}",
    "spent_states": f"{{{State.ACCEPTED},{State.UNKNOWN}}}",
    "permit_states": f"{{{','.join(state for state in State if Hold.PERMIT in HOLDS[state])}}}",
}


class IllegalMove(RuntimeError):
    """The code asked for a move that the table of transitions does not have: a defect."""


def apply(
    ids: Sequence[uuid.UUID],
    *,
    given: str,
    parameters: Mapping[str, Any],
    origins: Iterable[State],
    targets: Iterable[State],
    now: datetime,
    assign: str = "",
) -> Moved:
    """Move locked rows and return how many went from where to where.

    `given` is a SELECT of (id, state, reason, detail, until) and whatever `assign` uses as `g.…`; `ids` are the locked
    rows in order. Only pairs of the table of transitions move; a pair of states that could never move is refused.
    """
    if not ids:
        return Counter()
    sql = _statement(given, frozenset(origins), frozenset(targets), assign)
    return _run(sql, ids, parameters, now)


def prove(ids: Sequence[uuid.UUID], *, given: str, parameters: Mapping[str, Any], now: datetime) -> Moved:
    """Apply the evidence rule: the flights of these rows were taken. `given` is a SELECT of (id, state, detail, at).

    Weaker proof than what is already proven moves nothing; the permit is taken even above the cap.
    """
    if not ids:
        return Counter()
    return _run(_proof_statement(given), ids, parameters, now)


def _run(sql: str, ids: Sequence[uuid.UUID], parameters: Mapping[str, Any], now: datetime) -> Moved:
    found = rows(
        sql,
        {
            **parameters,
            "first": ids[0],
            "last": ids[-1],
            "now": now,
            "unknown_until": now + settings.UNKNOWN_LIFE,
            "carrier_share": settings.UNKNOWN_CARRIER_SHARE,
            **_STATES,
        },
    )
    return Counter({(State(was), State(state)): count for was, state, count in found})


@cache
def _statement(given: str, origins: frozenset[State], targets: frozenset[State], assign: str) -> str:
    pairs = [(origin, to) for origin in origins for to in targets if may_move(origin, to)]
    for origin in origins:
        if not any(origin is pair[0] for pair in pairs):
            raise IllegalMove(f"{origin} leads to none of {sorted(targets)}")
    for to in targets:
        if not any(to is pair[1] for pair in pairs):
            raise IllegalMove(f"none of {sorted(origins)} leads to {to}")
    allowed = ", ".join(f"'{origin}>{to}'" for origin, to in sorted(pairs))
    spends = targets & {State.ACCEPTED, State.UNKNOWN}
    was, join = _before(origins)
    parts = [
        f"""
 WITH given AS MATERIALIZED ({given}),
 moved AS (
   UPDATE campaigns_dispatch d SET state = g.state, reason = g.reason, detail = g.detail,
     -- no hold outlives its dispatch: at its end it is brought back and judged too late
     not_before = CASE WHEN g.until IS NOT NULL THEN least(g.until, d.expires_at) END,
     settled_at = CASE WHEN g.state = ANY(%(settled)s) THEN %(now)s::timestamptz END, changed_at = %(now)s {assign}
   FROM given g {join}
   WHERE d.id = g.id AND d.id BETWEEN %(first)s AND %(last)s AND d.state || '>' || g.state IN ({allowed})
   RETURNING d.id, {was} AS was, d.state, d.tenant_id, d.brand_id, d.run_id, d.batch_id, d.number
     {", g.at AS at" if spends else ""})""",
    ]
    if any(Hold.LOCK in HOLDS[origin] for origin in origins):
        parts.append(_UNLOCK)
    if any(Hold.PERMIT in HOLDS[o] and Hold.PERMIT not in HOLDS[to] for o, to in pairs):
        is_retried = State.SENDING in origins and State.READY in targets
        parts.append(caps.GIVE_BACK_OF_CLAIM if is_retried else caps.GIVE_BACK)
    if spends:
        parts.append(caps.SPEND)
    if any(to in TROUBLE for to in targets):
        parts.append(_LIST_TROUBLE)
    if any(origin in TROUBLE for origin in origins):
        parts.append(_END_TROUBLE)
    return ",".join([*parts, _TELL])


def _before(origins: frozenset[State]) -> tuple[str, str]:
    """Return the expression of the state that a row had before it moved, and the join it needs.

    One origin is known beforehand; of several, only the row as it was can tell.
    """
    if len(origins) == 1:
        [origin] = origins
        return f"'{origin}'", ""
    return "o.state", "JOIN campaigns_dispatch o ON o.id = g.id AND o.id BETWEEN %(first)s AND %(last)s"


@cache
def _proof_statement(given: str) -> str:
    ranks = " ".join(f"WHEN '{state}' THEN {rank}" for state, rank in PROOF_RANK.items())
    moved = f"""
 WITH given AS MATERIALIZED ({given}),
 moved AS (
   UPDATE campaigns_dispatch d SET state = g.state, reason = '', detail = g.detail, not_before = NULL,
     settled_at = CASE WHEN g.state = ANY(%(settled)s) THEN %(now)s::timestamptz END, changed_at = %(now)s,
     accepted_at = coalesce(d.accepted_at, g.at)
   FROM given g JOIN campaigns_dispatch o ON o.id = g.id AND o.id BETWEEN %(first)s AND %(last)s
     JOIN campaigns_run r ON r.id = o.run_id
   WHERE d.id = g.id AND d.id BETWEEN %(first)s AND %(last)s
     AND CASE o.state {ranks} ELSE 0 END < CASE g.state {ranks} END
   RETURNING d.id, o.state AS was, d.state, d.tenant_id, d.brand_id, d.run_id, d.batch_id, d.number,
     d.accepted_at AS at, r.category = 'marketing' AS is_person_capped, d.segments, d.account_id, r.campaign_id)"""
    parts = (moved, _UNLOCK, caps.TAKE_ON_PROOF, _END_TROUBLE, _TELL)
    return ",".join(parts)


# Lock by lock, found by its key. Left to itself the planner compares every lock with every row: the table is empty again
# and again, and is so to its statistics while thousands of locks are in it.
_UNLOCK = """
 unlocked AS (
   DELETE FROM campaigns_sendlock WHERE ctid = ANY (ARRAY(
     SELECT l.ctid FROM moved m CROSS JOIN LATERAL (
       SELECT s.ctid FROM campaigns_sendlock s
       WHERE s.brand_id = m.brand_id AND s.number = m.number AND s.dispatch_id = m.id OFFSET 0) l)))"""

_LIST_TROUBLE = """
 listed AS (
   INSERT INTO campaigns_trouble (dispatch_id, tenant_id, kind, since, due_at)
   SELECT m.id, m.tenant_id, m.state, %(now)s, CASE m.state WHEN 'unknown' THEN %(unknown_until)s::timestamptz END
   FROM moved m WHERE m.state = ANY(%(troubles)s)
   ON CONFLICT (dispatch_id) DO UPDATE SET kind = excluded.kind, since = excluded.since, due_at = excluded.due_at)"""

_END_TROUBLE = """
 ended AS (
   DELETE FROM campaigns_trouble t USING moved m WHERE t.dispatch_id = m.id AND NOT m.state = ANY(%(troubles)s))"""

_TELL = """
 told AS (
   INSERT INTO campaigns_tallydelta (run_id, batch_id, tenant_id, state, change)
   SELECT run_id, batch_id, tenant_id, state, count(*) FROM moved GROUP BY 1, 2, 3, 4
   UNION ALL
   SELECT run_id, batch_id, tenant_id, was, -count(*) FROM moved GROUP BY 1, 2, 3, 4)
 SELECT was, state, count(*) FROM moved GROUP BY 1, 2"""
