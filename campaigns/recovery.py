"""Heals what a crash, a lost message or a flushed Redis left behind, from Postgres alone (P3).

Everything here is idempotent: running it twice, or on two machines, changes nothing more.
"""

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import Q

from campaigns.models import Dispatch, Run
from campaigns.states import State
from smsplatform.common.database import execute

_RUNS_AT_ONCE: Final = 500


def end_leases(now: datetime) -> int:
    """Leases that are over: a new number, so the old chain ends by itself, and due now.

    Where no stage was at work, the batch waited for a worker: that start is not held against its rows (R13).
    """
    return execute(
        """
        UPDATE campaigns_batch SET phase = 'waiting', lease = lease + 1, lease_until = NULL, due_at = least(due_at, %(now)s),
          starts = CASE stage WHEN '' THEN least(starts, 1) ELSE starts END
        WHERE id IN (
          SELECT id FROM campaigns_batch WHERE phase = 'leased' AND lease_until < %(now)s ORDER BY id
          FOR UPDATE SKIP LOCKED)
        """,
        {"now": now},
    )


def half_made_runs(now: datetime) -> list[int]:
    """Return the runs that are due to be materialised and that nobody works on."""
    due = Run.objects.filter(materialised_at=None, materialise_at__lte=now).exclude(lease_until__gt=now)
    return list(due.order_by("materialise_at").values_list("id", flat=True)[:100])


def settle_unknowns(now: datetime) -> int:
    """Mark the unknowns past their deadline: they stay unknown. Return how many."""
    return execute(
        """
        WITH final AS (
          UPDATE campaigns_trouble SET due_at = NULL WHERE kind = 'unknown' AND due_at <= %(now)s RETURNING dispatch_id)
        UPDATE campaigns_dispatch d SET settled_at = %(now)s FROM final f WHERE d.id = f.dispatch_id AND d.state = 'unknown'
        """,
        {"now": now},
    )


def settle_runs(now: datetime) -> int:
    """Mark what nothing will change by itself any more in runs past the report horizon; return how many rows.

    Accepted ones stay accepted, the dead wait for an operator. A run is settled when all of its dispatches are. Looks at
    every row of these runs, so not to be done all the time.
    """
    settled = 0
    horizon = now - settings.REPORT_HORIZON
    old = Run.objects.filter(settled_at=None, materialised_at__isnull=False, launched_at__lte=horizon)
    for run in old.order_by("launched_at")[:_RUNS_AT_ONCE]:
        rows = Dispatch.objects.of_run(run.pk).filter(settled_at=None)
        taken = Q(state__in=(State.ACCEPTED, State.UNDELIVERED), accepted_at__lte=horizon)
        settled += rows.filter(taken | Q(state=State.DEAD)).update(settled_at=now)
        if not rows.exists():
            Run.objects.filter(pk=run.pk).update(settled_at=now)
    return settled


def forget(now: datetime) -> None:
    """Drop what has done its work: keys and ids of events past the report horizon, locks nobody ended."""
    horizon = now - settings.REPORT_HORIZON - timedelta(days=1)
    execute("DELETE FROM campaigns_seenevent WHERE seen_at < %s", [horizon])
    execute("DELETE FROM campaigns_providermessage WHERE created_at < %s", [horizon])
    execute("DELETE FROM campaigns_sendlock WHERE until < %s", [now - timedelta(hours=1)])
