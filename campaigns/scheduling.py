"""Hands out work: which batches run next, and when a batch is due again.

Beat only looks; a finished batch passes the baton, so throughput does not depend on the tick. Handing out twice, or by
two schedulers at once, hands each batch out once.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from campaigns import fence
from campaigns.models import Batch, Lane
from campaigns.states import OPEN, State
from compliance import policy
from smsplatform.common.database import execute, keys_of, rows

_STARTS_BEFORE_HALVING = 3
# Batches of one tenant looked at per free place; beyond that nothing of the tenant could be handed out now anyway.
_LOOK = 4
# Seconds of an account's rate in flight: more batches would only find its tokens taken, and end their turns.
_SECONDS_IN_FLIGHT = 10


@dataclass(frozen=True, slots=True)
class Leased:
    """A batch handed out: who carries this number may work on it."""

    batch_id: int
    lease: int
    size: int
    lane: str


@dataclass(frozen=True, slots=True)
class _Candidate:
    batch_id: int
    tenant_id: int
    account_id: int | None
    rows_at_once: float | None
    size: int
    starts: int


def claim_due_batches(lane: Lane | str, now: datetime) -> list[Leased]:
    """Lease the batches that may run now, in the order of tenants' turns, and return them.

    One claimer per lane at a time; bounded by what is in flight per lane, tenant and account, and by some seconds of
    the account's rate. Call inside a transaction and publish on commit.
    """
    with transaction.atomic():
        execute("SELECT pg_advisory_xact_lock(hashtext('claim'), hashtext(%s))", [str(lane)])
        in_flight = rows(
            "SELECT tenant_id, account_id, size FROM campaigns_batch WHERE phase = 'leased' AND lane = %s", [str(lane)]
        )
        room = min(settings.LANE_IN_FLIGHT[lane] - len(in_flight), settings.CLAIM_BATCHES)
        if room <= 0:
            return []
        chosen = _choose(_due(lane, now, room, in_flight), in_flight, room)
        leased = rows(
            """
            UPDATE campaigns_batch b SET phase = 'leased', lease = b.lease + 1, lease_until = %(until)s,
              starts = b.starts + 1, stage = '', resume_at = NULL, account_id = c.account_id
            FROM unnest(%(ids)s::bigint[], %(accounts)s::bigint[]) WITH ORDINALITY AS c(id, account_id, turn)
            WHERE b.id = c.id RETURNING b.id, b.lease, b.size, c.turn
            """,
            {
                "until": now + settings.LEASE,
                "ids": [candidate.batch_id for candidate in chosen],
                "accounts": [candidate.account_id for candidate in chosen],
            },
        )
    leased.sort(key=lambda row: row[3])
    return [Leased(batch_id=row[0], lease=row[1], size=row[2], lane=str(lane)) for row in leased]


def _due(lane: Lane | str, now: datetime, room: int, in_flight: list[tuple[int, int | None, int]]) -> list[_Candidate]:
    """Lock and return due batches in the order of turns: per round each tenant gets `weight` batches, oldest first.

    Batches of something paused are passed over, but not when they are cancelled or too late: these must end.
    """
    busy = Counter(tenant_id for tenant_id, _, _ in in_flight)
    found = rows(
        f"""
        WITH accounts AS (
          SELECT DISTINCT ON (s.brand_id) s.brand_id, a.id, a.segments_per_second
          FROM providers_sender s JOIN providers_provideraccount a ON a.id = s.account_id
            LEFT JOIN providers_registration g ON g.id = s.registration_id
          WHERE s.is_active AND a.paused_at IS NULL
            AND (g.id IS NULL OR (g.status = 'approved' AND g.brand_id = s.brand_id))
          ORDER BY s.brand_id, s.position, s.id)
        SELECT b.id, b.tenant_id, b.account_id, b.segments_per_second * %(seconds)s, b.size, b.starts
        FROM tenancy_tenant t LEFT JOIN tenancy_installation i ON i.id = 1
        CROSS JOIN LATERAL (
          SELECT x.id, x.tenant_id, x.due_at, x.size, x.starts, a.id AS account_id, a.segments_per_second,
            row_number() OVER (ORDER BY x.due_at, x.id) AS turn
          FROM campaigns_batch x JOIN campaigns_run r ON r.id = x.run_id JOIN tenancy_brand d ON d.id = x.brand_id
            LEFT JOIN accounts a ON a.brand_id = x.brand_id
          WHERE x.lane = %(lane)s AND x.tenant_id = t.id AND x.phase = 'waiting' AND x.due_at <= %(now)s
            AND (r.cancelled_at IS NOT NULL OR x.expires_at <= %(now)s
              OR (coalesce(i.is_sending, true) AND NOT coalesce({fence.IS_COPY}, false) AND t.paused_at IS NULL
                AND d.paused_at IS NULL AND r.paused_at IS NULL AND a.id IS NOT NULL AND {fence.waits("%(now)s")} = ''))
          ORDER BY x.due_at, x.id LIMIT %(look)s) b
        ORDER BY
          (b.turn + coalesce((%(busy)s::jsonb ->> t.id::text)::int, 0) - 1) / t.weight, b.due_at, b.id
        LIMIT %(most)s
        """,
        {
            "lane": str(lane),
            "now": now,
            "look": room * _LOOK,
            "most": room * _LOOK * _LOOK,
            "busy": _json(busy),
            "seconds": _SECONDS_IN_FLIGHT,
        },
    )
    locked = {
        batch_id
        for (batch_id,) in rows(
            "SELECT id FROM campaigns_batch WHERE id = ANY(%s) AND phase = 'waiting' ORDER BY id FOR UPDATE SKIP LOCKED",
            [[row[0] for row in found]],
        )
    }
    return [_Candidate(*row) for row in found if row[0] in locked]


def _choose(
    candidates: Iterable[_Candidate], in_flight: list[tuple[int, int | None, int]], room: int
) -> list[_Candidate]:
    """Take candidates in order while the limits of tenant and account allow; an account at its limit is skipped."""
    of_tenant = Counter(tenant_id for tenant_id, _, _ in in_flight)
    of_account = Counter(account_id for _, account_id, _ in in_flight)
    rows_of: Counter[int | None] = Counter()
    for _, account_id, size in in_flight:
        rows_of[account_id] += size
    chosen: list[_Candidate] = []
    for candidate in candidates:
        account = candidate.account_id
        if len(chosen) == room:
            break
        if candidate.starts >= _STARTS_BEFORE_HALVING:
            halve(candidate.batch_id)
            continue
        if of_tenant[candidate.tenant_id] >= settings.TENANT_IN_FLIGHT:
            continue
        if account is not None and of_account[account] >= settings.ACCOUNT_IN_FLIGHT:
            continue
        # One batch may always run, however slow the account.
        present = rows_of[account]
        if candidate.rows_at_once is not None and present and present + candidate.size > candidate.rows_at_once:
            continue
        chosen.append(candidate)
        of_tenant[candidate.tenant_id] += 1
        of_account[account] += 1
        rows_of[account] += candidate.size
    return chosen


def give_back(leased: Leased, now: datetime, *, wait: timedelta = timedelta(seconds=2)) -> None:
    """Undo a lease whose chain could not be published."""
    execute(
        "UPDATE campaigns_batch SET phase = 'waiting', due_at = %s, lease_until = NULL, starts = greatest(starts - 1, 0)"
        " WHERE id = %s AND lease = %s AND phase = 'leased'",
        [now + wait, leased.batch_id, leased.lease],
    )


def end_turn(batch: Batch, stop: fence.Fence, now: datetime) -> None:
    """Write the batch's tally; close it when none of its rows is open, else make it due with the next of them.

    The caller holds the batch's row, so a late answer that re-opens it comes either before this or after.
    """
    retally(batch.pk, batch.run_id)
    [(open_rows, next_at)] = rows(
        """
        SELECT count(*), min(CASE
            WHEN %(hurry)s AND state <> 'sending' THEN %(now)s
            WHEN state = 'sending' THEN coalesce(
              (SELECT a.horizon_at FROM campaigns_attempt a WHERE a.dispatch_id = d.id AND a.flight = d.flight
                 AND a.dispatch_id >= %(lowest)s AND a.dispatch_id < %(above)s), %(now)s)
            WHEN state = 'held' AND reason = %(paused)s THEN %(now)s
            WHEN state = 'held' THEN to_timestamp(
              ceil(extract(epoch FROM not_before) / CASE WHEN not_before - %(now)s < '5 minutes' THEN 5 ELSE 60 END)
              * CASE WHEN not_before - %(now)s < '5 minutes' THEN 5 ELSE 60 END)
            ELSE greatest(%(now)s, %(resume)s::timestamptz) END)
        FROM campaigns_dispatch d
        WHERE batch_id = %(batch)s AND id >= %(lowest)s AND id < %(above)s AND state = ANY(%(open)s)
        """,
        {
            **keys_of(batch.run_id),
            "now": now,
            "hurry": stop.is_cancelled,
            "paused": str(policy.PAUSED),
            "resume": batch.resume_at,
            "batch": batch.pk,
            "open": list(OPEN),
        },
    )
    Batch.objects.filter(pk=batch.pk).update(
        phase=Batch.Phase.WAITING if open_rows else Batch.Phase.CLOSED,
        due_at=next_at or batch.due_at,
        lease_until=None,
        starts=0,
        error="",
    )


def retally(batch_id: int, run_id: int) -> None:
    """Count the batch's rows and forget the deltas that the count includes: one statement, so one snapshot."""
    execute(
        """
        WITH folded AS (DELETE FROM campaigns_tallydelta WHERE batch_id = %(batch)s),
        counted AS (
          SELECT state, count(*) AS n FROM campaigns_dispatch
          WHERE batch_id = %(batch)s AND id >= %(lowest)s AND id < %(above)s GROUP BY state)
        UPDATE campaigns_batch SET tally = coalesce((SELECT jsonb_object_agg(state, n) FROM counted), '{}')
        WHERE id = %(batch)s
        """,
        {"batch": batch_id, **keys_of(run_id)},
    )


def reopen(batch_ids: Iterable[int | None], due_at: datetime) -> None:
    """Make batches due again whose rows came back to life (a late "not taken", a replay).

    Touches the rows whatever their phase, so that it waits for a chain that is just closing one.
    """
    ids = sorted({batch_id for batch_id in batch_ids if batch_id is not None})
    rows("SELECT id FROM campaigns_batch WHERE id = ANY(%s) ORDER BY id FOR UPDATE", [ids])
    execute(
        """
        UPDATE campaigns_batch SET due_at = CASE phase WHEN 'closed' THEN %(due)s ELSE least(due_at, %(due)s) END,
          phase = CASE phase WHEN 'closed' THEN 'waiting' ELSE phase END
        WHERE id = ANY(%(ids)s)
        """,
        {"ids": ids, "due": due_at},
    )


def end_where_empty(batch_ids: Iterable[int | None], now: datetime) -> None:
    """Make waiting batches due, so that they are told and closed, whose last open rows were ended from outside."""
    execute(
        """
        UPDATE campaigns_batch b SET due_at = least(due_at, %s) WHERE id = ANY(%s) AND phase = 'waiting'
          AND NOT EXISTS (SELECT 1 FROM campaigns_dispatch d WHERE d.batch_id = b.id AND d.state = ANY(%s))
        """,
        [now, sorted({batch_id for batch_id in batch_ids if batch_id is not None}), list(OPEN)],
    )


def fail(batch_id: int, lease: int, *, stage: str, error: BaseException, now: datetime) -> None:
    """A stage raised: remember where and what, and make the batch due after a pause that grows with its starts."""
    execute(
        """
        UPDATE campaigns_batch SET phase = 'waiting', lease_until = NULL, error = %s,
          due_at = %s + interval '5 seconds' * power(2, starts)
        WHERE id = %s AND lease = %s AND phase = 'leased'
        """,
        [f"{stage}: {type(error).__name__}"[:120], now, batch_id, lease],
    )


def halve(batch_id: int) -> None:
    """Isolate a poison row (R13): after three starts that died or raised half of the open rows get a batch of their own.

    At one row, that row is dead with the stage and error as its reason. The caller holds the batch's row.
    """
    from smsplatform.common import database

    batch = Batch.objects.get(pk=batch_id)
    waiting = list(batch.dispatches.in_state(*OPEN).order_by("id").values_list("id", flat=True))
    if len(waiting) <= 1:
        now = database.now()
        origins = [state for state in OPEN if state not in (State.HELD, State.SENDING)]
        batch.dispatches.move(
            origins, State.DEAD, now=now, reason="stage_error", detail=batch.error or f"{batch.stage}: the worker died"
        )
        Batch.objects.filter(pk=batch_id).update(starts=0)
        return
    half = waiting[len(waiting) // 2 :]
    [(position,)] = rows(
        "UPDATE campaigns_run SET batches_made = batches_made + 1 WHERE id = %s RETURNING batches_made", [batch.run_id]
    )
    other = Batch.objects.create(
        tenant_id=batch.tenant_id,
        brand_id=batch.brand_id,
        run_id=batch.run_id,
        position=position - 1,
        lane=batch.lane,
        due_at=batch.due_at,
        expires_at=batch.expires_at,
        size=len(half),
        starts=1,
        error=batch.error,
        is_canary=batch.is_canary,
    )
    rows("SELECT id FROM campaigns_dispatch WHERE id = ANY(%s) ORDER BY id FOR UPDATE", [half])
    execute("UPDATE campaigns_dispatch SET batch_id = %s WHERE id = ANY(%s)", [other.pk, half])
    Batch.objects.filter(pk=batch_id).update(starts=1, size=len(waiting) - len(half))
    retally(batch_id, batch.run_id)
    retally(other.pk, batch.run_id)


def _json(counts: Counter[int]) -> str:
    import json

    return json.dumps({str(key): value for key, value in counts.items()})
