"""The hot tables: batches, dispatches, attempts, locks, troubles, tallies.

Dispatch and attempt are range-partitioned by the dispatch id (migration 0002 writes them in SQL). None of them has an
index on `state`, nor a predicate on it: it would end heap-only updates. Work is found through `Batch`.
The verbs that write these tables are in `campaigns.verbs`.
"""

import uuid

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from campaigns.models.campaign import Lane, Run
from campaigns.states import State
from campaigns.verbs import AttemptQuerySet, DispatchQuerySet
from providers.adapters.base import Outcome
from smsplatform.common import masking
from smsplatform.common.models import TenantQuerySet
from smsplatform.tenancy.models import Brand, Tenant


def _loose(to: type[models.Model] | str, *, null: bool = False) -> "models.ForeignKey[models.Model, models.Model]":
    """A reference of a hot table: no constraint to check per row, no index to keep."""
    return models.ForeignKey(
        to, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+", null=null
    )


class Batch(models.Model):
    """Up to BATCH_SIZE dispatches of one run and one due instant: the vehicle that work is found by.

    `lease` is the fencing number: only the chain that carries the present number may touch the batch. `tally` counts
    its dispatches by state; together with the run's `TallyDelta` rows it is exact at any moment.
    """

    class Phase(models.TextChoices):
        WAITING = "waiting"
        LEASED = "leased"
        CLOSED = "closed"

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, db_index=False, related_name="+")
    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, db_index=False, related_name="+")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, db_index=False, related_name="batches")
    position = models.IntegerField(help_text="Its place in the run.")
    lane = models.CharField(max_length=10, choices=Lane.choices)
    due_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="The latest instant at which one of its dispatches expires.")
    phase = models.CharField(max_length=8, choices=Phase.choices, default=Phase.WAITING)
    lease = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    resume_at = models.DateTimeField(null=True, help_text="When the throttle can serve it again.")
    starts = models.SmallIntegerField(default=0, help_text="Starts since its rows last moved.")
    stage = models.CharField(
        max_length=20, blank=True, db_default="", help_text="The stage at work, told from the second start on."
    )
    error = models.CharField(max_length=120, blank=True, help_text="Stage and error class of the last failure.")
    size = models.IntegerField()
    tally = models.JSONField(default=dict)
    account_id = models.BigIntegerField(null=True, help_text="The account its rows are expected to go through.")
    is_canary = models.BooleanField(
        db_default=False, help_text="Its people are texted first; how that goes is watched."
    )

    objects = TenantQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "batches"
        constraints = [models.UniqueConstraint(fields=["run", "position"], name="one_batch_per_position")]
        indexes = [
            models.Index(
                fields=["lane", "tenant", "due_at"], condition=models.Q(phase="waiting"), name="batch_waiting"
            ),
            models.Index(fields=["lane"], condition=models.Q(phase="leased"), name="batch_in_flight"),
        ]

    def __str__(self) -> str:
        return f"batch {self.position} of {self.run_id}"

    @property
    def dispatches(self) -> DispatchQuerySet:
        """Its rows; of the run's range of ids, so that only the run's partition is looked at."""
        queryset: DispatchQuerySet = Dispatch.objects.of_run(self.run_id).filter(batch_id=self.pk)
        return queryset


class Dispatch(models.Model):
    """One message to one person. The id is run ‖ recipient, so "once per run and person" is the primary key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = _loose(Tenant)
    brand = _loose(Brand)
    run = _loose(Run)
    batch = models.ForeignKey(Batch, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", null=True)
    recipient = _loose("campaigns.Recipient", null=True)
    number = models.CharField(max_length=254, help_text="E.164, or an e-mail address.")
    state = models.CharField(max_length=11, choices=[(s.value, s.value) for s in State], default=State.QUEUED)
    reason = models.CharField(max_length=60, blank=True, db_default="")
    detail = models.CharField(max_length=200, blank=True, db_default="")
    due_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    not_before = models.DateTimeField(null=True)
    good_until = models.DateTimeField(null=True)
    text = models.TextField(blank=True, db_default="")
    links = models.JSONField(null=True, help_text="Destinations whose short links the text still lacks.")
    segments = models.SmallIntegerField(db_default=0)
    flight = models.SmallIntegerField(db_default=0, help_text="The number of the latest try.")
    posts = models.SmallIntegerField(db_default=0, help_text="Tries that were really posted.")
    account_id = models.BigIntegerField(null=True)
    zones = models.CharField(
        "place",
        max_length=400,
        blank=True,
        db_default="",
        help_text="By which place it was judged; of messages without a recipient, by which it will be.",
    )
    accepted_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(db_default=Now())
    resend_of = models.UUIDField(null=True)

    objects = DispatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "dispatches"

    def __str__(self) -> str:
        return f"{masking.number(self.number)}: {self.state}"


class Attempt(models.Model):
    """One try at one provider account: the ledger.

    A partial unique index allows at most one attempt per dispatch whose outcome is open, accepted or unknown: this
    is what keeps P1. Late proof goes into `proof`, outside the predicate, so that recording a duplicate cannot fail.
    The index looks at `is_live`, not at `outcome`: an answer leaves it as it is, so the row is updated heap-only.
    """

    OPEN = "open"
    LIVE = (OPEN, Outcome.ACCEPTED.value, Outcome.UNKNOWN.value)

    pk = models.CompositePrimaryKey("dispatch_id", "flight")
    dispatch_id = models.UUIDField()
    flight = models.SmallIntegerField()
    tenant = _loose(Tenant)
    account_id = models.BigIntegerField()
    sender = models.CharField(max_length=120)
    claim = models.UUIDField(help_text="One claim of one slice by one worker.")
    claimed_at = models.DateTimeField()
    horizon_at = models.DateTimeField(help_text="After this an attempt without an answer is unknown.")
    outcome = models.CharField(
        max_length=20, choices=[(OPEN, OPEN), *((o.value, o.value) for o in Outcome)], default=OPEN
    )
    is_live = models.GeneratedField(
        expression=models.Q(outcome__in=LIVE),  # type: ignore[arg-type]  # a condition is one, too
        output_field=models.BooleanField(),
        db_persist=True,
    )
    proof = models.CharField(
        max_length=10, blank=True, db_default="", help_text="answer, receipt or look-up: it was taken."
    )
    proven_at = models.DateTimeField(null=True)
    provider_id = models.CharField(max_length=80, blank=True, db_default="")
    code = models.CharField(max_length=60, blank=True, db_default="")
    detail = models.CharField(max_length=200, blank=True, db_default="")
    answered_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=120, blank=True, db_default="", help_text="Why this account and sender.")
    rules = models.CharField(
        max_length=80,
        blank=True,
        db_default="",
        help_text="The law's rules that it passed right before, with their versions.",
    )
    parts = models.SmallIntegerField(db_default=1, help_text="Delivery reports to come: one for each, at some vendors.")

    objects = AttemptQuerySet.as_manager()

    def __str__(self) -> str:
        return f"try {self.flight} of {self.dispatch_id}: {self.outcome}"


class SendLock(models.Model):
    """A person is ours for the moment: from lock_recipients to the end of check_caps, and 60 s at most."""

    pk = models.CompositePrimaryKey("brand_id", "number")
    tenant = _loose(Tenant)
    brand = _loose(Brand)
    number = models.CharField(max_length=254, help_text="E.164, or an e-mail address.")
    dispatch_id = models.UUIDField()
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{masking.number(self.number)} is taken by {self.dispatch_id}"


class Trouble(models.Model):
    """A dead or unknown dispatch: the work list of people and of reconciliation, kept by `move()`."""

    dispatch_id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=11)
    since = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(null=True, help_text="When an unknown becomes final.")
    ask_at = models.DateTimeField(null=True, help_text="When the provider is asked next whether it has the message.")
    asked = models.SmallIntegerField(db_default=0, help_text="How often the provider was asked.")

    objects = TenantQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["kind", "due_at"], name="trouble_due")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.dispatch_id}"


class TallyDelta(models.Model):
    """A change of a run's totals since its batch's tally was last written."""

    run_id = models.BigIntegerField(db_index=True)
    batch_id = models.BigIntegerField(null=True, db_index=True)
    tenant = _loose(Tenant)
    state = models.CharField(max_length=11)
    change = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.state} {self.change:+d}"
