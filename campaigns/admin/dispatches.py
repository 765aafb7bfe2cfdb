"""The admin of dispatches: found by run, number or id without a scan, each with all that happened to it; and of troubles."""

import uuid
from collections.abc import Sequence
from typing import Any, Final

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from campaigns import dead_letters
from campaigns.admin.tables import Table, link
from campaigns.models import Attempt, Dispatch, Receipt, Recipient, Reply, Run, SendLock, Trouble
from campaigns.states import State
from compliance.models import Permit
from providers.models import ProviderAccount
from smsplatform.common import database
from smsplatform.common.errors import Conflict
from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_scope import Facts, actor_of, scope_of
from smsplatform.tenancy.admin_verbs import Verb, VerbsAdmin
from smsplatform.tenancy.models import Brand, Role
from tracking.models import Click, Link

_RUNS_OFFERED: Final = 20
_RUNS_SEARCHED: Final = 2_000
_ROWS_SHOWN: Final = 50

_MEANINGS: Final = {
    State.QUEUED: "It waits for its batch to be worked on.",
    State.CLEARED: "No rule forbids it; its text is rendered.",
    State.LOCKED: "The person is reserved for this message for the moment.",
    State.ALLOWED: "The caps allow it; its permit is reserved.",
    State.READY: "It waits for the provider account's turn.",
    State.SENDING: "A request may be in the air.",
    State.HELD: "It waits, and is checked again.",
    State.ACCEPTED: "The provider took it; no delivery report yet.",
    State.UNDELIVERED: "The provider took it and reported that it could not be delivered.",
    State.UNKNOWN: "The provider may or may not have taken it. "
    "It is never sent again by itself; a receipt or its deadline settles it.",
    State.DEAD: "It gave up. An operator may replay it where every try is proven untaken.",
    State.DELIVERED: "It was delivered.",
    State.REJECTED: "The provider refused it for good.",
    State.BLOCKED: "A rule forbids it.",
    State.CANCELLED: "It was cancelled.",
    State.EXPIRED: "It was too late.",
}


def explain(dispatch: Dispatch) -> str:
    """Return in a sentence where the dispatch is, why, and what comes next."""
    words = [_MEANINGS[State(dispatch.state)]]
    if dispatch.reason:
        words.append(f"Reason: {dispatch.reason}{f' ({dispatch.detail})' if dispatch.detail else ''}.")
    if dispatch.state == State.HELD and dispatch.not_before:
        words.append(f"Next look at {dispatch.not_before:%Y-%m-%d %H:%M:%S} UTC.")
    if dispatch.settled_at is None and dispatch.state not in (State.ACCEPTED, State.UNKNOWN, State.DEAD):
        words.append(f"It expires at {dispatch.expires_at:%Y-%m-%d %H:%M:%S} UTC.")
    return " ".join(words)


class RunFilter(admin.SimpleListFilter):
    """One run at a time: a run's dispatches are a range of the primary key. Without a choice, the latest run."""

    title = "run"
    parameter_name = "run__id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        runs = _visible_runs(request, model_admin).select_related("campaign")[:_RUNS_OFFERED]
        found = [(str(run.pk), f"{run.campaign or 'single messages'} {run.launched_at:%F %H:%M}") for run in runs]
        asked = request.GET.get(self.parameter_name, "")
        return found if not asked or any(pk == asked for pk, _ in found) else [(asked, f"run {asked}"), *found]

    def choices(self, changelist: Any) -> Any:
        latest, *others = super().choices(changelist)
        yield {**latest, "display": "the latest"}
        yield from others

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        asked = self.value()
        if asked is not None:
            return queryset.of_run(int(asked)) if asked.isdecimal() and len(asked) <= _LONGEST_ID else queryset.none()
        if request.GET.get("q", "").strip():
            return queryset
        run = _visible_runs(request, None).first()
        return queryset.of_run(run.pk) if run is not None else queryset.none()


_LONGEST_ID: Final = 19  # digits of a 63-bit number


def _visible_runs(request: HttpRequest, model_admin: Any) -> QuerySet[Run]:
    site = model_admin.admin_site if model_admin is not None else admin.site
    runs: QuerySet[Run] = site.get_model_admin(Run).get_queryset(request).order_by("-pk")
    return runs


class StateFilter(admin.SimpleListFilter):
    """Within the chosen run, or what was searched for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in State]

    def queryset(self, _request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(state=self.value()) if self.value() else queryset


def _as_uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


@admin.display(description="number")
def _person(dispatch: Dispatch) -> SafeString | str:
    if dispatch.recipient_id is None:
        return dispatch.number
    return link("campaigns_recipient", dispatch.recipient_id, dispatch.number)


@admin.display(description="run")
def _run(dispatch: Dispatch) -> SafeString:
    return link("campaigns_run", dispatch.run_id, dispatch.run)


@admin.display(description="text")
def _text(dispatch: Dispatch) -> SafeString:
    return format_html('<pre class="text">{}</pre>', dispatch.text)


@admin.register(Dispatch)
class DispatchAdmin(Facts, VerbsAdmin, BigTableAdmin):
    """One message to one person."""

    list_display = (
        "id",
        "number",
        "state",
        "reason",
        instant("due_at"),
        instant("not_before"),
        instant("accepted_at"),
        "posts",
    )
    list_filter = (RunFilter, StateFilter)
    search_fields = ("id",)
    search_help_text = "A whole number, like +12025550123, or a whole id. Without a search, one run is shown."
    ordering = ("pk",)
    readonly_fields = (_person, _run, _text)
    fieldsets = (
        (None, {"fields": (_person, _run, "brand", "state", "reason", "detail", _text, "segments")}),
        (
            "Times",
            {"fields": ("due_at", "expires_at", "not_before", "good_until", "accepted_at", "settled_at", "changed_at")},
        ),
        ("More", {"fields": ("id", "flight", "posts", "account_id", "zones", "resend_of"), "classes": ("collapse",)}),
    )

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = _as_uuid(term)
        return queryset.filter(pk__in=[found] if found else self._of_number(request, term)), False

    def _of_number(self, request: HttpRequest, number: str) -> Sequence[uuid.UUID]:
        """Return ids by number, from what is indexed: a dispatch's id is made of run and recipient, a permit knows both."""
        scope = scope_of(request)
        own = Q() if scope.is_superuser else Q(tenant__in=scope.by_role[Role.VIEWER])
        people = Recipient.objects.filter(own, number=number).values_list("tenant_id", "pk")
        ids = {
            database.key(run_id, person)
            for tenant_id, person in people
            for run_id in Run.objects.filter(tenant=tenant_id).values_list("pk", flat=True)[:_RUNS_SEARCHED]
        }
        brands = list(Brand.objects.filter(own).values_list("pk", flat=True))
        permits = Permit.objects.filter(brand__in=brands, number=number).values_list("dispatch_id", flat=True)
        return [*ids, *permits[:_RUNS_SEARCHED]]

    def page_context(self, _request: HttpRequest, row: Dispatch) -> dict[str, Any]:
        overview = format_html("<p><b>{}</b></p><p>{}</p>", row.state, explain(row))
        return {"overview": overview, "tables": _history(row)}


def _history(row: Dispatch) -> list[Table]:
    attempts = Attempt.objects.filter(dispatch_id=row.pk).order_by("flight")
    accounts = dict(
        ProviderAccount.objects.filter(pk__in=[one.account_id for one in attempts]).values_list("pk", "name")
    )
    receipts = Receipt.objects.filter(dispatch_id=row.pk).order_by("pk")[:_ROWS_SHOWN]
    replies = Reply.objects.filter(brand=row.brand_id, number=row.number, received_at__gte=row.due_at).order_by("pk")
    links = list(Link.objects.filter(dispatch_id=row.pk).order_by("position"))
    clicks = Click.objects.filter(code__in=[one.code for one in links]).order_by("pk")[:_ROWS_SHOWN]
    permits = Permit.objects.filter(pk=row.pk)
    locks = SendLock.objects.filter(brand=row.brand_id, number=row.number)
    return [
        Table(
            "Tries",
            ("try", "account", "sender", "claimed (UTC)", "outcome", "proof", "provider's id", "code", "detail", "answered", "why this one"),
            [
                (
                    one.flight, accounts.get(one.account_id, one.account_id), one.sender, one.claimed_at, one.outcome,
                    one.proof, one.provider_id, one.code, one.detail, one.answered_at, one.reason,
                )
                for one in attempts
            ],
            none="Not tried yet.",
        ),
        Table(
            "Delivery reports",
            ("received (UTC)", "try", "status", "code", "detail"),
            [(one.received_at, one.flight, one.status, one.code, one.detail) for one in receipts],
        ),
        Table(
            "Replies since then",
            ("received (UTC)", "text", "opt-out"),
            [(one.received_at, link("campaigns_reply", one.pk, one.text or "(empty)"), one.is_opt_out) for one in replies[:_ROWS_SHOWN]],
        ),
        Table(
            "Links",
            ("code", "goes to", "expires (UTC)", "killed"),
            [(link("tracking_link", one.code, one.code), one.destination, one.expires_at, one.killed_at) for one in links],
        ),
        Table("Hits", ("at (UTC)", "code", "method", "address", "browser"), [(one.at, one.code, one.method, one.ip, one.user_agent) for one in clicks]),
        Table(
            "Permit and lock",
            ("what", "since or until (UTC)", "remark"),
            [
                *(("permit", one.at, "taken on proof, above the cap" if one.over_cap else "") for one in permits),
                *(("lock", one.until, "of this message" if one.dispatch_id == row.pk else "of another message") for one in locks),
            ],
            none="Nothing is held.",
        ),
    ]  # fmt: skip


def _replay(request: HttpRequest, row: Trouble) -> str:
    done = dead_letters.replay([row.dispatch_id], now=database.now(), actor=actor_of(request))
    if done.moved:
        return f"{row.dispatch_id} starts again, with all checks."
    raise Conflict(next(iter(done.why), "it is gone"))


@admin.display(description="dispatch")
def _dispatch(row: Trouble) -> SafeString:
    return link("campaigns_dispatch", row.dispatch_id, row.dispatch_id)


@admin.register(Trouble)
class TroubleAdmin(Facts, VerbsAdmin, BigTableAdmin):
    """Dispatches that gave up, or of which nobody knows whether they were taken."""

    list_display = ("dispatch_id", "kind", instant("since"), instant("due_at", "final at"))
    list_filter = (("kind", admin.AllValuesFieldListFilter),)
    search_fields = ("dispatch_id",)
    search_help_text = "The whole id of a dispatch."
    ordering = ("-pk",)
    readonly_fields = (_dispatch,)
    fields = (_dispatch, "kind", "since", "due_at")
    verbs = (Verb("replay", "Replay", _replay, lambda row: row.kind == State.DEAD),)

    def page_context(self, _request: HttpRequest, row: Trouble) -> dict[str, Any]:
        rows = [
            (one.number, one.reason, one.detail, one.tries, one.refusal or "may be replayed")
            for one in dead_letters.judged([row.pk])
        ]
        return {"tables": [Table("The message", ("number", "reason", "detail", "tries", "replay"), rows)]}
