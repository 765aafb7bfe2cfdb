"""`manage.py add_sender`: a number or id that a brand texts from, at one of its tenant's accounts."""

from argparse import ArgumentParser
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import transaction

from providers import registering
from providers.models import ProviderAccount, Registration, Sender
from smsplatform.common import mailbox, phone
from smsplatform.common.console import Answer, OperatorCommand, made, make_once
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import access, audit
from smsplatform.tenancy.models import Brand


class Command(OperatorCommand):
    """Running it again with the same values changes nothing."""

    help = "Let a brand text from a number (or id) of an account."
    option_names: ClassVar = {
        "address": "ADDRESS",
        "position": "--position",
        "segments_per_second": "--rate",
        "kind": "--kind",
        "opt_out_mode": "--answers",
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
        parser.add_argument(
            "--answers", choices=Sender.OptOutMode.values, help="who answers STOP and HELP on it (usual for its kind)"
        )
        parser.add_argument("--weight", type=int, help="share among the senders of its position (1)")
        parser.add_argument("--country", action="append", metavar="XX", help="only for numbers of it; may be repeated")
        parser.add_argument("--registration", help="name of the registration it belongs to; made as pending if new")

    def act(self, options: dict[str, Any]) -> Answer:
        """Make it, or find the same one."""
        tenant = access.access_tenant(options["tenant"])
        brand = access.access_brand(tenant, options["brand"])
        account = access.access(ProviderAccount, tenant, name=options["account"])
        address = mailbox.spelled(options["address"].strip())
        with transaction.atomic():
            sender, is_new = make_once(
                Sender,
                by={"tenant": tenant, "brand": brand, "account": account, "address": address},
                given={
                    "position": options["position"],
                    "segments_per_second": options["rate"],
                    "kind": options["kind"],
                    "opt_out_mode": options["answers"],
                    "weight": options["weight"],
                    "countries": _countries(options["country"]),
                    "registration": _registration(brand, options["registration"], options["actor"]),
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
        data: dict[str, Any] = {
            "tenant": tenant.slug,
            "brand": brand.slug,
            "account": account.name,
            "address": address,
            "position": sender.position,
            "made": is_new,
        }
        registration = sender.registration
        if registration is not None:
            data |= {"registration": registration.name, "registration_status": registration.status}
        lines = [made("sender", address, is_new=is_new)]
        if registration is not None and registration.status != Registration.Status.APPROVED:
            lines.append(
                f"  {registration} must be approved (admin, Registrations) before anything goes out through it."
            )
        if told := registering.warning(sender):
            lines.append(f"  {told}")
        return Answer(data, lines)


def _countries(given: list[str] | None) -> list[str] | None:
    try:
        return phone.countries(given) if given else None
    except ValueError as error:
        raise InvalidInput(str(error), field="countries") from None


def _registration(brand: Brand, name: str | None, actor: str) -> Registration | None:
    if name is None:
        return None
    found = Registration.objects.filter(tenant_id=brand.tenant_id, name=name.strip()).first()
    if found is None:
        found = Registration(tenant_id=brand.tenant_id, brand=brand, name=name.strip())
        try:
            found.full_clean()
        except ValidationError as error:
            raise InvalidInput(f"{name.strip()!r}: {error.messages[0]}", field="registration") from None
        found.save()
        audit.record(
            actor=actor, verb="registration.added", target=found.name, tenant=brand.tenant_id, brand=brand.slug
        )
    return found
