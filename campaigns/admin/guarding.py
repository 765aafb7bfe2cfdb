"""The buttons of guard rails: pre-flight, approval, undo and canary."""

from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from campaigns import approvals, canaries, launch, preflight, same_text, tasks
from campaigns.admin.tables import Table, link
from campaigns.models import Approval, Campaign, Canary, Run
from smsplatform.common import database
from smsplatform.common.errors import Conflict, InvalidInput
from smsplatform.tenancy.admin_scope import actor_of
from smsplatform.tenancy.admin_verbs import Undecided, Verb

_SHOWN = 5


def _preflight(request: HttpRequest, campaign: Campaign) -> str:
    made = preflight.create(campaign=campaign, now=database.now(), actor=actor_of(request))
    page = link("campaigns_preflight", made.pk, "see the pre-flight")
    if made.people <= preflight.INLINE:
        preflight.run(made.pk)
        return format_html("{} is counted: {}.", campaign, page)
    transaction.on_commit(partial(tasks.start_preflight, made.pk))
    return format_html("{} is being counted: {}.", campaign, page)


def _ask(request: HttpRequest, campaign: Campaign) -> str:
    asked = approvals.ask(campaign=campaign, now=database.now(), actor=actor_of(request))
    return f"{campaign}: asked for {asked.people:,} people; somebody else has to answer until {asked.expires_at:%F %H:%M} UTC."


def _open(campaign: Campaign) -> Approval | None:
    found: Approval | None = campaign.approvals.filter(answer="").first()
    return found


def _question(campaign: Campaign) -> Approval:
    found = _open(campaign)
    if found is None:
        raise Conflict("nobody asks for its approval any more")
    return found


def _approve(request: HttpRequest, campaign: Campaign) -> str:
    user: Any = request.user
    approvals.approve(_question(campaign), user=user, now=database.now())
    return f"{campaign} is approved. Somebody else has to launch it."


def _decline(request: HttpRequest, campaign: Campaign) -> str:
    user: Any = request.user
    approvals.decline(_question(campaign), user=user, reason=request.POST.get("why", ""), now=database.now())
    return f"{campaign} is declined."


def _why(_request: HttpRequest, _row: Any) -> SafeString:
    return format_html('<input name="why" class="vTextField" placeholder="{}" required maxlength="200">', "why")


def _undo(request: HttpRequest, run: Run) -> str:
    handed_over = launch.undo(run, now=database.now(), actor=actor_of(request))
    if handed_over:
        raise Undecided(f"{run}: too late for {handed_over:,} messages; the rest is cancelled.")
    return f"{run} is undone: nobody was texted."


def may_be_undone(run: Run | None) -> bool:
    """Return whether the run's launch can be taken back now."""
    return (
        run is not None and run.cancelled_at is None and run.undo_until is not None and run.undo_until > database.now()
    )


def countdown(_request: HttpRequest, run: Run) -> SafeString:
    """Return how many seconds are left to undo, counted down by the page."""
    left = 0 if run.undo_until is None else max(int((run.undo_until - database.now()).total_seconds()), 0)
    return format_html('<span class="countdown" data-seconds="{0}">{0} s</span>', left)


def _undo_latest(request: HttpRequest, campaign: Campaign) -> str:
    run = campaign.runs.order_by("-id").first()
    if run is None:
        raise Conflict("it has no run; there is nothing to undo")
    return _undo(request, run)


def _latest_may_be_undone(campaign: Campaign) -> bool:
    return may_be_undone(campaign.runs.order_by("-id").first())


def _latest_countdown(request: HttpRequest, campaign: Campaign) -> SafeString | str:
    run = campaign.runs.order_by("-id").first()
    return countdown(request, run) if run is not None else ""


OF_CAMPAIGN = (
    Verb("preflight", "Pre-flight", _preflight, in_lists=False),
    Verb("undo", "Undo the launch", _undo_latest, _latest_may_be_undone, is_grave=True, in_lists=False, inputs=_latest_countdown),
    Verb(
        "ask", "Ask for approval", _ask,
        lambda row: row.tenant.approve_above is not None and _open(row) is None, in_lists=False,
    ),
    Verb("approve", "Approve", _approve, lambda row: _open(row) is not None, in_lists=False),
    Verb("decline", "Decline", _decline, lambda row: _open(row) is not None, in_lists=False, inputs=_why),
)  # fmt: skip


def of_campaign(campaign: Campaign, now: datetime) -> list[Table]:
    """Return the campaign's latest pre-flights and questions for approval."""
    flown = [
        (
            link("campaigns_preflight", row.pk, f"{row.created_at:%Y-%m-%d %H:%M}"),
            row.created_by,
            row.status,
            _told(row),
        )
        for row in campaign.preflights.order_by("-id")[:_SHOWN]
    ]
    asked = [
        (row.people, row.asked_by, row.asked_at, approvals.state(row, now), row.answered_by, row.reason)
        for row in campaign.approvals.order_by("-id")[:_SHOWN]
    ]
    found = [Table("Pre-flights", ("counted (UTC)", "by", "state", "answer"), flown, none="Not counted yet.")]
    if asked or campaign.tenant.approve_above is not None:
        columns = ("people", "asked by", "asked (UTC)", "state", "answered by", "why")
        found.append(Table("Approvals", columns, asked, none="Nobody has asked."))
    return found


def _told(row: Any) -> str:
    if row.status != row.Status.DONE:
        return f"{row.done:,} of {row.people:,} people looked at"
    numbers = row.numbers
    return f"{numbers['now']:,} at once, {numbers['later']:,} later, {numbers['never']:,} not"


def is_repeated(campaign: Campaign) -> bool:
    """Return whether some of its people got the same text lately."""
    version = campaign.template.latest
    return version is not None and same_text.is_repeated(campaign=campaign, version=version, now=database.now())


# -- a run's buttons ------------------------------------------------------------------------------------------------


def _release(request: HttpRequest, run: Run) -> str:
    canaries.release(run, now=database.now(), actor=actor_of(request))
    return f"{run}: the others are released."


def _halt(request: HttpRequest, run: Run) -> str:
    reason = request.POST.get("why", "").strip()
    if not reason:
        raise InvalidInput("say why, so that whoever resumes it knows", field="why")
    canaries.halt(run, now=database.now(), actor=actor_of(request), reason=reason)
    return f"{run} is halted: the others stay where they are until it is resumed."


def _approve_run(request: HttpRequest, run: Run) -> str:
    user: Any = request.user
    approvals.approve_run(run, user=user, now=database.now())
    return f"{run} is approved, and goes on."


def _has_waiting_canary(run: Run) -> bool:
    return run.canary == Canary.WAITING and run.cancelled_at is None


OF_RUN = (
    Verb("undo", "Undo the launch", _undo, may_be_undone, is_grave=True, in_lists=False, inputs=countdown),
    Verb("release", "Text the others now", _release, _has_waiting_canary, in_lists=False),
    Verb("halt", "Keep the others back", _halt, _has_waiting_canary, in_lists=False, inputs=_why),
    Verb(
        "approve", "Approve so many people", _approve_run,
        lambda run: run.cancelled_at is None and approvals.waits(run), in_lists=False,
    ),
)  # fmt: skip


def of_run(run: Run) -> list[Table]:
    """Return how the run's canary is doing."""
    if not run.canary:
        return []
    health, wanted = canaries.health(run), run.plan["canary"]
    rows = [
        ("people in it", health.people, ""),
        ("on their way", health.open, ""),
        ("tried", health.tried, f"judged from {wanted['minimum']:,} on"),
        ("failed", health.failed, f"{health.errors} %; {wanted['max_errors']} % allowed"),
        ("opted out", health.opted_out, f"{health.opt_outs} %; {wanted['max_opt_outs']} % allowed"),
        ("the others", {"waiting": "wait", "released": "were released", "halted": "were kept back"}[run.canary], ""),
    ]
    return [Table("Canary: who was texted first", ("what", "number", "remark"), rows)]


def remarks(run: Run) -> SafeString | str:
    """Return what holds the run, in words."""
    told = ""
    if run.cancelled_at is None and approvals.waits(run):
        told = f"It is for {run.people:,} people, more than were approved: a second person has to say yes."
    elif may_be_undone(run):
        told = f"Nothing goes out before {run.undo_until:%H:%M:%S} UTC: until then the launch can be undone."
    elif run.stop_reason and run.paused_at is not None:
        told = f"Paused: {run.stop_reason}"
    return format_html('<div class="remarks"><p>{}</p></div>', told) if told else ""
