"""Standing audits: what must always be true, counted from the facts. Empty lists mean that all is well."""

import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

from campaigns.states import HOLDS, OPEN, Hold, State
from compliance import caps
from smsplatform.common.database import rows


@dataclass(frozen=True)
class Findings:
    """What the audits found; `is_clean` when nothing."""

    accepted_twice: list[str] = field(default_factory=list)
    reported_twice: list[str] = field(default_factory=list)
    open_in_closed_batches: list[str] = field(default_factory=list)
    wrong_totals: list[str] = field(default_factory=list)
    wrong_permits: list[str] = field(default_factory=list)
    wrong_caps: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not any(asdict(self).values())


def duplicates() -> tuple[list[uuid.UUID], list[uuid.UUID]]:
    """Return dispatches accepted more than once: by the ledger, and by distinct provider ids in the receipts (R45)."""
    ledger = rows(
        """
        SELECT dispatch_id FROM campaigns_attempt WHERE outcome = 'accepted' OR proof <> ''
        GROUP BY dispatch_id HAVING count(*) > 1
        """
    )
    reported = rows(
        """
        SELECT dispatch_id FROM campaigns_receipt GROUP BY dispatch_id
        HAVING count(DISTINCT flight) > 1 OR count(DISTINCT provider_id) FILTER (WHERE provider_id <> '') > 1
        """
    )
    return [row[0] for row in ledger], [row[0] for row in reported]


def everything(*, run_id: int | None = None) -> Findings:
    """Run every audit, over one run or over all."""
    ledger, reported = duplicates()
    scope: dict[str, Any] = {"run": run_id}
    stuck = rows(
        """
        SELECT d.id, d.state FROM campaigns_dispatch d JOIN campaigns_batch b ON b.id = d.batch_id
        WHERE b.phase = 'closed' AND d.state = ANY(%(open)s) AND (%(run)s::bigint IS NULL OR d.run_id = %(run)s)
        """,
        scope | {"open": list(OPEN)},
    )
    totals = rows(
        """
        WITH facts AS (SELECT run_id, state, count(*) AS n FROM campaigns_dispatch GROUP BY 1, 2),
        told AS (
          SELECT run_id, state, sum(n) AS n FROM (
            SELECT b.run_id, t.key AS state, t.value::int AS n FROM campaigns_batch b, jsonb_each_text(b.tally) t
            UNION ALL SELECT run_id, state, change FROM campaigns_tallydelta) x
          GROUP BY 1, 2)
        SELECT coalesce(f.run_id, t.run_id), coalesce(f.state, t.state), coalesce(t.n, 0), coalesce(f.n, 0)
        FROM facts f FULL JOIN told t ON t.run_id = f.run_id AND t.state = f.state
        WHERE coalesce(f.n, 0) <> coalesce(t.n, 0) AND (%(run)s::bigint IS NULL OR coalesce(f.run_id, t.run_id) = %(run)s)
        """,
        scope,
    )
    permits = rows(
        """
        SELECT coalesce(d.id, p.dispatch_id), coalesce(d.state, 'no dispatch'), p.dispatch_id IS NOT NULL
        FROM campaigns_dispatch d FULL JOIN compliance_permit p ON p.dispatch_id = d.id
        WHERE (d.state = ANY(%(held)s)) IS DISTINCT FROM (p.dispatch_id IS NOT NULL)
          AND (%(run)s::bigint IS NULL OR d.run_id = %(run)s)
        """,
        scope | {"held": [state for state in State if Hold.PERMIT in HOLDS[state]]},
    )
    return Findings(
        accepted_twice=[str(found) for found in ledger],
        reported_twice=[str(found) for found in reported],
        open_in_closed_batches=[f"{id_} is {state}" for id_, state in stuck],
        wrong_totals=[f"run {run} {state}: told {told}, facts {fact}" for run, state, told, fact in totals],
        wrong_permits=[f"{id_} is {state}, permit: {'yes' if has else 'no'}" for id_, state, has in permits],
        wrong_caps=[f"{who} from {start:%F}: counter {used}, permits {n}" for who, start, used, n in caps.audit()],
    )
