"""`manage.py unsuppress`: let a number be texted again, by a decision that somebody stands for."""

from argparse import ArgumentParser
from typing import Any, ClassVar, Final

from django.db import transaction

from compliance import do_not_text, reasons, suppression
from compliance.models import Suppression
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.common.errors import InvalidInput, NotFound
from smsplatform.tenancy import access

_BRAND_WORDS: Final = 3


class Command(OperatorCommand):
    """What a brand has stored and what holds for everybody are released apart. The rows stay, as history."""

    help = "Release a number from what forbids to text it; the reason is audited."
    option_names: ClassVar = {"number": "NUMBER", "because": "--because", "brand": "BRAND"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("words", nargs="+", metavar="WORD", help="TENANT BRAND NUMBER, or NUMBER with --platform")
        parser.add_argument("--platform", action="store_true", help="what holds for every tenant")
        parser.add_argument("--because", required=True, help="why the number may be texted again, in a sentence")

    def act(self, options: dict[str, Any]) -> Answer:
        """Release every suppression of this number that is in force there."""
        words = options["words"]
        if len(words) != (1 if options["platform"] else _BRAND_WORDS):
            raise InvalidInput("write TENANT BRAND NUMBER, or NUMBER with --platform", field="number")
        number = do_not_text.read_number(words[-1])
        live = Suppression.objects.filter(number=number, released_at=None).order_by("id")
        if options["platform"]:
            live, whom = live.filter(brand=None), "everybody"
        else:
            brand = access.access_brand(access.access_tenant(words[0]), words[1])
            live, whom = live.filter(brand=brand), f"brand {brand.slug}"
        now = database.now()
        with transaction.atomic():
            found = list(live.select_for_update())
            if not found:
                raise NotFound(f"{number} is not suppressed for {whom}", field="number")
            for row in found:
                suppression.release(row, by=options["actor"], because=options["because"], now=now)
        others = Suppression.objects.filter(number=number, released_at=None)
        still = others.filter(brand=None).exists() and not options["platform"]
        lines = [f"{number} is released for {whom}: {reasons.told(row.reason)}, {row.source}" for row in found]
        if still:
            lines.append("It is still suppressed for everybody (--platform), so nobody texts it.")
        data = {"number": number, "scope": whom, "released": [row.reason for row in found], "still_suppressed": still}
        return Answer(data, lines)
