"""The admin of place and time: a brand's blackout dates, the states that are held, and the page of rules in force.

The page is for managers and counsel: every row of the table on a date of choice, with its source and how sure we are.
"""

from datetime import date
from importlib.metadata import version
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path

from compliance import holds
from compliance.data import states, statutes
from compliance.models import Blackout, RegionalHold
from smsplatform.common import database
from smsplatform.tenancy.admin_scope import OperatorsOnly, TenantForm, TenantScopedAdmin, actor_of, scope_of
from smsplatform.tenancy.admin_verbs import Verb, VerbsAdmin
from smsplatform.tenancy.models import Role

_CONFIDENCE = {
    "A": "seen at the source",
    "B": "official page paraphrased, or two independent sources",
    "C": "one secondary source, or sources disagree",
    "D": "our own decision",
    "Q": "the statute as others quote it",
}


@admin.register(Blackout)
class BlackoutAdmin(TenantScopedAdmin):
    """Dates on which a brand texts nobody."""

    change_list_template = "admin/compliance/change_list_with_hours.html"
    list_display = ("brand", "first_on", "last_on", "note")
    list_select_related = ("brand",)
    list_filter = ("brand",)
    delete_role = Role.MANAGER
    fieldsets: ClassVar[Any] = (
        (
            None,
            {
                "fields": ("brand", ("first_on", "last_on"), "note"),
                "description": "In each recipient's own calendar. What would go out on these days waits for the next"
                " allowed hour, or expires at its lateness limit. One-time codes are not held.",
            },
        ),
    )

    def get_urls(self) -> list[Any]:
        page = path("hours/", self.admin_site.admin_view(self.hours_view), name="compliance_hours")
        return [page, *super().get_urls()]

    def hours_view(self, request: HttpRequest) -> HttpResponse:
        """The rules in force on a date, for whoever works for any tenant."""
        if not scope_of(request).may_somewhere(Role.VIEWER):
            raise PermissionDenied
        today = database.now().date()
        asked = DateForm(request.GET if "on" in request.GET else None, initial={"on": today})
        on = asked.cleaned_data["on"] if asked.is_bound and asked.is_valid() else today
        context = {
            **self.admin_site.each_context(request),
            "title": f"When people may be texted: the rules on {on}",
            "form": asked,
            "on": on,
            "version": statutes.RULES_VERSION,
            "tzdata": version("tzdata"),
            "rows": [_shown(each, on) for each in statutes.table(on)],
            "confidence": _CONFIDENCE.items(),
            "changes": sorted({each.effective_from for each in statutes.STATUTES if each.effective_from}),
            "holds": holds.in_force(database.now()),
            "holidays": [
                (_named(each), list(statutes.holidays(each, on.year)))
                for each in sorted({row.jurisdiction for row in statutes.table(on) if row.bars_holidays})
            ],
            "holidays_until": statutes.holidays_known_until(),
        }
        return TemplateResponse(request, "admin/compliance/hours.html", context)


class DateForm(forms.Form):
    """For which date the rules are asked."""

    on = forms.DateField(label="Rules on", widget=forms.DateInput(attrs={"type": "date"}))


def _named(jurisdiction: str) -> str:
    special = {statutes.FEDERAL: "United States (federal)", statutes.ABROAD: "other countries"}
    return special.get(jurisdiction) or states.NAMES.get(jurisdiction) or f"country {jurisdiction.upper()}"


def _shown(row: statutes.Statute, on: date) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": _named(row.jurisdiction),
        "weekdays": statutes.spelled(row.weekdays),
        "saturday": statutes.spelled(row.saturday),
        "sunday": statutes.spelled(row.sunday),
        "holidays": "none" if row.bars_holidays else "as other days",
        "cap": row.cap or "",
        "citation": row.source,
        "confidence": row.confidence,
        "since": row.effective_from or "",
        "until": row.effective_to or "",
        "note": row.note,
        "relaxes": row.consent_relaxes,
        "today": row.told(on),
    }


class RegionalHoldForm(TenantForm):
    """A hold that operators enter."""

    class Meta:
        model = RegionalHold
        fields = ("state", "starts_at", "ends_at", "reason")


def _lift(request: HttpRequest, row: RegionalHold) -> str:
    holds.lift(row, now=database.now(), actor=actor_of(request))
    return f"The hold of {row.get_state_display()} is lifted; what waited goes on within 15 minutes."


@admin.register(RegionalHold)
class RegionalHoldAdmin(OperatorsOnly, VerbsAdmin):
    """States in which nobody gets marketing for a while. Operators only; a hold is lifted, never changed or deleted."""

    form = RegionalHoldForm
    change_list_template = "admin/compliance/change_list_with_hours.html"
    list_display = ("state", "starts_at", "ends_at", "reason", "lifted_at")
    list_filter = ("state",)
    fieldsets: ClassVar[Any] = (
        (
            None,
            {
                "fields": ("state", ("starts_at", "ends_at"), "reason"),
                "description": "Holds from the moment you save it, for every tenant, also for what is being sent right now.",
            },
        ),
        ("Trail", {"fields": ("created_by", "created_at", "lifted_by", "lifted_at")}),
    )
    readonly_fields: ClassVar[Any] = ("created_by", "created_at", "lifted_by", "lifted_at")
    verbs = (Verb("lift", "Lift", _lift, lambda row: row.lifted_at is None, is_operators=True),)

    def visible(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if scope_of(request).is_superuser else queryset.none()

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        obj.created_by, obj.created_at = actor_of(request), database.now()
        super().save_model(request, obj, form, change)
