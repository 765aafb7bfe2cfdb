"""`manage.py launch`: send a campaign. Launching it twice gives the same run.

The key of a run is what makes it the same: without `--key` it is the scheduled time where there is one and otherwise
a constant, never the time of the call, so repeating the command can text nobody twice. To send a campaign again on
purpose, name another key.
"""

import time
from argparse import ArgumentParser
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from campaigns import launch, reports, tasks
from campaigns.management.commands import _progress
from campaigns.models import Campaign, Run
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.common.errors import Conflict, InvalidInput
from smsplatform.tenancy import access

_LOOK_EVERY: Final = 0.5  # seconds
_LONGEST_KEY: Final = 80
FIRST: Final = "first"


class Command(OperatorCommand):
    """Inserts the run and has it expanded by a worker; with --inline here, at once."""

    help = "Launch a campaign; twice gives the same run."
    option_names: ClassVar = {
        **dict.fromkeys(("campaign", "template", "lists", "brand", "most_per_hour", "approval"), "CAMPAIGN"),
        "key": "--key",
        "same_text": "--same-text",
    }

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("tenant", help="slug of the tenant")
        parser.add_argument("campaign", help="name of the campaign")
        parser.add_argument("--key", help="one run per key; a new key sends again, to everybody")
        parser.add_argument("--same-text", action="store_true", help="also to people who got this text lately")
        parser.add_argument("--inline", action="store_true", help="expand it here instead of in a worker")
        parser.add_argument("--wait", action="store_true", help="show its progress until it is finished")
        parser.add_argument("--timeout", type=float, metavar="SECONDS", help="end --wait with an error after this long")

    def act(self, options: dict[str, Any]) -> Answer:
        """Insert the run or find it, and see to it that it goes on."""
        tenant = access.access_tenant(options["tenant"])
        campaign = access.access(Campaign, tenant, name=options["campaign"])
        key = _key(campaign, options["key"])
        was_there = Run.objects.filter(campaign=campaign, occurrence=key).exists()
        run = launch.launch(
            campaign=campaign,
            occurrence=key,
            now=database.now(),
            actor=options["actor"],
            is_meant=options["same_text"],
            may_be_undone=True,
        )
        self._expand(run, is_inline=options["inline"])
        first = (
            f"already launched: run {run.pk}, {run.launched_at:%F %T %Z}" if was_there else f"launched: run {run.pk}"
        )
        self.tell(first)
        data = {"run": run.pk, "campaign": campaign.name, "key": key, "made": not was_there}
        if was_there and not options["key"] and not options["wait"]:
            self.tell("Nothing new is sent. To send it again, to everybody, give it another --key.")
        if run.undo_until is not None and run.undo_until > run.launched_at and not was_there:
            self.tell(
                f"Nothing goes out before {run.undo_until:%T %Z}: until then `manage.py undo {run.pk}` takes it back."
            )
        if not options["wait"]:
            self.tell(f"manage.py run_status {run.pk} tells how it goes.")
            return Answer(data)
        problem = self._watch(run, options["timeout"])
        return Answer({**data, **_progress.facts(run, database.now())}, problem=problem)

    def _expand(self, run: Run, *, is_inline: bool) -> None:
        if run.materialised_at is not None or run.cancelled_at is not None:
            return
        if is_inline:
            launch.materialise(run.pk)
            run.refresh_from_db()
        elif run.materialise_at <= database.now():
            tasks.start_materialising(run.pk)

    def _watch(self, run: Run, timeout: float | None) -> str:
        """Show each change until the run is finished; return what went wrong."""
        deadline = None if timeout is None else time.monotonic() + timeout
        shown = ""
        while True:
            run.refresh_from_db()
            report = reports.report(run)
            obstacle = _progress.obstacle_of(run)
            line = _progress.line(report) + (f" ({obstacle})" if obstacle else "")
            if line != shown:
                self.tell(line)
                shown = line
            if report.progress in ("finished", "cancelled"):
                return ""
            if deadline is not None and time.monotonic() >= deadline:
                return (
                    f"run {run.pk} is not finished after {timeout:g} s: it is {line}. It goes on without this command;"
                    " `manage.py doctor` says whether workers run"
                )
            time.sleep(_LOOK_EVERY)


def _key(campaign: Campaign, given: str | None) -> str:
    if campaign.schedule == Campaign.Schedule.REPEAT:
        raise Conflict(
            f"{campaign.name} repeats and fires by itself; to send its text once, make a campaign with --schedule now"
        )
    if given is not None:
        if not 0 < len(given.strip()) <= _LONGEST_KEY:
            raise InvalidInput(f"give 1 to {_LONGEST_KEY} characters", field="key")
        return given.strip()
    if campaign.schedule == Campaign.Schedule.LOCAL:
        return campaign.local_at
    if campaign.schedule == Campaign.Schedule.AT and campaign.send_at is not None:
        return (
            campaign.send_at.astimezone(ZoneInfo(campaign.brand.zone))
            .replace(tzinfo=None)
            .isoformat(timespec="minutes")
        )
    return FIRST
