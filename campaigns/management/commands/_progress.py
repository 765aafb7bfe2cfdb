"""How a run is going, in the words of operators."""

from datetime import datetime
from typing import Any, Final

from campaigns import audience, clicks, reports
from campaigns.models import Batch, Run
from campaigns.reports import RunReport
from campaigns.states import State
from smsplatform.common.console import Table
from smsplatform.common.database import rows

_MOVING: Final = (State.CLEARED, State.LOCKED, State.ALLOWED, State.READY)


def line(report: RunReport) -> str:
    """Return the one line that `--wait` shows."""
    numbers = ", ".join(f"{count:,} {state}" for state, count in report.totals.items())
    return f"{report.progress}: {numbers or 'nobody yet'}"


def facts(run: Run, now: datetime) -> dict[str, Any]:
    """Return everything about the run that an operator asks for."""
    report = reports.report(run)
    obstacle = obstacle_of(run)
    followed = clicks.of_run(run)
    phases = dict(rows("SELECT phase, count(*) FROM campaigns_batch WHERE run_id = %s GROUP BY 1", [run.pk]))
    held = rows(
        "SELECT reason, count(*), min(not_before), max(not_before) FROM campaigns_dispatch"
        " WHERE run_id = %(run)s AND state = 'held' AND id BETWEEN %(first)s AND %(last)s GROUP BY 1 ORDER BY 2 DESC",
        {"run": run.pk, **_bounds(run)},
    )
    return {
        "run": run.pk,
        "campaign": run.campaign.name if run.campaign else None,
        "occurrence": run.occurrence,
        "launched_at": run.launched_at,
        "launched_by": run.launched_by,
        "progress": report.progress,
        "result": report.result,
        "audience": audience.count(run) if run.campaign_id else None,
        "materialised": sum(report.totals.values()),
        "totals": report.totals,
        "open": report.open,
        "taken": report.taken,
        "opt_outs": reports.opt_outs(run),
        "people_who_clicked": followed.people,
        "hits_filtered": followed.filtered,
        "reasons": [{"state": state, "reason": why, "number": n} for state, why, n in reports.reasons(run)],
        "batches": {phase: phases.get(phase, 0) for phase in Batch.Phase.values},
        "in_flight": report.totals.get(State.SENDING, 0),
        "in_stages": sum(report.totals.get(state, 0) for state in _MOVING),
        "held": [{"reason": why, "number": n, "from": first, "until": last} for why, n, first, last in held],
        "next_at": report.next_at,
        "late_seconds": max(int((now - report.next_at).total_seconds()), 0) if report.next_at else 0,
        "stopped_by": obstacle,
    }


def tables(found: dict[str, Any]) -> list[Table]:
    """Return the facts for people."""
    shown = [
        ("occurrence", found["occurrence"]),
        ("launched", f"{found['launched_at']:%F %T} by {found['launched_by'] or 'nobody'}"),
        (
            "progress",
            found["progress"] + (f" (all, partly or none sent: {found['result']})" if found["result"] else ""),
        ),
    ]
    if found["audience"] is not None:
        shown.append(("people", f"{found['materialised']:,} of {found['audience']:,} expanded"))
    shown.append(("taken", f"{found['taken']:,}"))
    outs = ", ".join(f"{people:,} by {how}" for how, people in found["opt_outs"].items())
    shown.append(("opted out", outs or "nobody"))
    if found["people_who_clicked"] or found["hits_filtered"]:
        shown.append(
            ("clicked", f"{found['people_who_clicked']:,} people; {found['hits_filtered']:,} hits filtered out")
        )
    shown.append(("open", f"{found['open']:,}: {found['in_stages']:,} in stages, {found['in_flight']:,} in flight"))
    shown.append(("batches", ", ".join(f"{count:,} {phase}" for phase, count in found["batches"].items())))
    if found["next_at"]:
        late = f", {found['late_seconds']} s ago" if found["late_seconds"] else ""
        shown.append(("next work", f"{found['next_at']:%F %T}{late}"))
    if found["stopped_by"]:
        shown.append(("stopped by", found["stopped_by"]))
    name = found["campaign"] or "single messages"
    made = [Table(f"Run {found['run']} ({name})", ("", ""), shown)]
    made.append(Table("\nMessages", ("state", "number"), list(found["totals"].items())))
    if found["held"]:
        waits = [(each["reason"], each["number"], each["from"], each["until"]) for each in found["held"]]
        made.append(Table("\nWaiting", ("for", "number", "first until", "last until"), waits))
    why = [(each["state"], each["reason"], each["number"]) for each in found["reasons"]]
    if why:
        made.append(Table("\nReasons", ("state", "reason", "number"), why))
    return made


def obstacle_of(run: Run) -> str:
    """Return what stops the run as a whole, or nothing."""
    from campaigns import fence

    [(told,)] = rows(
        f"""
        SELECT CASE WHEN NOT coalesce(i.is_sending, true) THEN 'sending is stopped (start_sending)'
          WHEN {fence.IS_COPY} THEN 'this database is a copy (accept_database)'
          WHEN t.paused_at IS NOT NULL THEN 'the tenant is paused (resume --tenant)'
          WHEN b.paused_at IS NOT NULL THEN 'the brand is paused (resume --tenant --brand)'
          WHEN r.paused_at IS NOT NULL THEN 'the run is paused (resume)' || coalesce(': ' || nullif(r.stop_reason, ''), '')
          WHEN NOT EXISTS (SELECT 1 FROM providers_sender s JOIN providers_provideraccount a ON a.id = s.account_id
            WHERE s.brand_id = b.id AND s.is_active AND a.paused_at IS NULL)
            THEN 'the brand has no sender at an account that may be used (add_sender, resume --account)'
          ELSE {fence.waits("clock_timestamp()")} END
        FROM campaigns_run r JOIN tenancy_brand b ON b.id = r.brand_id JOIN tenancy_tenant t ON t.id = r.tenant_id
          LEFT JOIN tenancy_installation i ON i.id = 1
          CROSS JOIN (SELECT false AS is_canary) x
        WHERE r.id = %s
        """,
        [run.pk],
    )
    return str(told)


def _bounds(run: Run) -> dict[str, str]:
    from smsplatform.common.database import key

    return {"first": str(key(run.pk, 0)), "last": str(key(run.pk, (1 << 64) - 1))}
