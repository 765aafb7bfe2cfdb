"""`manage.py canary`: how the people who were texted first are doing; let the others go, or keep them back."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from campaigns import canaries
from campaigns.management.commands import _lookup
from campaigns.models import Canary
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand, Table
from smsplatform.common.errors import Conflict, InvalidInput


class Command(OperatorCommand):
    """Without an option it only tells; beat decides by the campaign's limits."""

    help = "Show, release or halt the canary of a run."

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        _lookup.declare_run(parser)
        parser.add_argument("--release", action="store_true", help="text the others now")
        parser.add_argument("--halt", metavar="WHY", help="pause the run; `resume` lets it go on")

    def act(self, options: dict[str, Any]) -> Answer:
        """Decide, where it is asked to, and tell."""
        run = _lookup.access_run(options["run"])
        if not run.canary:
            raise Conflict(f"{_lookup.described(run)} has no canary; everybody was texted at once")
        if options["release"] and options["halt"] is not None:
            raise InvalidInput("say one of the two", field="--release, --halt")
        now, actor = database.now(), options["actor"]
        if options["release"]:
            canaries.release(run, now=now, actor=actor)
        elif options["halt"] is not None:
            canaries.halt(run, now=now, actor=actor, reason=options["halt"])
        run.refresh_from_db()
        health = canaries.health(run)
        facts = {**asdict(health), "errors": str(health.errors), "opt_outs": str(health.opt_outs)}
        shown = [
            ("people in it", health.people),
            ("on their way", health.open),
            ("tried", health.tried),
            ("failed", f"{health.failed:,} ({health.errors} %)"),
            ("opted out", f"{health.opted_out:,} ({health.opt_outs} %)"),
            ("the others", "wait" if run.canary == Canary.WAITING else f"are {run.canary}"),
        ]
        if run.stop_reason:
            shown.append(("stopped by", run.stop_reason))
        return Answer(
            {"run": run.pk, "canary": run.canary, **facts}, tables=[Table(_lookup.described(run), ("", ""), shown)]
        )
