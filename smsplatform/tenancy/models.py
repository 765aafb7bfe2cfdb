"""Who uses the platform: people, client businesses, their brands, keys and the trail of what was done."""

import hashlib
import hmac
import math
import re
import secrets
from datetime import time
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.utils import timezone

from smsplatform.common.models import TenantQuerySet, TenantScoped


class UserManager(BaseUserManager["User"]):
    """Makes people; the e-mail address is the login."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        if not email:
            raise ValueError("email: a user needs an e-mail address")
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, **{**fields, "is_staff": True, "is_superuser": True})

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person; what they may do in a tenant stands in their memberships."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120, blank=True)
    is_staff = models.BooleanField("may use the admin", default=False)
    is_active = models.BooleanField(default=True)
    joined_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.email

    def clean(self) -> None:
        self.email = self.email.lower()


class InformationalHours(models.TextChoices):
    """In which hours a tenant's informational messages go out."""

    FEDERAL = "federal", "08-21 (federal)"
    STATES = "states", "as marketing: the hours of each state"
    NONE = "none", "at any time"


class Tenant(models.Model):
    """A client business."""

    name = models.CharField(max_length=120)
    slug = models.SlugField(unique=True)
    weight = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1)],
        help_text="Turns per round when batches are handed out.",
    )
    countries = ArrayField(
        models.CharField(max_length=2),
        default=list,
        blank=True,
        help_text="Countries whose numbers may be texted; empty means US and CA.",
    )
    informational_hours = models.CharField(
        max_length=8,
        choices=InformationalHours.choices,
        default=InformationalHours.FEDERAL,
        help_text="When order news and reminders may go out, in each recipient's local time.",
    )
    texts_unknown_places = models.BooleanField(
        "text people of unknown place",
        default=True,
        help_text="Marketing to people of whom no place is known, in the hours that are day in all of the United States."
        " Off: never.",
    )
    triggered_countries = ArrayField(
        models.CharField(max_length=2),
        default=list,
        blank=True,
        help_text="Of these, the countries that the API and forms may trigger texts to; empty means US and CA.",
    )
    triggered_segments = models.PositiveIntegerField(
        default=5_000, help_text="Segments a day, to each country, that the API and forms may trigger."
    )
    has_smart_encoding = models.BooleanField(
        "smart encoding",
        default=True,
        help_text="Curly quotes, dashes and the like are sent as plain ones, which cost less.",
    )
    strips_accents = models.BooleanField(
        "no accents",
        default=False,
        help_text="Letters that would double the cost (ł, ç, ș) are sent without their accent. It changes names.",
    )
    banned_hosts = ArrayField(
        models.CharField(max_length=120),
        default=list,
        blank=True,
        help_text="Hosts that no text may lead to, with their subdomains. Public shorteners never may.",
    )
    erasures = models.BigIntegerField(
        db_default=0,
        editable=False,
        help_text="How often somebody was to be forgotten: claims look again when it grows.",
    )
    approve_above = models.PositiveIntegerField(
        null=True, blank=True, help_text="A campaign to more people than this needs a second person. Empty: none does."
    )
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.CheckConstraint(condition=models.Q(weight__gte=1), name="tenant_weight_positive")]

    def __str__(self) -> str:
        return self.name

    @property
    def allowed_countries(self) -> frozenset[str]:
        return frozenset(self.countries or ("US", "CA"))

    @property
    def allowed_triggered_countries(self) -> frozenset[str]:
        """What the API and forms may trigger is never more than what may be texted at all."""
        return frozenset(self.triggered_countries or ("US", "CA")) & self.allowed_countries


class Role(models.TextChoices):
    """What a member may do: each role includes the ones after it."""

    OWNER = "owner"
    MANAGER = "manager"
    VIEWER = "viewer"


class Membership(TenantScoped):
    """A person's role in a tenant."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VIEWER)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "tenant"], name="one_membership")]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.tenant}"


def check_zone(name: str) -> None:
    """Raise ValidationError unless the name is an IANA time zone."""
    import zoneinfo

    if name not in zoneinfo.available_timezones():
        raise ValidationError(f"{name!r} is not an IANA time zone; write it like America/New_York")


class ConsentKept(models.TextChoices):
    """Where the proof of people's consent to a brand's texts is."""

    HERE = "here", "here, in the consent ledger"
    ELSEWHERE = "elsewhere", "elsewhere: the tenant vouches for it"


_LONGEST_STOP_LINE = 60


def check_stop_lines(lines: Any) -> None:
    """Raise ValidationError unless these are lines by language, each of which says STOP."""
    if not isinstance(lines, dict):
        raise ValidationError('write the lines by language, like {"default": "Reply STOP to opt out."}')
    for language, text in lines.items():
        if not re.fullmatch(r"default|[a-z]{2,3}(-[a-z0-9]{2,8}){0,2}", language):
            raise ValidationError(f"{language!r} is no language; write it like es or es-mx, or default for all others")
        if not isinstance(text, str) or not re.search(r"(?<![^\W_])STOP(?![^\W_])", text):
            raise ValidationError(f"{language}: the word STOP is missing; write it in capitals: Reply STOP to opt out.")
        if len(text) > _LONGEST_STOP_LINE:
            raise ValidationError(f"{language}: {len(text)} characters; write at most {_LONGEST_STOP_LINE}")


class Brand(TenantScoped):
    """A tenant's identity towards people: sender numbers, texts, hours, limits, link domain."""

    class OptOutScope(models.TextChoices):
        ALL = "all", "ends all texts of the brand"
        CATEGORY = "category", "in answer to an informational text, ends such texts only"

    name = models.CharField(max_length=120)
    slug = models.SlugField()
    zone = models.CharField(max_length=64, default="America/New_York", validators=[check_zone])
    opens_at = models.TimeField(default=time(8), help_text="First local time of a recipient at which we may text.")
    closes_at = models.TimeField(default=time(21), help_text="Local time of a recipient from which we may not text.")
    sunday_opens_at = models.TimeField(
        null=True, blank=True, help_text="On Sundays instead; both or none. Recommended: 09-20, on Sundays 12-20."
    )
    sunday_closes_at = models.TimeField(null=True, blank=True)
    daily_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text="Messages per day in the brand's zone; empty means no cap."
    )
    person_cap = models.PositiveSmallIntegerField(
        default=3, validators=[MinValueValidator(1)], help_text="Marketing messages per person in the rolling window."
    )
    person_cap_hours = models.PositiveSmallIntegerField(default=24, validators=[MinValueValidator(1)])
    link_domain = models.CharField(max_length=120, blank=True, help_text="Host of short links; empty: the platform's.")
    consent_kept = models.CharField(
        "proof of consent is kept",
        max_length=10,
        choices=ConsentKept.choices,
        default=ConsentKept.HERE,
        editable=False,
        help_text="Kept here, nobody is texted without a consent on record.",
    )
    consent_attested_by = models.CharField(max_length=120, blank=True, editable=False)
    consent_attested_at = models.DateTimeField(null=True, blank=True, editable=False)
    consent_attestation = models.TextField(
        blank=True, editable=False, help_text="The words with which the tenant vouches for consent kept elsewhere."
    )
    opt_in_hours = models.PositiveSmallIntegerField(
        "hours for a YES",
        default=72,
        validators=[MinValueValidator(1)],
        help_text="How long a double opt-in waits for the person's YES.",
    )
    optout_scope_policy = models.CharField(
        "a STOP",
        max_length=10,
        choices=OptOutScope.choices,
        default=OptOutScope.ALL,
        db_default=OptOutScope.ALL,
        help_text="The narrower reading counts only while the platform allows it (OPTOUT_SCOPE_POLICY), and never for a"
        " STOP to marketing.",
    )
    adds_stop_line = models.BooleanField(
        "adds the STOP line",
        default=True,
        help_text="To a person's first marketing text, and to one every 30 days, unless the text says STOP by itself.",
    )
    stop_lines = models.JSONField(
        default=dict,
        blank=True,
        validators=[check_stop_lines],
        help_text='The line in the brand\'s own words, by language, like {"default": "STOP ends.", "es": "…"}.',
    )
    max_segments = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="A longer text is not sent; empty: the platform's limit.",
    )
    undo_above = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="A launch to more people than this may be undone for a minute. Empty: the platform's number.",
    )
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "slug"], name="one_brand_slug"),
            models.CheckConstraint(
                condition=models.Q(opens_at__lt=models.F("closes_at")), name="brand_opens_before_it_closes"
            ),
            models.CheckConstraint(
                condition=models.Q(consent_kept=ConsentKept.HERE)
                | models.Q(consent_attested_at__isnull=False)
                & ~models.Q(consent_attested_by="")
                & ~models.Q(consent_attestation=""),
                name="consent_kept_elsewhere_is_attested",
            ),
            models.CheckConstraint(
                condition=models.Q(sunday_opens_at=None, sunday_closes_at=None)
                | models.Q(
                    sunday_opens_at__isnull=False,
                    sunday_closes_at__isnull=False,
                    sunday_opens_at__lt=models.F("sunday_closes_at"),
                ),
                name="brand_opens_on_sunday_before_it_closes",
                violation_error_message="On Sundays give both times, the first before the second, or none.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a cap for persons that would loosen the platform's, which holds in any case."""
        cap, hours, most = self.person_cap, self.person_cap_hours, settings.PERSON_CAP_PER_DAY
        if not cap or not hours:  # the fields say so themselves
            return
        if cap > most * math.ceil(hours / 24) or (hours < 24 and cap >= most):  # noqa: PLR2004 - hours of a day
            raise ValidationError(
                {
                    "person_cap": f"{cap} in {hours} hours would loosen: the platform allows {most} in 24 hours,"
                    " and that holds in any case; enter a stricter one"
                }
            )


KEY_PREFIX = "fs_"


class ApiKey(TenantScoped):
    """An integrator's key. Only its hash is stored; it is shown once."""

    name = models.CharField(max_length=120)
    prefix = models.CharField(max_length=12, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, null=True, blank=True, related_name="api_keys")
    scopes = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    is_active = models.BooleanField(default=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TenantQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.name} ({KEY_PREFIX}{self.prefix}…)"

    @classmethod
    def issue(
        cls, *, tenant: Tenant, name: str, owner: User | None = None, scopes: list[str] | None = None
    ) -> tuple[Self, str]:
        """Return the stored key and its secret, which nobody can read again."""
        prefix, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        token = f"{KEY_PREFIX}{prefix}_{secret}"
        row = cls.objects.create(
            tenant=tenant, name=name, owner=owner, prefix=prefix, digest=cls.hash(token), scopes=scopes or []
        )
        return row, token  # type: ignore[return-value]

    @staticmethod
    def hash(token: str) -> str:
        """The token has 256 random bits, so a plain hash is enough."""
        return hashlib.sha256(token.encode()).hexdigest()

    def matches(self, token: str) -> bool:
        return hmac.compare_digest(self.digest, self.hash(token))


class AuditEvent(models.Model):
    """One thing that somebody or something did. Rows are only ever added; the database refuses anything else.

    `smsplatform.tenancy.seals` makes later changes visible, also those of somebody who owns the database.
    """

    tenant = models.ForeignKey(
        Tenant, on_delete=models.PROTECT, null=True, blank=True, db_index=False, related_name="+"
    )
    actor = models.CharField(max_length=120)
    verb = models.CharField(max_length=60)
    target = models.CharField(max_length=120, blank=True)
    object_type = models.CharField(max_length=60, blank=True, db_default="", help_text="Like campaigns.Run.")
    object_id = models.CharField(max_length=60, blank=True, db_default="")
    before = models.JSONField(null=True, blank=True, help_text="What was changed, as it was; masked.")
    after = models.JSONField(null=True, blank=True, help_text="… and as it is since; masked.")
    detail = models.JSONField(default=dict, blank=True)
    ip = models.GenericIPAddressField(null=True, blank=True, help_text="Of whoever asked for it over the web.")
    request_id = models.CharField(max_length=64, blank=True, db_default="")
    at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["tenant", "id"], name="audit_by_tenant")]

    def __str__(self) -> str:
        return f"{self.actor} {self.verb} {self.target}"


class AuditSeal(models.Model):
    """One link of a tenant's chain: the hash of a range of ids of a ledger, and of the link before. Only ever added to.

    Ranges of one tenant leave no gap, so whoever changes, removes or slips in a row, or a link, breaks the chain.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    ledger = models.CharField(max_length=20, help_text="Which table; see smsplatform.tenancy.seals.")
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    rows = models.BigIntegerField()
    digest = models.CharField(max_length=64)
    previous = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["ledger", "tenant", "first_id"], nulls_distinct=False, name="one_seal_per_range"
            )
        ]
        indexes = [models.Index(fields=["ledger", "last_id"], name="seal_horizon")]

    def __str__(self) -> str:
        return f"{self.ledger} {self.first_id}-{self.last_id}"


def _months(default: int, help_text: str) -> "models.PositiveSmallIntegerField[int, int]":
    limits = [MinValueValidator(1), MaxValueValidator(120)]
    return models.PositiveSmallIntegerField(default=default, validators=limits, help_text=help_text)


class Retention(models.Model):
    """For how many months a tenant keeps what is about people; without a row, the defaults hold.

    What is over is redacted, not deleted, where something counts it: who was texted when, by which rule, at what cost.
    """

    tenant = models.OneToOneField(Tenant, on_delete=models.PROTECT, related_name="retention")
    texts_months = _months(13, "Texts that were sent, their links' destinations, and what people answered.")
    events_months = _months(3, "What providers sent us, as it came.")
    clicks_months = _months(13, "Address and browser of who followed a link; that it was followed stays.")
    imports_months = _months(1, "Uploaded files, and the rows that were refused, after the import has ended.")

    def __str__(self) -> str:
        return f"what {self.tenant} keeps"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Have what is over by these lengths found, however old it is."""
        super().save(*args, **kwargs)
        self.read_again()

    def read_again(self) -> None:
        """Have tables read once more for these lengths: the tenant's older rows may lie behind others' marks."""
        lengths = {self.texts_months, self.events_months, self.clicks_months, self.imports_months}
        RetentionMark.objects.filter(months__in=lengths).delete()


@receiver(post_delete, sender=Retention)
def _read_again_for_defaults(**_given: Any) -> None:
    """The defaults hold from now on. A signal, as a queryset's delete() passes no method of the row."""
    Retention().read_again()


class RetentionMark(models.Model):
    """Up to which id a table is done, for the tenants that keep it for so many months. A hint: losing it costs a pass."""

    kind = models.CharField(max_length=20)
    months = models.PositiveSmallIntegerField()
    upto = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "months"], name="one_retention_mark")]

    def __str__(self) -> str:
        return f"{self.kind} after {self.months} months: up to {self.upto}"


class Installation(models.Model):
    """The one row about this installation: whether anything is sent at all, and which database this is.

    `identity` names the database cluster. A restored dump or a promoted copy has another one and is missing some
    claims, so it must not send until an operator has looked (R54).
    """

    is_sending = models.BooleanField(default=True, help_text="The start/stop switch of all automatic sending.")
    identity = models.CharField(max_length=80, blank=True, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_by = models.CharField(max_length=120, blank=True, editable=False)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_installation")]

    def __str__(self) -> str:
        return "sending is on" if self.is_sending else "sending is off"
