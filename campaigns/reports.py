"""How a run went, in numbers: from its tallies, and told apart: all sent, partly, none."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from campaigns.models import Dispatch, Run
from campaigns.states import OPEN, State
from compliance.reasons import own_words
from smsplatform.common.database import keys_of, rows
from smsplatform.tenancy.models import Tenant

_TAKEN: Final = (State.ACCEPTED, State.DELIVERED, State.UNDELIVERED)


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run's numbers. `progress` is one of waiting, running, paused, cancelling, finished; `result` all, partly, none."""

    run_id: int
    totals: dict[str, int]
    progress: str
    result: str
    next_at: datetime | None
    opt_outs: int = 0

    @property
    def all(self) -> int:
        return sum(self.totals.values())

    @property
    def taken(self) -> int:
        return sum(self.totals.get(state, 0) for state in _TAKEN)

    @property
    def open(self) -> int:
        return sum(self.totals.get(state, 0) for state in OPEN)


def totals(run_id: int) -> dict[str, int]:
    """Return the run's dispatches by state: the sum over its batches' tallies and the changes since."""
    found: Counter[str] = Counter()
    for state, number in rows(
        """
        SELECT t.key, sum(t.value::int) FROM campaigns_batch b, jsonb_each_text(b.tally) t
        WHERE b.run_id = %(run)s GROUP BY 1
        UNION ALL SELECT state, sum(change) FROM campaigns_tallydelta WHERE run_id = %(run)s GROUP BY 1
        """,
        {"run": run_id},
    ):
        found[state] += int(number)
    return {state: found[state] for state in State if found[state]}


def report(run: Run) -> RunReport:
    """Return how the run is going, or went."""
    numbers = totals(run.pk)
    open_rows = sum(numbers.get(state, 0) for state in OPEN)
    taken = sum(numbers.get(state, 0) for state in _TAKEN)
    everyone = sum(numbers.values())
    if run.materialised_at is None and not run.cancelled_at:
        progress = "waiting" if not everyone else "running"
    elif open_rows:
        progress = "cancelling" if run.cancelled_at else "paused" if run.paused_at else "running"
    else:
        progress = "cancelled" if run.cancelled_at else "finished"
    result = ""
    if not open_rows and run.materialised_at is not None:
        result = "none" if not taken else "all" if taken == everyone else "partly"
    [(next_at,)] = rows("SELECT min(due_at) FROM campaigns_batch WHERE run_id = %s AND phase <> 'closed'", [run.pk])
    return RunReport(
        run_id=run.pk,
        totals=numbers,
        progress=progress,
        result=result,
        next_at=next_at,
        opt_outs=sum(opt_outs(run).values()),
    )


def reasons(run: Run) -> list[tuple[str, str, int]]:
    """Return (state, reason, number) of everything that was not simply taken, largest first."""
    return [
        (state, reason, number)
        for state, reason, number in rows(
            """
            SELECT state, reason, count(*) FROM campaigns_dispatch
            WHERE id BETWEEN %s AND %s AND reason <> '' GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
            """,
            [_first(run.pk), _first(run.pk + 1)],
        )
    ]


def opt_outs(run: Run) -> dict[str, int]:
    """Return how many people opted out in answer to this run's texts, by how they did: reply, web, provider.

    Whoever came back later is counted all the same; whoever did it in two ways counts once, by the first.
    """
    return dict(
        rows(
            """
            SELECT source, count(*) FROM (
              SELECT DISTINCT ON (number) number, source FROM compliance_suppression
              WHERE dispatch_id >= %(lowest)s AND dispatch_id < %(above)s AND reason = ANY(%(words)s)
              ORDER BY number, created_at, id) s
            GROUP BY 1 ORDER BY 2 DESC, 1
            """,
            {**keys_of(run.pk), "words": own_words()},
        )
    )


def opt_outs_by_brand(tenant: Tenant, since: datetime) -> list[tuple[str, str, int, int]]:
    """Return (brand, how, people, of them still out) since an instant, for each brand of the tenant."""
    return [
        (brand, source, people, still)
        for brand, source, people, still in rows(
            """
            SELECT b.slug, s.source, count(DISTINCT s.number), count(DISTINCT s.number) FILTER (WHERE s.released_at IS NULL)
            FROM compliance_suppression s JOIN tenancy_brand b ON b.id = s.brand_id
            WHERE b.tenant_id = %s AND s.created_at >= %s AND s.reason = ANY(%s)
            GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2
            """,
            [tenant.pk, since, own_words()],
        )
    ]


def counted(run: Run) -> dict[str, int]:
    """Return the run's dispatches by state, counted from the rows themselves."""
    return Dispatch.objects.of_run(run.pk).totals()


def _first(run_id: int) -> str:
    from smsplatform.common.database import key

    return str(key(run_id, 0))
