"""Regional holds: an operator says that nobody in a state is texted for a while, and when it is over.

Takes effect with the next slice of whatever is being sent; what it keeps is looked at again every quarter of an hour, and
expires at its lateness limit like everything that waits.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from compliance.data import states
from compliance.models import RegionalHold
from smsplatform.common.errors import Conflict, InvalidInput
from smsplatform.tenancy import audit

MAX_REASON = 120


def in_force(now: datetime) -> QuerySet[RegionalHold]:
    """Return the holds that keep somebody at this instant."""
    return RegionalHold.objects.filter(Q(ends_at=None) | Q(ends_at__gt=now), starts_at__lte=now, lifted_at=None)


def hold(
    *,
    state: str,
    reason: str,
    now: datetime,
    actor: str,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> RegionalHold:
    """Hold a state from now (or later) on. Raises InvalidInput."""
    code = states.read(state)
    if not code:
        raise InvalidInput(f"{state!r} is no state; write it like LA or Louisiana", field="state")
    if not reason or len(reason) > MAX_REASON:
        raise InvalidInput(f"say why and where it was proclaimed, in 1 to {MAX_REASON} characters", field="reason")
    starts_at = starts_at or now
    if ends_at is not None and ends_at <= max(starts_at, now):
        raise InvalidInput(
            "it is over before it starts; give a later instant, or none until it is lifted", field="until"
        )
    with transaction.atomic():
        made = RegionalHold.objects.create(
            state=code, reason=reason, starts_at=starts_at, ends_at=ends_at, created_by=actor[:120], created_at=now
        )
        audit.record(actor=actor, verb="hold.set", target=f"{made.pk} {made}", at=now, until=str(ends_at or "lifted"))
    return made


def lift(row: RegionalHold, *, now: datetime, actor: str) -> None:
    """End a hold. Raises Conflict where it has ended."""
    with transaction.atomic():
        if not RegionalHold.objects.filter(pk=row.pk, lifted_at=None).update(lifted_at=now, lifted_by=actor[:120]):
            raise Conflict("this hold is lifted already")
        audit.record(actor=actor, verb="hold.lifted", target=f"{row.pk} {row}", at=now)
