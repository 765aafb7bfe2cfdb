"""The canary of a run: some of its people first, and the others only when that went well.

Who is in it is a function of run and recipient alone. Its batches run as all batches do; the fence keeps the others
back while `Run.canary` says `waiting`. Beat looks at all waiting runs in one statement: too many messages not taken, or
too many opt-outs, and the run is paused with the reason; otherwise, once enough of them have had their time, the others
are released. A person may do either before.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import structlog
from django.db import transaction

from campaigns import spreading
from campaigns.models import Campaign, Canary, Run
from campaigns.states import OPEN, State
from compliance.reasons import own_words
from smsplatform.common.database import rows
from smsplatform.common.errors import Conflict
from smsplatform.tenancy import audit

log = structlog.get_logger("canary")

FIRST: Final = Canary.WAITING
_TAKEN: Final = (State.ACCEPTED, State.DELIVERED, State.UNDELIVERED)
_FAILED: Final = (State.UNDELIVERED, State.REJECTED, State.DEAD, State.UNKNOWN)
_RETRY: Final = "retry"  # tried, not taken, and to be tried again
_MIXER: Final = 0x9E3779B97F4A7C15  # 2**64 by the golden ratio: neighbouring ids land far apart, and evenly
_WORD: Final = 2**64


@dataclass(frozen=True, slots=True)
class Health:
    """How a canary is doing. Percentages are of the messages tried, and of those taken."""

    people: int
    open: int
    tried: int
    taken: int
    failed: int
    opted_out: int
    last_at: datetime | None

    @property
    def errors(self) -> Decimal:
        return _percent(self.failed, self.tried)

    @property
    def opt_outs(self) -> Decimal:
        return _percent(self.opted_out, self.taken)


def has_one(campaign: Campaign) -> bool:
    """Return whether the campaign tries its text on some people first."""
    return bool(campaign.canary_percent or campaign.canary_people)


def terms(campaign: Campaign) -> dict[str, Any] | None:
    """Return what a run copies of the campaign's canary into its plan."""
    if not has_one(campaign):
        return None
    return {
        "percent": campaign.canary_percent,
        "people": campaign.canary_people,
        "minutes": campaign.canary_minutes,
        "minimum": campaign.canary_minimum,
        "max_errors": f"{campaign.canary_max_errors:.1f}",
        "max_opt_outs": f"{campaign.canary_max_opt_outs:.1f}",
    }


def threshold(run: Run) -> int:
    """Return below which word a person's draw must lie to be in the canary; 0 for a run without one."""
    wanted = run.plan.get("canary")
    if not wanted:
        return 0
    if wanted["people"]:
        return min(_WORD, _WORD * int(wanted["people"]) // max(run.people, 1))
    return _WORD * int(wanted["percent"]) // 100


def is_in(run_id: int, recipient_id: int, below: int) -> bool:
    """Return whether this person is texted first."""
    return (recipient_id * _MIXER + run_id * _MIXER) % _WORD < below


# -- the verdict ----------------------------------------------------------------------------------------------------


def watch(now: datetime) -> list[int]:
    """Release or halt the runs whose canary can be judged; return them. One statement finds and measures them all."""
    judged = []
    for run_id, wanted, health in _measured():
        complaint, is_over = _verdict(health, wanted, now)
        if not complaint and not is_over:
            continue
        with transaction.atomic():
            # Somebody may have decided meanwhile.
            run = Run.objects.select_for_update(of=("self",)).filter(pk=run_id, canary=Canary.WAITING).first()
            if run is None or run.cancelled_at is not None:
                continue
            if complaint:
                _halt(run, complaint, now, "canary")
            else:
                _release(run, now, "canary", f"{health.errors} % errors, {health.opt_outs} % opt-outs")
        judged.append(run_id)
    return judged


def health(run: Run) -> Health:
    """Return how the run's canary is doing."""
    [(_, _, found)] = _measured(run.pk)
    return found


def release(run: Run, *, now: datetime, actor: str) -> None:
    """Let the others go, whatever the canary says."""
    _decide(run, now, actor, None)


def halt(run: Run, *, now: datetime, actor: str, reason: str = "") -> None:
    """Pause the run; the others stay where they are until somebody resumes it."""
    _decide(run, now, actor, reason or f"halted by {actor}")


def _decide(run: Run, now: datetime, actor: str, complaint: str | None) -> None:
    with transaction.atomic():
        found = Run.objects.select_for_update(of=("self",)).get(pk=run.pk)
        if found.canary != Canary.WAITING or found.cancelled_at is not None:
            raise Conflict("no canary of this run waits for a verdict")
        if complaint is None:
            _release(found, now, actor, "by hand")
        else:
            _halt(found, complaint, now, actor)


def _verdict(health: Health, wanted: dict[str, Any], now: datetime) -> tuple[str, bool]:
    """Return what speaks against the others, if anything, and whether the canary has had its time."""
    if not health.people:
        return "", True  # so few people that none was drawn
    is_complete = not health.open
    if is_complete and not health.tried:
        return "none of its messages went out; look at their reasons", False
    if health.tried < wanted["minimum"] and not is_complete:
        return "", False
    if health.errors > Decimal(wanted["max_errors"]):
        return (
            f"{health.failed:,} of {health.tried:,} failed: {health.errors} %, {wanted['max_errors']} % allowed",
            False,
        )
    if health.opt_outs > Decimal(wanted["max_opt_outs"]):
        return (
            f"{health.opted_out:,} of {health.taken:,} opted out: {health.opt_outs} %, {wanted['max_opt_outs']} % allowed"
        ), False
    return "", health.last_at is not None and health.last_at + timedelta(minutes=wanted["minutes"]) <= now


def _release(run: Run, now: datetime, actor: str, why: str) -> None:
    Run.objects.filter(pk=run.pk).update(canary=Canary.RELEASED)
    spreading.slot_anew(run, now)  # the slots of those who waited may be over
    audit.record(actor=actor, verb="run.canary_released", target=run, tenant=run.tenant_id, at=now, run=run.pk, why=why)


def _halt(run: Run, complaint: str, now: datetime, actor: str) -> None:
    Run.objects.filter(pk=run.pk).update(
        canary=Canary.HALTED, paused_at=run.paused_at or now, stop_reason=f"canary: {complaint}"[:200]
    )
    log.warning("canary.halted", run=run.pk, tenant=run.tenant_id, why=complaint)
    audit.record(
        actor=actor, verb="run.canary_halted", target=run, tenant=run.tenant_id, at=now, run=run.pk, why=complaint
    )


def _measured(run_id: int | None = None) -> list[tuple[int, dict[str, Any], Health]]:
    """Measure the canaries of all runs that wait for a verdict, or of one run."""
    which = (
        "r.id = %(run)s"
        if run_id is not None
        else "r.canary = 'waiting' AND r.materialised_at IS NOT NULL AND r.cancelled_at IS NULL AND r.paused_at IS NULL"
    )
    # Out is also who has come back since, as in the report of the run; and whose STOP names no text.
    found = rows(
        f"""
        SELECT r.id, r.plan -> 'canary', c.*
        FROM campaigns_run r CROSS JOIN LATERAL (
          SELECT count(*), count(*) FILTER (WHERE d.state = ANY(%(open)s)),
            count(*) FILTER (WHERE d.state = ANY(%(taken)s) OR f.is_failed), count(*) FILTER (WHERE d.state = ANY(%(taken)s)),
            count(*) FILTER (WHERE f.is_failed),
            count(*) FILTER (WHERE o.is_out),
            max(coalesce(d.accepted_at, CASE WHEN d.state = ANY(%(failed)s) THEN d.changed_at END))
          FROM campaigns_batch b
            JOIN campaigns_dispatch d ON d.batch_id = b.id
              AND d.id >= (lpad(to_hex(r.id), 16, '0') || repeat('0', 16))::uuid
              AND d.id < (lpad(to_hex(r.id + 1), 16, '0') || repeat('0', 16))::uuid
            CROSS JOIN LATERAL (
              SELECT d.state = ANY(%(failed)s) OR d.state = 'held' AND d.reason = %(retry)s AS is_failed) f
            CROSS JOIN LATERAL (
              SELECT d.accepted_at IS NOT NULL AND (
                EXISTS (SELECT 1 FROM compliance_suppression s WHERE s.dispatch_id = d.id AND s.reason = ANY(%(words)s))
                OR EXISTS (SELECT 1 FROM compliance_suppression s
                  WHERE s.number = d.number AND s.brand_id = d.brand_id AND s.reason = ANY(%(words)s)
                    AND s.released_at IS NULL AND s.created_at >= d.accepted_at)) AS is_out) o
          WHERE b.run_id = r.id AND b.is_canary) c
        WHERE {which} ORDER BY r.id
        """,
        {
            "run": run_id,
            "open": list(OPEN),
            "taken": list(_TAKEN),
            "failed": list(_FAILED),
            "retry": _RETRY,
            "words": own_words(),
        },
    )
    return [(row[0], _json(row[1]), Health(*row[2:])) for row in found]


def _percent(part: int, whole: int) -> Decimal:
    return (Decimal(100 * part) / whole).quantize(Decimal("0.1")) if whole else Decimal("0.0")


def _json(value: object) -> dict[str, Any]:
    import json

    found: Any = json.loads(value) if isinstance(value, str) else value
    return found or {}
