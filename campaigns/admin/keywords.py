"""The admin of the words that brands have given a meaning."""

from typing import ClassVar

from django.contrib import admin

from campaigns.models import Keyword
from smsplatform.tenancy.admin_scope import TenantScopedAdmin, long_text


@admin.register(Keyword)
class KeywordAdmin(TenantScopedAdmin):
    """Words like JOIN, by which people get on a list."""

    list_display = ("word", "brand", "people", "category", "tier", "is_active")
    list_select_related = ("brand", "people")
    list_filter = ("brand", "is_active")
    search_fields = ("word",)
    fieldsets: ClassVar = (
        (
            None,
            {
                "fields": ("brand", "word", "people", "welcome", "is_active"),
                "description": "Who texts this word, and nothing else, to a number of the brand gets on the list and is"
                " welcomed. STOP, HELP, START and their kin always mean what they mean.",
            },
        ),
        (
            "What the person agrees to",
            {
                "fields": ("category", "tier", "disclosure"),
                "description": "It is put on record with each opt-in, word for word.",
            },
        ),
    )
    formfield_overrides = long_text(4)
    autocomplete_fields = ("brand", "people")
