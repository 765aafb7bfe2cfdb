"""What stands before a launch: pre-flights, and the approval of a second person."""

from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from campaigns.models.campaign import Campaign, TemplateVersion
from smsplatform.common.models import TenantQuerySet, TenantScoped


class Approval(TenantScoped):
    """One person's question whether this may go to so many people, and another's answer.

    It is for what was shown when it was asked: `fingerprint` names the text, the lists and the schedule, `people` how
    many they were. What has changed since is not approved. Names are e-mail addresses in lower case.
    """

    class Answer(models.TextChoices):
        APPROVED = "approved"
        DECLINED = "declined"

    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="approvals")
    version = models.ForeignKey(TemplateVersion, on_delete=models.PROTECT, related_name="+")
    fingerprint = models.CharField(max_length=64, editable=False)
    people = models.PositiveIntegerField(help_text="How many were on the lists when it was asked.")
    asked_by = models.CharField(max_length=120)
    asked_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(help_text="Until when it may be answered, and then launched.")
    answer = models.CharField(max_length=8, choices=Answer.choices, blank=True)
    answered_by = models.CharField(max_length=120, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=200, blank=True, help_text="Why it was declined.")

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(answered_by=models.F("asked_by")), name="approval_takes_two_people"
            ),
            models.CheckConstraint(
                condition=models.Q(answer="", answered_by="", answered_at=None)
                | (~models.Q(answer="") & ~models.Q(answered_by="") & models.Q(answered_at__isnull=False)),
                name="approval_answer_has_a_name",
            ),
            models.UniqueConstraint(
                fields=["campaign"], condition=models.Q(answer=""), name="one_open_question_per_campaign"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.campaign} to {self.people:,} people: {self.answer or 'asked'}"


class Preflight(TenantScoped):
    """What a launch at an instant would do, as counted then; nothing of it names a person but by id."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="preflights")
    version = models.ForeignKey(TemplateVersion, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(help_text="The launch that it is about.")
    occurrence = models.CharField(max_length=80, blank=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.WAITING)
    reason = models.TextField(blank=True, help_text="Why it failed.")
    people = models.PositiveIntegerField(default=0, help_text="On the lists.")
    done = models.PositiveIntegerField(default=0, help_text="Looked at so far.")
    numbers: Any = models.JSONField(default=dict)
    stamps: Any = models.JSONField(default=dict, help_text="What it was counted from; what differs now makes it stale.")
    created_by = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    renewed_at = models.DateTimeField(default=timezone.now, help_text="When its counting last went on.")
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        verbose_name = "pre-flight"
        ordering: ClassVar[list[str]] = ["-id"]

    def __str__(self) -> str:
        return f"pre-flight of {self.campaign}, {self.created_at:%Y-%m-%d %H:%M}"
