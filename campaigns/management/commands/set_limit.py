"""`manage.py set_limit`: how many messages or segments may be sent in a day, or to one person in some hours."""

from argparse import ArgumentParser
from typing import Any, ClassVar

from campaigns import limited
from campaigns.management.commands import _limited
from compliance import limiting
from compliance.models import Limit
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.common.errors import InvalidInput


class Command(OperatorCommand):
    """Running it again with the same values changes nothing; with another amount it is the next version."""

    help = "Set, change or end a limit."
    option_names: ClassVar = {
        "amount": "--amount",
        "unit": "--unit",
        "hours": "--person-hours",
        "zone": "--zone",
        "carrier": "--carrier",
        "is_promised": "--promised",
        "note": "--note",
        "subject": "--brand",
        "period": "--person-hours",
    }

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        _limited.declare(parser)
        parser.add_argument("--amount", type=int, help="how many; 0 sends nothing")
        parser.add_argument("--unit", choices=Limit.Unit.values, default=Limit.Unit.MESSAGES, help="(%(default)s)")
        parser.add_argument("--zone", default="", help="whose midnight (the brand's; of a carrier, Los Angeles)")
        parser.add_argument(
            "--person-hours",
            type=int,
            metavar="HOURS",
            help="not a day: to each person, of marketing, in so many hours",
        )
        parser.add_argument(
            "--carrier", choices=Limit.Carrier.values, default="", help="only what goes to this carrier"
        )
        parser.add_argument("--promised", action="store_true", help="the opt-in text promises it to people")
        parser.add_argument("--note", default="", help="where it comes from")
        parser.add_argument("--end", action="store_true", help="it holds no more")

    def act(self, options: dict[str, Any]) -> Answer:
        """Set it, or find the same one."""
        tenant, subject, subject_id = _limited.read(options)
        wanted = Limit(
            tenant=tenant,
            subject=subject,
            subject_id=subject_id,
            unit=options["unit"],
            period=Limit.Period.DAY if options["person_hours"] is None else Limit.Period.PERSON,
            hours=options["person_hours"],
            zone=options["zone"],
            carrier=options["carrier"],
            amount=options["amount"],
            is_promised=options["promised"],
            note=options["note"],
        )
        now = database.now()
        if options["end"]:
            found = limiting.access_live(wanted)
            limiting.end_limit(limit=found, actor=options["actor"], is_operator=True, now=now)
            return Answer({"limit": found.pk, "ended": True}, [f"ended: {_told(found)}"])
        if options["amount"] is None:
            raise InvalidInput("say how many, like --amount 10000; or --end, for no limit any more", field="amount")
        found, is_news = limiting.set_limit(wanted=wanted, actor=options["actor"], is_operator=True, now=now)
        data = {
            "limit": found.pk,
            "subject": found.holder,
            "amount": found.amount,
            "unit": found.unit,
            "period": found.period,
            "hours": found.hours,
            "zone": found.zone,
            "carrier": found.carrier,
            "version": found.version,
            "changed": is_news,
        }
        return Answer(data, [f"{'set' if is_news else 'is so already, nothing to do'}: {_told(found)}"])


def _told(limit: Limit) -> str:
    holder = limit.holder
    return str(limit).replace(holder, limited.names([holder]).get(holder, holder))
