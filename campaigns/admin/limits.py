"""The admin of limits: who may send how much, and how much of it is used today."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import NON_FIELD_ERRORS
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from campaigns import limited
from compliance import limiting
from compliance.models import CapWindow, Limit
from smsplatform.common import database
from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_scope import Facts, TenantForm, actor_of, scope_of
from smsplatform.tenancy.admin_verbs import Verb, VerbsAdmin
from smsplatform.tenancy.models import Role

_GREEN, _YELLOW, _RED = "#2e7d32", "#ffb300", "#e53935"
_NEARLY = 0.8
_KEY = ("subject", "subject_id", "carrier", "period", "hours", "zone", "unit")


class NamedChangeList(ChangeList):
    """A list whose rows belong to a holder, named in a statement per kind."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        names = limited.names(_holder(row) for row in self.result_list)
        for row in self.result_list:
            row.whose = names.get(_holder(row), _holder(row))


def _holder(row: Any) -> str:
    return row.holder if isinstance(row, Limit) else str(row.subject)


@admin.display(description="whose")
def _whose(row: Any) -> str:
    found: str = getattr(row, "whose", "") or limited.names([_holder(row)]).get(_holder(row), _holder(row))
    return found


# -- limits ---------------------------------------------------------------------------------------------------------


class LimitForm(TenantForm):
    """A limit of something of the person's tenants. Once made, only its amount and its note change."""

    whose = forms.ChoiceField(required=False)

    class Meta:
        model = Limit
        fields = ("period", "hours", "amount", "unit", "carrier", "zone", "is_promised", "note")

    def _get_validation_exclusions(self) -> set[str]:
        return super()._get_validation_exclusions() - {*_KEY, "ended_at", "tenant"}

    def clean(self) -> dict[str, Any]:
        holder = self.cleaned_data.get("whose") or ""
        if self.instance.pk is None and holder:
            subject, _, number = holder.partition(":")
            self.instance.subject = subject
            self.instance.subject_id = int(number) if number else None
            self.instance.tenant_id = limited.tenant_of(holder)
        return super().clean()

    def add_error(self, field: Any, error: Any) -> None:
        """Say at `whose` what is wrong with a field that is not shown."""
        if isinstance(getattr(error, "error_dict", None), dict):
            for name in set(error.error_dict) - set(self.fields) - {NON_FIELD_ERRORS}:
                error.error_dict.setdefault("whose" if "whose" in self.fields else "amount", []).extend(
                    error.error_dict.pop(name)
                )
        super().add_error(field, error)


def _end(request: HttpRequest, row: Limit) -> str:
    is_operator = scope_of(request).is_superuser
    limiting.end_limit(limit=row, actor=actor_of(request), is_operator=is_operator, now=database.now())
    return f"{row} has ended."


@admin.display(description="limit")
def _what(row: Limit) -> str:
    to = f" to {row.get_carrier_display()}" if row.carrier else ""
    span = f"a person in {row.hours} h" if row.period == Limit.Period.PERSON else "a day"
    return f"{row.amount:,} {row.unit}{to} {span}{', promised' if row.is_promised else ''}"


@admin.register(Limit)
class LimitAdmin(VerbsAdmin):
    """How much may be sent. All limits hold together; each change is a version."""

    form = LimitForm
    delete_role = None
    list_display = (_what, _whose, "zone", "version", "set_by", instant("set_at"), instant("ended_at"))
    list_filter = ("subject", "period", ("ended_at", admin.EmptyFieldListFilter))
    search_fields = ("note",)
    ordering = ("-pk",)
    verbs = (Verb("end", "End", _end, lambda row: row.ended_at is None, is_grave=True),)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002 - Django's
        return NamedChangeList

    def get_fieldsets(self, _request: HttpRequest, obj: Any = None) -> Any:
        what = (("amount", "unit"), ("period", "hours"), "zone", "carrier")
        why = ("Why", {"fields": ("is_promised", "note")})
        if obj is None:
            told = "It holds from the moment you save it, beside all others: a limit can only tighten. A day's limit"
            told += " counts from now on; that of a brand's messages knows the morning."
            return ((None, {"fields": ("whose", *what), "description": told}), why)
        state = ("State", {"fields": ("version", "set_by", "set_at", "is_operators", "ended_at")})
        return ((None, {"fields": (_whose, *what)}), why, state)

    def get_readonly_fields(self, _request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ()
        fixed = (_whose, "unit", "period", "hours", "zone", "carrier")
        return (*fixed, "version", "set_by", "set_at", "is_operators", "ended_at")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        form = super().get_form(request, obj, change=change, **kwargs)
        if obj is None:
            scope = scope_of(request)
            groups: list[Any] = limited.choices(None if scope.is_superuser else scope.by_role[Role.MANAGER])
            if scope.is_superuser:
                groups.insert(0, (Limit.Subject.PLATFORM.value, "the whole platform"))
            form.base_fields["whose"] = forms.ChoiceField(choices=groups, help_text="Who may send so much.")
        return form

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and (obj.ended_at is not None or (obj.is_operators and not scope_of(request).is_superuser)):
            return False
        return super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        obj.set_by, obj.set_at = actor_of(request), database.now()
        if not change:
            obj.is_operators = scope_of(request).is_superuser
        super().save_model(request, obj, form, change)


# -- windows --------------------------------------------------------------------------------------------------------


class WhenFilter(admin.SimpleListFilter):
    """The windows that are open now, unless all are asked for."""

    title = "when"
    parameter_name = "ends_at"  # a column: nothing else may be asked for

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        return [("all", "all days")]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": "now"}, *others]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if self.value() else queryset.filter(ends_at__gt=database.now())


@admin.display(description="used")
def _used(row: CapWindow) -> str:
    to = f" to {row.carrier} (estimated)" if row.carrier else ""
    return f"{row.used // row.scale:,} {row.unit}{to}"


@admin.display(description="limit")
def _limit(row: CapWindow) -> str:
    return "only counted" if row.amount is None else f"{row.amount // row.scale:,}"


@admin.display(description="share")
def _share(row: CapWindow) -> SafeString | str:
    if row.amount is None:
        return ""
    share = min(row.used / row.amount, 1.0) if row.amount else 1.0
    colour = _RED if share >= 1 else _YELLOW if share >= _NEARLY else _GREEN
    return format_html(
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img"><title>{} %</title>'
        '<rect width="100" height="10" fill="#eceff1"/><rect width="{}" height="10" fill="{}"/></svg>',
        f"{100 * share:.1f}", f"{100 * share:.3f}", colour,
    )  # fmt: skip


@admin.register(CapWindow)
class CapWindowAdmin(Facts, BigTableAdmin):
    """How much of each limit is used: today's windows first."""

    list_display = (_whose, _used, _limit, _share, instant("starts_at"), instant("ends_at"))
    list_filter = (WhenFilter,)
    search_fields = ("subject",)
    search_help_text = "Whose limit, like brand:7."
    ordering = ("-pk",)
    newest = 100_000
    readonly_fields: ClassVar[Any] = (_whose, _used, _limit)
    fieldsets: ClassVar[Any] = ((None, {"fields": (_whose, _used, _limit, "starts_at", "ends_at", "subject")}),)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002 - Django's
        return NamedChangeList
