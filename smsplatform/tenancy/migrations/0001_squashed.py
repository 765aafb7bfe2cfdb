"""Everything up to 0008, as a new database gets it: at once."""

import datetime
import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import smsplatform.tenancy.models
from django.conf import settings
from django.db import migrations, models

APPEND_ONLY = """
CREATE FUNCTION tenancy_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is only ever added to', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER auditevent_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tenancy_auditevent
  FOR EACH STATEMENT EXECUTE FUNCTION tenancy_append_only();
CREATE TRIGGER auditseal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tenancy_auditseal
  FOR EACH STATEMENT EXECUTE FUNCTION tenancy_append_only();
"""
NOT_APPEND_ONLY = """
DROP TRIGGER auditseal_append_only ON tenancy_auditseal;
DROP TRIGGER auditevent_append_only ON tenancy_auditevent;
DROP FUNCTION tenancy_append_only();
"""


class Migration(migrations.Migration):
    replaces = [
        ("tenancy", "0001_initial"),
        ("tenancy", "0002_consent"),
        ("tenancy", "0003_suppression"),
        ("tenancy", "0004_place"),
        ("tenancy", "0005_content"),
        ("tenancy", "0006_privacy"),
        ("tenancy", "0007_preflight"),
        ("tenancy", "0008_erasures"),
    ]

    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.CreateModel(
            name="User",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("password", models.CharField(max_length=128, verbose_name="password")),
                ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        help_text="Designates that this user has all permissions without explicitly assigning them.",
                        verbose_name="superuser status",
                    ),
                ),
                ("email", models.EmailField(max_length=254, unique=True)),
                ("name", models.CharField(blank=True, max_length=120)),
                ("is_staff", models.BooleanField(default=False, verbose_name="may use the admin")),
                ("is_active", models.BooleanField(default=True)),
                ("joined_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "groups",
                    models.ManyToManyField(
                        blank=True,
                        help_text="The groups this user belongs to. A user will get all permissions granted to each of their groups.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.group",
                        verbose_name="groups",
                    ),
                ),
                (
                    "user_permissions",
                    models.ManyToManyField(
                        blank=True,
                        help_text="Specific permissions for this user.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.permission",
                        verbose_name="user permissions",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Installation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "is_sending",
                    models.BooleanField(default=True, help_text="The start/stop switch of all automatic sending."),
                ),
                ("identity", models.CharField(blank=True, editable=False, max_length=80)),
                ("changed_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("changed_by", models.CharField(blank=True, editable=False, max_length=120)),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="one_installation")],
            },
        ),
        migrations.CreateModel(
            name="RetentionMark",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=20)),
                ("months", models.PositiveSmallIntegerField()),
                ("upto", models.BigIntegerField(default=0)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("kind", "months"), name="one_retention_mark")],
            },
        ),
        migrations.CreateModel(
            name="Tenant",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=120)),
                ("slug", models.SlugField(unique=True)),
                (
                    "weight",
                    models.PositiveSmallIntegerField(
                        default=1,
                        help_text="Turns per round when batches are handed out.",
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "countries",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=2),
                        blank=True,
                        default=list,
                        help_text="Countries whose numbers may be texted; empty means US and CA.",
                        size=None,
                    ),
                ),
                (
                    "informational_hours",
                    models.CharField(
                        choices=[
                            ("federal", "08-21 (federal)"),
                            ("states", "as marketing: the hours of each state"),
                            ("none", "at any time"),
                        ],
                        default="federal",
                        help_text="When order news and reminders may go out, in each recipient's local time.",
                        max_length=8,
                    ),
                ),
                (
                    "texts_unknown_places",
                    models.BooleanField(
                        default=True,
                        help_text="Marketing to people of whom no place is known, in the hours that are day in all of the United States. Off: never.",
                        verbose_name="text people of unknown place",
                    ),
                ),
                (
                    "triggered_countries",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=2),
                        blank=True,
                        default=list,
                        help_text="Of these, the countries that the API and forms may trigger texts to; empty means US and CA.",
                        size=None,
                    ),
                ),
                (
                    "triggered_segments",
                    models.PositiveIntegerField(
                        default=5000, help_text="Segments a day, to each country, that the API and forms may trigger."
                    ),
                ),
                (
                    "has_smart_encoding",
                    models.BooleanField(
                        default=True,
                        help_text="Curly quotes, dashes and the like are sent as plain ones, which cost less.",
                        verbose_name="smart encoding",
                    ),
                ),
                (
                    "strips_accents",
                    models.BooleanField(
                        default=False,
                        help_text="Letters that would double the cost (ł, ç, ș) are sent without their accent. It changes names.",
                        verbose_name="no accents",
                    ),
                ),
                (
                    "banned_hosts",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=120),
                        blank=True,
                        default=list,
                        help_text="Hosts that no text may lead to, with their subdomains. Public shorteners never may.",
                        size=None,
                    ),
                ),
                (
                    "erasures",
                    models.BigIntegerField(
                        db_default=0,
                        editable=False,
                        help_text="How often somebody was to be forgotten: claims look again when it grows.",
                    ),
                ),
                (
                    "approve_above",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="A campaign to more people than this needs a second person. Empty: none does.",
                        null=True,
                    ),
                ),
                ("paused_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("weight__gte", 1)), name="tenant_weight_positive")
                ],
            },
        ),
        migrations.CreateModel(
            name="Retention",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "texts_months",
                    models.PositiveSmallIntegerField(
                        default=13,
                        help_text="Texts that were sent, their links' destinations, and what people answered.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(120),
                        ],
                    ),
                ),
                (
                    "events_months",
                    models.PositiveSmallIntegerField(
                        default=3,
                        help_text="What providers sent us, as it came.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(120),
                        ],
                    ),
                ),
                (
                    "clicks_months",
                    models.PositiveSmallIntegerField(
                        default=13,
                        help_text="Address and browser of who followed a link; that it was followed stays.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(120),
                        ],
                    ),
                ),
                (
                    "imports_months",
                    models.PositiveSmallIntegerField(
                        default=1,
                        help_text="Uploaded files, and the rows that were refused, after the import has ended.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(120),
                        ],
                    ),
                ),
                (
                    "tenant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="retention", to="tenancy.tenant"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=120)),
                ("prefix", models.CharField(editable=False, max_length=12, unique=True)),
                ("digest", models.CharField(editable=False, max_length=64)),
                (
                    "scopes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=40), blank=True, default=list, size=None
                    ),
                ),
                ("is_active", models.BooleanField(default=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("last_used_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="api_keys",
                        to=settings.AUTH_USER_MODEL,
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
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "role",
                    models.CharField(
                        choices=[("owner", "Owner"), ("manager", "Manager"), ("viewer", "Viewer")],
                        default="viewer",
                        max_length=10,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="memberships", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("user", "tenant"), name="one_membership")],
            },
        ),
        migrations.CreateModel(
            name="Brand",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=120)),
                ("slug", models.SlugField()),
                (
                    "zone",
                    models.CharField(
                        default="America/New_York", max_length=64, validators=[smsplatform.tenancy.models.check_zone]
                    ),
                ),
                (
                    "opens_at",
                    models.TimeField(
                        default=datetime.time(8, 0), help_text="First local time of a recipient at which we may text."
                    ),
                ),
                (
                    "closes_at",
                    models.TimeField(
                        default=datetime.time(21, 0), help_text="Local time of a recipient from which we may not text."
                    ),
                ),
                (
                    "sunday_opens_at",
                    models.TimeField(
                        blank=True,
                        help_text="On Sundays instead; both or none. Recommended: 09-20, on Sundays 12-20.",
                        null=True,
                    ),
                ),
                ("sunday_closes_at", models.TimeField(blank=True, null=True)),
                (
                    "daily_cap",
                    models.PositiveIntegerField(
                        blank=True, help_text="Messages per day in the brand's zone; empty means no cap.", null=True
                    ),
                ),
                (
                    "person_cap",
                    models.PositiveSmallIntegerField(
                        default=3,
                        help_text="Marketing messages per person in the rolling window.",
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "person_cap_hours",
                    models.PositiveSmallIntegerField(
                        default=24, validators=[django.core.validators.MinValueValidator(1)]
                    ),
                ),
                (
                    "link_domain",
                    models.CharField(
                        blank=True, help_text="Host of short links; empty: the platform's.", max_length=120
                    ),
                ),
                (
                    "consent_kept",
                    models.CharField(
                        choices=[
                            ("here", "here, in the consent ledger"),
                            ("elsewhere", "elsewhere: the tenant vouches for it"),
                        ],
                        default="here",
                        editable=False,
                        help_text="Kept here, nobody is texted without a consent on record.",
                        max_length=10,
                        verbose_name="proof of consent is kept",
                    ),
                ),
                ("consent_attested_by", models.CharField(blank=True, editable=False, max_length=120)),
                ("consent_attested_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "consent_attestation",
                    models.TextField(
                        blank=True,
                        editable=False,
                        help_text="The words with which the tenant vouches for consent kept elsewhere.",
                    ),
                ),
                (
                    "opt_in_hours",
                    models.PositiveSmallIntegerField(
                        default=72,
                        help_text="How long a double opt-in waits for the person's YES.",
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="hours for a YES",
                    ),
                ),
                (
                    "optout_scope_policy",
                    models.CharField(
                        choices=[
                            ("all", "ends all texts of the brand"),
                            ("category", "in answer to an informational text, ends such texts only"),
                        ],
                        db_default="all",
                        default="all",
                        help_text="The narrower reading counts only while the platform allows it (OPTOUT_SCOPE_POLICY), and never for a STOP to marketing.",
                        max_length=10,
                        verbose_name="a STOP",
                    ),
                ),
                (
                    "adds_stop_line",
                    models.BooleanField(
                        default=True,
                        help_text="To a person's first marketing text, and to one every 30 days, unless the text says STOP by itself.",
                        verbose_name="adds the STOP line",
                    ),
                ),
                (
                    "stop_lines",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text='The line in the brand\'s own words, by language, like {"default": "STOP ends.", "es": "…"}.',
                        validators=[smsplatform.tenancy.models.check_stop_lines],
                    ),
                ),
                (
                    "max_segments",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="A longer text is not sent; empty: the platform's limit.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "undo_above",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="A launch to more people than this may be undone for a minute. Empty: the platform's number.",
                        null=True,
                    ),
                ),
                ("paused_at", models.DateTimeField(blank=True, editable=False, null=True)),
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
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "slug"), name="one_brand_slug"),
                    models.CheckConstraint(
                        condition=models.Q(("opens_at__lt", models.F("closes_at"))), name="brand_opens_before_it_closes"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("consent_kept", "here"),
                            models.Q(
                                ("consent_attested_at__isnull", False),
                                models.Q(("consent_attested_by", ""), _negated=True),
                                models.Q(("consent_attestation", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="consent_kept_elsewhere_is_attested",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("sunday_closes_at", None), ("sunday_opens_at", None)),
                            models.Q(
                                ("sunday_closes_at__isnull", False),
                                ("sunday_opens_at__isnull", False),
                                ("sunday_opens_at__lt", models.F("sunday_closes_at")),
                            ),
                            _connector="OR",
                        ),
                        name="brand_opens_on_sunday_before_it_closes",
                        violation_error_message="On Sundays give both times, the first before the second, or none.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="AuditSeal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("ledger", models.CharField(help_text="Which table; see smsplatform.tenancy.seals.", max_length=20)),
                ("first_id", models.BigIntegerField()),
                ("last_id", models.BigIntegerField()),
                ("rows", models.BigIntegerField()),
                ("digest", models.CharField(max_length=64)),
                ("previous", models.CharField(blank=True, max_length=64)),
                ("at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["ledger", "last_id"], name="seal_horizon")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("ledger", "tenant", "first_id"), name="one_seal_per_range", nulls_distinct=False
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="AuditEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("actor", models.CharField(max_length=120)),
                ("verb", models.CharField(max_length=60)),
                ("target", models.CharField(blank=True, max_length=120)),
                (
                    "object_type",
                    models.CharField(blank=True, db_default="", help_text="Like campaigns.Run.", max_length=60),
                ),
                ("object_id", models.CharField(blank=True, db_default="", max_length=60)),
                ("before", models.JSONField(blank=True, help_text="What was changed, as it was; masked.", null=True)),
                ("after", models.JSONField(blank=True, help_text="… and as it is since; masked.", null=True)),
                ("detail", models.JSONField(blank=True, default=dict)),
                (
                    "ip",
                    models.GenericIPAddressField(
                        blank=True, help_text="Of whoever asked for it over the web.", null=True
                    ),
                ),
                ("request_id", models.CharField(blank=True, db_default="", max_length=64)),
                ("at", models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                (
                    "tenant",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["-at", "-id"],
                "indexes": [models.Index(fields=["tenant", "id"], name="audit_by_tenant")],
            },
        ),
        migrations.RunSQL(APPEND_ONLY, NOT_APPEND_ONLY),
    ]
