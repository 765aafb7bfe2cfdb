"""The admin of what providers told us: raw events, delivery reports and replies, read-only; and replies to decide on."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from campaigns import reviews
from campaigns.admin.tables import link
from campaigns.models import RawEvent, Receipt, Reply, ReviewedReply
from smsplatform.common import database, masking
from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_private import DETAIL, NUMBER, REVEAL, Private, hidden, revealing
from smsplatform.tenancy.admin_scope import Facts, actor_of
from smsplatform.tenancy.admin_verbs import Verb, VerbsAdmin

_MOST_SHOWN = 20_000


def _request(event: RawEvent) -> str:
    return bytes(event.body)[:_MOST_SHOWN].decode("utf-8", "replace")


@admin.display(description="body")
def _body(event: RawEvent) -> SafeString:
    return format_html('<pre class="text">{}</pre>', masking.text(_request(event)))


@admin.display(description="body")
def _size(event: RawEvent) -> str:
    return f"{len(event.body):,} bytes"


@admin.display(description="address")
def _address(event: RawEvent) -> str:
    return masking.text(event.url.partition("?")[0])


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
class RawEventAdmin(Private, Facts, VerbsAdmin, BigTableAdmin):
    """Verified webhook requests as they came."""

    verbs = (revealing(lambda event: f"{event.url}\n{_request(event)}", "Show it with its numbers"),)
    stand_ins: ClassVar[Any] = {_body: _size}

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
    readonly_fields: ClassVar[Any] = (_account, _address, _body)
    fields: ClassVar[Any] = (
        _account,
        "received_at",
        "applied_at",
        "retry_at",
        "flaw",
        "method",
        _address,
        "headers",
        _body,
    )


@admin.register(Receipt)
class ReceiptAdmin(Facts, BigTableAdmin):
    """Delivery reports."""

    list_display = ("id", instant("received_at"), _dispatch, "flight", "status", "code", DETAIL)
    list_filter = ("status",)
    search_fields = ("dispatch_id",)
    search_help_text = "The whole id of a dispatch."
    ordering = ("-pk",)
    newest = 100_000
    readonly_fields: ClassVar[Any] = (_dispatch, DETAIL, _raw)
    fields: ClassVar[Any] = (_dispatch, "flight", "status", "code", DETAIL, "provider_id", "received_at", _raw)


@admin.display(description="answer")
def _answer(reply: Reply) -> SafeString | str:
    return link("campaigns_dispatch", reply.answer, "the message") if reply.answer else ""


@admin.display(description="taken for", ordering="kind")
def _kind(reply: Reply) -> str:
    return f"{reply.get_kind_display()} ({reply.rule})" if reply.kind else "pieces are missing"


@admin.register(Reply)
class ReplyAdmin(Private, Facts, VerbsAdmin, BigTableAdmin):
    """Messages from people."""

    verbs = (REVEAL,)
    stand_ins: ClassVar[Any] = {"text": hidden("text", lambda text: f"{len(text):,} characters")}
    list_display = (NUMBER, instant("received_at"), "brand", "to", "text", _kind, "is_opt_out", "answer_rule")
    list_select_related = ("brand",)
    list_filter = ("brand", "kind", "is_opt_out")
    search_fields = ("number",)
    search_help_text = "The person's whole number."
    ordering = ("-pk",)
    newest = 100_000
    readonly_fields: ClassVar[Any] = (NUMBER, _account, _raw, _kind, _answer)
    fields: ClassVar[Any] = (
        NUMBER,
        "to",
        "brand",
        "text",
        "media",
        _kind,
        "is_opt_out",
        _answer,
        "answer_rule",
        "answered_as",
        "received_at",
        "apply_at",
        "tidied_at",
        ("review_until", "reviewed_at", "reviewed_by"),
        "provider_id",
        _account,
        _raw,
    )


def _decided(*, is_opt_out: bool) -> Callable[[HttpRequest, Reply], str]:
    def do(request: HttpRequest, reply: Reply) -> str:
        reviews.decide(reply.pk, is_opt_out=is_opt_out, actor=actor_of(request), now=database.now())
        who = masking.number(reply.number)
        if is_opt_out:
            return f"{who} has opted out: nothing more is sent."
        return f"{who} has not opted out: texts go on."

    return do


def _is_open(reply: Reply) -> bool:
    return reply.review_until is not None and reply.reviewed_at is None


@admin.display(description="decide before")
def _deadline(reply: Reply) -> str:
    if reply.review_until is None:
        return ""
    left = max((reply.review_until - database.now()).days, 0)
    return f"{reply.review_until:%Y-%m-%d %H:%M} UTC ({left} days left)"


@admin.register(ReviewedReply)
class ReviewAdmin(Private, Facts, VerbsAdmin, BigTableAdmin):
    """Texts that may be opt-outs. Until somebody decides, nothing is marketed to the person; in the end it is one."""

    stand_ins: ClassVar[Any] = ReplyAdmin.stand_ins
    list_display = (NUMBER, "text", "brand", instant("received_at"), _deadline)
    list_select_related = ("brand",)
    list_filter = ("brand",)
    search_fields = ("number",)
    search_help_text = "The person's whole number."
    ordering = ("review_until", "pk")
    readonly_fields: ClassVar[Any] = (NUMBER, _kind, _deadline)
    fields: ClassVar[Any] = (NUMBER, "to", "brand", "text", _kind, "received_at", _deadline)
    verbs = (
        REVEAL,
        Verb("opt-out", "This is an opt-out", _decided(is_opt_out=True), _is_open, is_grave=True),
        Verb("no-opt-out", "Not an opt-out", _decided(is_opt_out=False), _is_open),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return those that nobody has decided; one that was stays open on its own page, to say so."""
        rows = super().get_queryset(request).filter(review_until__isnull=False)
        is_list = getattr(request.resolver_match, "url_name", "").endswith("_changelist")
        return rows.filter(reviewed_at=None) if is_list else rows
