"""The admin of short links and the hits on them."""

from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import admin
from django.utils.html import format_html

from smsplatform.common import masking
from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_private import Private
from smsplatform.tenancy.admin_scope import Facts
from tracking import verdicts
from tracking.models import Click, Link
from tracking.verdicts import in_words


@admin.display(description="short link")
def _address(link: Link) -> str:
    return f"{settings.LINK_SCHEME}://{link.host}/{link.code}"


@admin.display(description="destination")
def _host(link: Link) -> str:
    """The host alone: the rest of an address may be made of a person's fields."""
    return urlsplit(link.destination).hostname or ""


@admin.display(description="headers")
def _signals(click: Click) -> Any:
    return format_html("<code>{}</code>", click.signals)


@admin.display(description="network")
def _network(click: Click) -> str:
    return masking.ip(click.ip or "")


@admin.display(description="why")
def _why(click: Click) -> str:
    return in_words(click.reasons)


@admin.display(description="points")
def _points(click: Click) -> str:
    return f"{click.points} of {verdicts.SUSPECT_FROM} that make it suspected"


@admin.register(Link)
class LinkAdmin(Private, Facts, BigTableAdmin):
    """Short links, one per dispatch and position."""

    stand_ins: ClassVar[Any] = {"destination": _host}
    list_display = ("code", "host", "destination", "dispatch_id", instant("created_at"), instant("expires_at"))
    search_fields = ("code", "dispatch_id")
    search_help_text = "A whole code, or the whole id of a dispatch."
    ordering = ("-pk",)
    fields: ClassVar[Any] = (
        _address,
        "destination",
        "dispatch_id",
        "position",
        "created_at",
        "expires_at",
        "killed_at",
    )
    readonly_fields: ClassVar[Any] = (_address,)


@admin.register(Click)
class ClickAdmin(Facts, BigTableAdmin):
    """Hits on short links, and whether they were people."""

    list_display = (instant("at"), "code", "verdict", "subtype", _why, "method", _network, "user_agent", "dispatch_id")
    list_filter = ("verdict",)
    search_fields = ("code",)
    search_help_text = "A whole code."
    ordering = ("-pk",)
    newest = 100_000
    fields: ClassVar[Any] = (
        "at", "code", "dispatch_id", "verdict", "subtype", _why, _points, "list_version", "method", _network, "user_agent",
        _signals,
    )  # fmt: skip
    readonly_fields: ClassVar[Any] = (_why, _points, _network, _signals)
