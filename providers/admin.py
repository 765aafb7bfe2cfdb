"""The admin of provider accounts and senders.

The fields for credentials come from what the account's adapter declares. They are written and never shown again, not
even after a mistake elsewhere on the form; an empty field keeps the stored value.
"""

import dataclasses
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from providers import checking, health
from providers.adapters import ADAPTERS
from providers.models import AccountHealth, Pin, ProviderAccount, Registration, Sender
from smsplatform.common import crypto, database
from smsplatform.common.errors import ApplicationError
from smsplatform.tenancy import audit
from smsplatform.tenancy.admin_scope import TenantForm, TenantScopedAdmin, TenantScopedInline, actor_of
from smsplatform.tenancy.admin_verbs import PAUSE, RESUME, Verb, VerbsAdmin, pause_state

_PREFIX = "credential_"
_OPTION = "option_"


def _is_needed(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def credential_fields(provider: str, *, is_new: bool) -> dict[str, forms.CharField]:
    """Return a form field for each text that the adapter's credentials consist of."""
    return {
        f"{_PREFIX}{each.name}": forms.CharField(
            label=each.name.replace("_", " "),
            required=is_new and _is_needed(each),
            widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password", "size": 60}),
            help_text="" if is_new else "Empty: as it is.",
        )
        for each in dataclasses.fields(ADAPTERS[provider].Credentials)
    }


def option_fields(provider: str, account: ProviderAccount | None) -> dict[str, forms.CharField]:
    """Return a form field for each option of the adapter; an empty one means the default, which it shows."""
    stored = account.options if account is not None else {}
    return {
        f"{_OPTION}{each.name}": forms.CharField(
            label=each.name.replace("_", " "),
            required=False,
            strip=False,
            initial=stored.get(each.name, ""),
            widget=forms.Textarea(attrs={"rows": 1 + str(each.default).count("\n"), "cols": 80}),
            help_text=f"Empty: {each.default}" if each.default else "Empty by default.",
        )
        for each in dataclasses.fields(ADAPTERS[provider].Options)
    }


class AccountForm(TenantForm):
    """An account; its credentials are encrypted when everything else is right."""

    provider_slug: ClassVar[str] = ""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        given = {
            name.removeprefix(_PREFIX): value for name, value in cleaned.items() if name.startswith(_PREFIX) and value
        }
        self.instance.provider = self.provider_slug
        tenant = cleaned.get("tenant")
        if tenant is not None:
            self.instance.tenant = tenant
        if not self.errors and self.instance.tenant_id and (given or not self.instance.secret):
            self.instance.set_credentials({**self._stored(), **given})
        self.instance.options = {
            name.removeprefix(_OPTION): value for name, value in cleaned.items() if name.startswith(_OPTION) and value
        }
        if not self.errors and self.instance.secret:
            self._check_options()
        return cleaned

    def _check_options(self) -> None:
        try:
            self.instance.check_options()
        except ValidationError as error:
            self.add_error(None, error.messages)
        except crypto.UndecryptableSecret:
            self.add_error(None, "The stored credentials cannot be read any more; enter all of them.")

    def _stored(self) -> dict[str, Any]:
        """Return the stored credentials; none if they cannot be read any more, so that all must be given."""
        if not self.instance.secret:
            return {}
        try:
            return crypto.decrypt(self.instance.secret, tenant_id=self.instance.tenant_id)
        except crypto.UndecryptableSecret:
            return {}


class SenderInline(TenantScopedInline):
    model = Sender
    fields = (
        "brand",
        "address",
        "kind",
        "position",
        "weight",
        "countries",
        "registration",
        "segments_per_second",
        "is_active",
    )


@admin.display(description="senders")
def _senders(account: ProviderAccount) -> str:
    return ", ".join(sender.address for sender in account.senders.all() if sender.is_active) or "none"


@admin.display(description="webhook address")
def _webhook_url(account: ProviderAccount) -> str:
    return f"{settings.PUBLIC_URL}/webhooks/{account.provider}/{account.key}/"


@admin.display(description="for delivery reports")
def _status_url(account: ProviderAccount) -> str:
    return f"{_webhook_url(account)}status"


@admin.display(description="for inbound messages")
def _inbound_url(account: ProviderAccount) -> str:
    return f"{_webhook_url(account)}inbound"


@admin.display(description="health", ordering="health__state")
def _health(account: ProviderAccount) -> str:
    found: AccountHealth | None = getattr(account, "health", None)
    if found is None or found.state == AccountHealth.State.OK:
        return "ok"
    probe = f"; next canary {found.probe_at:%H:%M:%S} UTC" if found.probe_at else ""
    return f"{found.state} since {found.since:%F %H:%M} UTC: {found.reason}{probe}"


def _test(_request: HttpRequest, account: ProviderAccount) -> str:
    checked = checking.check(account)
    if checked.is_fine is False:
        raise ApplicationError(checked.told)
    return f"{account}: {checked.told}."


def _mark_well(request: HttpRequest, account: ProviderAccount) -> str:
    if health.reset(account.pk, database.now()):
        audit.record(
            actor=actor_of(request), verb="provideraccount.marked_well", target=account.name, tenant=account.tenant_id
        )
    return f"{account} is taken for well; the breaker watches it as before."


TEST = Verb("test", "Test", _test)
MARK_WELL = Verb(
    "well", "Mark as well", _mark_well, is_offered=lambda row: getattr(row, "health", None) is not None
    and row.health.state != AccountHealth.State.OK,
)  # fmt: skip


@admin.register(ProviderAccount)
class ProviderAccountAdmin(VerbsAdmin):
    """Accounts at providers."""

    form = AccountForm
    list_display = ("name", "provider", pause_state, _health, _senders, "segments_per_second", "created_at")
    search_fields = ("name",)
    secret_fields = ("secret", "key")
    inlines = (SenderInline,)
    readonly_fields: ClassVar[Any] = ("provider", _status_url, _inbound_url, pause_state, _health, "created_at")
    verbs = (PAUSE, RESUME, TEST, MARK_WELL)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("health").prefetch_related("senders")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        limits = ("base_url", "segments_per_second", "concurrency", "timeout")
        provider = self._provider(request, obj)
        main = ("name", "provider") if obj is not None else ("name",)
        shown: list[Any] = [(None, {"fields": main})]
        if self._shows_tenant(request, obj):
            shown = [(None, {"fields": ("tenant", *main)})]
        if provider and (obj is None or self.has_change_permission(request, obj)):
            names = tuple(credential_fields(provider, is_new=obj is None))
            what = f"{ADAPTERS[provider].title}. Written here, stored encrypted, never shown again."
            shown.append(("Credentials", {"fields": names, "description": what}))
            if options := tuple(option_fields(provider, obj)):
                shown.append(("Options", {"fields": options, "classes": ["collapse"]}))
        shown.append(("Limits", {"fields": limits, "description": "Empty fields: the vendor's defaults."}))
        if obj is not None:
            told = {"fields": (_status_url, _inbound_url), "description": "Enter these at the provider."}
            shown += [("Webhooks", told), ("State", {"fields": (pause_state, _health, "created_at")})]
        return shown

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        provider = self._provider(request, obj)
        own: dict[str, Any] = {}
        if provider:
            own = {**credential_fields(provider, is_new=obj is None), **option_fields(provider, obj)}
        form = type("AccountForm", (AccountForm,), {**own, "provider_slug": provider})
        return super().get_form(request, obj, change, **{"form": form, **kwargs})

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        if self._provider(request):
            return super().add_view(request, form_url, extra_context)
        choices = [(slug, adapter.title) for slug, adapter in ADAPTERS.items()]
        context = {
            **self.admin_site.each_context(request),
            "title": "Add provider account",
            "choices": choices,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/providers/provideraccount/choose_provider.html", context)

    @staticmethod
    def _provider(request: HttpRequest, obj: Any = None) -> str:
        slug: str = request.GET.get("provider", "") if obj is None else obj.provider
        return slug if slug in ADAPTERS else ""


@admin.register(Sender)
class SenderAdmin(TenantScopedAdmin):
    """Numbers and ids we text from."""

    list_display = ("address", "brand", "account", "kind", "position", "weight", "registration", "is_active")
    list_select_related = ("brand", "account", "registration")
    list_filter = ("brand", "account", "is_active")
    search_fields = ("address",)
    fields = (
        "brand",
        "account",
        "address",
        "kind",
        "position",
        "weight",
        "countries",
        "registration",
        "segments_per_second",
        "is_active",
    )
    autocomplete_fields = ("brand", "account")


@admin.register(Registration)
class RegistrationAdmin(TenantScopedAdmin):
    """What carriers know a brand's texts by."""

    list_display = ("name", "brand", "status", "segments_per_second")
    list_select_related = ("brand",)
    list_filter = ("brand", "status")
    search_fields = ("name",)
    fields = ("brand", "name", "status", "segments_per_second")
    autocomplete_fields = ("brand",)


@admin.register(Pin)
class PinAdmin(TenantScopedAdmin):
    """Brands that go through one account only, by an operator's decision."""

    list_display = ("brand", "account", "reason", "pinned_at")
    list_select_related = ("brand", "account")
    list_filter = ("account",)
    fields = ("brand", "account", "reason")
    autocomplete_fields = ("brand", "account")
