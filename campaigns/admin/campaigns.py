"""The admin of campaigns, with the buttons that launch one and stop its latest run."""

import re
import secrets
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ActionForm
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from campaigns import launch, tasks
from campaigns.admin import guarding
from campaigns.admin.tables import Table, link, list_link
from campaigns.models import Campaign, Run
from smsplatform.common import database
from smsplatform.common.errors import Conflict, InvalidInput
from smsplatform.tenancy.admin_scope import actor_of
from smsplatform.tenancy.admin_verbs import Verb, VerbsAdmin

_KEY: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ-[0-9a-f]{8}", re.ASCII)


def launch_key() -> str:
    """Return a key made once per page: however often its button is pressed, the run is the same."""
    return f"{database.now():%Y-%m-%dT%H:%M:%SZ}-{secrets.token_hex(4)}"


def _launch(request: HttpRequest, campaign: Campaign) -> str:
    key = request.POST.get("launch_key", "")
    if not _KEY.fullmatch(key):
        raise InvalidInput("the page's launch key is missing; load the page again", field="launch_key")
    occurrence = f"by hand {key}"
    with transaction.atomic():
        # The campaign's row is what two presses wait for; the second then finds the run of the first.
        Campaign.objects.select_for_update().get(pk=campaign.pk)
        is_known = campaign.runs.filter(occurrence=occurrence).exists()
        if not is_known and _live_runs(campaign).exists() and "again" not in request.POST:
            raise Conflict("it is launched already; open its page to launch it once more")
        run = launch.launch(
            campaign=campaign,
            occurrence=occurrence,
            now=database.now(),
            actor=actor_of(request),
            is_meant="again" in request.POST or "same_text" in request.POST,
            may_be_undone=True,
        )
        transaction.on_commit(partial(tasks.start_materialising, run.pk))
    return format_html("{} is launched: {}.", campaign, link("campaigns_run", run.pk, "see the run"))


def _may_be_launched(campaign: Campaign) -> bool:
    """Return whether there is something to launch by hand: who repeats by everybody's own clock needs a wall time."""
    return campaign.schedule != Campaign.Schedule.REPEAT or campaign.crontab_clock == Campaign.Clock.BRAND


def _live_runs(campaign: Campaign) -> Any:
    return campaign.runs.filter(cancelled_at=None)


def _latest(campaign: Campaign) -> Run | None:
    found: Run | None = campaign.runs.order_by("-id").first()
    return found


def _on_latest(do: Callable[..., None], told: str) -> Callable[[HttpRequest, Campaign], str]:
    """Return a verb that does this to the campaign's latest run."""

    def act(request: HttpRequest, campaign: Campaign) -> str:
        run = _latest(campaign)
        if run is None:
            raise Conflict("it has no run yet; launch it first")
        do(run, now=database.now(), actor=actor_of(request))
        return format_html("{}: the run of {} {}.", campaign, f"{run.launched_at:%F %H:%M}", told)

    return act


def _is_latest(state: str) -> Callable[[Campaign], bool]:
    """Return whether the latest run is `active`, `paused`, or either (`live`)."""

    def check(campaign: Campaign) -> bool:
        run = _latest(campaign)
        if run is None or run.cancelled_at is not None:
            return False
        return state == "live" or (run.paused_at is not None) == (state == "paused")

    return check


def _launch_inputs(_request: HttpRequest, campaign: Campaign) -> SafeString:
    """Return the page's key; where the campaign has run, also the question whether everybody is to be texted again."""
    key = format_html('<input type="hidden" name="launch_key" value="{}">', launch_key())
    if not _live_runs(campaign).exists():
        if not guarding.is_repeated(campaign):
            return key
        told = "some got the same text lately: text them again"
        return format_html('{}<label><input type="checkbox" name="same_text" value="1" required> {}</label>', key, told)
    question = format_html(
        '<label><input type="checkbox" name="again" value="1" required> {}</label>', "text everybody once more"
    )
    return format_html("{}{}", key, question)


class CampaignActionForm(ActionForm):
    """The list's action form carries a launch key as well."""

    launch_key = forms.CharField(widget=forms.HiddenInput, required=False, label="", initial=launch_key)


@admin.display(description="latest run")
def _latest_run(campaign: Campaign) -> Any:
    run = campaign.runs.order_by("-id").first() if campaign.has_runs else None  # type: ignore[attr-defined]
    return link("campaigns_run", run.pk, f"{run.launched_at:%F %H:%M}") if run else "none"


@admin.display(description="when")
def _when(campaign: Campaign) -> str:
    kind = Campaign.Schedule(campaign.schedule)
    told: datetime | str | None = {
        Campaign.Schedule.AT: campaign.send_at and f"{campaign.send_at:%F %H:%M} UTC",
        Campaign.Schedule.LOCAL: campaign.local_at,
        Campaign.Schedule.REPEAT: campaign.crontab,
        Campaign.Schedule.FIELD: campaign.time_field or "send_at",
    }.get(kind)
    spread = ""
    if campaign.spread_hours:
        spread = f", over {campaign.spread_hours} h"
    elif campaign.most_per_hour:
        spread = f", {campaign.most_per_hour:,} an hour"
    return f"{kind.label}: {told}{spread}" if told else f"{kind.label}{spread}"


@admin.register(Campaign)
class CampaignAdmin(VerbsAdmin):
    """What to say to whom and when."""

    action_form = CampaignActionForm
    list_display = ("name", "brand", "template", "category", _when, "is_active", _latest_run)
    list_select_related = ("brand", "template", "tenant")
    list_filter = ("brand", "category", "schedule", "is_active")
    search_fields = ("name",)
    autocomplete_fields = ("brand", "template", "lists", "minus_lists")
    readonly_fields = ("created_at", "fired_until")
    verbs = (
        Verb("launch", "Launch", _launch, _may_be_launched, inputs=_launch_inputs),
        Verb("pause", "Pause the latest run", _on_latest(launch.pause, "is paused"), _is_latest("active")),
        Verb("resume", "Resume the latest run", _on_latest(launch.resume, "goes on"), _is_latest("paused")),
        Verb(
            "cancel",
            "Cancel the latest run",
            _on_latest(launch.cancel, "is cancelled"),
            _is_latest("live"),
            is_grave=True,
        ),
        *guarding.OF_CAMPAIGN,
    )
    fieldsets = (
        (None, {"fields": ("name", "brand", "template", "category")}),
        (
            "To whom",
            {
                "fields": ("lists", "minus_lists"),
                "description": "Everybody on one of the lists who is on none of the lists to leave out; each person once.",
            },
        ),
        (
            "When",
            {
                "fields": (
                    "schedule",
                    "send_at",
                    ("local_at", "past_policy"),
                    ("crontab", "crontab_clock"),
                    "time_field",
                ),
                "description": "Launching starts it; only the fields of the chosen schedule count. "
                "Nobody is texted outside the brand's hours.",
            },
        ),
        (
            "Spread",
            {
                "fields": (("spread_hours", "most_per_hour"),),
                "description": "Not everybody at once: evenly over some hours, or at most so many an hour. What does not"
                " fit before the evening goes on in the morning.",
            },
        ),
        ("Limits", {"fields": ("lateness_minutes", "is_active")}),
        (
            "Canary",
            {
                "fields": (
                    ("canary_percent", "canary_people"),
                    ("canary_minutes", "canary_minimum"),
                    ("canary_max_errors", "canary_max_opt_outs"),
                ),
                "description": "Some of the people first; the others when that went well, and not at all by itself when not.",
            },
        ),
        ("Dates", {"fields": ("created_at", "fired_until"), "classes": ("collapse",)}),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(has_runs=Exists(Run.objects.filter(campaign=OuterRef("pk"))))

    def page_context(self, _request: HttpRequest, row: Campaign) -> dict[str, Any]:
        runs = [
            (link("campaigns_run", run.pk, run.occurrence), run.launched_at, run.launched_by, _state(run))
            for run in row.runs.order_by("-id")[:_RUNS_SHOWN]
        ]
        table = Table("Runs", ("occurrence", "launched (UTC)", "by", "state"), runs, none="Not launched yet.")
        everything = list_link("campaigns_run", "All runs of this campaign", campaign__id__exact=row.pk)
        return {
            "tables": [table, *guarding.of_campaign(row, database.now())],
            "overview": format_html("<p>{}</p>", everything) if runs else "",
        }


_RUNS_SHOWN: Final = 10


def _state(run: Run) -> str:
    if run.cancelled_at:
        return "cancelled"
    if run.paused_at:
        return "paused"
    return "launched" if run.materialised_at else "being made"
