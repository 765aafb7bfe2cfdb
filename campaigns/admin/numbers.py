"""The admin of facts about numbers, and of what the API and forms have triggered."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from campaigns import traffic_reviews
from compliance import hygiene
from compliance.models import NotTextable, OptInCount, TrafficCount
from smsplatform.common import database, phone
from smsplatform.tenancy import audit
from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_private import NUMBER, REVEAL
from smsplatform.tenancy.admin_scope import Facts, TenantScopedAdmin, actor_of
from smsplatform.tenancy.admin_verbs import Verb, VerbsAdmin


def _clear(request: HttpRequest, row: NotTextable) -> str:
    with transaction.atomic():
        hygiene.clear(number=row.number, by=actor_of(request), now=database.now())
        target = phone.masked(row.number)
        audit.record(actor=actor_of(request), verb="number.cleared", target=target, tenant=row.tenant_id)
    return f"{phone.masked(row.number)} may be texted again."


@admin.display(description="why")
def _why(row: NotTextable) -> str:
    return hygiene.TOLD.get(row.reason, row.reason)


@admin.register(NotTextable)
class NotTextableAdmin(Facts, VerbsAdmin, BigTableAdmin):
    """Numbers that no text reaches, as providers said it. Operators clear them."""

    list_display = (NUMBER, _why, "provider", "code", instant("since"), instant("until"), instant("cleared_at"))
    search_fields = ("number",)
    search_help_text = "The whole number, like +12025550123."
    ordering = ("-pk",)
    newest = 100_000
    fields: ClassVar[Any] = (
        NUMBER,
        _why,
        "provider",
        "code",
        "evidence",
        "since",
        "until",
        "cleared_at",
        "cleared_by",
    )
    readonly_fields: ClassVar[Any] = (NUMBER, _why)
    verbs = (
        REVEAL,
        Verb("clear", "Let it be texted again", _clear, lambda row: row.cleared_at is None, is_operators=True),
    )


def _let_through(request: HttpRequest, row: TrafficCount) -> str:
    sent = traffic_reviews.let_through(row, by=actor_of(request), now=database.now())
    return f"{_range(row)} is let through for 30 days; {sent} waiting messages go on."


def _stop(request: HttpRequest, row: TrafficCount) -> str:
    blocked = traffic_reviews.stop(row, by=actor_of(request), now=database.now())
    return f"{_range(row)} is stopped for 30 days; {blocked} waiting messages are blocked."


def _is_undecided(row: TrafficCount) -> bool:
    return row.held_at is not None and row.decided_at is None


@admin.display(description="numbers")
def _range(row: TrafficCount) -> str:
    return f"{row.subject.removeprefix('range:')}••••"


@admin.display(description="decision")
def _decision(row: TrafficCount) -> str:
    if row.decided_at is None:
        return "waits for yours"
    return f"{'let through' if row.is_let_through else 'stopped'} by {row.decided_by}"


@admin.register(TrafficCount)
class TrafficReviewAdmin(Facts, VerbsAdmin):
    """Ranges of numbers to which the API or forms triggered conspicuously many messages."""

    list_display = (_range, _decision, instant("held_at"), instant("decided_at"))
    ordering = ("-held_at",)
    fields: ClassVar[Any] = (_range, _decision, "held_at", "decided_at")
    readonly_fields: ClassVar[Any] = (_range, _decision)
    verbs = (
        Verb("release", "Let through", _let_through, _is_undecided),
        Verb("stop", "Stop", _stop, _is_undecided, is_grave=True),
    )

    def visible(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return super().visible(request, queryset).filter(held_at__isnull=False)


@admin.display(description="share")
def _share(row: OptInCount) -> str:
    return f"{100 * row.confirmed / row.asked:.0f} %" if row.asked else ""


@admin.register(OptInCount)
class OptInCountAdmin(Facts, TenantScopedAdmin):
    """Double opt-ins by day and country: where few confirm, a bot fills in the form."""

    list_display = ("day", "country", "asked", "confirmed", _share)
    ordering = ("-day", "country")
    fields = ("day", "country", "asked", "confirmed")
