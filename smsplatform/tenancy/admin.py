"""The admin of people, tenants, brands, keys, the trail and the switch."""

from dataclasses import replace
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from smsplatform.common import database
from smsplatform.tenancy import audit, consent_keeping
from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_scope import (
    Facts,
    OperatorsOnly,
    OperatorsWrite,
    TenantForm,
    TenantScopedAdmin,
    actor_of,
    scope_of,
)
from smsplatform.tenancy.admin_verbs import PAUSE, RESUME, Verb, VerbsAdmin, pause_state
from smsplatform.tenancy.models import (
    ApiKey,
    AuditEvent,
    Brand,
    ConsentKept,
    Installation,
    Membership,
    Retention,
    Role,
    Tenant,
    User,
)

admin.site.site_header = admin.site.site_title = "SMS platform"
admin.site.index_title = "What would you like to do?"
admin.site.site_url = None
admin.site.unregister(Group)  # roles stand in memberships


def _for_operators_only(app_label: str) -> None:
    """Register an app's models again, so that nobody but superusers sees them."""
    for model in admin.site._registry.copy():  # noqa: SLF001 - the site has no other list of its models
        if model.__module__.startswith(f"{app_label}."):
            theirs = type(admin.site.get_model_admin(model))
            admin.site.unregister(model)
            admin.site.register(model, type(theirs.__name__, (OperatorsOnly, theirs), {}))


_for_operators_only("django_celery_beat")


class NewUserForm(AdminUserCreationForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("email",)
        field_classes: ClassVar[dict[str, Any]] = {}


@admin.register(User)
class UserAdmin(OperatorsWrite, TenantScopedAdmin, DjangoUserAdmin):  # type: ignore[type-arg]
    """People. Superusers make them; members of a tenant see one another's address."""

    form = UserChangeForm
    add_form = NewUserForm
    list_display = ("email", "name", "is_staff", "is_superuser", "is_active", "last_login")
    list_filter = ("is_staff", "is_superuser", "is_active")
    ordering = ("email",)
    search_fields = ("email", "name")
    secret_fields = ("password",)
    filter_horizontal = ()
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("email", "name", "password")}),
        ("Access", {"fields": ("is_active", "is_staff", "is_superuser"), "description": "Roles are in Memberships."}),
        ("Dates", {"fields": ("joined_at", "last_login")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("email", "name", "usable_password", "password1", "password2")}),
        ("Access", {"fields": ("is_staff",), "description": "Give the person a role under Memberships afterwards."}),
    )
    readonly_fields = ("joined_at", "last_login")

    def visible(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        scope = scope_of(request)
        if scope.is_superuser:
            return queryset
        shared = Membership.objects.filter(tenant__in=scope.by_role[Role.VIEWER])
        return queryset.filter(pk__in=shared.values("user"))

    def may(self, request: HttpRequest, role: Role | None, row: Any = None) -> bool:
        if row is None or scope_of(request).is_superuser:
            return super().may(request, role, row)
        return self.visible(request, User.objects.filter(pk=row.pk)).exists()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if scope_of(request).is_superuser:
            return DjangoUserAdmin.get_fieldsets(self, request, obj)
        return ((None, {"fields": ("email",)}),)

    def get_list_display(self, request: HttpRequest) -> Any:
        return self.list_display if scope_of(request).is_superuser else ("email",)

    def get_list_filter(self, request: HttpRequest) -> Any:
        return self.list_filter if scope_of(request).is_superuser else ()

    def get_search_fields(self, request: HttpRequest) -> Any:
        return self.search_fields if scope_of(request).is_superuser else ("email",)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        is_theirs = scope_of(request).is_superuser or lookup.split("__", 1)[0] == "email"
        return is_theirs and super().lookup_allowed(lookup, value, request)


@admin.register(Tenant)
class TenantAdmin(OperatorsWrite, VerbsAdmin):
    """Client businesses. Their owners may pause them; everything else is the operators'."""

    tenant_path = "pk"
    list_display = ("name", "slug", pause_state, "weight", "created_at")
    search_fields = ("name", "slug")
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("name", "slug", "countries", "weight", "approve_above")}),
        ("Hours", {"fields": ("informational_hours", "texts_unknown_places")}),
        (
            "What the API and forms may trigger",
            {"fields": ("triggered_countries", "triggered_segments"), "description": "Against traffic pumping."},
        ),
        ("Texts", {"fields": ("has_smart_encoding", "strips_accents", "banned_hosts")}),
        ("State", {"fields": (pause_state, "created_at")}),
    )
    readonly_fields: ClassVar[Any] = (pause_state, "created_at")
    prepopulated_fields: ClassVar[dict[str, Any]] = {"slug": ("name",)}
    verbs = (replace(PAUSE, role=Role.OWNER), replace(RESUME, role=Role.OWNER))


def _keep_elsewhere(request: HttpRequest, row: Brand) -> str:
    words = request.POST.get("words", "")
    consent_keeping.keep_elsewhere(brand=row, words=words, actor=actor_of(request), now=database.now())
    return f"{row}: you vouch for the consent of everybody it texts; your words are on record."


def _keep_here(request: HttpRequest, row: Brand) -> str:
    consent_keeping.keep_here(brand=row, actor=actor_of(request), now=database.now())
    return f"{row} texts nobody without a consent on record from now on."


def _attestation_input(_request: HttpRequest, _row: Brand) -> SafeString:
    return format_html(
        '<input type="text" name="words" size="50" required aria-label="attestation" placeholder="{}">',
        "Where the proof is kept, and who answers for it",
    )


@admin.register(Brand)
class BrandAdmin(VerbsAdmin):
    """Brands: hours, limits and the domain of their links."""

    list_display = ("name", "slug", pause_state, "zone", "opens_at", "closes_at", "daily_cap", "person_cap")
    search_fields = ("name", "slug")
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("name", "slug", "zone", "link_domain")}),
        (
            "Hours",
            {
                "fields": (("opens_at", "closes_at"), ("sunday_opens_at", "sunday_closes_at")),
                "description": "In each recipient's local time. They only tighten: the law of each state comes on top.",
            },
        ),
        ("Limits", {"fields": ("daily_cap", ("person_cap", "person_cap_hours"), "undo_above")}),
        (
            "Consent",
            {
                "fields": (
                    "consent_kept",
                    "consent_attested_by",
                    "consent_attested_at",
                    "consent_attestation",
                    "opt_in_hours",
                ),
                "description": "Owners decide where the proof of consent is kept, with the buttons above.",
            },
        ),
        ("Opt-outs", {"fields": ("optout_scope_policy",)}),
        ("Texts", {"fields": ("adds_stop_line", "stop_lines", "max_segments")}),
        ("State", {"fields": (pause_state, "created_at")}),
    )
    readonly_fields: ClassVar[Any] = (
        pause_state, "created_at", "consent_kept", "consent_attested_by", "consent_attested_at", "consent_attestation",
    )  # fmt: skip
    prepopulated_fields: ClassVar[dict[str, Any]] = {"slug": ("name",)}
    verbs = (
        PAUSE,
        RESUME,
        Verb(
            "consent-elsewhere", "Keep proof of consent elsewhere", _keep_elsewhere,
            lambda row: row.consent_kept == ConsentKept.HERE, role=Role.OWNER, in_lists=False, inputs=_attestation_input,
        ),
        Verb(
            "consent-here", "Keep consent here", _keep_here,
            lambda row: row.consent_kept == ConsentKept.ELSEWHERE, role=Role.OWNER, in_lists=False, is_grave=True,
        ),
    )  # fmt: skip


class MembershipForm(TenantForm):
    """A new membership names the person by e-mail address: nobody gets a list of the platform's users."""

    email = forms.EmailField(label="E-mail address", help_text="Of somebody who has a login; operators make logins.")

    class Meta:
        model = Membership
        fields = ("tenant", "role")

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"]).lower()
        user = User.objects.filter(email=email).first()
        if user is None:
            raise forms.ValidationError("Nobody has a login with this address yet; ask an operator to make one.")
        self.instance.user = user
        return email

    def _get_validation_exclusions(self) -> set[str]:
        exclusions = super()._get_validation_exclusions()
        return exclusions - {"user"} if self.instance.user_id else exclusions


@admin.register(Membership)
class MembershipAdmin(TenantScopedAdmin):
    """Who may do what in a tenant. Owners decide, but never about themselves."""

    list_display = ("user", "role")
    list_select_related = ("user",)
    list_filter = ("role",)
    search_fields = ("user__email",)
    add_role = change_role = delete_role = Role.OWNER

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        named = "user" if obj is not None else "email"
        tenant = ("tenant",) if self._shows_tenant(request, obj) else ()
        return ((None, {"fields": (*tenant, named, "role")}),)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        form = TenantForm if obj is not None else MembershipForm
        return super().get_form(request, obj, change, **{"form": form, **kwargs})

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*super().get_readonly_fields(request, obj), *(["user"] if obj is not None else [])]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_of_another(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_of_another(request, obj) and super().has_delete_permission(request, obj)

    def _is_of_another(self, request: HttpRequest, obj: Any) -> bool:
        return obj is None or obj.user_id != request.user.pk or scope_of(request).is_superuser


@admin.register(ApiKey)
class ApiKeyAdmin(TenantScopedAdmin):
    """Integrators' keys. The token is shown once, when the key is made."""

    list_display = ("name", "prefix", "is_active", "owner", "expires_at", "last_used_at")
    list_select_related = ("owner",)
    list_filter = ("is_active",)
    search_fields = ("name", "=prefix")
    secret_fields = ("digest",)
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("name", "scopes", "expires_at", "is_active")}),
        ("Use", {"fields": ("prefix", "owner", "last_used_at", "created_at")}),
    )
    readonly_fields = ("prefix", "owner", "last_used_at", "created_at")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        return fieldsets if obj is not None else fieldsets[:1]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: ARG002, FBT001 - Django's
        if change:
            obj.save()
            return
        key, token = ApiKey.issue(tenant=obj.tenant, name=obj.name, owner=request.user, scopes=obj.scopes)  # type: ignore[arg-type]
        ApiKey.objects.filter(pk=key.pk).update(expires_at=obj.expires_at, is_active=obj.is_active)
        obj.pk = key.pk
        obj.refresh_from_db()
        shown = f"The token is {token} : copy it now, nobody can read it again."
        self.message_user(request, shown, messages.WARNING)


@admin.register(AuditEvent)
class AuditEventAdmin(Facts, BigTableAdmin):
    """Who did what."""

    list_display = (instant("at"), "actor", "verb", "target")
    search_fields = ("actor", "verb", "target")
    search_help_text = "The whole actor, verb or target."
    newest = 100_000
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("at", "actor", "verb", "target", "before", "after", "detail")}),
        ("Where", {"fields": ("object_type", "object_id", "ip", "request_id")}),
    )


@admin.register(Retention)
class RetentionAdmin(TenantScopedAdmin):
    """How long a tenant keeps what is about people. Without a row of its own: as its fields say when it is added."""

    list_display = ("__str__", "texts_months", "events_months", "clicks_months", "imports_months")
    add_role = change_role = Role.OWNER
    fieldsets: ClassVar[Any] = (
        (
            None,
            {
                "fields": ("texts_months", "events_months", "clicks_months", "imports_months"),
                "description": "In months. What is over is taken away within a day, and cannot be brought back. Opt-outs"
                " are kept for ever, evidence of consent for as long as the law asks for it.",
            },
        ),
    )


def _switch(*, is_sending: bool) -> Any:
    def do(request: HttpRequest, row: Installation) -> str:
        with transaction.atomic():
            Installation.objects.filter(pk=row.pk).update(
                is_sending=is_sending, changed_at=database.now(), changed_by=actor_of(request)
            )
            verb = "sending.started" if is_sending else "sending.stopped"
            audit.record(actor=actor_of(request), verb=verb, target="installation")
        return (
            "Sending is on." if is_sending else "Sending is off: nothing more goes out, what is in the air is settled."
        )

    return do


@admin.register(Installation)
class InstallationAdmin(OperatorsOnly, VerbsAdmin):
    """The switch of all automatic sending."""

    list_display = ("__str__", "changed_at", "changed_by", "identity")
    fieldsets: ClassVar[Any] = ((None, {"fields": ("is_sending", "changed_at", "changed_by", "identity")}),)
    verbs = (
        Verb("start", "Start sending", _switch(is_sending=True), lambda row: not row.is_sending, is_operators=True),
        Verb(
            "stop", "Stop all sending", _switch(is_sending=False), lambda row: row.is_sending,
            is_operators=True, is_grave=True,
        ),
    )  # fmt: skip

    def visible(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if scope_of(request).is_superuser else queryset.none()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if scope_of(request).is_superuser:
            Installation.objects.get_or_create(pk=1)
        return super().changelist_view(request, extra_context)

    def has_add_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False
