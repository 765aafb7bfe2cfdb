"""How operators name things: a run by its number, or as TENANT CAMPAIGN; a scope by its options."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.db.models import Model

from campaigns.models import Campaign, Run
from providers.models import ProviderAccount
from smsplatform.common.errors import InvalidInput, NotFound
from smsplatform.tenancy import access
from smsplatform.tenancy.models import Brand, Tenant

Pausable = Run | Tenant | Brand | ProviderAccount


def declare_run(parser: ArgumentParser, *, is_required: bool = True) -> None:
    """Declare the words that name a run."""
    parser.add_argument(
        "run",
        nargs="+" if is_required else "*",
        metavar="RUN",
        help="a run's number, or TENANT CAMPAIGN: its latest run",
    )


def declare_scope(parser: ArgumentParser) -> None:
    """Declare the ways to name what is paused."""
    parser.add_argument("words", nargs="*", metavar="RUN", help="a run's number, or TENANT CAMPAIGN: its latest run")
    parser.add_argument("--run", help="a run's number")
    parser.add_argument("--tenant", help="slug: everything of the tenant")
    parser.add_argument("--brand", help="slug, with --tenant: everything of this brand")
    parser.add_argument("--account", help="name, with --tenant: whatever would go through this provider account")


def access_run(words: Sequence[str]) -> Run:
    """Return the run named by its number, or the latest run of TENANT CAMPAIGN."""
    match words:
        case [number] if number.isdecimal():
            return _run_numbered(number)
        case [tenant_slug, name]:
            tenant = access.access_tenant(tenant_slug)
            campaign = access.access(Campaign, tenant, name=name)
            run = Run.objects.filter(campaign=campaign).order_by("-id").select_related("campaign", "brand").first()
            if run is None:
                raise NotFound(
                    f"campaign {name!r} was never launched; `manage.py launch {tenant_slug} {name!r}` does it"
                )
            return run
    raise InvalidInput("name a run by its number, or as TENANT CAMPAIGN", field="run")


def access_scope(options: dict[str, Any]) -> Pausable:
    """Return the one run, account, brand or tenant that the options name."""
    words, number = options["words"], options["run"]
    tenant_slug, brand_slug, account_name = options["tenant"], options["brand"], options["account"]
    ways = [bool(words), bool(number), bool(tenant_slug)]
    if (brand_slug or account_name) and not tenant_slug:
        raise InvalidInput("say whose: add --tenant", field="--brand" if brand_slug else "--account")
    if sum(ways) != 1 or (brand_slug and account_name):
        raise InvalidInput(
            "name exactly one thing: a run, or --tenant, or --tenant with --brand or with --account", field="scope"
        )
    if words or number:
        return access_run(words or [number])
    tenant = access.access_tenant(tenant_slug)
    if brand_slug:
        return access.access_brand(tenant, brand_slug)
    if account_name:
        return access.access(ProviderAccount, tenant, name=account_name)
    return tenant


def described(scope: Pausable) -> str:
    """Return what a person calls this scope."""
    if isinstance(scope, Run):
        return f"run {scope.pk} ({scope})"
    kind = "tenant" if isinstance(scope, Tenant) else "brand" if isinstance(scope, Brand) else "provider account"
    return f"{kind} {scope.slug if not isinstance(scope, ProviderAccount) else scope.name}"


def tenant_id_of(scope: Pausable) -> int:
    """Return the tenant that the scope belongs to."""
    tenant_id: int = scope.pk if isinstance(scope, Tenant) else scope.tenant_id
    return tenant_id


def verb_of(scope: Model, done: str) -> str:
    """Return the verb of the audit trail, like tenant.paused."""
    return f"{scope._meta.model_name}.{done}"  # noqa: SLF001


def _run_numbered(text: str) -> Run:
    run = Run.objects.filter(pk=int(text)).select_related("campaign", "brand").first() if len(text) < 20 else None  # noqa: PLR2004
    if run is None:
        raise NotFound(f"there is no run {text}", field="run")
    return run
