"""`manage.py run_status`: how a run is going, why messages did not go out, and what happens next."""

from argparse import ArgumentParser
from typing import Any

from campaigns import reports
from campaigns.management.commands import _lookup, _progress
from campaigns.models import Run
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand, Table


class Command(OperatorCommand):
    """Without a run: the latest ones."""

    help = "Show how runs are going."

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        _lookup.declare_run(parser, is_required=False)
        parser.add_argument("--limit", type=int, default=20, help="how many runs to list (%(default)s)")

    def act(self, options: dict[str, Any]) -> Answer:
        """Read the facts."""
        if options["run"]:
            found = _progress.facts(_lookup.access_run(options["run"]), database.now())
            return Answer(found, tables=_progress.tables(found))
        latest = Run.objects.select_related("campaign", "brand", "tenant").order_by("-id")[: max(options["limit"], 1)]
        listed = [(run, reports.report(run)) for run in latest]
        data = [
            {
                "run": run.pk,
                "tenant": run.tenant.slug,
                "campaign": run.campaign.name if run.campaign else None,
                "launched_at": run.launched_at,
                "progress": report.progress,
                "open": report.open,
                "taken": report.taken,
                "all": report.all,
                "next_at": report.next_at,
            }
            for run, report in listed
        ]
        rows = [
            (str(each["run"]), each["tenant"], each["campaign"] or "single messages", *list(each.values())[3:])
            for each in data
        ]
        columns = ("run", "tenant", "campaign", "launched", "progress", "open", "taken", "all", "next work")
        return Answer(
            {"runs": data}, tables=[Table("", columns, rows)] if rows else (), lines=[] if rows else ["no runs yet"]
        )
