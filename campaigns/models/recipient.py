"""People a tenant may text, the lists they are on, and the imports they came with."""

from typing import ClassVar

from django.db import models
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Left, Lower
from django.utils import timezone

from compliance.place import ZoneSource
from smsplatform.common import masking
from smsplatform.common.models import TenantQuerySet, TenantScoped


class Recipient(TenantScoped):
    """A person (lead) with a number. The number is the identity; everything else may be imported again."""

    tenant = models.ForeignKey(
        "tenancy.Tenant", on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    number = models.CharField(max_length=16, help_text="E.164, like +12025550123.")
    country = models.CharField(max_length=2, blank=True)
    zones = models.CharField(
        max_length=400,
        blank=True,
        help_text="The zones this person may be in, joined with |; then a semicolon and the states whose law may hold."
        " Empty: unknown.",
    )
    zone_source = models.CharField(
        max_length=12, choices=[(source.value, source.value) for source in ZoneSource], default=ZoneSource.UNKNOWN
    )
    state_source = models.CharField(
        max_length=12,
        choices=[(source.value, source.value) for source in ZoneSource],
        default=ZoneSource.UNKNOWN,
        db_default=ZoneSource.UNKNOWN.value,
    )
    fields = models.JSONField(default=dict, blank=True, help_text="Typed custom fields: text, numbers, yes/no.")
    language = models.GeneratedField(
        expression=Left(Lower(KeyTextTransform("language", "fields")), 35),
        output_field=models.CharField(max_length=35),
        db_persist=True,
        help_text="The field `language`, which chooses the text: es, es-MX or Spanish.",
    )
    send_at = models.DateTimeField(null=True, blank=True, help_text="Own instant, for campaigns that send per person.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "number"], name="one_recipient_per_number")]

    def __str__(self) -> str:
        return masking.number(self.number)


class RecipientList(TenantScoped):
    """A named set of recipients."""

    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="one_list_name")]

    def __str__(self) -> str:
        return self.name


class ListMember(TenantScoped):
    """A recipient on a list."""

    tenant = models.ForeignKey(
        "tenancy.Tenant", on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    list = models.ForeignKey(RecipientList, on_delete=models.CASCADE, db_index=False, related_name="members")
    recipient = models.ForeignKey(Recipient, on_delete=models.CASCADE, related_name="memberships")

    objects = TenantQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["list", "recipient"], name="once_on_a_list")]

    def __str__(self) -> str:
        return f"{self.recipient} on {self.list}"


class Import(TenantScoped):
    """One file on its way into a list; its counters are the progress a person watches."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    class Source(models.TextChoices):
        STORAGE = "storage", "Django storage (uploads end there too)"
        PATH = "path", "a path on the server"

    list = models.ForeignKey(RecipientList, on_delete=models.PROTECT, related_name="imports")
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.STORAGE)
    file = models.CharField(max_length=400, help_text="Name in the storage, or the path.")
    columns = models.JSONField(
        default=dict,
        blank=True,
        help_text='Which column is what, as {"number": "Mobile", "zone": "TZ"}; empty: found by their names.',
    )
    options = models.JSONField(default=dict, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING, editable=False)
    reason = models.TextField(blank=True, editable=False, help_text="Why it failed.")
    dialect = models.JSONField(default=dict, blank=True, editable=False)
    total_bytes = models.BigIntegerField(default=0, editable=False)
    read_bytes = models.BigIntegerField(default=0, editable=False)
    rows_read = models.BigIntegerField(default=0, editable=False)
    rows_new = models.BigIntegerField(default=0, editable=False)
    rows_changed = models.BigIntegerField(default=0, editable=False)
    rows_same = models.BigIntegerField(default=0, editable=False)
    rows_duplicate = models.BigIntegerField(default=0, editable=False)
    rows_refused = models.BigIntegerField(default=0, editable=False)
    rows_flagged = models.BigIntegerField(default=0, editable=False, help_text="Taken, with a remark.")
    rows_suppressed = models.BigIntegerField(default=0, editable=False, help_text="Kept, and still never texted.")
    rows_consented = models.BigIntegerField(default=0, editable=False, help_text="Consents put on record.")
    rows_untextable = models.BigIntegerField(
        default=0, editable=False, help_text="Kept, but no text reaches the number: a landline, or nobody's."
    )
    cursor = models.JSONField(default=dict, blank=True, editable=False, help_text="Where a killed import goes on.")
    lease = models.BigIntegerField(default=0, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    created_by = models.CharField(max_length=120, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)
    forgotten_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Its file and its refused rows are gone since then."
    )

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]

    def __str__(self) -> str:
        return f"{self.file} into {self.list}"


class RefusedRow(TenantScoped):
    """A row of an import that was not taken, or taken with a remark: its line and the reason."""

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey(
        "tenancy.Tenant", on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    source = models.ForeignKey(Import, on_delete=models.CASCADE, db_index=False, related_name="refused")
    line = models.BigIntegerField()
    is_taken = models.BooleanField(default=False, help_text="The row was taken; this is only a remark.")
    reason = models.CharField(max_length=60)
    detail = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["source", "line"]
        constraints = [models.UniqueConstraint(fields=["source", "line"], name="one_refusal_per_line")]

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class SeenNumber(models.Model):
    """A number that an unfinished import has met, with its first line: how duplicates are told across chunks.

    Committed with the chunk it came in, so a resumed import knows what the killed one knew. Gone when the import ends.
    """

    pk = models.CompositePrimaryKey("source_id", "number")
    tenant = models.ForeignKey(
        "tenancy.Tenant", on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    source = models.ForeignKey(
        Import, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="seen_numbers"
    )
    number = models.BigIntegerField(help_text="The digits of the E.164 number.")
    line = models.BigIntegerField()

    def __str__(self) -> str:
        return f"line {self.line} of {self.source}"
