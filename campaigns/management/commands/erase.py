"""`manage.py erase`: forget a person, for good; who asked for it is recorded, the number is not."""

import re
from argparse import ArgumentParser
from typing import Any, ClassVar, Final

from campaigns import erasure
from compliance.data import npa
from compliance.models import ErasedPerson
from smsplatform.common import database, mailbox, masking, phone
from smsplatform.common.console import Answer, OperatorCommand, Table
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import access
from smsplatform.tenancy.models import Tenant

_IS_NUMBER: Final = re.compile(r"\+[1-9]\d{6,14}|[^@\s]+@[^@\s]+\.[^@\s]+", re.ASCII).fullmatch


class Command(OperatorCommand):
    """May be stopped and run again; beat goes on with what was begun."""

    help = "Forget a person: texts, answers, clicks and fields go; counts, costs and the opt-out (as a hash) stay."
    option_names: ClassVar = {"tenant": "TENANT", "number": "NUMBER", "reason": "--reason", "yes": "--yes"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("tenant", metavar="TENANT")
        parser.add_argument("number", metavar="NUMBER", help="telephone number, or e-mail address")
        parser.add_argument("--reason", default="", help="why, like: letter of 3 November; without names")
        parser.add_argument("--yes", action="store_true", help="it cannot be undone")
        parser.add_argument(
            "--may-be-texted",
            action="store_true",
            help="may be texted again if the number comes back; not where the person has opted out",
        )

    def act(self, options: dict[str, Any]) -> Answer:
        """Ask for it, and do what can be done now."""
        tenant = access.access_tenant(options["tenant"])
        number = _number(options["number"], tenant)
        if not options["reason"].strip():
            raise InvalidInput("say who asked for it, and when; without names", field="reason")
        if not options["yes"]:
            raise InvalidInput(f"{masking.number(number)} will be forgotten for good; add --yes", field="yes")
        asked = erasure.ask(
            tenant=tenant,
            number=number,
            reason=options["reason"],
            actor=options["actor"],
            now=database.now(),
            is_suppressed=not options["may_be_texted"],
        )
        is_there = erasure.work(asked.pk)
        person = ErasedPerson.objects.get(pk=asked.pk)
        texted = "is never texted again" if person.is_suppressed else "may be texted again if the number comes back"
        told = "is forgotten" if is_there else "is being forgotten by another process"
        return Answer(
            {
                "erased": person.pk,
                "is_suppressed": person.is_suppressed,
                "counts": person.counts,
                "finished": is_there,
            },
            [f"{masking.number(number)} {told}, and {texted}"],
            [Table("", ("taken away or hidden", "rows"), sorted(person.counts.items()))] if person.counts else [],
            after=["What still comes in about old messages goes when no report can come any more; beat sees to it."],
        )


def _number(text: str, tenant: Tenant) -> str:
    """Return the number as it is stored; any may be erased, also one that may not be texted."""
    found = phone.parse(text, countries=tenant.allowed_countries, sandbox=True, known_npas=npa.COUNTRY)
    if isinstance(found, phone.Number):
        return found.e164
    if _IS_NUMBER(text.strip()):
        return mailbox.spelled(text.strip())
    raise InvalidInput(f"{found.message}; write it like +12125550123", field="number")
