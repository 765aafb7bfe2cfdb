"""Everything up to 0014, as a new database gets it: at once."""

import campaigns.states
import compliance.place
import compliance.policy
import django.core.validators
import django.db.models.deletion
import django.db.models.fields.json
import django.db.models.functions.datetime
import django.db.models.functions.text
import django.utils.timezone
import uuid
from decimal import Decimal
from django.db import migrations, models
from django.utils import timezone

from smsplatform.common import partitions

# Dispatch and attempt are range-partitioned by the dispatch id; Django's models stay ordinary. The columns and defaults are
# those of the tables that Django made; keys and indexes are written here. No index has `state` in it or in its predicate:
# it would end heap-only updates. For them, too, half of each page is kept free: a stage updates all rows of a page at once.
DISPATCH = """
ALTER TABLE campaigns_dispatch RENAME TO campaigns_dispatch_plain;
CREATE TABLE campaigns_dispatch (LIKE campaigns_dispatch_plain INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY RANGE (id);
DROP TABLE campaigns_dispatch_plain;
CREATE INDEX campaigns_dispatch_by_batch ON campaigns_dispatch (batch_id);
CREATE INDEX campaigns_dispatch_to_collect ON campaigns_dispatch (due_at) WHERE batch_id IS NULL;
CREATE TABLE campaigns_dispatch_default PARTITION OF campaigns_dispatch DEFAULT WITH (fillfactor = 50);
"""
ATTEMPT = """
ALTER TABLE campaigns_attempt RENAME TO campaigns_attempt_plain;
CREATE TABLE campaigns_attempt (
  LIKE campaigns_attempt_plain INCLUDING DEFAULTS INCLUDING GENERATED, PRIMARY KEY (dispatch_id, flight)
) PARTITION BY RANGE (dispatch_id);
DROP TABLE campaigns_attempt_plain;
-- P1: at most one try per dispatch that was, or may have been, taken
CREATE UNIQUE INDEX campaigns_attempt_one_live ON campaigns_attempt (dispatch_id) WHERE is_live;
CREATE TABLE campaigns_attempt_default PARTITION OF campaigns_attempt DEFAULT WITH (fillfactor = 50);
"""


def forget_django_s_index(apps, schema_editor):
    waiting = schema_editor.deferred_sql
    waiting[:] = [statement for statement in waiting if not statement.references_table("campaigns_dispatch")]


def make_partitions(apps, schema_editor):
    partitions.ensure(timezone.now())


class Migration(migrations.Migration):
    replaces = [
        ("campaigns", "0001_initial"),
        ("campaigns", "0002_partitions"),
        ("campaigns", "0003_heap_only"),
        ("campaigns", "0004_parts_and_questions"),
        ("campaigns", "0005_sender_addresses"),
        ("campaigns", "0006_consent"),
        ("campaigns", "0007_keywords"),
        ("campaigns", "0008_place"),
        ("campaigns", "0009_spread"),
        ("campaigns", "0010_content"),
        ("campaigns", "0011_privacy"),
        ("campaigns", "0012_preflight"),
        ("campaigns", "0013_stage_at_work"),
        ("campaigns", "0014_attempt_rules"),
    ]

    initial = True

    dependencies = [
        ("providers", "0001_squashed"),
        ("tenancy", "0001_squashed"),
    ]

    operations = [
        migrations.CreateModel(
            name="Attempt",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "dispatch_id", "flight", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("dispatch_id", models.UUIDField()),
                ("flight", models.SmallIntegerField()),
                ("account_id", models.BigIntegerField()),
                ("sender", models.CharField(max_length=120)),
                ("claim", models.UUIDField(help_text="One claim of one slice by one worker.")),
                ("claimed_at", models.DateTimeField()),
                ("horizon_at", models.DateTimeField(help_text="After this an attempt without an answer is unknown.")),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("open", "open"),
                            ("accepted", "accepted"),
                            ("rejected_permanent", "rejected_permanent"),
                            ("rejected_retryable", "rejected_retryable"),
                            ("rejected_provider", "rejected_provider"),
                            ("unknown", "unknown"),
                            ("not_posted", "not_posted"),
                        ],
                        default="open",
                        max_length=20,
                    ),
                ),
                (
                    "is_live",
                    models.GeneratedField(
                        db_persist=True,
                        expression=models.Q(("outcome__in", ("open", "accepted", "unknown"))),
                        output_field=models.BooleanField(),
                    ),
                ),
                (
                    "proof",
                    models.CharField(
                        blank=True, db_default="", help_text="answer, receipt or look-up: it was taken.", max_length=10
                    ),
                ),
                ("proven_at", models.DateTimeField(null=True)),
                ("provider_id", models.CharField(blank=True, db_default="", max_length=80)),
                ("code", models.CharField(blank=True, db_default="", max_length=60)),
                ("detail", models.CharField(blank=True, db_default="", max_length=200)),
                ("answered_at", models.DateTimeField(null=True)),
                (
                    "reason",
                    models.CharField(
                        blank=True, db_default="", help_text="Why this account and sender.", max_length=120
                    ),
                ),
                (
                    "rules",
                    models.CharField(
                        blank=True,
                        db_default="",
                        help_text="The law's rules that it passed right before, with their versions.",
                        max_length=80,
                    ),
                ),
                (
                    "parts",
                    models.SmallIntegerField(
                        db_default=1, help_text="Delivery reports to come: one for each, at some vendors."
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Batch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.IntegerField(help_text="Its place in the run.")),
                (
                    "lane",
                    models.CharField(
                        choices=[
                            ("bulk", "Bulk"),
                            ("urgent", "urgent (replies, one-time codes, single notifications)"),
                        ],
                        max_length=10,
                    ),
                ),
                ("due_at", models.DateTimeField()),
                (
                    "expires_at",
                    models.DateTimeField(help_text="The latest instant at which one of its dispatches expires."),
                ),
                (
                    "phase",
                    models.CharField(
                        choices=[("waiting", "Waiting"), ("leased", "Leased"), ("closed", "Closed")],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                ("lease", models.BigIntegerField(default=0)),
                ("lease_until", models.DateTimeField(null=True)),
                ("resume_at", models.DateTimeField(help_text="When the throttle can serve it again.", null=True)),
                ("starts", models.SmallIntegerField(default=0, help_text="Starts since its rows last moved.")),
                (
                    "stage",
                    models.CharField(
                        blank=True,
                        db_default="",
                        help_text="The stage at work, told from the second start on.",
                        max_length=20,
                    ),
                ),
                (
                    "error",
                    models.CharField(
                        blank=True, help_text="Stage and error class of the last failure.", max_length=120
                    ),
                ),
                ("size", models.IntegerField()),
                ("tally", models.JSONField(default=dict)),
                (
                    "account_id",
                    models.BigIntegerField(help_text="The account its rows are expected to go through.", null=True),
                ),
                (
                    "is_canary",
                    models.BooleanField(
                        db_default=False, help_text="Its people are texted first; how that goes is watched."
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenancy.brand",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "batches",
                "indexes": [
                    models.Index(
                        condition=models.Q(("phase", "waiting")),
                        fields=["lane", "tenant", "due_at"],
                        name="batch_waiting",
                    ),
                    models.Index(condition=models.Q(("phase", "leased")), fields=["lane"], name="batch_in_flight"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Campaign",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=120)),
                (
                    "category",
                    models.CharField(
                        choices=[
                            ("marketing", "marketing"),
                            ("informational", "informational"),
                            ("transactional", "transactional"),
                        ],
                        default=compliance.policy.Category["MARKETING"],
                        max_length=16,
                    ),
                ),
                (
                    "schedule",
                    models.CharField(
                        choices=[
                            ("now", "when launched"),
                            ("at", "at one instant"),
                            ("local", "at one local time in each recipient's zone"),
                            ("repeat", "repeating (crontab)"),
                            ("field", "at each recipient's own time"),
                        ],
                        default="now",
                        max_length=10,
                    ),
                ),
                ("send_at", models.DateTimeField(blank=True, help_text="For one instant.", null=True)),
                (
                    "local_at",
                    models.CharField(blank=True, help_text="Local wall time, like 2026-12-01T09:00.", max_length=16),
                ),
                (
                    "past_policy",
                    models.CharField(
                        choices=[("send_now", "send now"), ("next_day", "the next day at that time"), ("skip", "skip")],
                        default="skip",
                        max_length=10,
                    ),
                ),
                (
                    "crontab",
                    models.CharField(blank=True, help_text="minute hour day-of-month month day-of-week", max_length=60),
                ),
                (
                    "crontab_clock",
                    models.CharField(
                        choices=[("brand", "the brand's zone"), ("recipient", "each recipient's zone")],
                        default="brand",
                        max_length=10,
                    ),
                ),
                (
                    "time_field",
                    models.CharField(
                        blank=True, help_text="Field with the time; empty: the send_at column.", max_length=60
                    ),
                ),
                (
                    "lateness_minutes",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="What could not go out so long after its time expires. Empty: the default.",
                        null=True,
                    ),
                ),
                (
                    "spread_hours",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="Spread it evenly over so many hours of allowed time. Empty: everything at once.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "most_per_hour",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="Or: at most so many messages per hour, so that answers and calls can be handled.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "canary_percent",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="This share of the people first; the others only when it went well. Empty: everybody at once.",
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(100),
                        ],
                    ),
                ),
                (
                    "canary_people",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="The same as a number of people, instead of a share.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "canary_minutes",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        default=15,
                        help_text="How long after its last message the canary is waited for, so that answers can come.",
                    ),
                ),
                (
                    "canary_minimum",
                    models.PositiveIntegerField(
                        blank=True,
                        default=100,
                        help_text="Nothing is judged by fewer messages, unless the canary has no more.",
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "canary_max_errors",
                    models.DecimalField(
                        blank=True,
                        decimal_places=1,
                        default=Decimal(10),
                        help_text="Above this many % not taken or not delivered it halts.",
                        max_digits=4,
                    ),
                ),
                (
                    "canary_max_opt_outs",
                    models.DecimalField(
                        blank=True,
                        decimal_places=1,
                        default=Decimal(3),
                        help_text="Above this many % of opt-outs it halts.",
                        max_digits=4,
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(default=True, help_text="A repeating campaign fires only while active."),
                ),
                ("fired_until", models.DateTimeField(blank=True, editable=False, null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="campaigns", to="tenancy.brand"
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [models.UniqueConstraint(fields=("tenant", "name"), name="one_campaign_name")],
            },
        ),
        migrations.CreateModel(
            name="Approval",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("fingerprint", models.CharField(editable=False, max_length=64)),
                ("people", models.PositiveIntegerField(help_text="How many were on the lists when it was asked.")),
                ("asked_by", models.CharField(max_length=120)),
                ("asked_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("expires_at", models.DateTimeField(help_text="Until when it may be answered, and then launched.")),
                (
                    "answer",
                    models.CharField(
                        blank=True, choices=[("approved", "Approved"), ("declined", "Declined")], max_length=8
                    ),
                ),
                ("answered_by", models.CharField(blank=True, max_length=120)),
                ("answered_at", models.DateTimeField(blank=True, null=True)),
                ("reason", models.CharField(blank=True, help_text="Why it was declined.", max_length=200)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
                (
                    "campaign",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="approvals", to="campaigns.campaign"
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("answered_by", models.F("asked_by")), _negated=True),
                        name="approval_takes_two_people",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("answer", ""), ("answered_at", None), ("answered_by", "")),
                            models.Q(
                                models.Q(("answer", ""), _negated=True),
                                models.Q(("answered_by", ""), _negated=True),
                                ("answered_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="approval_answer_has_a_name",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("answer", "")), fields=("campaign",), name="one_open_question_per_campaign"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RawEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("method", models.CharField(max_length=8)),
                ("url", models.TextField()),
                ("headers", models.JSONField(default=dict)),
                ("body", models.BinaryField()),
                (
                    "news",
                    models.JSONField(default=list, help_text="The places of its events that had not come before."),
                ),
                ("received_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("applied_at", models.DateTimeField(null=True)),
                (
                    "retry_at",
                    models.DateTimeField(help_text="No dispatch fits yet; looked at again at this time.", null=True),
                ),
                (
                    "flaw",
                    models.CharField(blank=True, help_text="Why it could not be read or matched.", max_length=200),
                ),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="providers.provideraccount",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("applied_at", None)), fields=["id"], name="event_unapplied")
                ],
            },
        ),
        migrations.CreateModel(
            name="Receipt",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("place", models.SmallIntegerField(help_text="Its place in the request.")),
                ("dispatch_id", models.UUIDField(db_index=True)),
                ("flight", models.SmallIntegerField()),
                ("provider_id", models.CharField(blank=True, max_length=80)),
                (
                    "part",
                    models.CharField(
                        blank=True,
                        db_default="",
                        help_text="Which part of the text, where the vendor reports on each.",
                        max_length=80,
                    ),
                ),
                ("status", models.CharField(max_length=12)),
                ("code", models.CharField(blank=True, max_length=60)),
                ("detail", models.CharField(blank=True, max_length=200)),
                ("received_at", models.DateTimeField()),
                (
                    "raw",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="campaigns.rawevent",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("raw", "place"), name="one_receipt_per_event")],
            },
        ),
        migrations.CreateModel(
            name="Recipient",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.CharField(help_text="E.164, like +12025550123.", max_length=16)),
                ("country", models.CharField(blank=True, max_length=2)),
                (
                    "zones",
                    models.CharField(
                        blank=True,
                        help_text="The zones this person may be in, joined with |; then a semicolon and the states whose law may hold. Empty: unknown.",
                        max_length=400,
                    ),
                ),
                (
                    "zone_source",
                    models.CharField(
                        choices=[
                            ("explicit", "explicit"),
                            ("postal_code", "postal_code"),
                            ("state", "state"),
                            ("country", "country"),
                            ("area_code", "area_code"),
                            ("unknown", "unknown"),
                        ],
                        default=compliance.place.ZoneSource["UNKNOWN"],
                        max_length=12,
                    ),
                ),
                (
                    "state_source",
                    models.CharField(
                        choices=[
                            ("explicit", "explicit"),
                            ("postal_code", "postal_code"),
                            ("state", "state"),
                            ("country", "country"),
                            ("area_code", "area_code"),
                            ("unknown", "unknown"),
                        ],
                        db_default="unknown",
                        default=compliance.place.ZoneSource["UNKNOWN"],
                        max_length=12,
                    ),
                ),
                (
                    "fields",
                    models.JSONField(blank=True, default=dict, help_text="Typed custom fields: text, numbers, yes/no."),
                ),
                (
                    "language",
                    models.GeneratedField(
                        db_persist=True,
                        expression=django.db.models.functions.text.Left(
                            django.db.models.functions.text.Lower(
                                django.db.models.fields.json.KeyTextTransform("language", "fields")
                            ),
                            35,
                        ),
                        help_text="The field `language`, which chooses the text: es, es-MX or Spanish.",
                        output_field=models.CharField(max_length=35),
                    ),
                ),
                (
                    "send_at",
                    models.DateTimeField(
                        blank=True, help_text="Own instant, for campaigns that send per person.", null=True
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("tenant", "number"), name="one_recipient_per_number")],
            },
        ),
        migrations.CreateModel(
            name="RecipientList",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=120)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [models.UniqueConstraint(fields=("tenant", "name"), name="one_list_name")],
            },
        ),
        migrations.CreateModel(
            name="ListMember",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
                (
                    "recipient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to="campaigns.recipient",
                    ),
                ),
                (
                    "list",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="members",
                        to="campaigns.recipientlist",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("list", "recipient"), name="once_on_a_list")],
            },
        ),
        migrations.CreateModel(
            name="Keyword",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "word",
                    models.CharField(help_text="Like JOIN; how people write it makes no difference.", max_length=40),
                ),
                ("folded", models.CharField(editable=False, max_length=80)),
                (
                    "category",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "everything"),
                            ("marketing", "marketing"),
                            ("informational", "informational"),
                            ("transactional", "transactional"),
                        ],
                        default="marketing",
                        help_text="What the person agrees to get.",
                        max_length=16,
                    ),
                ),
                (
                    "tier",
                    models.CharField(
                        choices=[
                            ("express", "express: enough for informational texts"),
                            ("written", "written: enough for marketing; needs what people read before they texted it"),
                        ],
                        default="express",
                        help_text="How strong it is.",
                        max_length=10,
                    ),
                ),
                (
                    "disclosure",
                    models.TextField(
                        blank=True,
                        help_text="Word for word what people read where you advertise the word. It is kept as evidence with each opt-in.",
                    ),
                ),
                ("welcome", models.TextField(blank=True, help_text="The answer. Empty: the brand's answer to START.")),
                ("is_active", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="keywords", to="tenancy.brand"
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
                (
                    "people",
                    models.ForeignKey(
                        help_text="Whoever texts it gets on this list.",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="keywords",
                        to="campaigns.recipientlist",
                        verbose_name="list",
                    ),
                ),
            ],
            options={
                "ordering": ["word"],
                "constraints": [models.UniqueConstraint(fields=("brand", "folded"), name="one_meaning_per_word")],
            },
        ),
        migrations.CreateModel(
            name="Import",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("storage", "Django storage (uploads end there too)"),
                            ("path", "a path on the server"),
                        ],
                        default="storage",
                        max_length=10,
                    ),
                ),
                ("file", models.CharField(help_text="Name in the storage, or the path.", max_length=400)),
                (
                    "columns",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text='Which column is what, as {"number": "Mobile", "zone": "TZ"}; empty: found by their names.',
                    ),
                ),
                ("options", models.JSONField(blank=True, default=dict)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        editable=False,
                        max_length=10,
                    ),
                ),
                ("reason", models.TextField(blank=True, editable=False, help_text="Why it failed.")),
                ("dialect", models.JSONField(blank=True, default=dict, editable=False)),
                ("total_bytes", models.BigIntegerField(default=0, editable=False)),
                ("read_bytes", models.BigIntegerField(default=0, editable=False)),
                ("rows_read", models.BigIntegerField(default=0, editable=False)),
                ("rows_new", models.BigIntegerField(default=0, editable=False)),
                ("rows_changed", models.BigIntegerField(default=0, editable=False)),
                ("rows_same", models.BigIntegerField(default=0, editable=False)),
                ("rows_duplicate", models.BigIntegerField(default=0, editable=False)),
                ("rows_refused", models.BigIntegerField(default=0, editable=False)),
                ("rows_flagged", models.BigIntegerField(default=0, editable=False, help_text="Taken, with a remark.")),
                (
                    "rows_suppressed",
                    models.BigIntegerField(default=0, editable=False, help_text="Kept, and still never texted."),
                ),
                (
                    "rows_consented",
                    models.BigIntegerField(default=0, editable=False, help_text="Consents put on record."),
                ),
                (
                    "rows_untextable",
                    models.BigIntegerField(
                        default=0,
                        editable=False,
                        help_text="Kept, but no text reaches the number: a landline, or nobody's.",
                    ),
                ),
                (
                    "cursor",
                    models.JSONField(
                        blank=True, default=dict, editable=False, help_text="Where a killed import goes on."
                    ),
                ),
                ("lease", models.BigIntegerField(default=0, editable=False)),
                ("lease_until", models.DateTimeField(blank=True, editable=False, null=True)),
                ("created_by", models.CharField(blank=True, editable=False, max_length=120)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("started_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("finished_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "forgotten_at",
                    models.DateTimeField(
                        blank=True,
                        editable=False,
                        help_text="Its file and its refused rows are gone since then.",
                        null=True,
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
                (
                    "list",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="imports",
                        to="campaigns.recipientlist",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.AddField(
            model_name="campaign",
            name="lists",
            field=models.ManyToManyField(related_name="campaigns", to="campaigns.recipientlist"),
        ),
        migrations.AddField(
            model_name="campaign",
            name="minus_lists",
            field=models.ManyToManyField(blank=True, related_name="excluded_from", to="campaigns.recipientlist"),
        ),
        migrations.CreateModel(
            name="RefusedRow",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("line", models.BigIntegerField()),
                ("is_taken", models.BooleanField(default=False, help_text="The row was taken; this is only a remark.")),
                ("reason", models.CharField(max_length=60)),
                ("detail", models.CharField(blank=True, max_length=200)),
                (
                    "source",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="refused",
                        to="campaigns.import",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["source", "line"],
                "constraints": [models.UniqueConstraint(fields=("source", "line"), name="one_refusal_per_line")],
            },
        ),
        migrations.CreateModel(
            name="Reply",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("provider_id", models.CharField(blank=True, max_length=80)),
                ("number", models.CharField(help_text="The person's.", max_length=254)),
                ("to", models.CharField(help_text="Ours.", max_length=254)),
                ("text", models.TextField(blank=True)),
                ("media", models.JSONField(default=list)),
                (
                    "kind",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("none", "none"),
                            ("opt_out", "opt-out"),
                            ("help", "help"),
                            ("opt_in", "opt-in"),
                            ("keyword", "keyword"),
                            ("review", "review"),
                        ],
                        db_default="",
                        default="",
                        help_text="What it is taken for; empty: pieces of it are missing.",
                        max_length=16,
                    ),
                ),
                (
                    "rule",
                    models.CharField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="Which rule of which edition said so.",
                        max_length=60,
                    ),
                ),
                (
                    "answered_as",
                    models.CharField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="What the vendor itself has answered it as.",
                        max_length=10,
                    ),
                ),
                ("is_opt_out", models.BooleanField(default=False)),
                (
                    "review_until",
                    models.DateTimeField(
                        help_text="It may be an opt-out: until this somebody can say that it is none.", null=True
                    ),
                ),
                ("reviewed_at", models.DateTimeField(null=True)),
                ("reviewed_by", models.CharField(blank=True, db_default="", default="", max_length=120)),
                (
                    "apply_at",
                    models.DateTimeField(
                        help_text="When what it asks for is done; empty: nothing is left to do.", null=True
                    ),
                ),
                ("answer", models.UUIDField(help_text="The dispatch that answers it.", null=True)),
                (
                    "answer_rule",
                    models.CharField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="Why it was answered, or was not.",
                        max_length=60,
                    ),
                ),
                ("received_at", models.DateTimeField()),
                (
                    "tidied_at",
                    models.DateTimeField(
                        help_text="The person's waiting dispatches are blocked since then.", null=True
                    ),
                ),
                (
                    "whole",
                    models.CharField(
                        blank=True,
                        db_default="",
                        help_text="The vendor's mark of a long message that comes in pieces.",
                        max_length=120,
                    ),
                ),
                (
                    "pieces",
                    models.JSONField(
                        db_default=models.Value({}, models.JSONField()), default=dict, help_text="Its texts by number."
                    ),
                ),
                (
                    "pieces_due",
                    models.SmallIntegerField(
                        db_default=0, default=0, help_text="How many there will be; 0: it came whole."
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="providers.provideraccount",
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.brand"
                    ),
                ),
                (
                    "raw",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="campaigns.rawevent",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "replies",
                "indexes": [
                    models.Index(
                        condition=models.Q(("is_opt_out", True), ("tidied_at", None)),
                        fields=["id"],
                        name="reply_untidied",
                    ),
                    models.Index(
                        condition=models.Q(("apply_at__isnull", False)), fields=["apply_at"], name="reply_unapplied"
                    ),
                    models.Index(
                        condition=models.Q(("review_until__isnull", False), ("reviewed_at", None)),
                        fields=["review_until"],
                        name="reply_unreviewed",
                    ),
                    models.Index(fields=["number", "brand"], name="reply_by_person"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("whole", ""), _negated=True),
                        fields=("account", "whole"),
                        name="one_reply_per_long_message",
                    ),
                    models.UniqueConstraint(fields=("answer",), name="one_reply_per_answer"),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReviewedReply",
            fields=[],
            options={
                "verbose_name": "reply to review",
                "verbose_name_plural": "replies to review",
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("campaigns.reply",),
        ),
        migrations.CreateModel(
            name="Run",
            fields=[
                ("id", models.BigIntegerField(editable=False, primary_key=True, serialize=False)),
                ("occurrence", models.CharField(max_length=80)),
                (
                    "lane",
                    models.CharField(
                        choices=[
                            ("bulk", "Bulk"),
                            ("urgent", "urgent (replies, one-time codes, single notifications)"),
                        ],
                        default="bulk",
                        max_length=10,
                    ),
                ),
                (
                    "category",
                    models.CharField(
                        choices=[
                            ("marketing", "marketing"),
                            ("informational", "informational"),
                            ("transactional", "transactional"),
                        ],
                        default=compliance.policy.Category["MARKETING"],
                        max_length=16,
                    ),
                ),
                ("plan", models.JSONField(default=dict)),
                ("launched_at", models.DateTimeField()),
                ("launched_by", models.CharField(blank=True, max_length=120)),
                ("paused_at", models.DateTimeField(blank=True, null=True)),
                ("cancelled_at", models.DateTimeField(blank=True, null=True)),
                ("materialise_at", models.DateTimeField(help_text="Nothing is expanded long before it is due.")),
                ("materialised_at", models.DateTimeField(blank=True, null=True)),
                (
                    "settled_at",
                    models.DateTimeField(
                        blank=True, help_text="Nothing will change its dispatches by itself any more.", null=True
                    ),
                ),
                (
                    "redacted_at",
                    models.DateTimeField(
                        blank=True, help_text="The texts of its messages are gone since then.", null=True
                    ),
                ),
                ("cursor", models.BigIntegerField(default=0, help_text="Recipients up to this id are materialised.")),
                ("batches_made", models.IntegerField(default=0)),
                ("lease", models.BigIntegerField(default=0)),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                (
                    "people",
                    models.PositiveIntegerField(db_default=0, help_text="Whom it is for, counted when it is expanded."),
                ),
                (
                    "approved_by",
                    models.CharField(blank=True, db_default="", help_text="Never who launched it.", max_length=120),
                ),
                (
                    "approved_people",
                    models.PositiveIntegerField(
                        blank=True, help_text="Up to how many people it is approved for.", null=True
                    ),
                ),
                ("undo_until", models.DateTimeField(blank=True, help_text="Nothing is handed over before.", null=True)),
                (
                    "canary",
                    models.CharField(
                        blank=True,
                        choices=[("waiting", "Waiting"), ("released", "Released"), ("halted", "Halted")],
                        db_default="",
                        help_text="What became of its canary.",
                        max_length=8,
                    ),
                ),
                (
                    "stop_reason",
                    models.CharField(blank=True, db_default="", help_text="Why it was paused.", max_length=200),
                ),
                (
                    "approval",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="runs",
                        to="campaigns.approval",
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="runs", to="tenancy.brand"
                    ),
                ),
                (
                    "campaign",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="runs",
                        to="campaigns.campaign",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("materialised_at", None)),
                        fields=["materialise_at"],
                        name="run_unmaterialised",
                    ),
                    models.Index(
                        condition=models.Q(("settled_at", None)), fields=["launched_at"], name="run_unsettled"
                    ),
                    models.Index(
                        condition=models.Q(("redacted_at", None)), fields=["launched_at"], name="run_unredacted"
                    ),
                    models.Index(
                        condition=models.Q(("canary", "waiting")), fields=["launched_at"], name="run_with_canary"
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("approved_by", ""), ("approved_people", None)),
                            models.Q(("approved_people__isnull", False), models.Q(("approved_by", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="run_approval_has_a_name",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("approved_by", ""),
                            models.Q(
                                ("approved_by", django.db.models.functions.text.Lower("launched_by")), _negated=True
                            ),
                            _connector="OR",
                        ),
                        name="run_approval_takes_two_people",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("campaign__isnull", False)),
                        fields=("campaign", "occurrence"),
                        name="one_run_per_occurrence",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("campaign__isnull", True)),
                        fields=("brand", "occurrence"),
                        name="one_day_run",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("campaign__isnull", True),
                            models.Q(("category", "keyword_reply"), _negated=True),
                            _connector="OR",
                        ),
                        name="campaigns_are_no_keyword_replies",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Dispatch",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("number", models.CharField(help_text="E.164, or an e-mail address.", max_length=254)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "queued"),
                            ("cleared", "cleared"),
                            ("locked", "locked"),
                            ("allowed", "allowed"),
                            ("ready", "ready"),
                            ("sending", "sending"),
                            ("held", "held"),
                            ("accepted", "accepted"),
                            ("undelivered", "undelivered"),
                            ("unknown", "unknown"),
                            ("dead", "dead"),
                            ("delivered", "delivered"),
                            ("rejected", "rejected"),
                            ("blocked", "blocked"),
                            ("cancelled", "cancelled"),
                            ("expired", "expired"),
                        ],
                        default=campaigns.states.State["QUEUED"],
                        max_length=11,
                    ),
                ),
                ("reason", models.CharField(blank=True, db_default="", max_length=60)),
                ("detail", models.CharField(blank=True, db_default="", max_length=200)),
                ("due_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("not_before", models.DateTimeField(null=True)),
                ("good_until", models.DateTimeField(null=True)),
                ("text", models.TextField(blank=True, db_default="")),
                (
                    "links",
                    models.JSONField(help_text="Destinations whose short links the text still lacks.", null=True),
                ),
                ("segments", models.SmallIntegerField(db_default=0)),
                ("flight", models.SmallIntegerField(db_default=0, help_text="The number of the latest try.")),
                ("posts", models.SmallIntegerField(db_default=0, help_text="Tries that were really posted.")),
                ("account_id", models.BigIntegerField(null=True)),
                (
                    "zones",
                    models.CharField(
                        blank=True,
                        db_default="",
                        help_text="By which place it was judged; of messages without a recipient, by which it will be.",
                        max_length=400,
                        verbose_name="place",
                    ),
                ),
                ("accepted_at", models.DateTimeField(null=True)),
                ("settled_at", models.DateTimeField(null=True)),
                ("changed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("resend_of", models.UUIDField(null=True)),
                (
                    "batch",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="campaigns.batch",
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.brand",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
                (
                    "recipient",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="campaigns.recipient",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="campaigns.run",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "dispatches",
            },
        ),
        migrations.AddField(
            model_name="batch",
            name="run",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="batches", to="campaigns.run"
            ),
        ),
        migrations.CreateModel(
            name="SeenEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=200)),
                ("seen_at", models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="providers.provideraccount",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("account", "key"), name="event_seen_once")],
            },
        ),
        migrations.CreateModel(
            name="SeenNumber",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "source_id", "number", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.BigIntegerField(help_text="The digits of the E.164 number.")),
                ("line", models.BigIntegerField()),
                (
                    "source",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="seen_numbers",
                        to="campaigns.import",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="SendLock",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "brand_id", "number", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.CharField(help_text="E.164, or an e-mail address.", max_length=254)),
                ("dispatch_id", models.UUIDField()),
                ("until", models.DateTimeField()),
                (
                    "brand",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.brand",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="TallyDelta",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("run_id", models.BigIntegerField(db_index=True)),
                ("batch_id", models.BigIntegerField(db_index=True, null=True)),
                ("state", models.CharField(max_length=11)),
                ("change", models.IntegerField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Template",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=120)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="templates", to="tenancy.brand"
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [models.UniqueConstraint(fields=("brand", "name"), name="one_template_name")],
            },
        ),
        migrations.AddField(
            model_name="campaign",
            name="template",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="campaigns", to="campaigns.template"
            ),
        ),
        migrations.CreateModel(
            name="TemplateVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                (
                    "source",
                    models.TextField(
                        help_text='Liquid: {{ first_name | default: "there" }}, {% if vip %}…{% endif %}.'
                    ),
                ),
                (
                    "texts",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text='Texts for people of other languages, like {"es": "Hola {{ first_name }}"}.',
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "template",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="versions", to="campaigns.template"
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "ordering": ["-number"],
                "constraints": [models.UniqueConstraint(fields=("template", "number"), name="one_version_number")],
            },
        ),
        migrations.AddField(
            model_name="run",
            name="version",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="runs",
                to="campaigns.templateversion",
            ),
        ),
        migrations.CreateModel(
            name="Preflight",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(help_text="The launch that it is about.")),
                ("occurrence", models.CharField(blank=True, max_length=80)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                ("reason", models.TextField(blank=True, help_text="Why it failed.")),
                ("people", models.PositiveIntegerField(default=0, help_text="On the lists.")),
                ("done", models.PositiveIntegerField(default=0, help_text="Looked at so far.")),
                ("numbers", models.JSONField(default=dict)),
                (
                    "stamps",
                    models.JSONField(
                        default=dict, help_text="What it was counted from; what differs now makes it stale."
                    ),
                ),
                ("created_by", models.CharField(blank=True, max_length=120)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "renewed_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, help_text="When its counting last went on."
                    ),
                ),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "campaign",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="preflights", to="campaigns.campaign"
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="campaigns.templateversion"
                    ),
                ),
            ],
            options={
                "verbose_name": "pre-flight",
                "ordering": ["-id"],
            },
        ),
        migrations.AddField(
            model_name="approval",
            name="version",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="campaigns.templateversion"
            ),
        ),
        migrations.CreateModel(
            name="Trouble",
            fields=[
                ("dispatch_id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=11)),
                ("since", models.DateTimeField(default=django.utils.timezone.now)),
                ("due_at", models.DateTimeField(help_text="When an unknown becomes final.", null=True)),
                (
                    "ask_at",
                    models.DateTimeField(
                        help_text="When the provider is asked next whether it has the message.", null=True
                    ),
                ),
                ("asked", models.SmallIntegerField(db_default=0, help_text="How often the provider was asked.")),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["kind", "due_at"], name="trouble_due")],
            },
        ),
        migrations.CreateModel(
            name="Conversation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.CharField(help_text="E.164, or an e-mail address.", max_length=254)),
                ("stopped_at", models.DateTimeField(help_text="When the latest opt-out came.", null=True)),
                (
                    "started_at",
                    models.DateTimeField(help_text="When the latest opt-in came that was followed.", null=True),
                ),
                ("stop_answered_at", models.DateTimeField(null=True)),
                ("help_answered_at", models.DateTimeField(null=True)),
                (
                    "brand",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenancy.brand",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("brand", "number"), name="one_conversation")],
            },
        ),
        migrations.CreateModel(
            name="ProviderMessage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("provider_id", models.CharField(max_length=80)),
                ("dispatch_id", models.UUIDField()),
                ("flight", models.SmallIntegerField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="providers.provideraccount",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("account", "provider_id"), name="one_message_per_provider_id")
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="batch",
            constraint=models.UniqueConstraint(fields=("run", "position"), name="one_batch_per_position"),
        ),
        migrations.RunPython(forget_django_s_index, migrations.RunPython.noop),
        migrations.RunSQL(DISPATCH, migrations.RunSQL.noop),
        migrations.RunSQL(ATTEMPT, migrations.RunSQL.noop),
        migrations.RunSQL("ALTER TABLE campaigns_batch SET (fillfactor = 50)", migrations.RunSQL.noop),
        migrations.RunSQL(
            "CREATE SEQUENCE campaigns_notification_number", "DROP SEQUENCE campaigns_notification_number"
        ),
        migrations.RunPython(make_partitions, migrations.RunPython.noop),
    ]
