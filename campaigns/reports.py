"""How a run went, in numbers: from its tallies, and told apart: all sent, partly, none."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from campaigns.models import Dispatch, Run
from campaigns.states import OPEN, State
from smsplatform.common.database import rows

_TAKEN: Final = (State.ACCEPTED, State.DELIVERED, State.UNDELIVERED)


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run's numbers. `progress` is one of waiting, running, paused, cancelling, finished; `result` all, partly, none."""

    run_id: int
    totals: dict[str, int]
    progress: str
    result: str
    next_at: datetime | None

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
    return RunReport(run_id=run.pk, totals=numbers, progress=progress, result=result, next_at=next_at)


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


def counted(run: Run) -> dict[str, int]:
    """Return the run's dispatches by state, counted from the rows themselves."""
    return Dispatch.objects.of_run(run.pk).totals()


def _first(run_id: int) -> str:
    from smsplatform.common.database import key

    return str(key(run_id, 0))
