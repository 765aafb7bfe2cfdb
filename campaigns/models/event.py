"""What providers tell us: raw requests, and the receipts and replies read from them."""

from django.db import models
from django.utils import timezone

from campaigns.models.dispatch import _loose
from providers.models import ProviderAccount
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
    """A message from a person, normalised."""

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
    is_opt_out = models.BooleanField(default=False)
    received_at = models.DateTimeField()
    tidied_at = models.DateTimeField(null=True, help_text="The person's waiting dispatches are blocked since then.")
    whole = models.CharField(
        max_length=120, blank=True, db_default="", help_text="The vendor's mark of a long message that comes in pieces."
    )
    pieces = models.JSONField(
        default=dict, db_default=models.Value({}, models.JSONField()), help_text="Its texts by number."
    )

    objects = TenantQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "replies"
        indexes = [
            models.Index(fields=["id"], condition=models.Q(is_opt_out=True, tidied_at=None), name="reply_untidied")
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "whole"], condition=~models.Q(whole=""), name="one_reply_per_long_message"
            )
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.text[:40]}"
