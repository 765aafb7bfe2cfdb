"""`manage.py create_tenant`: a client business."""

from argparse import ArgumentParser
from typing import Any, ClassVar

from django.db import transaction

from smsplatform.common import phone
from smsplatform.common.console import Answer, OperatorCommand, made, make_once
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import audit
from smsplatform.tenancy.models import Tenant


class Command(OperatorCommand):
    """Running it again with the same values changes nothing."""

    help = "Make a tenant (a client business)."
    option_names: ClassVar = {
        "slug": "SLUG",
        "name": "--name",
        "weight": "--weight",
        "countries": "--countries",
        "triggered_countries": "--triggered-countries",
        "triggered_segments": "--triggered-segments",
        "approve_above": "--approve-above",
    }

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("slug", help="its short name in commands and URLs, like acme")
        parser.add_argument("--name", help="its name for people (the slug)")
        parser.add_argument("--weight", type=int, help="turns per round when batches are handed out (1)")
        parser.add_argument("--countries", help="whose numbers may be texted, like US,CA (these two)")
        parser.add_argument("--triggered-countries", help="of these, whose numbers the API and forms may text (US,CA)")
        parser.add_argument(
            "--triggered-segments", type=int, help="segments a day, to each country, that the API and forms may trigger"
        )
        parser.add_argument("--approve-above", type=int, help="people above which a second person must say yes")

    def act(self, options: dict[str, Any]) -> Answer:
        """Make it, or find the same one."""
        slug = options["slug"]
        is_known = Tenant.objects.filter(slug=slug).exists()
        with transaction.atomic():
            tenant, is_new = make_once(
                Tenant,
                by={"slug": slug},
                given={
                    "name": options["name"] or (None if is_known else slug),
                    "weight": options["weight"],
                    "countries": _countries(options["countries"], "countries"),
                    "triggered_countries": _countries(options["triggered_countries"], "triggered_countries"),
                    "triggered_segments": options["triggered_segments"],
                    "approve_above": options["approve_above"],
                },
            )
            if is_new:
                audit.record(actor=options["actor"], verb="tenant.created", target=tenant.slug, tenant=tenant)
        data = {
            "tenant": tenant.slug,
            "name": tenant.name,
            "weight": tenant.weight,
            "countries": sorted(tenant.allowed_countries),
            "approve_above": tenant.approve_above,
            "made": is_new,
        }
        return Answer(data, [made("tenant", tenant.slug, is_new=is_new)])


def _countries(text: str | None, field: str) -> list[str] | None:
    if text is None:
        return None
    try:
        return phone.countries([part for part in text.split(",") if part.strip()] or [""])
    except ValueError as error:
        raise InvalidInput(str(error), field=field) from None
