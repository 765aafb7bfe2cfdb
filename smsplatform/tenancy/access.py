"""The only doors from an id or a name in a request to a tenant's object.

Somebody else's object and an object that does not exist give the same NotFound.
"""

from typing import TypeVar

from django.db.models import Model

from smsplatform.common.errors import Forbidden, NotFound
from smsplatform.common.models import TenantScoped
from smsplatform.tenancy.models import Brand, Membership, Role, Tenant, User

Owned = TypeVar("Owned", bound=TenantScoped)

_RANK = {Role.VIEWER: 0, Role.MANAGER: 1, Role.OWNER: 2}


def access_tenant(slug: str) -> Tenant:
    """Return the tenant with this slug, for callers that stand above tenants (operators)."""
    try:
        return Tenant.objects.get(slug=slug)
    except Tenant.DoesNotExist:
        raise NotFound(f"there is no tenant {slug!r}; `manage.py create_tenant` makes one", field="tenant") from None


def access_brand(tenant: Tenant, slug: str) -> Brand:
    """Return the tenant's brand with this slug."""
    return access(Brand, tenant, slug=slug)


def access(model: type[Owned], tenant: Tenant, **lookup: object) -> Owned:
    """Return the tenant's one object that fits; raises NotFound for none and for another tenant's."""
    found = model._default_manager.filter(tenant=tenant, **lookup).first()  # noqa: SLF001
    if found is None:
        named = ", ".join(str(value) for value in lookup.values())
        raise NotFound(f"{tenant.slug} has no {model._meta.verbose_name} {named!r}", field=model._meta.model_name or "")  # noqa: SLF001
    return found


def tenants_of(user: User, *, at_least: Role = Role.VIEWER) -> list[int]:
    """Return the ids of the tenants in which the user holds at least this role."""
    enough = [role for role, rank in _RANK.items() if rank >= _RANK[at_least]]
    return list(Membership.objects.filter(user=user, role__in=enough).values_list("tenant_id", flat=True))


def require_role(user: User, tenant: Tenant | int, role: Role) -> None:
    """Raise Forbidden unless the user may act in this role for the tenant."""
    tenant_id = tenant.pk if isinstance(tenant, Model) else tenant
    if not user.is_superuser and tenant_id not in tenants_of(user, at_least=role):
        raise Forbidden(f"this needs the role {role.value} in the tenant")
