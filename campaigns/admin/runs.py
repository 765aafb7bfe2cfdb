"""The admin of runs and their batches: read-only, with a run's progress and the buttons that stop it."""

from collections import Counter, defaultdict
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from campaigns import clicks, launch, reports
from campaigns.admin import guarding
from campaigns.admin.tables import Table, bar, legend, link, list_link
from campaigns.models import Batch, Run
from campaigns.states import OPEN
from smsplatform.common import database
from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_scope import Facts, actor_of
from smsplatform.tenancy.admin_verbs import Verb, VerbsAdmin
from tracking.models import Click


def totals_of(run_ids: list[int]) -> dict[int, Counter[str]]:
    """Return each run's dispatches by state, as `reports.totals` does for one."""
    found: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for run_id, state, number in database.rows(
        """
        SELECT b.run_id, t.key, sum(t.value::int) FROM campaigns_batch b, jsonb_each_text(b.tally) t
        WHERE b.run_id = ANY(%(runs)s) GROUP BY 1, 2
        UNION ALL SELECT run_id, state, sum(change) FROM campaigns_tallydelta WHERE run_id = ANY(%(runs)s) GROUP BY 1, 2
        """,
        {"runs": run_ids},
    ):
        found[run_id][state] += int(number)
    return found


class RunChangeList(ChangeList):
    """The list of runs, with the totals of the page's runs read in one statement."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        totals = totals_of([run.pk for run in self.result_list])
        for run in self.result_list:
            run.totals = totals[run.pk]


@admin.display(description="progress")
def _progress(run: Run) -> SafeString:
    return bar(run.totals)  # type: ignore[attr-defined]


@admin.display(description="messages")
def _messages(run: Run) -> str:
    return f"{sum(run.totals.values()):,}"  # type: ignore[attr-defined]


@admin.display(description="taken")
def _taken(run: Run) -> str:
    totals: Counter[str] = run.totals  # type: ignore[attr-defined]
    return f"{totals['accepted'] + totals['delivered'] + totals['undelivered']:,}"


@admin.display(description="state")
def _state(run: Run) -> str:
    if run.cancelled_at:
        return "cancelled"
    if run.paused_at:
        return "paused"
    if run.materialised_at is None:
        return "being made"
    totals: Counter[str] = run.totals  # type: ignore[attr-defined]
    return "running" if any(totals[state] for state in OPEN) else "finished"


@admin.display(description="campaign", ordering="campaign__name")
def _campaign(run: Run) -> str:
    return str(run.campaign or "single messages")


@admin.display(description="people")
def _people(run: Run) -> SafeString:
    return list_link("campaigns_dispatch", "Dispatches of this run", run__id=run.pk)


def _does(do: Any, told: str) -> Any:
    def act(request: HttpRequest, run: Run) -> str:
        do(run, now=database.now(), actor=actor_of(request))
        return f"{run} {told}."

    return act


@admin.register(Run)
class RunAdmin(Facts, VerbsAdmin):
    """Firings of campaigns, and the days of single messages."""

    list_display = (_campaign, "brand", instant("launched_at"), "launched_by", _state, _progress, _taken, _messages)
    list_select_related = ("brand", "campaign", "tenant", "version__template")
    list_filter = ("brand", "lane", "category")
    list_per_page = 25
    search_fields = ("campaign__name", "occurrence")
    ordering = ("-pk",)
    fieldsets = (
        (None, {"fields": ("campaign", "brand", "version", "category", "lane", "occurrence")}),
        ("Launch", {"fields": ("launched_at", "launched_by", "materialise_at", "materialised_at", "batches_made")}),
        ("Stopped", {"fields": ("paused_at", "stop_reason", "cancelled_at", "undo_until")}),
        ("Guard rails", {"fields": ("people", "approval", "approved_by", "approved_people", "canary")}),
        ("What was copied from the campaign", {"fields": ("plan",), "classes": ("collapse",)}),
    )
    verbs = (
        Verb(
            "pause", "Pause", _does(launch.pause, "is paused"),
            lambda run: run.paused_at is None and run.cancelled_at is None,
        ),
        Verb(
            "resume", "Resume", _does(launch.resume, "goes on"),
            lambda run: run.paused_at is not None and run.cancelled_at is None,
        ),
        Verb(
            "cancel", "Cancel", _does(launch.cancel, "is cancelled: nothing more is claimed"),
            lambda run: run.cancelled_at is None, is_grave=True,
        ),
        *guarding.OF_RUN,
    )  # fmt: skip

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:  # noqa: ARG002 - Django's
        return RunChangeList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup == "campaign__id__exact" or super().lookup_allowed(lookup, value, request)

    def page_context(self, _request: HttpRequest, row: Run) -> dict[str, Any]:
        report = reports.report(row)
        reasons = [(state, reason, number) for state, reason, number in reports.reasons(row)]
        told = [
            f"{report.all:,} messages",
            f"{report.taken:,} taken by providers",
            f"{report.open:,} on their way",
            f"{report.opt_outs:,} opted out",
        ]
        followed = clicks.of_run(row)
        if followed.verdicts:
            told.append(f"{followed.people:,} people followed a link ({followed.filtered:,} hits filtered out)")
        if report.next_at and report.open:
            told.append(f"next at {report.next_at:%Y-%m-%d %H:%M:%S} UTC")
        overview = format_html(
            "{}{}<p><b>{}</b>{} · {}</p>{}<p>{} · {}</p>",
            guarding.remarks(row),
            bar(report.totals),
            report.progress.capitalize(),
            format_html(" ({} taken)", {"all": "all", "partly": "some", "none": "none"}[report.result])
            if report.result
            else "",
            " · ".join(told),
            legend(report.totals),
            _people(row),
            list_link("campaigns_batch", "Batches of this run", run__id__exact=row.pk),
        )
        table = Table("Reasons", ("state", "reason", "messages"), reasons, none="Nothing was held or refused.")
        outs = Table(
            "Opt-outs", ("how", "people"), list(reports.opt_outs(row).items()), none="Nobody opted out of this."
        )
        names = dict(Click.Verdict.choices)
        hits = Table(
            "Hits on links",
            ("taken for", "hits"),
            [(names.get(verdict, verdict), number) for verdict, number in followed.verdicts.items()],
            none="Nobody followed a link, as far as hits are judged.",
        )
        return {"overview": overview, "tables": [*guarding.of_run(row), table, outs, hits]}


@admin.display(description="tally")
def _tally(batch: Batch) -> str:
    return ", ".join(f"{state} {number:,}" for state, number in sorted(batch.tally.items()) if number)


@admin.display(description="run")
def _run(batch: Batch) -> SafeString:
    return link("campaigns_run", batch.run_id, batch.run)


@admin.register(Batch)
class BatchAdmin(Facts, BigTableAdmin):
    """The vehicles of dispatches."""

    list_display = (
        "id", _run, "position", "phase", "lane", instant("due_at"), instant("lease_until"), "size", _tally, "starts", "error",
    )  # fmt: skip
    list_select_related = ("run__campaign",)
    list_filter = ("phase", "lane")
    ordering = ("-pk",)
    newest = 100_000
    readonly_fields: ClassVar[Any] = (_run, _tally)
    fields: ClassVar[Any] = (
        _run, "brand", "position", "lane", "phase", "due_at", "expires_at", "resume_at", "size", _tally,
        "lease", "lease_until", "starts", "stage", "error", "account_id",
    )  # fmt: skip

    def latest_rows(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset if "run__id__exact" in request.GET else super().latest_rows(request, queryset)
