"""The admin of dispatches: found by run, number or id without a scan, each with all that happened to it; and of troubles."""

import uuid
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from campaigns import dead_letters
from campaigns.admin import history
from campaigns.admin.tables import Table, link
from campaigns.models import Dispatch, Recipient, Run, Trouble
from campaigns.states import State
from compliance.models import Permit
from smsplatform.common import database, masking
from smsplatform.common.errors import Conflict
from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_private import DETAIL, NUMBER, REVEAL, Private
from smsplatform.tenancy.admin_scope import Facts, actor_of, scope_of
from smsplatform.tenancy.admin_verbs import Verb, VerbsAdmin
from smsplatform.tenancy.models import Brand, Role

_RUNS_OFFERED: Final = 20
_RUNS_SEARCHED: Final = 2_000


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
    shown = masking.number(dispatch.number)
    return shown if dispatch.recipient_id is None else link("campaigns_recipient", dispatch.recipient_id, shown)


@admin.display(description="run")
def _run(dispatch: Dispatch) -> SafeString:
    return link("campaigns_run", dispatch.run_id, dispatch.run)


@admin.display(description="text")
def _text(dispatch: Dispatch) -> SafeString:
    return format_html('<pre class="text">{}</pre>', dispatch.text)


@admin.display(description="text")
def _length(dispatch: Dispatch) -> str:
    return f"{len(dispatch.text):,} characters"


@admin.register(Dispatch)
class DispatchAdmin(Private, Facts, VerbsAdmin, BigTableAdmin):
    """One message to one person."""

    verbs = (REVEAL,)
    stand_ins: ClassVar[Any] = {_text: _length}
    list_display = (
        "id",
        NUMBER,
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
    readonly_fields: ClassVar[Any] = (_person, _run, DETAIL, _text)
    fieldsets: ClassVar[Any] = (
        (None, {"fields": (_person, _run, "brand", "state", "reason", DETAIL, _text, "segments")}),
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

    def page_context(self, request: HttpRequest, row: Dispatch) -> dict[str, Any]:
        overview = format_html("<p><b>{}</b></p><p>{}</p>", row.state, history.explain(row))
        is_manager = self.may(request, Role.MANAGER, row)
        return {"overview": overview, "tables": history.tables(row, with_texts=is_manager)}


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
    readonly_fields: ClassVar[Any] = (_dispatch,)
    fields: ClassVar[Any] = (_dispatch, "kind", "since", "due_at")
    verbs = (Verb("replay", "Replay", _replay, lambda row: row.kind == State.DEAD),)

    def page_context(self, _request: HttpRequest, row: Trouble) -> dict[str, Any]:
        rows = [
            (
                masking.number(one.number), one.reason, masking.text(one.detail), one.tries,
                one.refusal or "may be replayed",
            )
            for one in dead_letters.judged([row.pk])
        ]  # fmt: skip
        return {"tables": [Table("The message", ("number", "reason", "detail", "tries", "replay"), rows)]}
