"""Our accounts at providers and the senders we text from."""

import re
import secrets
from dataclasses import fields
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.fields.ranges import RangeOperators
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, URLValidator
from django.db import models
from django.utils import timezone

from providers import adapters
from providers.adapters.base import Adapter
from smsplatform.common import crypto, mailbox, phone
from smsplatform.common.models import TenantQuerySet, TenantScoped
from smsplatform.tenancy.models import Brand, Tenant

log = structlog.get_logger("account")

# Why an account's adapter cannot be made: an unreadable secret, no such adapter, other credentials or options than it has.
UNUSABLE: Final = (crypto.UndecryptableSecret, LookupError, TypeError, ValueError)

# A telephone number, a short code, a name of up to 11 signs, a vendor's id of a pool of numbers, or an e-mail address.
_ADDRESS: Final = re.compile(
    r"\+[1-9][0-9]{6,14}|[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 _.-]{1,11}|[A-Za-z0-9-]{20,40}|[^@\s]+@[^@\s]+\.[^@\s]+"
).fullmatch

# All of these but names: what a person may answer.
ANSWERABLE: Final = r"^\+?[0-9]+$|^[A-Za-z0-9-]{20,}$|@"
_SHORT_CODE: Final = re.compile(r"[0-9]{3,8}").fullmatch
TOLL_FREE: Final = re.compile(r"\+18(?:00|33|44|55|66|77|88)[0-9]{7}").fullmatch


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
        validators=[URLValidator(schemes=["http", "https", "smtp", "smtps"])],
        help_text="Empty: the vendor's.",
    )
    segments_per_second = models.FloatField(null=True, blank=True, validators=[MinValueValidator(0.01)])
    concurrency = models.PositiveSmallIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    timeout = models.FloatField(null=True, blank=True, validators=[MinValueValidator(1)], help_text="Seconds.")
    options = models.JSONField(
        default=dict, blank=True, help_text="What this account does otherwise than the adapter's defaults."
    )
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
        """Return this account's dialect, credentials inside; raises one of UNUSABLE."""
        kind = adapters.get(self.provider)
        values = crypto.decrypt(self.secret, tenant_id=self.tenant_id)
        return kind(kind.Credentials(**values), self.base_url, kind.Options(**self.options))

    def usable_adapter(self) -> Adapter | None:
        """Return the dialect, or None where the settings cannot be used: one such account must stop no other."""
        try:
            return self.adapter()
        except UNUSABLE as error:
            log.error("account.unusable", account=self.pk, provider=self.provider, error=type(error).__name__)  # noqa: TRY400 - the traceback would show options
            return None

    @property
    def has_webhook_token(self) -> bool:
        """Return whether the addresses that the vendor calls end with a token, as it signs nothing."""
        kind = adapters.ADAPTERS.get(self.provider)
        return kind is not None and any(each.name == "webhook_token" for each in fields(kind.Credentials))

    def check_options(self) -> None:
        """Raise ValidationError unless the adapter takes this account's options and address.

        A flaw of an option begins with its name.
        """
        kind = adapters.get(self.provider)
        names = {each.name for each in fields(kind.Options)}
        unknown = sorted(set(self.options) - names)
        if unknown:
            known = f"it has {', '.join(sorted(names))}" if names else "it has none"
            raise ValidationError({"options": f"{self.provider} has no option {unknown[0]}; {known}"})
        try:
            address = self.adapter().base_url
        except ValueError as error:
            name, _, problem = str(error).partition(": ")
            raise ValidationError({"base_url": problem} if name == "base_url" else {"options": str(error)}) from None
        if (urlsplit(address).hostname or "").endswith(".invalid"):
            remedy = "enter where its API is" + (
                ", or the option that is part of it" if "{" in kind.default_base_url else ""
            )
            raise ValidationError({"base_url": f"is missing: {self.provider} has no usual one; {remedy}"})


class AccountHealth(models.Model):
    """The breaker of an account; without a row it is well. Only `providers.health` writes it, by compare-and-set.

    BROKEN: nothing goes through it but, at `probe_at`, one canary. RECOVERY: that canary is on its way.
    """

    class State(models.TextChoices):
        OK = "ok"
        BROKEN = "broken"
        RECOVERY = "recovery"

    account = models.OneToOneField(ProviderAccount, on_delete=models.CASCADE, primary_key=True, related_name="health")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=8, choices=State.choices, default=State.OK)
    since = models.DateTimeField(default=timezone.now)
    reason = models.CharField(max_length=200, blank=True)
    probe_at = models.DateTimeField(null=True, help_text="When the next canary may go.")
    pause = models.FloatField(default=0, help_text="Seconds between the canaries of this outage.")
    canaries = models.PositiveSmallIntegerField(default=0, help_text="Canaries in a row that came through.")
    switches = ArrayField(models.DateTimeField(), default=list, help_text="When it broke and came back, of late.")

    objects = TenantQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "account health"

    def __str__(self) -> str:
        return f"{self.account_id}: {self.state}"


class Registration(TenantScoped):
    """What carriers know a brand's texts by: a 10DLC campaign, a verified toll-free number, a short code's programme.

    Carriers count per registration, whatever the number of senders (R67).
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        APPROVED = "approved"
        REJECTED = "rejected"

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, related_name="registrations")
    name = models.CharField(max_length=60, help_text="The registry's id, like CXXXXXX of a 10DLC campaign.")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.PENDING)
    segments_per_second = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.01)],
        help_text="Over all of its senders; empty: no own limit.",
    )

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="one_registration_name")]

    def __str__(self) -> str:
        return f"{self.name} ({self.status})"


class Sender(TenantScoped):
    """A number or id that a brand texts from, at one account.

    The brand's senders of the lowest `position` that fit a person share the load by `weight`, each person keeping
    theirs; the next position is for when none of these can be used.
    """

    class Kind(models.TextChoices):
        LONG_CODE = "long_code", "long code"
        TOLL_FREE = "toll_free", "toll-free number"
        SHORT_CODE = "short_code", "short code"
        ALPHANUMERIC = "alphanumeric", "name"
        EMAIL = "email", "e-mail address"

    class OptOutMode(models.TextChoices):
        PROVIDER_DEFAULT = "provider_default", "the provider answers its usual words"
        PROVIDER_ADVANCED = "provider_advanced", "the provider's opt-out service, switched on for it, answers"
        SELF = "self", "we do: the provider handles no words on it"
        NETWORK_TOLLFREE = "network_tollfree", "the toll-free network answers STOP, START and UNSTOP"

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, related_name="senders")
    account = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT, related_name="senders")
    address = models.CharField(max_length=120, help_text="E.164 number, short code, id, or e-mail address.")
    kind = models.CharField(
        max_length=12, choices=Kind.choices, blank=True, help_text="The vendor's usual rate for this kind applies."
    )
    opt_out_mode = models.CharField(
        "who answers STOP and HELP",
        max_length=20,
        choices=OptOutMode.choices,
        blank=True,
        db_default="",
        default="",
        help_text="Empty: the toll-free network on toll-free numbers, we on short codes, else the provider, as far as it"
        " does. People must never get two answers, nor none.",
    )
    position = models.PositiveSmallIntegerField(default=0, help_text="The lowest is tried first.")
    weight = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1)], help_text="Share among the senders of one position."
    )
    countries = ArrayField(
        models.CharField(max_length=2), default=list, blank=True, help_text="Only for these; empty: for all."
    )
    registration = models.ForeignKey(
        Registration,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="senders",
        help_text="If given, it must be approved before anything is sent.",
    )
    segments_per_second = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.01)], help_text="Empty: what is usual for its kind."
    )
    is_active = models.BooleanField(default=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            # Shared senders are forbidden: one person's STOP must reach exactly one brand.
            models.UniqueConstraint(fields=["account", "address"], name="one_brand_per_sender"),
            # Nor may two accounts, two vendors or two clients share one. Names cannot be answered: they may.
            ExclusionConstraint(
                name="one_brand_per_address",
                expressions=[("address", RangeOperators.EQUAL), ("brand", RangeOperators.NOT_EQUAL)],
                condition=models.Q(address__regex=ANSWERABLE),
                violation_error_message="this address texts for another brand; a person's STOP must reach exactly one",
            ),
        ]

    def __str__(self) -> str:
        return self.address

    @property
    def is_short_code(self) -> bool:
        """Return whether it is one; by its kind, or by its digits where that is not given."""
        return self.kind == self.Kind.SHORT_CODE or (not self.kind and _SHORT_CODE(self.address) is not None)

    @property
    def keyword_mode(self) -> str:
        """Return who answers keywords on it: what was entered, or what is usual for its kind."""
        if self.opt_out_mode:
            return self.opt_out_mode
        if self.kind == self.Kind.TOLL_FREE or (not self.kind and TOLL_FREE(self.address) is not None):
            return self.OptOutMode.NETWORK_TOLLFREE
        return self.OptOutMode.SELF if self.is_short_code else self.OptOutMode.PROVIDER_DEFAULT

    @property
    def answered_words(self) -> frozenset[str]:
        """Return the words that the vendor itself answers on it."""
        kind = adapters.ADAPTERS.get(self.account.provider)
        if kind is None or self.keyword_mode == self.OptOutMode.SELF:
            return frozenset()
        is_advanced = self.keyword_mode == self.OptOutMode.PROVIDER_ADVANCED
        return kind.answered_words | (kind.words_of_opt_out_service if is_advanced else frozenset())

    @property
    def is_answered_by_beginning(self) -> bool:
        """Return whether the vendor looks only at how a text begins."""
        kind = adapters.ADAPTERS.get(self.account.provider)
        return kind is not None and kind.answers_beginnings

    def clean(self) -> None:
        """Refuse what could never send, or whose replies would find no brand; spell the address as it will be stored."""
        self.address = mailbox.spelled(self.address.strip())
        flaws = {}
        try:
            self.countries = phone.countries(self.countries)
        except ValueError as error:
            flaws["countries"] = str(error)
        if self.brand_id and self.registration is not None and self.registration.brand_id != self.brand_id:
            flaws["registration"] = f"{self.registration.name} is the registration of another brand; each has its own"
        if flaw := self._flaw_of_address() or self._flaw_of_sharing():
            flaws["address"] = flaw
        if flaws:
            raise ValidationError(flaws)

    def _flaw_of_address(self) -> str:
        if not _ADDRESS(self.address):
            return (
                f"{self.address!r} is no sender; write a number like +18885550123, a short code like 12345, a name of up"
                " to 11 letters, an id, or an e-mail address"
            )
        kind = adapters.ADAPTERS.get(self.account.provider) if self.account_id else None
        if kind is None or (kind.channel == "email") == ("@" in self.address):
            return ""
        wanted = "an e-mail address" if kind.channel == "email" else "a number, short code, name or id"
        return f"{kind.title} cannot send from {self.address}; give {wanted}"

    def _flaw_of_sharing(self) -> str:
        """Return why the address is another brand's; who another client is, is not said."""
        if not self.brand_id or not re.search(ANSWERABLE, self.address):
            return ""
        other = Sender.objects.filter(address=self.address).exclude(brand=self.brand_id).select_related("brand").first()
        if other is None:
            return ""
        whose = other.brand.slug if other.tenant_id == self.tenant_id else "another client"
        return (
            f"{self.address} already texts for {whose}; a person's STOP must reach exactly one brand, so give this brand"
            " a number of its own, or delete the sender there first"
        )

    def save(self, **options: Any) -> None:
        """Save it; an e-mail address in its one spelling, as it is looked up by what people answer to."""
        self.address = mailbox.spelled(self.address)
        super().save(**options)


class Pin(TenantScoped):
    """An operator's decision that a brand sends through one account only, whatever automation thinks of it."""

    brand = models.OneToOneField(Brand, on_delete=models.CASCADE, related_name="pin")
    account = models.ForeignKey(ProviderAccount, on_delete=models.CASCADE, related_name="pins")
    reason = models.CharField(max_length=120)
    pinned_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TenantQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.brand} through {self.account}"

    def clean(self) -> None:
        """Refuse an account through which the brand can send nothing."""
        if not self.brand_id or not self.account_id:
            return
        if not Sender.objects.filter(brand=self.brand_id, account=self.account_id, is_active=True).exists():
            raise ValidationError(
                {"account": f"{self.brand.slug} has no active sender at {self.account.name}; add one first"}
            )


class Price(TenantScoped):
    """What a message segment costs through an account, for estimates. In millionths of the currency: a cent is 10,000."""

    account = models.ForeignKey(ProviderAccount, on_delete=models.CASCADE, related_name="prices")
    country = models.CharField(
        max_length=2, blank=True, help_text="Of the person's number, like US. Empty: every country without its own."
    )
    micros = models.PositiveBigIntegerField(help_text="Millionths of the currency per segment: 0.0079 is 7900.")
    currency = models.CharField(max_length=3, default="USD", help_text="ISO 4217, like USD.")

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["account", "country"]
        constraints = [models.UniqueConstraint(fields=["account", "country"], name="one_price_per_country")]

    def __str__(self) -> str:
        return f"{self.country or 'anywhere'}: {self.micros / 1_000_000:.4f} {self.currency}"

    def clean(self) -> None:
        """Store codes in capitals; one account is paid in one currency."""
        self.currency = self.currency.upper()
        try:
            [self.country] = phone.countries([self.country]) if self.country else [""]
        except ValueError as error:
            raise ValidationError({"country": str(error)}) from None
        if not self.account_id:
            return
        others = Price.objects.filter(account=self.account_id).exclude(pk=self.pk).exclude(currency=self.currency)
        if other := others.first():
            raise ValidationError({"currency": f"the account's other prices are in {other.currency}; use that"})
