"""What forbids or limits a text: suppressions, cap windows, and the permits taken from them."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from smsplatform.common.models import TenantQuerySet, TenantScoped
from smsplatform.tenancy.models import Brand, Tenant


class Suppression(models.Model):
    """A stored "do not text". Never deleted and never weakened by an import; only `released_at` ends it."""

    class Scope(models.TextChoices):
        PLATFORM = "platform"
        BRAND = "brand"

    scope = models.CharField(max_length=10, choices=Scope.choices, default=Scope.BRAND)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    number = models.CharField(max_length=254, help_text="E.164, or an e-mail address.")
    category = models.CharField(max_length=16, blank=True, help_text="Empty: every category.")
    reason = models.CharField(max_length=60)
    source = models.CharField(max_length=60)
    evidence = models.CharField(max_length=120, blank=True, help_text="The event that proves it.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    released_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["number", "brand", "category"],
                condition=models.Q(released_at=None),
                nulls_distinct=False,
                name="one_live_suppression",
            ),
            models.CheckConstraint(
                condition=models.Q(scope="platform", brand=None, tenant=None)
                | models.Q(scope="brand", brand__isnull=False, tenant__isnull=False),
                name="suppression_scope_fits",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.reason}"


class CapWindow(TenantScoped):
    """How much of one limit is used in one stored window `[starts_at, ends_at)`."""

    subject = models.CharField(max_length=40, help_text="Whose limit, like brand:7.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    used = models.BigIntegerField(default=0)

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject", "starts_at"], name="one_window"),
            models.CheckConstraint(condition=models.Q(used__gte=0), name="window_never_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} from {self.starts_at:%F %H:%M}: {self.used}"


class Permit(models.Model):
    """One dispatch's reservation. It exists exactly while the dispatch's state holds one (states.HOLDS).

    `at` is empty, and counts as now, until the outcome is known; then the accept time, or for an unknown the claim time.
    """

    dispatch_id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    tenant = models.ForeignKey(
        Tenant, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    brand = models.ForeignKey(Brand, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    number = models.CharField(max_length=254, help_text="E.164, or an e-mail address.")
    is_person_capped = models.BooleanField()
    windows = ArrayField(models.BigIntegerField(), default=list)
    at = models.DateTimeField(null=True)
    over_cap = models.BooleanField(default=False, help_text="Taken on proof, above the cap.")

    objects = TenantQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["brand", "number"], name="permit_by_person")]

    def __str__(self) -> str:
        return f"permit of {self.dispatch_id}"
