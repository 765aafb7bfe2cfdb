"""Standing audits: what must always be true, counted from the facts. Empty lists mean that all is well."""

import uuid
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from django.conf import settings

from campaigns.states import HOLDS, OPEN, Hold, State
from compliance import caps
from smsplatform.common import partitions
from smsplatform.common.database import key, rows

_LAST: Final = 2**63 - 1


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


def duplicates(*, first_run: int = 0, last_run: int = _LAST) -> tuple[list[uuid.UUID], list[uuid.UUID]]:
    """Return dispatches accepted more than once: by the ledger, and by distinct provider ids in the receipts (R45).

    Where a vendor reports on each part of a text, more parts than it said that there are.
    """
    keys = {"lowest": key(first_run, 0), "above": key(last_run + 1, 0)}
    ledger = rows(
        """
        SELECT dispatch_id FROM campaigns_attempt
        WHERE dispatch_id >= %(lowest)s AND dispatch_id < %(above)s AND (outcome = 'accepted' OR proof <> '')
        GROUP BY dispatch_id HAVING count(*) > 1
        """,
        keys,
    )
    reported = rows(
        """
        SELECT dispatch_id FROM campaigns_receipt r WHERE dispatch_id >= %(lowest)s AND dispatch_id < %(above)s
        GROUP BY dispatch_id
        HAVING count(DISTINCT flight) > 1 OR count(DISTINCT provider_id) FILTER (WHERE provider_id <> '' AND part = '') > 1
          OR CASE WHEN count(DISTINCT part) > 1 THEN count(DISTINCT part) > (
            SELECT max(a.parts) FROM campaigns_attempt a WHERE a.dispatch_id = r.dispatch_id AND a.proof = 'answer') END
        """,
        keys,
    )
    return [row[0] for row in ledger], [row[0] for row in reported]


def first_in_play(now: datetime) -> int:
    """Return from which run on anything can still change by itself: what a standing audit looks at."""
    recent = partitions.bound(now - settings.REPORT_HORIZON).int >> 64
    [(unsettled,)] = rows("SELECT min(id) FROM campaigns_run WHERE settled_at IS NULL")
    return min(recent, recent if unsettled is None else unsettled)


def everything(*, run_id: int | None = None) -> Findings:
    """Run every audit, over one run or over all. Caps are counted over all: they are not a run's."""
    first, last = (0, _LAST) if run_id is None else (run_id, run_id)
    ledger, reported = duplicates(first_run=first, last_run=last)
    scope: dict[str, Any] = {"run": run_id, "lowest": key(first, 0), "above": key(last + 1, 0)}
    stuck = rows(
        """
        SELECT d.id, d.state FROM campaigns_dispatch d JOIN campaigns_batch b ON b.id = d.batch_id
        WHERE d.id >= %(lowest)s AND d.id < %(above)s AND b.phase = 'closed' AND d.state = ANY(%(open)s)
        """,
        scope | {"open": list(OPEN)},
    )
    totals = rows(
        """
        WITH facts AS (
          SELECT run_id, state, count(*) AS n FROM campaigns_dispatch WHERE id >= %(lowest)s AND id < %(above)s GROUP BY 1, 2),
        told AS (
          SELECT run_id, state, sum(n) AS n FROM (
            SELECT b.run_id, t.key AS state, t.value::int AS n FROM campaigns_batch b, jsonb_each_text(b.tally) t
            WHERE %(run)s::bigint IS NULL OR b.run_id = %(run)s
            UNION ALL SELECT run_id, state, change FROM campaigns_tallydelta
            WHERE %(run)s::bigint IS NULL OR run_id = %(run)s) x
          GROUP BY 1, 2)
        SELECT coalesce(f.run_id, t.run_id), coalesce(f.state, t.state), coalesce(t.n, 0), coalesce(f.n, 0)
        FROM facts f FULL JOIN told t ON t.run_id = f.run_id AND t.state = f.state
        WHERE coalesce(f.n, 0) <> coalesce(t.n, 0)
        """,
        scope,
    )
    permits = rows(
        """
        SELECT coalesce(d.id, p.dispatch_id), coalesce(d.state, 'no dispatch'), p.dispatch_id IS NOT NULL
        FROM (SELECT id, state FROM campaigns_dispatch WHERE id >= %(lowest)s AND id < %(above)s) d
          FULL JOIN (SELECT dispatch_id FROM compliance_permit WHERE dispatch_id >= %(lowest)s AND dispatch_id < %(above)s) p
          ON p.dispatch_id = d.id
        WHERE (d.state = ANY(%(held)s)) IS DISTINCT FROM (p.dispatch_id IS NOT NULL)
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
