"""The admin of what forbids or limits a text, and of what people are answered; of suppressions in suppression_admin.py."""

from typing import Any, ClassVar

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from compliance import (
    admin_hours,  # noqa: F401 - registers blackouts, regional holds and the page of rules
    automatic_texts,
    consent_admin,  # noqa: F401 - registers itself
    suppression_admin,  # noqa: F401 - registers itself
)
from compliance.keywords import Purpose
from compliance.models import AutomaticTexts, ErasedPerson, Permit
from smsplatform.common import database
from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_private import NUMBER
from smsplatform.tenancy.admin_scope import Facts, TenantScopedAdmin, long_text


@admin.register(Permit)
class PermitAdmin(Facts, BigTableAdmin):
    """Reservations: one for each dispatch whose state holds one."""

    list_display = ("dispatch_id", "brand", NUMBER, "is_person_capped", instant("at"), "over_cap")
    list_select_related = ("brand",)
    search_fields = ("dispatch_id",)
    search_help_text = "The whole id of a dispatch."
    ordering = ("-pk",)
    readonly_fields: ClassVar[Any] = (NUMBER,)
    fields: ClassVar[Any] = (
        "dispatch_id", "brand", NUMBER, "is_person_capped", "windows", "charges", "claim_windows",
        "claim_charges", "at", "over_cap",
    )  # fmt: skip


@admin.register(ErasedPerson)
class ErasedPersonAdmin(Facts, BigTableAdmin):
    """People who asked to be forgotten. Who they are, nobody can say any more."""

    list_display = (
        "__str__",
        instant("asked_at"),
        "asked_by",
        "is_suppressed",
        instant("erased_at"),
        instant("done_at"),
    )
    ordering = ("-pk",)
    fields = ("reason", "asked_by", "asked_at", "is_suppressed", "erased_at", "done_at", "counts")


_TITLES = {
    Purpose.OPT_OUT: "answer to STOP",
    Purpose.HELP: "answer to HELP",
    Purpose.OPT_IN: "answer to START",
    Purpose.ASK: "question of a double opt-in",
}


@admin.display(description="what is sent now")
def _shown_texts(texts: AutomaticTexts) -> SafeString | str:
    """Each text as it would go out today, or what it lacks."""
    if texts.brand_id is None:
        return "Save it to see the texts."
    day = database.now().date()
    program = automatic_texts.program_of(texts)
    lines = []
    for purpose in automatic_texts.FIELDS:
        worded = automatic_texts.text(texts, purpose=purpose, day=day)
        lacks = " ".join(automatic_texts.explain(worded, program=program))
        told = worded.text if worded.is_fit else f"Not sent: {lacks}"
        lines.append((_TITLES[purpose], told))
    return format_html('<dl class="texts">{}</dl>', format_html_join("", "<dt>{}</dt><dd>{}</dd>", lines))


@admin.register(AutomaticTexts)
class AutomaticTextsAdmin(TenantScopedAdmin):
    """What brands tell people who text STOP, HELP or START."""

    list_display = ("brand", "program", "monthly", "help_page", "help_phone", "help_email")
    list_select_related = ("brand",)
    list_filter = ("brand",)
    search_fields = ("program",)
    fieldsets: ClassVar[Any] = (
        (
            None,
            {
                "fields": ("brand", "program", "monthly", ("help_page", "help_phone", "help_email"), _shown_texts),
                "description": "The texts are made of these facts. One that lacks what the law asks for is not sent.",
            },
        ),
        (
            "Own words",
            {
                "fields": ("opt_out_text", "help_text", "opt_in_text", "ask_text"),
                "description": "Each in one segment, without an offer. They are checked when you save.",
            },
        ),
        ("How texts from people are read", {"fields": ("languages", "reviews_intent_abroad")}),
    )
    readonly_fields: ClassVar[Any] = (_shown_texts,)
    formfield_overrides = long_text(3)
    autocomplete_fields = ("brand",)
