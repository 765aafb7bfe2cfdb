"""Writes the trail: who did what to which object."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from smsplatform.tenancy.models import AuditEvent, Tenant


def record(
    *,
    actor: str,
    verb: str,
    target: object = "",
    tenant: Tenant | int | None = None,
    at: datetime | None = None,
    **detail: Any,
) -> None:
    """Add one event, in the caller's transaction: what is rolled back was not done."""
    AuditEvent.objects.create(
        tenant_id=tenant.pk if isinstance(tenant, Tenant) else tenant,
        actor=actor[:120],
        verb=verb,
        target=str(target)[:120],
        detail=detail,
        at=at or timezone.now(),
    )
