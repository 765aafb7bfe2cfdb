"""The admin of the ledger of consent: read by everybody in the tenant, added to by hand with proof, never changed."""

import re
from dataclasses import replace
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminSplitDateTime
from django.db.models import QuerySet
from django.http import HttpRequest

from compliance import consent
from compliance.consent import ledger
from compliance.consent_models import Consent
from compliance.consent_rules import Event, Source, Tier
from compliance.policy import Category
from smsplatform.common import database, mailbox, masking
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_private import NUMBER, REVEAL, Private, hidden
from smsplatform.tenancy.admin_scope import TenantForm, actor_of
from smsplatform.tenancy.admin_verbs import VerbsAdmin
from smsplatform.tenancy.models import Brand

_E164: Final = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_ADDRESS: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_BY_HAND: Final = (Source.PAPER, Source.VERBAL, Source.POS)
_EVENTS: Final = {Event.GRANTED: "the person consented", Event.CORRECTED: "what stands is wrong: only this holds"}


class ConsentForm(TenantForm):
    """A consent given on paper, by word or at a till; whoever enters it vouches for it."""

    number = forms.CharField(
        max_length=254, help_text="With the country code, like +12025550123; or an e-mail address."
    )
    event = forms.ChoiceField(choices=[(event.value, words) for event, words in _EVENTS.items()], label="What happened")
    category = forms.ChoiceField(choices=[("", "every category"), *Category.choices()], required=False)
    tier = forms.ChoiceField(
        choices=[(tier.value, tier.value) for tier in reversed(Tier)],
        help_text="Marketing needs written consent: signed, after reading the words below.",
    )
    source = forms.ChoiceField(choices=[(source.value, source.value) for source in _BY_HAND], label="How")
    occurred_at = forms.SplitDateTimeField(label="When", widget=AdminSplitDateTime, help_text="In UTC.")
    shown = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "cols": 80}),
        label="What the person was shown",
        help_text="Word for word. Written consent needs it.",
    )
    evidence_file = forms.CharField(
        max_length=400, label="Where the proof is kept", help_text="The scan, the recording, the folder."
    )

    class Meta:
        model = Consent
        fields = ("brand", "number", "event", "category", "tier", "source", "occurred_at", "action", "identity")

    signer = "whoever enters it"

    def clean_number(self) -> str:
        typed = str(self.cleaned_data["number"]).strip()
        if _ADDRESS.fullmatch(typed):
            return mailbox.spelled(typed)
        number = re.sub(r"[\s().-]", "", typed)
        if not _E164.fullmatch(number):
            raise forms.ValidationError("Write it in full, with the country code, like +12025550123.")
        return number

    def clean(self) -> dict[str, Any]:
        brand = self.cleaned_data.get("brand")
        if brand is not None:
            self.instance.tenant = brand.tenant
        cleaned = super().clean()
        if not self.errors:
            try:
                ledger.check(**self._record(), now=database.now())
            except InvalidInput as error:
                name = {"disclosure": "shown"}.get(error.field, error.field)
                self.add_error(name if name in self.fields else None, error.message)
        return cleaned

    def record(self) -> int | None:
        """Add what was typed to the ledger and return its id."""
        return consent.record(
            brand=self.cleaned_data["brand"],
            number=self.cleaned_data["number"],
            category=self.cleaned_data["category"],
            identity=self.cleaned_data["identity"],
            now=database.now(),
            **self._record(),
        )

    def _record(self) -> dict[str, Any]:
        said = self.cleaned_data
        return {
            "event": Event(said["event"]),
            "tier": said["tier"],
            "source": Source(said["source"]),
            "occurred_at": said["occurred_at"],
            "action": said["action"],
            "disclosure": said["shown"],
            "attested_by": self.signer,
            "evidence_file": said["evidence_file"],
        }


@admin.display(description="what the person was shown")
def _shown(row: Consent) -> str:
    return row.disclosure.text if row.disclosure else ""


@admin.display(description="what the importer signed")
def _signed(row: Consent) -> str:
    return row.attestation.text if row.attestation else ""


@admin.display(description="identity")
def _identity(row: Consent) -> str:
    return masking.text(row.identity)


@admin.display(description="identity")
def _has_identity(row: Consent) -> str:
    return "is on record" if row.identity else ""


@admin.display(description="page")
def _page(row: Consent) -> str:
    return masking.text(row.page_url)


@admin.display(description="network")
def _network(row: Consent) -> str:
    return masking.ip(row.ip or "")


@admin.register(Consent)
class ConsentAdmin(Private, VerbsAdmin, BigTableAdmin):
    """What happened to people's consent. All of a person's evidence, unmasked, is in the export on the person's page."""

    form = ConsentForm
    stand_ins: ClassVar[Any] = {
        _identity: _has_identity,
        "inbound_text": hidden("inbound text", lambda text: f"{len(text):,} characters"),
    }
    change_role = delete_role = None
    list_display = (instant("occurred_at"), NUMBER, "brand", "category", "event", "tier", "source", "action")
    list_select_related = ("brand",)
    list_filter = ("brand", "event", "tier", "source")
    search_fields = ("number",)
    search_help_text = "The whole number, like +12025550123."
    ordering = ("-pk",)
    newest = 100_000
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("brand", NUMBER, _identity)}),
        (
            "What happened",
            {
                "fields": (
                    "event", "category", "tier", "is_undated", "occurred_at", "recorded_at", "expires_at", "source", "action",
                    "basis", "reason", _shown,
                )
            },
        ),
        ("On a page", {"fields": (_page, "form_id", _network, "user_agent", "session_id")}),
        ("By a text", {"fields": ("inbound_id", "inbound_text", "our_number")}),
        ("Vouched for", {"fields": ("attested_by", _signed, "original_date", "evidence_file", "import_id")}),
    )  # fmt: skip
    readonly_fields: ClassVar[Any] = (NUMBER, _identity, _page, _network, _shown, _signed)
    verbs = (replace(REVEAL, is_offered=lambda row: ":" not in row.number),)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None:
            return super().get_fieldsets(request, obj)
        who = ("brand", "number", "identity")
        what = ("event", "category", "tier", "source", "occurred_at", "action", "shown", "evidence_file")
        help_text = (
            "It is added to the ledger under your name, and can never be changed. To stop texting: add a suppression."
        )
        return ((None, {"fields": who, "description": help_text}), ("What happened", {"fields": what}))

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[Any, bool]:
        if search_term.strip():  # the ledger is found by brand and number
            brands = self.admin_site.get_model_admin(Brand).get_queryset(request).values_list("pk", flat=True)
            queryset = queryset.filter(brand__in=list(brands))
        return super().get_search_results(request, queryset, search_term)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: ARG002, FBT001 - Django's
        form.signer = actor_of(request)
        obj.pk = form.record()
        obj.refresh_from_db()
