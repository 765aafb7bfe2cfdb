"""`manage.py undo`: take a launch back in its first moment, before anything was handed over."""

from argparse import ArgumentParser
from typing import Any

from campaigns import launch
from campaigns.management.commands import _lookup
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand


class Command(OperatorCommand):
    """Refused, and nothing is changed, when the time for it is over."""

    help = "Take a launch back before anything went out."

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        _lookup.declare_run(parser)

    def act(self, options: dict[str, Any]) -> Answer:
        """Cancel the run and say whether anybody was texted."""
        run = _lookup.access_run(options["run"])
        handed_over = launch.undo(run, now=database.now(), actor=options["actor"])
        told = (
            "nobody was texted" if not handed_over else f"too late for {handed_over:,} messages; the rest is cancelled"
        )
        data = {"run": run.pk, "handed_over": handed_over}
        return Answer(data, [f"{_lookup.described(run)} is cancelled: {told}"])
