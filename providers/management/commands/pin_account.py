"""`manage.py pin_account`: one brand through one account, whatever the breaker thinks of it; or no longer."""

from argparse import ArgumentParser
from typing import Any, ClassVar

from django.db import transaction

from providers.models import Pin, ProviderAccount
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import access, audit
from smsplatform.tenancy.models import Brand


class Command(OperatorCommand):
    """Takes effect with each worker's next turn. Messages wait while the pinned account cannot take them."""

    help = "Pin a brand to one provider account, or release it."
    option_names: ClassVar = {
        "provideraccount": "ACCOUNT",
        "account": "ACCOUNT",
        "brand": "BRAND",
        "reason": "--reason",
    }

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("tenant", help="slug of the tenant")
        parser.add_argument("brand", help="slug of the brand")
        parser.add_argument("account", nargs="?", help="name of the provider account; without it: release the brand")
        parser.add_argument("--reason", default="", help="why, for those who wonder later")

    def act(self, options: dict[str, Any]) -> Answer:
        """Pin or release."""
        tenant = access.access_tenant(options["tenant"])
        brand = access.access_brand(tenant, options["brand"])
        reason = options["reason"].strip()
        if not options["account"]:
            if reason:
                raise InvalidInput(
                    "is for a pin; name the account, or leave it out to release the brand", field="reason"
                )
            return _release(brand, options["actor"])
        account = access.access(ProviderAccount, tenant, name=options["account"])
        if not reason:
            raise InvalidInput("is missing; say why, somebody will wonder", field="reason")
        return _pin(brand, account, reason, options["actor"])


@transaction.atomic
def _pin(brand: Brand, account: ProviderAccount, reason: str, actor: str) -> Answer:
    pin = Pin.objects.select_for_update().filter(brand=brand).first() or Pin(brand=brand, tenant_id=brand.tenant_id)
    is_new = (pin.account_id, pin.reason) != (account.pk, reason)
    if is_new:
        if pin.account_id != account.pk:
            pin.pinned_at = database.now()
        pin.account, pin.reason = account, reason
        pin.full_clean()
        pin.save()
        audit.record(
            actor=actor,
            verb="brand.pinned",
            target=brand.slug,
            tenant=brand.tenant_id,
            account=account.name,
            reason=reason,
        )
    until = f"until `pin_account {brand.tenant.slug} {brand.slug}` releases it"
    told = f"{brand.slug} goes through {account.name} only, {until}"
    lines = [told if is_new else f"{told}; that was so already: nothing to do"]
    return Answer({"brand": brand.slug, "account": account.name, "changed": is_new}, lines)


@transaction.atomic
def _release(brand: Brand, actor: str) -> Answer:
    released, _ = Pin.objects.filter(brand=brand).delete()
    if released:
        audit.record(actor=actor, verb="brand.unpinned", target=brand.slug, tenant=brand.tenant_id)
    told = f"{brand.slug} is released: its routes hold again" if released else f"{brand.slug} was not pinned"
    return Answer({"brand": brand.slug, "account": None, "changed": bool(released)}, [told])
