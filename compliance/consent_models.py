"""The tables of consent: what happened, word for word and for ever, and what of it holds now.

`Consent` is evidence: a trigger refuses every change, but through the doors of `compliance.consent.doors` (erasure,
retention). `ConsentState` follows from it alone, and is what the send gate reads: one row per brand, number and
category, kept by `compliance.consent.states` in the transaction that adds the evidence.
"""

import uuid
from typing import Any, ClassVar, Final

from django.db import models
from django.utils import timezone

from compliance.consent_rules import Event, Source, Status, Tier
from smsplatform.common import masking
from smsplatform.common.models import TenantQuerySet, TenantScoped
from smsplatform.tenancy.models import Brand, Tenant


def _choices(values: type[Event] | type[Tier] | type[Source] | type[Status]) -> list[tuple[str, str]]:
    return [(value.value, value.value.replace("_", " ")) for value in values]


class Disclosure(TenantScoped):
    """Words that were shown to people, or that an importer signed: verbatim, each stored once by its hash."""

    digest = models.CharField(max_length=64, editable=False, help_text="SHA-256 of the text: its version.")
    text = models.TextField()
    seen_at = models.DateTimeField(default=timezone.now, help_text="When it was first stored.")

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["tenant", "digest"], name="one_disclosure_text")
        ]

    def __str__(self) -> str:
        return self.text[:80]


class Consent(models.Model):
    """One thing that happened to a person's consent. Rows are only ever added."""

    tenant = models.ForeignKey(
        Tenant, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, db_index=False, related_name="+")
    number = models.CharField(
        max_length=254, help_text="E.164, or an e-mail address; of an erased person a keyed hash of it."
    )
    category = models.CharField(max_length=16, blank=True, help_text="What it is about; empty: every category.")
    event = models.CharField(max_length=10, choices=_choices(Event))
    tier = models.CharField(max_length=8, choices=_choices(Tier), blank=True, help_text="Empty: all tiers.")
    occurred_at = models.DateTimeField(help_text="When the person did it.")
    recorded_at = models.DateTimeField(default=timezone.now, help_text="When we stored it.")
    expires_at = models.DateTimeField(null=True, blank=True, help_text="When it ends by itself.")
    is_undated = models.BooleanField(
        default=False, help_text="Nobody knows when it was given, so it outlives no revocation."
    )
    source = models.CharField(max_length=12, choices=_choices(Source))
    action = models.CharField(max_length=200, blank=True, help_text='The act, like "ticked the box" or "texted JOIN".')
    reason = models.CharField(max_length=60, blank=True, help_text="Of an end: why.")
    disclosure = models.ForeignKey(
        Disclosure,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        editable=False,
        related_name="+",
        help_text="What the person was shown.",
    )
    basis = models.CharField(max_length=12, blank=True, help_text="Of implied consent: purchase or inquiry.")
    # a form on a page
    page_url = models.TextField(blank=True)
    form_id = models.CharField(max_length=120, blank=True)
    ip = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.TextField(blank=True)
    session_id = models.CharField(max_length=120, blank=True)
    # a text from the person
    inbound_id = models.BigIntegerField(null=True, blank=True, help_text="The reply.")
    inbound_text = models.TextField(blank=True)
    our_number = models.CharField(max_length=254, blank=True)
    identity = models.CharField(max_length=254, blank=True, help_text="Name, e-mail address or user id, if known.")
    # what somebody else vouches for
    import_id = models.BigIntegerField(null=True, blank=True)
    attested_by = models.CharField(max_length=120, blank=True)
    attestation = models.ForeignKey(
        Disclosure,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        editable=False,
        related_name="+",
        help_text="What they signed.",
    )
    original_date = models.CharField(max_length=60, blank=True, help_text="As it was written in the file.")
    evidence_file = models.CharField(max_length=400, blank=True, help_text="Where the paper or recording is kept.")
    once = models.UUIDField(default=uuid.uuid4, editable=False, help_text="The same for the same evidence.")
    # Who it is about, for seals: provable while number and salt are known, and nothing without them.
    salt = models.UUIDField(null=True, default=uuid.uuid4, editable=False)
    commitment = models.BinaryField(
        default=bytes, editable=False, help_text="SHA-256 of salt, number and identity: stays when they are erased."
    )

    objects = TenantQuerySet.as_manager()

    class Meta:
        verbose_name = "consent record"
        constraints: ClassVar[list[Any]] = [
            # Also how a person's history is found.
            models.UniqueConstraint(fields=["brand", "number", "once"], name="same_consent_once"),
            models.CheckConstraint(
                condition=models.Q(event__in=("revoked", "expired")) | ~models.Q(tier=""),
                name="consent_has_a_tier",
            ),
        ]

    def __str__(self) -> str:
        return f"{masking.number(self.number)} {self.event} {self.tier}".strip()


# What a seal may hash: it never changes, not by an erasure either. Who a record is about is in its commitment, which
# `SEALED_CHECK` compares; once salt and number are erased, nothing but a keyed hash may stand in the number's place.
SEALED_COLUMNS: Final = (
    "id", "tenant_id", "brand_id", "category", "event", "tier", "is_undated", "source", "action", "reason",
    "disclosure_id", "basis", "page_url", "form_id", "inbound_id", "inbound_text", "our_number", "import_id",
    "attested_by", "attestation_id", "original_date", "evidence_file", "commitment",
)  # fmt: skip
SEALED_INSTANTS: Final = ("occurred_at", "recorded_at", "expires_at")
SEALED_CHECK: Final = """
  CASE WHEN salt IS NULL THEN number ~ '^[0-9a-f]{8}:[0-9a-f]{64}$' AND identity = ''
  ELSE commitment = sha256(convert_to(salt::text || '|' || number || '|' || identity, 'UTF8')) END"""


class ConsentState(models.Model):
    """What of a person's consent holds, for one category or (empty) for every category without a row of its own."""

    pk = models.CompositePrimaryKey("brand_id", "number", "category")
    tenant = models.ForeignKey(
        Tenant, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    brand = models.ForeignKey(Brand, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    number = models.CharField(max_length=254)
    category = models.CharField(max_length=16, blank=True)
    tier = models.CharField(max_length=8, blank=True, help_text="The strongest that stands; empty: none.")
    status = models.CharField(max_length=8)
    since = models.DateTimeField(null=True, help_text="When what holds began.")
    expires_at = models.DateTimeField(null=True)
    pending_id = models.BigIntegerField(null=True, help_text="The record that asks for a YES.")
    pending_until = models.DateTimeField(null=True, help_text="Until when a YES is waited for.")
    lapses_at = models.DateTimeField(null=True, help_text="When it has to be looked at again.")
    consent_id = models.BigIntegerField(null=True, help_text="The record that decided.")

    objects = TenantQuerySet.as_manager()

    class Meta:
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["lapses_at"], condition=models.Q(lapses_at__isnull=False), name="consent_lapses")
        ]

    def __str__(self) -> str:
        return f"{masking.number(self.number)}: {self.status} {self.tier}".strip()
