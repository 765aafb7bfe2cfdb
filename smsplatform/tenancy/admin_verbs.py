"""What may be done to a row beside editing it: a button on its page and an action in its list, from one declaration.

A button posts to `<row>/do/<verb>/`; the row is found through the admin's own queryset and the role is checked in the
row's tenant, in the list as well as on the page. Refusals of the use cases are shown as messages.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import path, reverse

from smsplatform.common import database
from smsplatform.common.errors import ApplicationError
from smsplatform.tenancy import audit
from smsplatform.tenancy.admin_scope import TenantScopedAdmin, actor_of
from smsplatform.tenancy.models import Role

_TOLD_SINGLY: Final = 10


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing to do. `do` returns what to tell the person; `inputs` is HTML that goes into the button's form."""

    name: str
    label: str
    do: Callable[[HttpRequest, Any], str]
    is_offered: Callable[[Any], bool] = lambda _: True
    role: Role = Role.MANAGER
    is_operators: bool = False
    is_grave: bool = False
    in_lists: bool = True
    inputs: Callable[[HttpRequest, Any], str] = lambda _request, _row: ""


class Undecided(Exception):
    """It was done, and nothing came out of it: shown as a warning."""


class VerbsAdmin(TenantScopedAdmin):
    """A ModelAdmin with verbs."""

    verbs: ClassVar[tuple[Verb, ...]] = ()
    change_form_template = "admin/change_form_with_verbs.html"

    def may_do(self, request: HttpRequest, verb: Verb, row: Any = None) -> bool:
        """Return whether the person may do this to the row (or to any)."""
        if verb.is_operators and not request.user.is_superuser:
            return False
        return self.may(request, verb.role, row)

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_do"
        do = path("<path:object_id>/do/<slug:verb>/", self.admin_site.admin_view(self.do_view), name=name)
        return [do, *super().get_urls()]

    def do_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = self.get_object(request, unquote(object_id))
        wanted = next((each for each in self.verbs if each.name == verb), None)
        if row is None or wanted is None:
            raise Http404
        if not self.may_do(request, wanted, row):
            raise PermissionDenied
        self._do(request, wanted, [row])
        return HttpResponseRedirect(
            reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[quote(row.pk)])
        )

    def _do(self, request: HttpRequest, verb: Verb, rows: Iterable[Any]) -> None:
        told = [self._done(request, verb, row) for row in rows]
        for level, text in told[:_TOLD_SINGLY]:
            self.message_user(request, text, level)
        for level, number in Counter(level for level, _ in told[_TOLD_SINGLY:]).items():
            self.message_user(request, f"… and {number:,} more like this", level)

    def _done(self, request: HttpRequest, verb: Verb, row: Any) -> tuple[int, str]:
        if not self.may_do(request, verb, row):
            return messages.ERROR, f"{row}: your role does not allow this."
        if not verb.is_offered(row):
            return messages.WARNING, f"{row}: nothing to {verb.label.lower()}."
        try:
            return messages.SUCCESS, verb.do(request, row)
        except Undecided as doubt:
            return messages.WARNING, str(doubt)
        except ApplicationError as error:
            return messages.ERROR, f"{row}: {error}"

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        if "_popup" in request.GET:
            return actions
        for verb in self.verbs:
            if verb.in_lists and self.may_do(request, verb):
                actions[verb.name] = (_as_action(verb), verb.name, f"{verb.label} the selected %(verbose_name_plural)s")
        return actions

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        buttons = [
            {"verb": verb, "inputs": verb.inputs(request, row), "url": self._url_of(verb, row)}
            for verb in self.verbs
            if row is not None and verb.is_offered(row) and self.may_do(request, verb, row)
        ]
        told = {} if row is None else self.page_context(request, row)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **told, "verbs": buttons})

    def page_context(self, _request: HttpRequest, _row: Any) -> dict[str, Any]:
        """Return what the row's page shows beside its fields: `overview` (HTML, on top) and `tables` (below)."""
        return {}

    def _url_of(self, verb: Verb, row: Model) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_do", args=[quote(row.pk), verb.name])


def _as_action(verb: Verb) -> Callable[[Any, HttpRequest, Any], None]:
    def act(model_admin: VerbsAdmin, request: HttpRequest, queryset: Any) -> None:
        model_admin._do(request, verb, queryset)  # noqa: SLF001 - the other half of the class

    return act


def _pause(request: HttpRequest, row: Any) -> str:
    with transaction.atomic():
        changed = type(row).objects.filter(pk=row.pk, paused_at=None).update(paused_at=database.now())
        _record(request, row, "paused", is_news=bool(changed))
    return f"{row} is paused: nothing more goes out; what is in the air is settled."


def _resume(request: HttpRequest, row: Any) -> str:
    with transaction.atomic():
        changed = type(row).objects.filter(pk=row.pk, paused_at__isnull=False).update(paused_at=None)
        _record(request, row, "resumed", is_news=bool(changed))
    return f"{row} goes on."


def _record(request: HttpRequest, row: Any, done: str, *, is_news: bool) -> None:
    if is_news:
        tenant_id = getattr(row, "tenant_id", row.pk)
        verb = f"{type(row).__name__.lower()}.{done}"
        audit.record(actor=actor_of(request), verb=verb, target=f"{row.pk} {row}", tenant=tenant_id, row=row)


PAUSE = Verb("pause", "Pause", _pause, is_offered=lambda row: row.paused_at is None)
RESUME = Verb("resume", "Resume", _resume, is_offered=lambda row: row.paused_at is not None)


@admin.display(description="state", ordering="paused_at")
def pause_state(row: Any) -> str:
    """The list column of what can be paused."""
    return "active" if row.paused_at is None else f"paused since {row.paused_at:%F %H:%M} UTC"
