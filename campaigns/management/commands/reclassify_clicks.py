"""`manage.py reclassify_clicks`: judge hits on links again, after the lists of machines or networks have changed."""

from argparse import ArgumentParser
from typing import Any, ClassVar

from campaigns import clicks
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.common.errors import InvalidInput


class Command(OperatorCommand):
    """May be stopped and run again: hits that today's lists have judged are not looked at. New hits beat judges by itself."""

    help = "Judge again which hits on links were people, by today's lists."
    option_names: ClassVar = {"after": "--after"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--all", action="store_true", help="also what today's lists have judged already")
        parser.add_argument("--after", type=int, default=0, metavar="HIT", help="go on behind this hit's id")
        parser.add_argument("--dry-run", action="store_true", help="only count what would change")

    def act(self, options: dict[str, Any]) -> Answer:
        """Go through the hits by id."""
        if options["after"] < 0:
            raise InvalidInput("give the id of a hit, or leave it out", field="after")
        last, is_dry = options["after"], options["dry_run"]
        looked = changed = 0
        while (turn := clicks.judge_page(after=last, everything=options["all"], is_dry=is_dry)).looked:
            looked, changed, last = looked + turn.looked, changed + turn.changed, turn.last
            self.tell(f"{looked:,} hits judged again, {changed:,} differently; the last was {last}")
        what = "would be judged differently" if is_dry else "judged differently"
        return Answer(
            {"looked": looked, "changed": changed, "last": last, "dry_run": is_dry},
            [f"{looked:,} hits judged again, {changed:,} {what}"],
        )
