"""How operators say whose limit they mean."""

from argparse import ArgumentParser
from typing import Any

from campaigns.models import Campaign
from compliance.models import Limit
from providers.models import ProviderAccount, Registration
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import access
from smsplatform.tenancy.models import Tenant

_NAMED: dict[str, Any] = {
    "brand": None,
    "campaign": Campaign,
    "account": ProviderAccount,
    "registration": Registration,
}


def declare(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("tenant", nargs="?", help="slug of the tenant; without one, the whole platform")
    parser.add_argument("--brand", help="of this brand")
    parser.add_argument("--campaign", help="of this campaign")
    parser.add_argument("--account", help="of this provider account")
    parser.add_argument("--registration", help="of this registration, like a 10DLC campaign")


def read(options: dict[str, Any]) -> tuple[Tenant | None, str, int | None]:
    """Return the tenant, the kind of subject and its id."""
    named = [kind for kind in _NAMED if options[kind] is not None]
    if len(named) > 1:
        raise InvalidInput(f"name one of these, not {' and '.join(named)}", field=f"--{named[1]}")
    if options["tenant"] is None:
        if named:
            raise InvalidInput(f"whose {named[0]}? Name the tenant first", field="tenant")
        return None, Limit.Subject.PLATFORM, None
    tenant = access.access_tenant(options["tenant"])
    if not named:
        return tenant, Limit.Subject.TENANT, tenant.pk
    kind, name = named[0], options[named[0]]
    if kind == "brand":
        return tenant, kind, access.access_brand(tenant, name).pk
    return tenant, kind, access.access(_NAMED[kind], tenant, name=name).pk
