"""`manage.py opt_outs`: how many people opted out of a tenant's brands, and how they did it."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any, ClassVar

from campaigns import reports
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand, Table
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import access


class Command(OperatorCommand):
    """What a provider reports counts as an opt-out: the person told it there."""

    help = "Count the opt-outs of a tenant's brands."
    option_names: ClassVar = {"days": "--days"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("tenant", help="slug of the tenant")
        parser.add_argument("--days", type=int, default=30, help="how far back (%(default)s)")

    def act(self, options: dict[str, Any]) -> Answer:
        """Count."""
        if options["days"] < 1:
            raise InvalidInput("give a number of days, at least 1", field="days")
        tenant = access.access_tenant(options["tenant"])
        found = reports.opt_outs_by_brand(tenant, database.now() - timedelta(days=options["days"]))
        data = [
            {"brand": brand, "how": how, "people": people, "still_out": still} for brand, how, people, still in found
        ]
        if not found:
            return Answer({"opt_outs": data}, [f"nobody opted out in the last {options['days']} days"])
        columns = ("brand", "how", "people", "still out")
        return Answer({"opt_outs": data}, tables=[Table("", columns, found)])
