"""The admin of recipients and their lists."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from campaigns.models import ListMember, Recipient, RecipientList
from compliance import place
from compliance.data import npa
from smsplatform.common import database, phone
from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_scope import TenantForm, TenantScopedAdmin, scope_of
from smsplatform.tenancy.models import Role, Tenant, check_zone


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

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        tenant = cleaned.get("tenant") or Tenant.objects.filter(pk=self.instance.tenant_id).first()
        if "number" in cleaned and tenant is not None:
            found = phone.parse(cleaned["number"], countries=tenant.allowed_countries, known_npas=npa.COUNTRY)
            if isinstance(found, phone.Refusal):
                self.add_error("number", found.message)
            else:
                self._place(found, cleaned.get("zone", ""))
        return cleaned

    def _place(self, number: phone.Number, zone: str) -> None:
        self.cleaned_data["number"] = number.e164
        self.instance.country = number.country
        has_news = zone or self.instance.pk is None or "number" in self.changed_data
        if has_news:
            found = place.locate(number=number.e164, explicit_zone=zone)
            self.instance.zones, self.instance.zone_source = found.zones, found.source


@admin.register(Recipient)
class RecipientAdmin(BigTableAdmin):
    """People with a number."""

    form = RecipientForm
    list_display = ("number", "country", "zones", "zone_source", "send_at", instant("updated_at"))
    search_fields = ("number",)
    search_help_text = "The whole number, like +12025550123."
    fieldsets = (
        (None, {"fields": ("number", "zone", "fields", "send_at")}),
        ("Found out", {"fields": ("country", "zones", "zone_source", "created_at", "updated_at")}),
    )
    readonly_fields = ("country", "zones", "zone_source", "created_at", "updated_at")

    def get_ordering(self, request: HttpRequest) -> Any:
        # A tenant's people stand in the index in the order of their numbers; everybody's only in that of their ids.
        return ("-pk",) if scope_of(request).is_superuser else ("number",)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        obj.updated_at = database.now()
        super().save_model(request, obj, form, change)


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
