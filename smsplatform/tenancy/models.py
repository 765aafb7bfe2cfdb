"""Who uses the platform: people, client businesses, their brands, keys and the trail of what was done."""

import hashlib
import hmac
import secrets
from datetime import time
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
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


class Brand(TenantScoped):
    """A tenant's identity towards people: sender numbers, texts, hours, limits, link domain."""

    name = models.CharField(max_length=120)
    slug = models.SlugField()
    zone = models.CharField(max_length=64, default="America/New_York", validators=[check_zone])
    opens_at = models.TimeField(default=time(8), help_text="First local time of a recipient at which we may text.")
    closes_at = models.TimeField(default=time(21), help_text="Local time of a recipient from which we may not text.")
    daily_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text="Messages per day in the brand's zone; empty means no cap."
    )
    person_cap = models.PositiveSmallIntegerField(
        default=3, validators=[MinValueValidator(1)], help_text="Marketing messages per person in the rolling window."
    )
    person_cap_hours = models.PositiveSmallIntegerField(default=24, validators=[MinValueValidator(1)])
    link_domain = models.CharField(max_length=120, blank=True, help_text="Host of short links; empty: the platform's.")
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
        ]

    def __str__(self) -> str:
        return self.name


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
    """One thing that somebody or something did. Rows are only ever added."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    actor = models.CharField(max_length=120)
    verb = models.CharField(max_length=60)
    target = models.CharField(max_length=120, blank=True)
    detail = models.JSONField(default=dict, blank=True)
    at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["-at", "-id"]

    def __str__(self) -> str:
        return f"{self.actor} {self.verb} {self.target}"


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
