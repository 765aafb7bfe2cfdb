"""The admin of provider accounts and senders.

The fields for credentials come from what the account's adapter declares. They are written and never shown again, not
even after a mistake elsewhere on the form; an empty field keeps the stored value.
"""

import dataclasses
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from providers.adapters import ADAPTERS
from providers.models import ProviderAccount, Sender
from smsplatform.common import crypto
from smsplatform.tenancy.admin_scope import TenantForm, TenantScopedAdmin, TenantScopedInline
from smsplatform.tenancy.admin_verbs import PAUSE, RESUME, VerbsAdmin, pause_state

_PREFIX = "credential_"


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
        return cleaned

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
    fields = ("brand", "address", "position", "segments_per_second", "is_active")


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


@admin.register(ProviderAccount)
class ProviderAccountAdmin(VerbsAdmin):
    """Accounts at providers."""

    form = AccountForm
    list_display = ("name", "provider", pause_state, _senders, "segments_per_second", "created_at")
    search_fields = ("name",)
    secret_fields = ("secret", "key")
    inlines = (SenderInline,)
    readonly_fields: ClassVar[Any] = ("provider", _status_url, _inbound_url, pause_state, "created_at")
    verbs = (PAUSE, RESUME)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("senders")

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
        shown.append(("Limits", {"fields": limits, "description": "Empty fields: the vendor's defaults."}))
        if obj is not None:
            told = {"fields": (_status_url, _inbound_url), "description": "Enter these at the provider."}
            shown += [("Webhooks", told), ("State", {"fields": (pause_state, "created_at")})]
        return shown

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        provider = self._provider(request, obj)
        own: dict[str, Any] = dict(credential_fields(provider, is_new=obj is None)) if provider else {}
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

    list_display = ("address", "brand", "account", "position", "segments_per_second", "is_active")
    list_select_related = ("brand", "account")
    list_filter = ("brand", "account", "is_active")
    search_fields = ("address",)
    fields = ("brand", "account", "address", "position", "segments_per_second", "is_active")
    autocomplete_fields = ("brand", "account")
