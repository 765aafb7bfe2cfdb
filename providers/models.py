"""Our accounts at providers and the senders we text from."""

import secrets
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, URLValidator
from django.db import models
from django.utils import timezone

from providers import adapters
from providers.adapters.base import Adapter
from smsplatform.common import crypto
from smsplatform.common.models import TenantQuerySet, TenantScoped
from smsplatform.tenancy.models import Brand


def account_key() -> str:
    """Return an unguessable path element for webhooks."""
    return secrets.token_urlsafe(18)


class ProviderAccount(TenantScoped):
    """A tenant's credentials at one provider, with its limits and its pause switch."""

    name = models.CharField(max_length=120)
    provider = models.CharField(max_length=40, help_text="The adapter's slug.")
    key = models.CharField(max_length=40, unique=True, default=account_key, editable=False)
    secret = models.TextField(editable=False, help_text="The credentials, encrypted.")
    base_url = models.CharField(
        max_length=200,
        blank=True,
        validators=[URLValidator(schemes=["http", "https"])],
        help_text="Empty: the vendor's.",
    )
    segments_per_second = models.FloatField(null=True, blank=True, validators=[MinValueValidator(0.01)])
    concurrency = models.PositiveSmallIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    timeout = models.FloatField(null=True, blank=True, validators=[MinValueValidator(1)], help_text="Seconds.")
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="one_account_name")]

    def __str__(self) -> str:
        return f"{self.name} ({self.provider})"

    def set_credentials(self, values: dict[str, Any]) -> None:
        """Check the values against the adapter's declared credentials and keep them encrypted."""
        adapter = adapters.get(self.provider)
        try:
            adapter.Credentials(**values)
        except TypeError as error:
            raise ValidationError(f"credentials of {self.provider}: {error}") from None
        self.secret = crypto.encrypt(values, tenant_id=self.tenant_id)

    def adapter(self) -> Adapter:
        """Return this account's dialect, credentials inside."""
        kind = adapters.get(self.provider)
        values = crypto.decrypt(self.secret, tenant_id=self.tenant_id)
        return kind(credentials=kind.Credentials(**values), base_url=self.base_url)


class Sender(TenantScoped):
    """A number or id that a brand texts from, at one account. `position` is the order in which accounts are tried."""

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, related_name="senders")
    account = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT, related_name="senders")
    address = models.CharField(max_length=40, help_text="E.164 number, short code or id.")
    position = models.PositiveSmallIntegerField(default=0, help_text="The lowest is tried first.")
    segments_per_second = models.FloatField(null=True, blank=True, validators=[MinValueValidator(0.01)])
    is_active = models.BooleanField(default=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            # Shared senders are forbidden: one person's STOP must reach exactly one brand.
            models.UniqueConstraint(fields=["account", "address"], name="one_brand_per_sender"),
        ]

    def __str__(self) -> str:
        return self.address
