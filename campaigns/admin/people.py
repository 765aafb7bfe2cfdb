"""The admin of recipients and their lists."""

from dataclasses import replace
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join

from campaigns import erasure, tasks, whereabouts
from campaigns.admin.tables import Table, link
from campaigns.models import ListMember, Recipient, RecipientList
from compliance import consent_rules, hygiene
from compliance import erasure as erased
from compliance.consent import reading
from compliance.data import npa
from compliance.policy import Category
from smsplatform.common import database, phone
from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_private import NUMBER, REVEAL, Private
from smsplatform.tenancy.admin_scope import TenantForm, TenantScopedAdmin, actor_of, scope_of
from smsplatform.tenancy.admin_verbs import Verb, VerbsAdmin
from smsplatform.tenancy.models import Brand, Role, Tenant, check_zone

_BRANDS_SHOWN: Final = 20


class RecipientForm(TenantForm):
    """A person typed by hand: the number is read and the zones are found as in an import."""

    number = forms.CharField(max_length=60, help_text="As people write it; stored like +12025550123.")
    zone = forms.CharField(
        required=False,
        validators=[check_zone],
        help_text="Like America/New_York. Empty: where the number may be.",
    )

    class Meta:
        model = Recipient
        fields = ("number", "fields", "send_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            self.fields.pop("number", None)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.instance.pk is not None:
            self._locate(self.instance.number, cleaned.get("zone", ""))
            return cleaned
        tenant = cleaned.get("tenant") or Tenant.objects.filter(pk=self.instance.tenant_id).first()
        if "number" in cleaned and tenant is not None:
            found = phone.parse(cleaned["number"], countries=tenant.allowed_countries, known_npas=npa.COUNTRY)
            if isinstance(found, phone.Refusal):
                self.add_error("number", found.message)
            else:
                self._place(found, tenant, cleaned.get("zone", ""))
        return cleaned

    def _place(self, number: phone.Number, tenant: Tenant, zone: str) -> None:
        if number.e164 in erased.among(tenant_id=tenant.pk, numbers=[number.e164]).numbers:
            self.add_error("number", "This person asked to be erased, and is not taken in again.")
        self.cleaned_data["number"] = number.e164
        self.instance.country = number.country
        self._locate(number.e164, zone)

    def _locate(self, number: str, zone: str) -> None:
        """The place of a new person, or of one of whom something else is known now."""
        fields = self.cleaned_data.get("fields") or {}
        person = self.instance
        if zone or person.pk is None:
            new = whereabouts.of(number=number, fields=fields, zone=zone)
            person.zones, person.zone_source, person.state_source = new.key, new.source, new.state_source
        elif "fields" in self.changed_data:
            stored = whereabouts.Located(person.zones, person.zone_source, person.state_source)
            again = whereabouts.again(number=number, fields=fields, stored=stored)
            person.zones, person.zone_source, person.state_source = again.zones, again.zone_source, again.state_source


def _consent_tables(person: Recipient) -> list[Table]:
    """What of the person's consent holds, by brand and category, and all that happened to it."""
    now = database.now()
    states = reading.states(tenant=person.tenant_id, number=person.number)
    needed = [category.value for category in Category if consent_rules.needed(category, now.date()).tier]
    holds = []
    for brand in sorted({state.brand for state in states}, key=lambda brand: brand.name):
        for category in needed:
            told = reading.explain(brand=brand, number=person.number, category=category, now=now)
            holds.append((brand.name, category, "yes" if told.may else "no", told.words, told.since, told.expires_at))
    records = [
        (
            record.occurred_at, record.brand.name, record.category or "all", link("compliance_consent", record.pk, record.event),
            record.tier, record.source, record.action or record.reason,
        )
        for record in reading.history(tenant=person.tenant_id, number=person.number)[:_RECORDS_SHOWN]
    ]  # fmt: skip
    none = "Nothing is on record; brands that keep consent here do not text this person."
    return [
        Table("Consent", ("brand", "category", "may be texted", "why", "since", "until"), holds, none),
        Table("What happened to it", ("when", "brand", "category", "what", "tier", "how", "act"), records),
    ]


_RECORDS_SHOWN = 100
_KINDS = ("csv", "json")


@admin.display(description="can be texted")
def _textable(person: Recipient) -> str:
    if person.pk is None:
        return ""
    why = hygiene.why_not(number=person.number, tenant_id=person.tenant_id, now=database.now())
    return f"no: {why}" if why else "nothing speaks against it"


@admin.display(description="fields")
def _field_names(row: Recipient) -> str:
    return ", ".join(sorted(row.fields)) or "none"


def _erase(request: HttpRequest, row: Recipient) -> str:
    shown = str(row)
    erasure.ask(
        tenant=row.tenant,
        number=row.number,
        reason="asked for in the admin",
        actor=actor_of(request),
        now=database.now(),
    )
    transaction.on_commit(tasks.start_erasing)
    return f"{shown} is being forgotten, and is never texted again."


def _is_there(row: Recipient) -> bool:
    return not row.number.startswith("#")


@admin.register(Recipient)
class RecipientAdmin(Private, VerbsAdmin, BigTableAdmin):
    """People with a number, which is their identity: it never changes."""

    form = RecipientForm
    delete_role = None  # a person is erased, so that nothing of theirs is left and nobody texts them again
    verbs = (
        replace(REVEAL, is_offered=_is_there),
        Verb("erase", "Erase this person", _erase, _is_there, role=Role.OWNER, is_grave=True, in_lists=False),
    )
    stand_ins: ClassVar[Any] = {"fields": _field_names}
    list_display = (NUMBER, "country", "zones", "zone_source", "state_source", "send_at", instant("updated_at"))
    search_fields = ("number",)
    search_help_text = "The whole number, like +12025550123."
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("number", "zone", "fields", "send_at")}),
        (
            "Found out",
            {
                "fields": (
                    _textable, "language", "country", "zones", "zone_source", "state_source", "created_at", "updated_at",
                )
            },
        ),
    )  # fmt: skip
    readonly_fields: ClassVar[Any] = (
        _textable, "language", "country", "zones", "zone_source", "state_source", "created_at", "updated_at",
    )  # fmt: skip

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None:
            return fieldsets
        return [
            (title, {**options, "fields": tuple(NUMBER if name == "number" else name for name in options["fields"])})
            for title, options in fieldsets
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*super().get_readonly_fields(request, obj), *([NUMBER] if obj is not None else [])]

    def get_ordering(self, request: HttpRequest) -> Any:
        # A tenant's people stand in the index in the order of their numbers; everybody's only in that of their ids.
        return ("-pk",) if scope_of(request).is_superuser else ("number",)

    def page_context(self, request: HttpRequest, row: Recipient) -> dict[str, Any]:
        consents = _consent_tables(row)
        tables = [_hours(row), *consents]
        if not consents[1].rows or not self.may(request, Role.MANAGER, row):
            return {"tables": tables}
        urls = [(reverse(f"admin:campaigns_recipient_consent_{kind}", args=[row.pk]), kind) for kind in _KINDS]
        links = format_html_join(", ", '<a href="{}">{}</a>', urls)
        return {"tables": tables, "overview": format_html("<p>Export all evidence of consent: {}</p>", links)}

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.consent_view)
        exports = [
            path(f"<path:object_id>/consent.{kind}", view, {"kind": kind}, name=f"campaigns_recipient_consent_{kind}")
            for kind in _KINDS
        ]
        return [*exports, *super().get_urls()]

    def consent_view(self, request: HttpRequest, object_id: str, kind: str) -> HttpResponse:
        """All evidence of the person's consent as a file; that it was taken out stands in the trail."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        if not self.may(request, Role.MANAGER, row):
            raise PermissionDenied
        records = reading.exported(tenant=row.tenant, number=row.number, actor=actor_of(request), now=database.now())
        headers = {"Content-Disposition": f'attachment; filename="consent-{row.pk}.{kind}"'}
        if kind == "json":
            return JsonResponse({"records": records}, json_dumps_params={"indent": 2}, headers=headers)
        return HttpResponse(reading.as_csv(records), content_type="text/csv; charset=utf-8", headers=headers)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        obj.updated_at = database.now()
        super().save_model(request, obj, form, change)


def _hours(person: Recipient) -> Table:
    """Whether each of the tenant's brands may text the person now (marketing), until when, and by which rules."""
    rows = []
    for brand in Brand.objects.filter(tenant=person.tenant_id)[:_BRANDS_SHOWN]:
        found = whereabouts.told_of(person=person, category=Category.MARKETING, brand=brand)
        rows.append((brand.name, found.words, found.answer.sentence, "; ".join(found.answer.rules)))
    return Table("Marketing now", ("brand", "where the person may be", "now", "rules looked at"), rows)


@admin.display(description="people")
def _people(row: RecipientList) -> str:
    return f"{row.people:,}"  # type: ignore[attr-defined]


@admin.register(RecipientList)
class RecipientListAdmin(TenantScopedAdmin):
    """Named sets of recipients."""

    list_display = ("name", _people, "created_at")
    search_fields = ("name",)
    fields = ("name", "created_at")
    readonly_fields = ("created_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request)
        is_list = getattr(request.resolver_match, "url_name", "") == "campaigns_recipientlist_changelist"
        return queryset.annotate(people=Count("members")) if is_list else queryset

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[Any, int], set[Any], list[Any]]:
        """Count the members instead of listing them: a list may have millions."""
        rows = list(objs)
        forbidden = {str(self.opts.verbose_name) for row in rows if not self.has_delete_permission(request, row)}
        used = [
            f"{kind}: {user}"
            for row in rows
            for kind, users in (("campaign", row.campaigns), ("campaign", row.excluded_from), ("import", row.imports))
            for user in users.all()[:20]
        ]
        members = ListMember.objects.filter(list__in=rows).count()
        return [str(row) for row in rows], {"lists": len(rows), "members": members}, forbidden, used

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.delete_queryset(request, RecipientList.objects.filter(pk=obj.pk))

    def delete_queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> None:
        members = ListMember.objects.filter(list__in=list(queryset.values_list("pk", flat=True)))
        members._raw_delete(members.db)  # nothing refers to a membership  # noqa: SLF001
        queryset.delete()


@admin.register(ListMember)
class ListMemberAdmin(BigTableAdmin):
    """Who is on which list."""

    list_display = ("recipient", "list")
    list_select_related = ("recipient", "list")
    search_fields = ("recipient__number",)
    search_help_text = "The whole number, like +12025550123."
    list_filter = ("list",)
    fields = ("list", "recipient")
    autocomplete_fields = ("list", "recipient")
    ordering = ("-pk",)
    newest = 100_000
    change_role = None

    def latest_rows(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if "list__id__exact" in request.GET else super().latest_rows(request, queryset)

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[Any, bool]:
        if not search_term.strip():
            return super().get_search_results(request, queryset, search_term)
        scope = scope_of(request)
        people = Recipient.objects.filter(number=search_term.strip())
        if not scope.is_superuser:
            people = people.filter(tenant__in=scope.by_role[Role.VIEWER])
        return queryset.filter(recipient__in=list(people.values_list("pk", flat=True))), False
