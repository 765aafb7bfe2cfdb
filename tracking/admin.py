"""The admin of short links and the hits on them."""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.utils.html import format_html

from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_scope import Facts
from tracking.models import Click, Link


@admin.display(description="short link")
def _address(link: Link) -> str:
    return f"{settings.LINK_SCHEME}://{link.host}/{link.code}"


@admin.display(description="is it a person?")
def _signals(click: Click) -> Any:
    return format_html("<code>{}</code>", click.signals)


@admin.register(Link)
class LinkAdmin(Facts, BigTableAdmin):
    """Short links, one per dispatch and position."""

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
    """Hits on short links."""

    list_display = (instant("at"), "code", "method", "ip", "user_agent", "dispatch_id")
    search_fields = ("code",)
    search_help_text = "A whole code."
    ordering = ("-pk",)
    newest = 100_000
    fields: ClassVar[Any] = ("at", "code", "dispatch_id", "method", "ip", "user_agent", _signals)
    readonly_fields: ClassVar[Any] = (_signals,)
