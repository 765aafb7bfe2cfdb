"""Campaigns: text + audience + schedule + policy; and their runs."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from campaigns.models.recipient import RecipientList
from compliance.policy import Category
from smsplatform.common.models import TenantQuerySet, TenantScoped
from smsplatform.tenancy.models import Brand


class Lane(models.TextChoices):
    """Which queues and workers a message uses."""

    BULK = "bulk"
    URGENT = "urgent", "urgent (replies, one-time codes, single notifications)"


class Template(TenantScoped):
    """A text with merge fields. Saving another text adds a version; runs keep the version they were launched with."""

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, related_name="templates")
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["brand", "name"], name="one_template_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def latest(self) -> "TemplateVersion | None":
        return self.versions.order_by("-number").first()

    def write(self, source: str, texts: Mapping[str, str] | None = None) -> "TemplateVersion":
        """Return the version with this text: the latest if it is the same, else a new one. Raises ValidationError.

        `texts` are those of other languages, by their tag; None: as they were.
        """
        latest = self.latest
        wanted = dict(texts) if texts is not None else latest.texts if latest is not None else {}
        if latest is not None and (latest.source, latest.texts) == (source, wanted):
            return latest
        version = TemplateVersion(
            tenant_id=self.tenant_id,
            template=self,
            number=latest.number + 1 if latest else 1,
            source=source,
            texts=wanted,
        )
        version.full_clean(exclude=["template", "tenant"])
        version.save()
        return version


class TemplateVersion(TenantScoped):
    """One text of a template; never changed."""

    template = models.ForeignKey(Template, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    source = models.TextField(help_text='Liquid: {{ first_name | default: "there" }}, {% if vip %}…{% endif %}.')
    texts = models.JSONField(
        default=dict, blank=True, help_text='Texts for people of other languages, like {"es": "Hola {{ first_name }}"}.'
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["template", "number"], name="one_version_number")]

    def __str__(self) -> str:
        return f"{self.template} v{self.number}"

    def clean(self) -> None:
        from campaigns import content

        problems = content.problems(
            source=self.source, texts=self.texts, brand=self.template.brand if self.template_id else None
        )
        if problems:
            raise ValidationError(problems)


class Campaign(TenantScoped):
    """What to say to whom and when. Launching it makes a run."""

    class Schedule(models.TextChoices):
        NOW = "now", "when launched"
        AT = "at", "at one instant"
        LOCAL = "local", "at one local time in each recipient's zone"
        REPEAT = "repeat", "repeating (crontab)"
        FIELD = "field", "at each recipient's own time"

    class PastPolicy(models.TextChoices):
        SEND_NOW = "send_now", "send now"
        NEXT_DAY = "next_day", "the next day at that time"
        SKIP = "skip", "skip"

    class Clock(models.TextChoices):
        BRAND = "brand", "the brand's zone"
        RECIPIENT = "recipient", "each recipient's zone"

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, related_name="campaigns")
    name = models.CharField(max_length=120)
    template = models.ForeignKey(Template, on_delete=models.PROTECT, related_name="campaigns")
    lists = models.ManyToManyField(RecipientList, related_name="campaigns")
    minus_lists = models.ManyToManyField(RecipientList, related_name="excluded_from", blank=True)
    category = models.CharField(max_length=16, choices=Category.choices(), default=Category.MARKETING)
    schedule = models.CharField(max_length=10, choices=Schedule.choices, default=Schedule.NOW)
    send_at = models.DateTimeField(null=True, blank=True, help_text="For one instant.")
    local_at = models.CharField(max_length=16, blank=True, help_text="Local wall time, like 2026-12-01T09:00.")
    past_policy = models.CharField(max_length=10, choices=PastPolicy.choices, default=PastPolicy.SKIP)
    crontab = models.CharField(max_length=60, blank=True, help_text="minute hour day-of-month month day-of-week")
    crontab_clock = models.CharField(max_length=10, choices=Clock.choices, default=Clock.BRAND)
    time_field = models.CharField(
        max_length=60, blank=True, help_text="Field with the time; empty: the send_at column."
    )
    lateness_minutes = models.PositiveIntegerField(
        null=True, blank=True, help_text="What could not go out so long after its time expires. Empty: the default."
    )
    spread_hours = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Spread it evenly over so many hours of allowed time. Empty: everything at once.",
    )
    most_per_hour = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Or: at most so many messages per hour, so that answers and calls can be handled.",
    )
    canary_percent = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="This share of the people first; the others only when it went well. Empty: everybody at once.",
    )
    canary_people = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="The same as a number of people, instead of a share.",
    )
    canary_minutes = models.PositiveSmallIntegerField(
        default=15,
        blank=True,
        help_text="How long after its last message the canary is waited for, so that answers can come.",
    )
    canary_minimum = models.PositiveIntegerField(
        default=100,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Nothing is judged by fewer messages, unless the canary has no more.",
    )
    canary_max_errors = models.DecimalField(
        max_digits=4,
        decimal_places=1,
        default=Decimal(10),
        blank=True,
        help_text="Above this many % not taken or not delivered it halts.",
    )
    canary_max_opt_outs = models.DecimalField(
        max_digits=4,
        decimal_places=1,
        default=Decimal(3),
        blank=True,
        help_text="Above this many % of opt-outs it halts.",
    )
    is_active = models.BooleanField(default=True, help_text="A repeating campaign fires only while active.")
    fired_until = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="one_campaign_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def lateness(self) -> timedelta:
        if self.lateness_minutes is None:
            limit: timedelta = settings.LATENESS_LIMIT
            return limit
        return timedelta(minutes=self.lateness_minutes)

    def _complete_canary(self) -> None:
        """Set what was left empty on a form; refuse two sizes."""
        for name in ("canary_minutes", "canary_minimum", "canary_max_errors", "canary_max_opt_outs"):
            if getattr(self, name) is None:
                setattr(self, name, self._meta.get_field(name).get_default())  # type: ignore[union-attr]
        if self.canary_percent and self.canary_people:
            raise ValidationError({"canary_people": "give the canary a share or a number of people, not both"})

    def clean(self) -> None:
        from campaigns import occurrences, spreading

        self._complete_canary()
        problems: dict[str, str] = spreading.flaws(self)
        if self.schedule == self.Schedule.AT and self.send_at is None:
            problems["send_at"] = "a campaign at one instant needs it"
        if self.schedule == self.Schedule.LOCAL:
            try:
                wall = datetime.fromisoformat(self.local_at)
                if wall.tzinfo is not None:
                    problems["local_at"] = "a local wall time has no offset; write it like 2026-12-01T09:00"
            except ValueError:
                problems["local_at"] = "write the local wall time like 2026-12-01T09:00"
        if self.schedule == self.Schedule.REPEAT:
            flaw = occurrences.check_crontab(self.crontab)
            if flaw:
                problems["crontab"] = flaw
        if self.brand_id and self.template_id and self.template.brand_id != self.brand_id:
            problems["template"] = "this template belongs to another brand"
        if problems:
            raise ValidationError(problems)


_RANDOM_BITS = 20


def run_id(now: datetime) -> int:
    """Return a time-ordered 63-bit id: milliseconds, then random bits. Partitions are ranges of it."""
    return (int(now.timestamp() * 1000) << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)


class Canary(models.TextChoices):
    """What became of the people who were texted first; only while it waits are the others kept back."""

    WAITING = "waiting"
    RELEASED = "released"
    HALTED = "halted"


class Run(TenantScoped):
    """One firing of a campaign's schedule (or one brand's single notifications of one day).

    Unique over (campaign, occurrence), so launching twice gives the same run. What it needs of the campaign is copied
    into `plan`: later edits of the campaign do not change a run.
    """

    id = models.BigIntegerField(primary_key=True, editable=False)
    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, related_name="runs")
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, null=True, blank=True, related_name="runs")
    version = models.ForeignKey(TemplateVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="runs")
    occurrence = models.CharField(max_length=80)
    lane = models.CharField(max_length=10, choices=Lane.choices, default=Lane.BULK)
    category = models.CharField(max_length=16, choices=Category.choices(), default=Category.MARKETING)
    plan = models.JSONField(default=dict)
    launched_at = models.DateTimeField()
    launched_by = models.CharField(max_length=120, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    materialise_at = models.DateTimeField(help_text="Nothing is expanded long before it is due.")
    materialised_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(
        null=True, blank=True, help_text="Nothing will change its dispatches by itself any more."
    )
    redacted_at = models.DateTimeField(
        null=True, blank=True, help_text="The texts of its messages are gone since then."
    )
    cursor = models.BigIntegerField(default=0, help_text="Recipients up to this id are materialised.")
    batches_made = models.IntegerField(default=0)
    lease = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    people = models.PositiveIntegerField(db_default=0, help_text="Whom it is for, counted when it is expanded.")
    approval = models.ForeignKey(
        "campaigns.Approval", on_delete=models.PROTECT, null=True, blank=True, related_name="runs"
    )
    approved_by = models.CharField(max_length=120, blank=True, db_default="", help_text="Never who launched it.")
    approved_people = models.PositiveIntegerField(
        null=True, blank=True, help_text="Up to how many people it is approved for."
    )
    undo_until = models.DateTimeField(null=True, blank=True, help_text="Nothing is handed over before.")
    canary = models.CharField(
        max_length=8, choices=Canary.choices, blank=True, db_default="", help_text="What became of its canary."
    )
    stop_reason = models.CharField(max_length=200, blank=True, db_default="", help_text="Why it was paused.")

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(approved_by="", approved_people=None)
                | (models.Q(approved_people__isnull=False) & ~models.Q(approved_by="")),
                name="run_approval_has_a_name",
            ),
            models.CheckConstraint(
                condition=models.Q(approved_by="") | ~models.Q(approved_by=Lower("launched_by")),
                name="run_approval_takes_two_people",
            ),
            models.UniqueConstraint(
                fields=["campaign", "occurrence"],
                condition=models.Q(campaign__isnull=False),
                name="one_run_per_occurrence",
            ),
            models.UniqueConstraint(
                fields=["brand", "occurrence"], condition=models.Q(campaign__isnull=True), name="one_day_run"
            ),
            # It goes out to people who have opted out: only an answer to their own text may.
            models.CheckConstraint(
                condition=models.Q(campaign__isnull=True) | ~models.Q(category=Category.KEYWORD_REPLY.value),
                name="campaigns_are_no_keyword_replies",
            ),
        ]
        indexes = [
            models.Index(
                fields=["materialise_at"], condition=models.Q(materialised_at=None), name="run_unmaterialised"
            ),
            models.Index(fields=["launched_at"], condition=models.Q(settled_at=None), name="run_unsettled"),
            models.Index(fields=["launched_at"], condition=models.Q(redacted_at=None), name="run_unredacted"),
            models.Index(fields=["launched_at"], condition=models.Q(canary="waiting"), name="run_with_canary"),
        ]

    def __str__(self) -> str:
        return f"{self.campaign or 'single messages'} {self.occurrence}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is None:
            self.pk = run_id(self.launched_at)
        super().save(*args, **kwargs)
