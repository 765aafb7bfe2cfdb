"""`manage.py export_consent`: all evidence of one person's consent, with every word that was shown."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, ClassVar

from compliance import consent
from smsplatform.common import database, mailbox
from smsplatform.common.console import Answer, OperatorCommand, Table
from smsplatform.tenancy import access


class Command(OperatorCommand):
    """Shows whole numbers and texts: this is for counsel, and for the person. It stands in the audit trail."""

    help = "Export what is on record of one person's consent."
    option_names: ClassVar = {"tenant": "TENANT", "number": "NUMBER"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("tenant", help="slug of the tenant")
        parser.add_argument("number", help="E.164, like +12125550123, or an e-mail address")
        parser.add_argument("--to", metavar="FILE", help="write them to this file: .csv or .json")

    def act(self, options: dict[str, Any]) -> Answer:
        """Read the ledger."""
        tenant = access.access_tenant(options["tenant"])
        number = mailbox.spelled(options["number"])
        records = consent.exported(tenant=tenant, number=number, actor=options["actor"], now=database.now())
        after = []
        if options["to"]:
            path = Path(options["to"])
            text = consent.as_csv(records) if path.suffix == ".csv" else json.dumps(records, indent=2)
            path.write_text(text, encoding="utf-8")
            after.append(f"written to {path}")
        if not records:
            return Answer({"records": []}, [f"{tenant.slug} has nothing on record of {number}"], after=after)
        columns = ("occurred_at", "brand", "category", "event", "tier", "source", "action")
        shown = [[record[name] for name in columns] for record in records]
        return Answer({"records": records}, tables=[Table(number, columns, shown)], after=after)
