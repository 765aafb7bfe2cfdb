"""Writes the trail: who did what to which object."""

from typing import Any

from smsplatform.tenancy.models import AuditEvent, Tenant


def record(*, actor: str, verb: str, target: object = "", tenant: Tenant | int | None = None, **detail: Any) -> None:
    """Add one event, in the caller's transaction: what is rolled back was not done."""
    AuditEvent.objects.create(
        tenant_id=tenant.pk if isinstance(tenant, Tenant) else tenant,
        actor=actor[:120],
        verb=verb,
        target=str(target)[:120],
        detail=detail,
    )
