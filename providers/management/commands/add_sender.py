"""`manage.py add_sender`: a number or id that a brand texts from, at one of its tenant's accounts."""

import re
from argparse import ArgumentParser
from typing import Any, ClassVar, Final

from django.db import transaction

from providers.models import ProviderAccount, Registration, Sender
from smsplatform.common import mailbox
from smsplatform.common.console import Answer, OperatorCommand, made, make_once
from smsplatform.common.errors import Conflict, InvalidInput
from smsplatform.tenancy import access, audit
from smsplatform.tenancy.models import Brand

# A telephone number, a short code, a name of up to 11 signs, a vendor's id of a pool of numbers, or an e-mail address.
_ADDRESS: Final = re.compile(
    r"\+[1-9][0-9]{6,14}|[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 _.-]{1,11}|[A-Za-z0-9-]{20,40}|[^@\s]+@[^@\s]+\.[^@\s]+"
).fullmatch


class Command(OperatorCommand):
    """Running it again with the same values changes nothing."""

    help = "Let a brand text from a number (or id) of an account."
    option_names: ClassVar = {
        "address": "ADDRESS",
        "position": "--position",
        "segments_per_second": "--rate",
        "kind": "--kind",
        "weight": "--weight",
        "countries": "--country",
        "registration": "--registration",
        "provideraccount": "ACCOUNT",
        "brand": "BRAND",
    }

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("tenant", help="slug of the tenant")
        parser.add_argument("brand", help="slug of the brand")
        parser.add_argument("account", help="name of the provider account")
        parser.add_argument("address", help="+18885550123, a short code, or an id")
        parser.add_argument("--position", type=int, help="the lowest is tried first (0)")
        parser.add_argument("--rate", type=float, help="segments per second of this sender alone (usual for its kind)")
        parser.add_argument("--kind", choices=Sender.Kind.values, help="what kind of sender it is")
        parser.add_argument("--weight", type=int, help="share among the senders of its position (1)")
        parser.add_argument("--country", action="append", metavar="XX", help="only for numbers of it; may be repeated")
        parser.add_argument("--registration", help="name of the registration it belongs to; made as pending if new")

    def act(self, options: dict[str, Any]) -> Answer:
        """Make it, or find the same one."""
        tenant = access.access_tenant(options["tenant"])
        brand = access.access_brand(tenant, options["brand"])
        account = access.access(ProviderAccount, tenant, name=options["account"])
        address = mailbox.spelled(options["address"].strip())
        if not _ADDRESS(address):
            raise InvalidInput(
                f"{address!r} is no sender; write a number like +18885550123, a short code like 12345, or an id",
                field="address",
            )
        used = (
            Sender.objects.filter(account=account, address=address).exclude(brand=brand).select_related("brand").first()
        )
        if used is not None:
            raise Conflict(
                f"{address} already texts for {used.brand.slug}; a person's STOP must reach exactly one brand, so give"
                " this brand a number of its own",
                field="address",
            )
        with transaction.atomic():
            sender, is_new = make_once(
                Sender,
                by={"tenant": tenant, "brand": brand, "account": account, "address": address},
                given={
                    "position": options["position"],
                    "segments_per_second": options["rate"],
                    "kind": options["kind"],
                    "weight": options["weight"],
                    "countries": sorted({country.upper() for country in options["country"]})
                    if options["country"]
                    else None,
                    "registration": _registration(brand, options["registration"]),
                },
            )
            if is_new:
                audit.record(
                    actor=options["actor"],
                    verb="sender.added",
                    target=address,
                    tenant=tenant,
                    brand=brand.slug,
                    account=account.name,
                )
        data = {
            "tenant": tenant.slug,
            "brand": brand.slug,
            "account": account.name,
            "address": address,
            "position": sender.position,
            "made": is_new,
        }
        return Answer(data, [made("sender", address, is_new=is_new)])


def _registration(brand: Brand, name: str | None) -> Registration | None:
    if not name:
        return None
    found, _ = Registration.objects.get_or_create(tenant_id=brand.tenant_id, name=name, defaults={"brand": brand})
    if found.brand_id != brand.pk:
        raise Conflict(f"{name} is the registration of another brand; each brand has its own", field="registration")
    return found
