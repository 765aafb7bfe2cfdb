"""What providers tell us: raw requests, and the receipts and replies read from them."""

from django.db import models
from django.utils import timezone

from campaigns.models.dispatch import _loose
from compliance import keywords
from providers.models import ProviderAccount
from smsplatform.common import masking
from smsplatform.common.models import TenantQuerySet
from smsplatform.tenancy.models import Brand, Tenant


class SeenEvent(models.Model):
    """A vendor's event that is stored already. Small and unpartitioned, so that "once" holds over month ends (R44)."""

    account = models.ForeignKey(ProviderAccount, on_delete=models.CASCADE, db_constraint=False, related_name="+")
    tenant = _loose(Tenant)
    key = models.CharField(max_length=200)
    seen_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "key"], name="event_seen_once")]

    def __str__(self) -> str:
        return self.key


class RawEvent(models.Model):
    """A verified webhook request as it came. `applied_at` is empty while it is news; parked ones have a `retry_at`."""

    tenant = _loose(Tenant)
    account = models.ForeignKey(
        ProviderAccount, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    method = models.CharField(max_length=8)
    url = models.TextField()
    headers = models.JSONField(default=dict)
    body = models.BinaryField()
    news = models.JSONField(default=list, help_text="The places of its events that had not come before.")
    received_at = models.DateTimeField(default=timezone.now)
    applied_at = models.DateTimeField(null=True)
    retry_at = models.DateTimeField(null=True, help_text="No dispatch fits yet; looked at again at this time.")
    flaw = models.CharField(max_length=200, blank=True, help_text="Why it could not be read or matched.")

    objects = TenantQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["id"], condition=models.Q(applied_at=None), name="event_unapplied")]

    def __str__(self) -> str:
        return f"event {self.pk} at {self.received_at:%F %T}"


class ProviderMessage(models.Model):
    """A provider's id of a message of ours, kept for the report horizon; a long text may have one per part."""

    account = models.ForeignKey(
        ProviderAccount, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    tenant = _loose(Tenant)
    provider_id = models.CharField(max_length=80)
    dispatch_id = models.UUIDField()
    flight = models.SmallIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "provider_id"], name="one_message_per_provider_id")]

    def __str__(self) -> str:
        return self.provider_id


class Receipt(models.Model):
    """A delivery report, normalised. A fact: rows are only ever added."""

    tenant = _loose(Tenant)
    raw = models.ForeignKey(
        RawEvent, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    place = models.SmallIntegerField(help_text="Its place in the request.")
    dispatch_id = models.UUIDField(db_index=True)
    flight = models.SmallIntegerField()
    provider_id = models.CharField(max_length=80, blank=True)
    part = models.CharField(
        max_length=80, blank=True, db_default="", help_text="Which part of the text, where the vendor reports on each."
    )
    status = models.CharField(max_length=12)
    code = models.CharField(max_length=60, blank=True)
    detail = models.CharField(max_length=200, blank=True)
    received_at = models.DateTimeField()

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["raw", "place"], name="one_receipt_per_event")]

    def __str__(self) -> str:
        return f"{self.dispatch_id} {self.status}"


class Reply(models.Model):
    """A message from a person, normalised, with what it is taken for and what became of it.

    An opt-out holds from the moment the row is committed. What else a text asks for, its answer included, is done in
    the transaction that empties `apply_at`.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, null=True, related_name="+")
    raw = models.ForeignKey(
        RawEvent, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    account = models.ForeignKey(ProviderAccount, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    provider_id = models.CharField(max_length=80, blank=True)
    number = models.CharField(max_length=254, help_text="The person's.")
    to = models.CharField(max_length=254, help_text="Ours.")
    text = models.TextField(blank=True)
    media = models.JSONField(default=list)
    kind = models.CharField(
        max_length=16,
        blank=True,
        default="",
        db_default="",
        choices=[(kind.value, kind.value.replace("_", "-")) for kind in keywords.Kind],
        help_text="What it is taken for; empty: pieces of it are missing.",
    )
    rule = models.CharField(
        max_length=60, blank=True, default="", db_default="", help_text="Which rule of which edition said so."
    )
    answered_as = models.CharField(
        max_length=10, blank=True, default="", db_default="", help_text="What the vendor itself has answered it as."
    )
    is_opt_out = models.BooleanField(default=False)
    review_until = models.DateTimeField(
        null=True, help_text="It may be an opt-out: until this somebody can say that it is none."
    )
    reviewed_at = models.DateTimeField(null=True)
    reviewed_by = models.CharField(max_length=120, blank=True, default="", db_default="")
    apply_at = models.DateTimeField(null=True, help_text="When what it asks for is done; empty: nothing is left to do.")
    answer = models.UUIDField(null=True, help_text="The dispatch that answers it.")
    answer_rule = models.CharField(
        max_length=60, blank=True, default="", db_default="", help_text="Why it was answered, or was not."
    )
    received_at = models.DateTimeField()
    tidied_at = models.DateTimeField(null=True, help_text="The person's waiting dispatches are blocked since then.")
    whole = models.CharField(
        max_length=120, blank=True, db_default="", help_text="The vendor's mark of a long message that comes in pieces."
    )
    pieces = models.JSONField(
        default=dict, db_default=models.Value({}, models.JSONField()), help_text="Its texts by number."
    )
    pieces_due = models.SmallIntegerField(
        db_default=0, default=0, help_text="How many there will be; 0: it came whole."
    )

    objects = TenantQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "replies"
        indexes = [
            models.Index(fields=["id"], condition=models.Q(is_opt_out=True, tidied_at=None), name="reply_untidied"),
            models.Index(fields=["apply_at"], condition=models.Q(apply_at__isnull=False), name="reply_unapplied"),
            models.Index(
                fields=["review_until"],
                condition=models.Q(review_until__isnull=False, reviewed_at=None),
                name="reply_unreviewed",
            ),
            models.Index(fields=["number", "brand"], name="reply_by_person"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "whole"], condition=~models.Q(whole=""), name="one_reply_per_long_message"
            ),
            models.UniqueConstraint(fields=["answer"], name="one_reply_per_answer"),
        ]

    def __str__(self) -> str:
        return f"{masking.number(self.number)} at {self.received_at:%F %T}"


class ReviewedReply(Reply):
    """A message that may be an opt-out: somebody has to read it."""

    class Meta:
        proxy = True
        verbose_name = "reply to review"
        verbose_name_plural = "replies to review"


class Conversation(models.Model):
    """The last words of a person to a brand. Its row is the lock under which that person's texts are applied (R37)."""

    tenant = _loose(Tenant)
    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, db_index=False, related_name="+")
    number = models.CharField(max_length=254, help_text="E.164, or an e-mail address.")
    stopped_at = models.DateTimeField(null=True, help_text="When the latest opt-out came.")
    started_at = models.DateTimeField(null=True, help_text="When the latest opt-in came that was followed.")
    stop_answered_at = models.DateTimeField(null=True)
    help_answered_at = models.DateTimeField(null=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["brand", "number"], name="one_conversation")]

    def __str__(self) -> str:
        return f"{masking.number(self.number)} and brand {self.brand_id}"
