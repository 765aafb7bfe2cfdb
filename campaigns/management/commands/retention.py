"""`manage.py retention`: take away what tenants need not keep any more, or say what would go."""

from argparse import ArgumentParser
from typing import Any

from campaigns import retention
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand, Table


class Command(OperatorCommand):
    """Beat does the same, a turn every ten minutes. May be stopped anywhere, and run again."""

    help = "Redact or delete what is older than tenants keep it."

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--dry-run", action="store_true", help="only count")

    def act(self, options: dict[str, Any]) -> Answer:
        """Count, or do it to the end."""
        now = database.now()
        if options["dry_run"]:
            due = retention.due(now)
            data = {"dry_run": True, "due": {each.kind: each.number for each in due}}
            return Answer(
                data, tables=[Table("Over", ("kind", "what", "number"), [(d.kind, d.what, d.number) for d in due])]
            )
        done = retention.apply(now=now)
        lines = [] if done else ["nothing is older than it may be"]
        return Answer(
            {"dry_run": False, "done": done},
            lines,
            [Table("Taken away", ("kind", "rows"), list(done.items()))] if done else [],
        )
