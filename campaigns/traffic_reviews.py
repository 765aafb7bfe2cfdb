"""What becomes of messages that wait because their range of numbers looked like traffic pumping: a person decides."""

import uuid
from datetime import datetime, timedelta

from django.db import transaction

from campaigns import scheduling
from campaigns.models import Dispatch, Run
from campaigns.states import State
from compliance import policy, traffic
from compliance.models import TrafficCount
from smsplatform.common import phone
from smsplatform.common.errors import Conflict
from smsplatform.tenancy import audit

_LOOK_BACK = timedelta(days=2)  # single messages expire long before


def let_through(count: TrafficCount, *, by: str, now: datetime) -> int:
    """Send what waits for this range, and hold nothing more of it for 30 days; return how many messages go on."""
    return _decide(count, by=by, now=now, is_let_through=True)


def stop(count: TrafficCount, *, by: str, now: datetime) -> int:
    """Block what waits for this range, and refuse more for 30 days; return how many messages were blocked."""
    return _decide(count, by=by, now=now, is_let_through=False)


def _decide(count: TrafficCount, *, by: str, now: datetime, is_let_through: bool) -> int:
    with transaction.atomic():
        # The range's row is locked from here on, so no message can join those that wait.
        if not traffic.decide(count=count, let_through=is_let_through, by=by, now=now):
            raise Conflict("this range does not wait for a decision any more; look who has decided")
        waiting = _waiting(count, now)
        rows = Dispatch.objects.filter(pk__in=waiting)
        batches = list(rows.values_list("batch_id", flat=True))
        if is_let_through:
            moved = rows.move([State.HELD], State.QUEUED, now=now)
            scheduling.reopen(batches, now)
        else:
            moved = rows.move([State.HELD], State.BLOCKED, now=now, reason=str(policy.TRAFFIC_PUMPING))
            scheduling.end_where_empty(batches, now)
        audit.record(
            actor=by,
            verb="traffic.let_through" if is_let_through else "traffic.stopped",
            target=phone.masked(count.subject),
            tenant=count.tenant_id,
            at=now,
            messages=moved.total(),
        )
    return moved.total()


def _waiting(count: TrafficCount, now: datetime) -> list[uuid.UUID]:
    """Return the keys of the messages that wait: of the tenant's single messages of the last days."""
    numbers = count.subject.removeprefix("range:")
    found: list[uuid.UUID] = []
    for run_id in Run.objects.filter(
        tenant=count.tenant_id, campaign=None, launched_at__gte=now - _LOOK_BACK
    ).values_list("pk", flat=True):
        held = Dispatch.objects.of_run(run_id).in_state(State.HELD).filter(reason=str(policy.TRAFFIC_REVIEW))
        found += held.filter(number__startswith=numbers).values_list("pk", flat=True)
    return found
