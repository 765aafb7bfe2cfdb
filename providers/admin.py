"""The admin of provider accounts, senders, registrations and pins; the form of an account is in account_form.py."""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html

from providers import checking, health, registering
from providers.account_form import AccountForm, credential_fields, manual, option_fields, option_groups
from providers.adapters import ADAPTERS
from providers.models import AccountHealth, Pin, Price, ProviderAccount, Registration, Sender
from smsplatform.common import database
from smsplatform.common.errors import ApplicationError
from smsplatform.tenancy import audit
from smsplatform.tenancy.admin_scope import TenantScopedAdmin, TenantScopedInline, actor_of
from smsplatform.tenancy.admin_verbs import PAUSE, RESUME, Undecided, Verb, VerbsAdmin, pause_state
from smsplatform.tenancy.models import Role


class SenderInline(TenantScopedInline):
    model = Sender
    fields = (
        "brand",
        "address",
        "kind",
        "opt_out_mode",
        "position",
        "weight",
        "countries",
        "registration",
        "segments_per_second",
        "is_active",
    )


_FEW_OPTIONS = 8  # more are folded away, a group at a time


@admin.display(description="senders")
def _senders(account: ProviderAccount) -> str:
    return ", ".join(sender.address for sender in account.senders.all() if sender.is_active) or "none"


@admin.display(description="webhook address")
def _webhook_url(account: ProviderAccount) -> str:
    return f"{settings.PUBLIC_URL}/webhooks/{account.provider}/{account.key}/"


@admin.display(description="for delivery reports")
def _status_url(account: ProviderAccount) -> str:
    return f"{_webhook_url(account)}status{_token(account)}"


@admin.display(description="for inbound messages")
def _inbound_url(account: ProviderAccount) -> str:
    return f"{_webhook_url(account)}inbound{_token(account)}"


def _token(account: ProviderAccount) -> str:
    return "?token=…" if account.has_webhook_token else ""


def _webhooks_told(account: ProviderAccount) -> str:
    told = "Enter these at the provider."
    if account.has_webhook_token:
        told += " Write the webhook token in place of the … (leave out ?token=… where the provider signs with it)."
    return told


@admin.display(description="provider")
def _at(account: ProviderAccount) -> str:
    kind = ADAPTERS.get(account.provider)
    return kind.title if kind else f"{account.provider} (its adapter is gone)"


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
    if checked.is_fine is None:
        raise Undecided(f"{account}: {checked.told}.")
    return f"{account}: {checked.told}."


def _mark_well(request: HttpRequest, account: ProviderAccount) -> str:
    if health.reset(account.pk, database.now()):
        audit.record(
            actor=actor_of(request), verb="provideraccount.marked_well", target=account.name, tenant=account.tenant_id
        )
    return f"{account} is taken for well; the breaker watches it as before."


def _is_ill(account: ProviderAccount) -> bool:
    found: AccountHealth | None = getattr(account, "health", None)
    return found is not None and found.state != AccountHealth.State.OK


TEST = Verb("test", "Test", _test)
MARK_WELL = Verb("well", "Mark as well", _mark_well, is_offered=_is_ill)


@admin.register(ProviderAccount)
class ProviderAccountAdmin(VerbsAdmin):
    """Accounts at providers."""

    form = AccountForm
    list_display = ("name", "provider", pause_state, _health, _senders, "segments_per_second", "created_at")
    search_fields = ("name",)
    secret_fields = ("secret", "key")
    inlines = (SenderInline,)
    readonly_fields: ClassVar[Any] = (_at, _status_url, _inbound_url, pause_state, _health, "created_at")
    verbs = (PAUSE, RESUME, TEST, MARK_WELL)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("health").prefetch_related("senders")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        provider = self._provider(request, obj)
        main = ("name", _at, "base_url") if obj is not None else ("name", "base_url")
        if self._shows_tenant(request, obj):
            main = ("tenant", *main)
        shown: list[Any] = [(None, {"fields": main})]
        if provider and (obj is None or self.has_change_permission(request, obj)):
            names = tuple(credential_fields(provider, is_new=obj is None))
            kind = ADAPTERS[provider]
            what = format_html(
                "<p>Stored encrypted, and never shown again: after a mistake, enter them once more.</p>{}",
                manual(kind.Credentials),
            )
            shown.append((f"Credentials for {kind.title}", {"fields": names, "description": what}))
            groups = option_groups(provider)
            folded = ["collapse"] if sum(len(names) for _, names, _ in groups) > _FEW_OPTIONS else []
            shown += [
                (title, {"fields": names, "description": told, "classes": folded}) for title, names, told in groups
            ]
        shown.append(("Limits", {"fields": ("segments_per_second", "concurrency", "timeout")}))
        if obj is not None:
            told = {"fields": (_status_url, _inbound_url), "description": _webhooks_told(obj)}
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
        if provider := self._provider(request):
            title = f"Add an account at {ADAPTERS[provider].title}"
            return super().add_view(request, form_url, {"title": title, **(extra_context or {})})
        choices = [(slug, adapter.title) for slug, adapter in ADAPTERS.items()]
        context = {
            **self.admin_site.each_context(request),
            "title": "Add provider account",
            "choices": choices,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/providers/provideraccount/choose_provider.html", context)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: Any) -> None:
        super().save_formset(request, form, formset, change)
        for sender in (*formset.new_objects, *(row for row, _ in formset.changed_objects)):
            _warn(request, sender)

    @staticmethod
    def _provider(request: HttpRequest, obj: Any = None) -> str:
        slug: str = request.GET.get("provider", "") if obj is None else obj.provider
        return slug if slug in ADAPTERS else ""


def _warn(request: HttpRequest, sender: Sender) -> None:
    if told := registering.warning(sender):
        messages.warning(request, told)


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
        "opt_out_mode",
        "position",
        "weight",
        "countries",
        "registration",
        "segments_per_second",
        "is_active",
    )
    autocomplete_fields = ("brand", "account")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        (title, options), *others = super().get_fieldsets(request, obj)
        told = registering.warning(obj) if obj is not None else ""
        if told:
            options = {**options, "description": format_html("<p><b>{}</b></p>", told)}
        return [(title, options), *others]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        super().save_model(request, obj, form, change)
        _warn(request, obj)


@admin.register(Registration)
class RegistrationAdmin(TenantScopedAdmin):
    """What carriers know a brand's texts by."""

    list_display = ("name", "brand", "status", "segments_per_second")
    list_select_related = ("brand",)
    list_filter = ("brand", "status")
    search_fields = ("name",)
    fieldsets: ClassVar[Any] = (
        (
            None,
            {
                "fields": ("brand", "name", "status", "segments_per_second"),
                "description": "Nothing goes out through the senders of a registration before it is approved.",
            },
        ),
    )
    autocomplete_fields = ("brand",)


@admin.register(Pin)
class PinAdmin(TenantScopedAdmin):
    """Brands that go through one account only, by an operator's decision."""

    list_display = ("brand", "account", "reason", "pinned_at")
    list_select_related = ("brand", "account")
    list_filter = ("account",)
    fieldsets: ClassVar[Any] = (
        (
            None,
            {
                "fields": ("brand", "account", "reason"),
                "description": "As long as it is here, everything of the brand goes through this account, also while it is"
                " broken; what it cannot take waits. Delete it, and the brand's senders are used as usual.",
            },
        ),
    )
    delete_role = Role.MANAGER  # who pins may also release
    autocomplete_fields = ("brand", "account")


@admin.register(Price)
class PriceAdmin(TenantScopedAdmin):
    """What segments cost, for the estimate of a pre-flight."""

    list_display = ("account", "country", "micros", "currency")
    list_select_related = ("account",)
    list_filter = ("account",)
    fieldsets: ClassVar[Any] = (
        (
            None,
            {
                "fields": ("account", "country", "micros", "currency"),
                "description": "The cost of a campaign is told before it is launched once every account that it would go"
                " through has a price for every country of its people.",
            },
        ),
    )
    autocomplete_fields = ("account",)
