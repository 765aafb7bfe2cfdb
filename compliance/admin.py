"""The admin of what forbids or limits a text. A suppression may be added by hand, and never changed or released here."""

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from compliance.models import CapWindow, Permit, Suppression
from compliance.policy import Category
from smsplatform.common import database, mailbox
from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_scope import Facts, TenantForm, actor_of, scope_of

_E164 = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class SuppressionForm(TenantForm):
    """A suppression typed by a person: of one brand, or by superusers, of the whole platform."""

    number = forms.CharField(
        max_length=254, help_text="With the country code, like +12025550123; or an e-mail address."
    )
    category = forms.ChoiceField(
        choices=[("", "every category"), *Category.choices()], required=False, help_text="What is not to be sent."
    )

    class Meta:
        model = Suppression
        fields = ("brand", "number", "category", "reason")

    def _get_validation_exclusions(self) -> set[str]:
        # They decide whether the same number is suppressed already.
        return super()._get_validation_exclusions() - {"scope", "released_at"}

    def clean_number(self) -> str:
        if _ADDRESS.fullmatch(self.cleaned_data["number"]):
            return mailbox.spelled(self.cleaned_data["number"])
        number = re.sub(r"[\s().-]", "", self.cleaned_data["number"])
        if not _E164.fullmatch(number):
            raise forms.ValidationError("Write it in full, with the country code, like +12025550123.")
        return number

    def clean(self) -> dict[str, Any]:
        brand = self.cleaned_data.get("brand")
        self.instance.scope = Suppression.Scope.PLATFORM if brand is None else Suppression.Scope.BRAND
        self.instance.tenant = None if brand is None else brand.tenant
        return super().clean()


@admin.register(Suppression)
class SuppressionAdmin(BigTableAdmin):
    """Stored "do not text"."""

    form = SuppressionForm
    change_role = delete_role = None
    list_display = ("number", "brand", "category", "reason", "source", instant("created_at"), instant("released_at"))
    list_select_related = ("brand",)
    list_filter = ("brand", "scope")
    search_fields = ("number",)
    search_help_text = "The whole number, like +12025550123."
    ordering = ("-pk",)
    newest = 100_000
    readonly_fields = ("source", "evidence", "created_at", "released_at")

    def get_fieldsets(self, _request: HttpRequest, obj: Any = None) -> Any:
        written = ("brand", "number", "category", "reason")
        if obj is not None:
            return ((None, {"fields": ("scope", *written, *self.readonly_fields)}),)
        return (
            (None, {"fields": written, "description": "It holds from the moment you save it, and is never deleted."}),
        )

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "brand" and field is not None:
            is_operator = scope_of(request).is_superuser
            field.required = not is_operator
            field.empty_label = "the whole platform" if is_operator else "---------"
        return field

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        obj.source, obj.evidence, obj.created_at = "admin", actor_of(request), database.now()
        super().save_model(request, obj, form, change)


@admin.register(CapWindow)
class CapWindowAdmin(Facts, BigTableAdmin):
    """How much of each limit is used."""

    list_display = ("subject", instant("starts_at"), instant("ends_at"), "used")
    search_fields = ("subject",)
    search_help_text = "Whose limit, like brand:7."
    ordering = ("-pk",)
    newest = 100_000
    fields = ("subject", "starts_at", "ends_at", "used")


@admin.register(Permit)
class PermitAdmin(Facts, BigTableAdmin):
    """Reservations: one for each dispatch whose state holds one."""

    list_display = ("dispatch_id", "brand", "number", "is_person_capped", instant("at"), "over_cap")
    list_select_related = ("brand",)
    search_fields = ("dispatch_id",)
    search_help_text = "The whole id of a dispatch."
    ordering = ("-pk",)
    fields = ("dispatch_id", "brand", "number", "is_person_capped", "windows", "at", "over_cap")
