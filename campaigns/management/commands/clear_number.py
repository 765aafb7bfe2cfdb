"""`manage.py clear_number`: let a number be texted again that providers called a landline or dead."""

from argparse import ArgumentParser
from typing import Any, ClassVar, Final

import phonenumbers
from django.db import transaction

from compliance import hygiene
from compliance.data import npa
from smsplatform.common import database, phone
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import audit

_EVERYWHERE: Final = frozenset(phonenumbers.SUPPORTED_REGIONS)


class Command(OperatorCommand):
    """For every tenant. What a provider says of the number later counts anew; suppressions are another thing and stay."""

    help = "Let a number be texted again that could not be."
    option_names: ClassVar = {"number": "NUMBER"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("number", help="the number, like +12125550123")

    def act(self, options: dict[str, Any]) -> Answer:
        """Clear it, if there is something to clear."""
        found = phone.parse(options["number"], countries=_EVERYWHERE, known_npas=npa.COUNTRY, sandbox=True)
        if isinstance(found, phone.Refusal):
            raise InvalidInput(f"{options['number']!r}: {found.message}; write it like +12125550123", field="number")
        with transaction.atomic():
            cleared = hygiene.clear(number=found.e164, by=options["actor"], now=database.now())
            if cleared:
                audit.record(actor=options["actor"], verb="number.cleared", target=phone.masked(found.e164))
        line = f"{found.e164} may be texted again" if cleared else f"nothing speaks against {found.e164}: nothing to do"
        return Answer({"number": found.e164, "cleared": bool(cleared)}, [line])
