"""`manage.py locate_recipients`: work out again where people may be: their zones, and the states whose law holds for them.

Needed once after states were introduced (until then the strictest hours of all states hold for everybody of before), and
with `--all` after the table of area codes was refreshed.
"""

from argparse import ArgumentParser
from typing import Any, ClassVar, Final

from campaigns import whereabouts
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import access, audit

_AT_ONCE: Final = 5_000


class Command(OperatorCommand):
    """May be stopped and run again: `--after` goes on where it was, and what is right already is not touched."""

    help = "Work out again in which zones and states people may be."
    option_names: ClassVar = {"tenant": "--tenant", "after": "--after"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--tenant", help="slug; only this tenant's people")
        parser.add_argument("--all", action="store_true", help="everybody, not only people whose states are not known")
        parser.add_argument(
            "--after", type=int, default=0, metavar="RECIPIENT", help="go on behind this recipient's id"
        )
        parser.add_argument("--dry-run", action="store_true", help="only count what would change")

    def act(self, options: dict[str, Any]) -> Answer:
        """Go through the people by id."""
        if options["after"] < 0:
            raise InvalidInput("give the id of a recipient, or leave it out", field="after")
        tenant = access.access_tenant(options["tenant"]) if options["tenant"] else None
        looked = changed = 0
        last, is_dry = options["after"], options["dry_run"]
        while turn := whereabouts.locate_page(
            tenant=tenant, after=last, most=_AT_ONCE, everybody=options["all"], is_dry=is_dry
        ):
            looked, changed, last = looked + turn.looked, changed + turn.changed, turn.last
            self.tell(f"{looked:,} people looked at, {changed:,} placed anew; the last was {last}")
        if changed and not is_dry:
            audit.record(
                actor=options["actor"], verb="recipients.located", target=f"{changed} people", tenant=tenant, last=last
            )
        what = "would be placed anew" if is_dry else "placed anew"
        return Answer(
            {"looked": looked, "changed": changed, "last": last, "dry_run": is_dry},
            [f"{looked:,} people looked at, {changed:,} {what}"],
        )
