"""Whom a limit may belong to, by name: what compliance knows as numbers only."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from campaigns import spreading
from campaigns.models import Campaign, Dispatch, Recipient, Run
from compliance import usage
from compliance.models import Limit
from compliance.policy import Category
from providers.models import ProviderAccount, Registration
from smsplatform.tenancy.models import Brand, Tenant

_KINDS: dict[str, Any] = {
    Limit.Subject.TENANT: Tenant,
    Limit.Subject.BRAND: Brand,
    Limit.Subject.CAMPAIGN: Campaign,
    Limit.Subject.ACCOUNT: ProviderAccount,
    Limit.Subject.REGISTRATION: Registration,
}
_MOST = 200


def names(holders: Iterable[str]) -> dict[str, str]:
    """Return each holder, like brand:7, as people call it. A statement per kind."""
    wanted: dict[str, set[int]] = {}
    for holder in holders:
        kind, _, number = holder.partition(":")
        if kind in _KINDS and number.isdigit():
            wanted.setdefault(kind, set()).add(int(number))
    found = {"platform": "the platform"}
    for kind, numbers in wanted.items():
        for row in _KINDS[kind].objects.filter(pk__in=numbers):
            found[f"{kind}:{row.pk}"] = f"{kind} {row}"
    return found


def choices(tenants: Iterable[int] | None) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return whom limits may be set for in these tenants (None: in all), in groups; the latest campaigns only."""
    groups = []
    for kind, model in _KINDS.items():
        rows = model.objects.order_by("-pk")
        if tenants is not None:
            rows = rows.filter(**{"pk__in" if kind == Limit.Subject.TENANT else "tenant__in": list(tenants)})
        listed = [(f"{kind}:{row.pk}", _label(row, is_among_many=tenants is None)) for row in rows[:_MOST]]
        if listed:
            groups.append((str(Limit.Subject(kind).label), listed))
    return groups


def tenant_of(holder: str) -> int | None:
    """Return the tenant whose limit it would be; None for the platform, and for what is gone."""
    kind, _, number = holder.partition(":")
    if kind == Limit.Subject.TENANT:
        return int(number)
    model = _KINDS.get(kind)
    found: int | None = None if model is None else model.objects.values_list("tenant_id", flat=True).get(pk=int(number))
    return found


def _label(row: Any, *, is_among_many: bool) -> str:
    tenant_id = getattr(row, "tenant_id", None)
    return f"{row} ({row.tenant})" if is_among_many and tenant_id is not None else str(row)


def usage_of(dispatch: Dispatch, now: datetime) -> list[usage.Usage]:
    """Return what limits a message, and how much of it is used now; names instead of numbers."""
    run = Run.objects.select_related("brand").get(pk=dispatch.run_id)
    person = Recipient.objects.filter(pk=dispatch.recipient_id or 0).first()
    whose = usage.Whose(
        brand=run.brand,
        number=dispatch.number,
        place=person.zones if person else dispatch.zones,
        category=Category(run.category),
        campaign_id=run.campaign_id,
        per_hour=spreading.per_hour(run),
        account_id=dispatch.account_id,
    )
    return usage.of(whose, now)
