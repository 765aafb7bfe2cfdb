"""The admin of what providers told us: raw events, delivery reports and replies. All read-only."""

from typing import Any, ClassVar

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from campaigns.admin.tables import link
from campaigns.models import RawEvent, Receipt, Reply
from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_scope import Facts

_MOST_SHOWN = 20_000


@admin.display(description="body")
def _body(event: RawEvent) -> SafeString:
    return format_html('<pre class="text">{}</pre>', bytes(event.body)[:_MOST_SHOWN].decode("utf-8", "replace"))


@admin.display(description="account")
def _account(row: Any) -> SafeString:
    return link("providers_provideraccount", row.account_id, row.account)


@admin.display(description="event")
def _raw(row: Any) -> SafeString:
    return link("campaigns_rawevent", row.raw_id, f"event {row.raw_id}")


@admin.display(description="dispatch")
def _dispatch(receipt: Receipt) -> SafeString:
    return link("campaigns_dispatch", receipt.dispatch_id, receipt.dispatch_id)


@admin.register(RawEvent)
class RawEventAdmin(Facts, BigTableAdmin):
    """Verified webhook requests as they came."""

    list_display = (
        "id",
        instant("received_at"),
        _account,
        "method",
        instant("applied_at"),
        instant("retry_at"),
        "flaw",
    )
    list_select_related = ("account",)
    list_filter = (("applied_at", admin.EmptyFieldListFilter),)
    ordering = ("-pk",)
    newest = 100_000
    readonly_fields: ClassVar[Any] = (_account, _body)
    fields: ClassVar[Any] = (
        _account,
        "received_at",
        "applied_at",
        "retry_at",
        "flaw",
        "method",
        "url",
        "headers",
        _body,
    )


@admin.register(Receipt)
class ReceiptAdmin(Facts, BigTableAdmin):
    """Delivery reports."""

    list_display = ("id", instant("received_at"), _dispatch, "flight", "status", "code", "detail")
    list_filter = ("status",)
    search_fields = ("dispatch_id",)
    search_help_text = "The whole id of a dispatch."
    ordering = ("-pk",)
    newest = 100_000
    readonly_fields: ClassVar[Any] = (_dispatch, _raw)
    fields: ClassVar[Any] = (_dispatch, "flight", "status", "code", "detail", "provider_id", "received_at", _raw)


@admin.register(Reply)
class ReplyAdmin(Facts, BigTableAdmin):
    """Messages from people."""

    list_display = ("number", instant("received_at"), "brand", "to", "text", "is_opt_out")
    list_select_related = ("brand",)
    list_filter = ("brand", "is_opt_out")
    search_fields = ("number",)
    search_help_text = "The person's whole number."
    ordering = ("-pk",)
    newest = 100_000
    readonly_fields: ClassVar[Any] = (_account, _raw)
    fields: ClassVar[Any] = (
        "number",
        "to",
        "brand",
        "text",
        "media",
        "is_opt_out",
        "received_at",
        "tidied_at",
        "provider_id",
        _account,
        _raw,
    )
