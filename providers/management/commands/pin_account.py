"""`manage.py pin_account`: one brand through one account, whatever the breaker thinks of it; or no longer."""

from argparse import ArgumentParser
from typing import Any, ClassVar

from django.db import transaction

from providers.models import Pin, ProviderAccount, Sender
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import access, audit


class Command(OperatorCommand):
    """Takes effect with each worker's next turn. Messages wait while the pinned account cannot take them."""

    help = "Pin a brand to one provider account, or release it."
    option_names: ClassVar = {"provideraccount": "ACCOUNT", "brand": "BRAND", "reason": "--reason"}

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
        if not options["account"]:
            with transaction.atomic():
                released, _ = Pin.objects.filter(brand=brand).delete()
                if released:
                    audit.record(actor=options["actor"], verb="brand.unpinned", target=brand.slug, tenant=tenant)
            told = f"{brand.slug} is released: its routes hold again" if released else f"{brand.slug} was not pinned"
            return Answer({"brand": brand.slug, "account": None, "changed": bool(released)}, [told])
        account = access.access(ProviderAccount, tenant, name=options["account"])
        if not options["reason"].strip():
            raise InvalidInput("say why; somebody will wonder", field="reason")
        if not Sender.objects.filter(brand=brand, account=account, is_active=True).exists():
            raise InvalidInput(
                f"{brand.slug} has no sender at {account.name}; add one with add_sender first", field="provideraccount"
            )
        with transaction.atomic():
            Pin.objects.update_or_create(
                brand=brand, defaults={"tenant": tenant, "account": account, "reason": options["reason"][:120]}
            )
            audit.record(
                actor=options["actor"], verb="brand.pinned", target=brand.slug, tenant=tenant, account=account.name
            )
        return Answer(
            {"brand": brand.slug, "account": account.name, "changed": True},
            [
                f"{brand.slug} goes through {account.name} only, until `pin_account {tenant.slug} {brand.slug}` releases it"
            ],
        )
