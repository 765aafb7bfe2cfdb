"""Short links, one per dispatch and position, and the hits on them."""

from django.db import models
from django.utils import timezone

from smsplatform.common.models import TenantQuerySet
from smsplatform.tenancy.models import Tenant
from tracking import verdicts


class Link(models.Model):
    """A short link. `dispatch_id` is a plain number here: what it means is the product's business."""

    code = models.CharField(max_length=10, primary_key=True, db_collation="C")
    host = models.CharField(max_length=120)
    tenant = models.ForeignKey(
        Tenant, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    dispatch_id = models.UUIDField()
    position = models.PositiveSmallIntegerField()
    destination = models.TextField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    killed_at = models.DateTimeField(null=True, blank=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dispatch_id", "position"], name="one_link_per_position")]

    def __str__(self) -> str:
        return f"{self.host}/{self.code}"


class Click(models.Model):
    """One hit on a link, kept raw; the verdict is computed from the signals and can be computed again (`judging`)."""

    class Verdict(models.TextChoices):
        """What a hit is taken for; only people are counted. Empty: not judged yet."""

        HUMAN = verdicts.HUMAN, "a person"
        BOT = verdicts.BOT, "a machine"
        SUSPECTED = verdicts.SUSPECTED, "probably a machine"
        PREFETCH = verdicts.PREFETCH, "a browser, ahead of time"
        DUPLICATE = verdicts.DUPLICATE, "a person, once more"

    tenant = models.ForeignKey(
        Tenant, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    code = models.CharField(max_length=10, db_collation="C", db_index=True)
    dispatch_id = models.UUIDField()
    at = models.DateTimeField(default=timezone.now)
    method = models.CharField(max_length=8)
    ip = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=400, blank=True)
    signals = models.JSONField(default=dict)
    verdict = models.CharField(max_length=13, choices=Verdict.choices, blank=True, db_default="")
    subtype = models.CharField(max_length=8, blank=True, db_default="", help_text="Of a machine that says what it is.")
    reasons = models.CharField(max_length=200, blank=True, db_default="", help_text="Separated by spaces.")
    points = models.SmallIntegerField(db_default=0)
    list_version = models.CharField(
        max_length=60, blank=True, db_default="", help_text="The rules and lists it was judged by."
    )

    objects = TenantQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["id"], condition=models.Q(verdict=""), name="click_to_judge"),
            models.Index(
                fields=["dispatch_id"], include=["verdict"], condition=~models.Q(verdict=""), name="click_judged"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} at {self.at:%F %T}"
