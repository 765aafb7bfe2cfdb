"""Writes the trail: who did what to which object, from where, and what it was before.

Nothing in an event names a person who may be texted: values are masked before they are stored.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Model
from django.utils import timezone

from smsplatform.common import masking
from smsplatform.tenancy.models import AuditEvent, Tenant


@dataclass(frozen=True, slots=True)
class Origin:
    """The request in which something is done; set by `smsplatform.tenancy.trail`."""

    ip: str | None = None
    request_id: str = ""


NOWHERE: Final = Origin()  # a command, a task
origin: Final[ContextVar[Origin]] = ContextVar("origin", default=NOWHERE)


def record(
    *,
    actor: str,
    verb: str,
    target: object = "",
    tenant: Tenant | int | None = None,
    at: datetime | None = None,
    row: Model | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    **detail: Any,
) -> None:
    """Add one event, in the caller's transaction: what is rolled back was not done.

    `row` is the object it was done to, where `target` is not the object itself.
    """
    row = target if row is None and isinstance(target, Model) else row
    from_where = origin.get()
    AuditEvent.objects.create(
        tenant_id=tenant.pk if isinstance(tenant, Tenant) else tenant,
        actor=actor[:120],
        verb=verb,
        target=masking.text(str(target))[:120],
        object_type="" if row is None else row._meta.label[:60],  # noqa: SLF001 - Django's own name for it
        object_id="" if row is None else str(row.pk)[:60],
        before=None if before is None else masking.value(before),
        after=None if after is None else masking.value(after),
        detail=masking.value(detail),
        ip=from_where.ip,
        request_id=from_where.request_id,
        at=at or timezone.now(),
    )
