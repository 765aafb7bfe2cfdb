"""The admin of "do not text": one person, a whole list, and the way back, which needs a reason."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from compliance import do_not_text, reasons, suppression
from compliance.models import Suppression
from compliance.policy import Category
from compliance.reasons import Reach, reach_of
from smsplatform.common import database
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import audit
from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_private import NUMBER, REVEAL
from smsplatform.tenancy.admin_scope import TenantForm, actor_of, scope_of
from smsplatform.tenancy.admin_verbs import Verb, VerbsAdmin
from smsplatform.tenancy.models import Brand, Role

_CATEGORIES: Final = [("", "every category"), *Category.choices()]
_MOST_LINES: Final = 100_000
_MOST_BYTES: Final = 8 * 1024 * 1024
_SHOWN_FLAWS: Final = 200
_EVIDENCE: Final = "What proves it, so that it can be found again: the number of a ticket, the date of a letter."


class SuppressionForm(TenantForm):
    """A suppression typed by a person: of one brand, or by superusers or for grave reasons, of the whole platform."""

    number = forms.CharField(
        max_length=254, help_text="As people write it, like (202) 555-0123 or +44 7911 123456; or an e-mail address."
    )
    category = forms.ChoiceField(choices=_CATEGORIES, required=False, help_text="What is not to be sent.")
    reason = forms.ChoiceField(choices=reasons.typed, label="Why")
    source = forms.ChoiceField(choices=tuple(reasons.SOURCES.items()), label="How you know")
    evidence = forms.CharField(max_length=200, required=False, help_text=_EVIDENCE)

    class Meta:
        model = Suppression
        fields = ("brand", "number", "category", "reason", "source", "evidence")

    def _get_validation_exclusions(self) -> set[str]:
        # They decide whether the same number is suppressed already.
        return super()._get_validation_exclusions() - {"scope", "released_at"}

    def clean_number(self) -> str:
        try:
            return do_not_text.read_number(self.cleaned_data["number"])
        except InvalidInput as error:
            raise forms.ValidationError(error.message) from None

    def clean(self) -> dict[str, Any]:
        brand = self.cleaned_data.get("brand")
        is_for_all = brand is None or reach_of(self.cleaned_data.get("reason", "")) is Reach.PLATFORM
        self.instance.tenant = None if brand is None else brand.tenant
        cleaned = super().clean()
        self.instance.entered_for = self.instance.tenant_id
        if is_for_all and cleaned.get("category"):
            self.add_error("category", "What holds for every client holds for every category; choose that.")
        if is_for_all and brand is not None and not cleaned.get("evidence"):
            self.add_error("evidence", "This reason holds for every client of the platform, so say what proves it.")
        if is_for_all:
            cleaned["brand"], self.instance.tenant = None, None
        scope = Suppression.Scope.CATEGORY if cleaned.get("category") else Suppression.Scope.BRAND
        self.instance.scope = Suppression.Scope.PLATFORM if is_for_all else scope
        return cleaned


class ListForm(forms.Form):
    """A list of people, pasted or as a file."""

    brand = forms.ModelChoiceField(Brand.objects.none())
    reason = forms.ChoiceField(label="Why")
    source = forms.ChoiceField(choices=tuple(reasons.SOURCES.items()), label="How you know")
    category = forms.ChoiceField(choices=_CATEGORIES, required=False, help_text="What is not to be sent.")
    evidence = forms.CharField(max_length=200, help_text=_EVIDENCE)
    numbers = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 12, "cols": 40}),
        help_text="One number or e-mail address a line. Numbers of other countries than the US and Canada begin with +.",
    )
    file = forms.FileField(required=False, help_text="Or a text or CSV file; the first column counts.")

    def __init__(self, *args: Any, brands: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["brand"]
        field.queryset = brands
        # Who holds for every client is entered one by one, with what proves it.
        ours = [(code, words) for code, words in reasons.typed() if reach_of(code) is Reach.BRAND]
        self.fields["reason"].choices = ours  # type: ignore[attr-defined]
        self.fields["reason"].initial = reasons.LIST
        self.fields["source"].initial = "list"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        file, pasted = cleaned.get("file"), cleaned.get("numbers", "")
        if bool(file) is bool(pasted.strip()):
            raise forms.ValidationError("Give either a file or the numbers themselves.")
        if file and file.size > _MOST_BYTES:
            raise forms.ValidationError(
                f"The file is larger than {_MOST_BYTES // 1024 // 1024} MB; have an operator run `manage.py suppress --file`."
            )
        lines = file.read().decode("utf-8", "replace").splitlines() if file else pasted.splitlines()
        if len(lines) > _MOST_LINES:
            raise forms.ValidationError(
                f"{len(lines):,} lines are more than {_MOST_LINES:,}; divide the list, or have an operator run"
                " `manage.py suppress --file`."
            )
        cleaned["lines"] = lines
        return cleaned


@admin.display(description="holds for")
def _whom(row: Suppression) -> str:
    whom = "every client" if row.brand_id is None else str(row.brand)
    return f"{whom}, {row.category} only" if row.category else whom


@admin.display(description="why")
def _why(row: Suppression) -> str:
    return reasons.told(row.reason)


@admin.display(description="since (UTC)", ordering="created_at")
def _since(row: Suppression) -> str:
    return f"{row.created_at:%Y-%m-%d %H:%M:%S}"


@admin.display(description="in force", boolean=True)
def _is_live(row: Suppression) -> bool:
    return row.released_at is None


class LiveFilter(admin.SimpleListFilter):
    """Whether a suppression still holds."""

    title = "in force"
    parameter_name = "live"

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> Iterable[tuple[str, str]]:
        return (("yes", "in force"), ("no", "released"))

    def queryset(self, _request: HttpRequest, queryset: Any) -> Any:
        wanted = {"yes": True, "no": False}.get(self.value() or "")
        return queryset if wanted is None else queryset.filter(released_at__isnull=wanted)


def _because(_request: HttpRequest, _row: Suppression) -> SafeString:
    return format_html(
        '<label>Why may this number be texted again? <input name="because" size="50" required minlength="{}"'
        ' maxlength="{}"></label>',
        10,
        200,
    )


def _release(request: HttpRequest, row: Suppression) -> str:
    because = request.POST.get("because", "")
    if not suppression.release(row, by=actor_of(request), because=because, now=database.now()):
        return f"{row} was released already."
    return f"{row} is released. Other reasons not to text this number still hold, if there are any."


@admin.register(Suppression)
class SuppressionAdmin(VerbsAdmin, BigTableAdmin):
    """Stored "do not text"."""

    form = SuppressionForm
    change_role = delete_role = None
    change_list_template = "admin/compliance/suppression/change_list.html"
    list_display = (NUMBER, _whom, _why, "source", _since, _is_live, instant("released_at"))
    list_select_related = ("brand",)
    list_filter = (LiveFilter, "brand", "scope")
    search_fields = ("number",)
    search_help_text = "The whole number as people write it, or the whole e-mail address."
    ordering = ("-pk",)
    newest = 100_000
    readonly_fields: ClassVar[Any] = (
        NUMBER,
        "created_by",
        "created_at",
        "renewed_at",
        "released_at",
        "released_by",
        "released_because",
    )
    verbs = (
        replace(REVEAL, is_offered=lambda row: ":" not in row.number),
        Verb(
            "release", "Release", _release, lambda row: row.released_at is None and row.brand_id is not None,
            is_grave=True, in_lists=False, inputs=_because,
        ),
        Verb(
            "release-everywhere", "Release for every client", _release,
            lambda row: row.released_at is None and row.brand_id is None,
            is_operators=True, is_grave=True, in_lists=False, inputs=_because,
        ),
    )  # fmt: skip

    def get_fieldsets(self, _request: HttpRequest, obj: Any = None) -> Any:
        written = ("brand", "number", "category", "reason", "source", "evidence")
        if obj is None:
            told = "It holds from the moment you save it, and is never deleted. An import never takes it back."
            return ((None, {"fields": written, "description": told}),)
        return (
            (None, {"fields": ("scope", "brand", NUMBER, *written[2:])}),
            ("History", {"fields": self.readonly_fields[1:]}),
        )

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Find a number however it is written."""
        try:
            search_term = do_not_text.read_number(search_term) if search_term.strip() else ""
        except InvalidInput:
            return queryset.none(), False
        return super().get_search_results(request, queryset, search_term)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup == LiveFilter.parameter_name or super().lookup_allowed(lookup, value, request)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "brand" and field is not None:
            is_operator = scope_of(request).is_superuser
            field.required = not is_operator
            field.empty_label = "every client of the platform" if is_operator else field.empty_label
        return field

    def tenant_id_of(self, row: Any) -> int | None:
        """Return the row's tenant; of one that is being added the one it is entered for, though it may hold for all."""
        found: int | None = getattr(row, "entered_for", row.tenant_id)
        return found

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        obj.created_by = actor_of(request)
        obj.created_at = obj.renewed_at = database.now()
        super().save_model(request, obj, form, change)

    def _record(self, request: HttpRequest, done: str, row: Any) -> None:
        if done != "added":
            super()._record(request, done, row)
            return
        audit.record(
            actor=actor_of(request),
            verb="number.suppressed",
            target=suppression.masked(row.number),
            tenant=row.entered_for,
            scope=row.scope,
            reason=row.reason,
            source=row.source,
            evidence=row.evidence,
        )

    # -- a whole list -----------------------------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        bulk = path("list/", self.admin_site.admin_view(self.list_view), name="compliance_suppression_list")
        return [bulk, *super().get_urls()]

    def list_view(self, request: HttpRequest) -> HttpResponse:
        """Suppress everybody on a list, and say of each line that could not be read why."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        scope = scope_of(request)
        brands = Brand.objects.select_related("tenant").order_by("tenant__name", "name")
        if not scope.is_superuser:
            brands = brands.filter(tenant__in=scope.by_role[Role.MANAGER])
        form = ListForm(request.POST or None, request.FILES or None, brands=brands)
        done = self._suppress_list(request, form.cleaned_data) if request.method == "POST" and form.is_valid() else None
        context = {
            **self.admin_site.each_context(request),
            "title": "Suppress a list",
            "opts": self.opts,
            "form": form,
            "done": done,
            "back": reverse("admin:compliance_suppression_changelist"),
        }
        return TemplateResponse(request, "admin/compliance/suppression/list.html", context)

    def _suppress_list(self, request: HttpRequest, given: dict[str, Any]) -> dict[str, Any]:
        brand: Brand = given["brand"]
        read = list(do_not_text.read_list(given["lines"]))
        numbers = {entry.number for entry in read if isinstance(entry, do_not_text.Entry)}
        flaws = [each for each in read if isinstance(each, do_not_text.Flaw)]
        people = [suppression.Person(brand.tenant_id, brand.pk, number, given["evidence"]) for number in numbers]
        with transaction.atomic():
            new = suppression.suppress_all(
                people,
                reason=given["reason"],
                source=given["source"],
                category=given["category"],
                by=actor_of(request),
                now=database.now(),
            )
            audit.record(
                actor=actor_of(request),
                verb="numbers.suppressed",
                target=f"{len(numbers)} numbers, {new} of them new",
                tenant=brand.tenant_id,
                brand=brand.slug,
                reason=given["reason"],
                source=given["source"],
                evidence=given["evidence"],
                refused=len(flaws),
            )
        return {
            "brand": brand,
            "new": new,
            "known": len(numbers) - new,
            "refused": len(flaws),
            "flaws": flaws[:_SHOWN_FLAWS],
            "more": max(len(flaws) - _SHOWN_FLAWS, 0),
        }
