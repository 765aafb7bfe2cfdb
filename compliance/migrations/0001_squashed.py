"""Everything up to 0013, as a new database gets it: at once."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
import smsplatform.tenancy.models
import uuid
from django.db import migrations, models

# Not even a superuser's hasty UPDATE: only with the door named, for one transaction (compliance.consent.doors).
GUARD = """
CREATE FUNCTION compliance_consent_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  door text := coalesce(current_setting('consent.door', true), '');
  personal text[] := ARRAY['number', 'identity', 'salt', 'ip', 'user_agent', 'session_id', 'once'];
BEGIN
  IF TG_OP = 'DELETE' AND door = 'retention' THEN
    RETURN OLD;
  END IF;
  IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'compliance_consent' AND door = 'erasure'
     AND to_jsonb(NEW) - personal = to_jsonb(OLD) - personal
     -- a keyed hash in the number's place, once; read as JSON: the other table has no such columns
     AND to_jsonb(OLD) ->> 'salt' IS NOT NULL AND to_jsonb(NEW) ->> 'salt' IS NULL
     AND to_jsonb(NEW) ->> 'identity' = '' AND to_jsonb(NEW) ->> 'number' ~ '^[0-9a-f]{8}:[0-9a-f]{64}$' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'evidence of consent is only ever added: % of % refused', TG_OP, TG_TABLE_NAME;
END $$;
CREATE TRIGGER consent_is_kept BEFORE UPDATE OR DELETE ON compliance_consent
  FOR EACH ROW EXECUTE FUNCTION compliance_consent_guard();
CREATE TRIGGER consent_is_not_emptied BEFORE TRUNCATE ON compliance_consent
  FOR EACH STATEMENT EXECUTE FUNCTION compliance_consent_guard();
CREATE TRIGGER disclosure_is_kept BEFORE UPDATE OR DELETE ON compliance_disclosure
  FOR EACH ROW EXECUTE FUNCTION compliance_consent_guard();
CREATE TRIGGER disclosure_is_not_emptied BEFORE TRUNCATE ON compliance_disclosure
  FOR EACH STATEMENT EXECUTE FUNCTION compliance_consent_guard();
"""
UNGUARD = """
DROP TRIGGER consent_is_kept ON compliance_consent;
DROP TRIGGER consent_is_not_emptied ON compliance_consent;
DROP TRIGGER disclosure_is_kept ON compliance_disclosure;
DROP TRIGGER disclosure_is_not_emptied ON compliance_disclosure;
DROP FUNCTION compliance_consent_guard();
"""


class Migration(migrations.Migration):
    replaces = [
        ("compliance", "0001_initial"),
        ("compliance", "0002_permit_room"),
        ("compliance", "0003_mail_addresses"),
        ("compliance", "0004_consent"),
        ("compliance", "0005_automatic_texts"),
        ("compliance", "0006_suppression"),
        ("compliance", "0007_place"),
        ("compliance", "0008_limits"),
        ("compliance", "0009_content"),
        ("compliance", "0010_erasure"),
        ("compliance", "0011_deactivated"),
        ("compliance", "0012_consent_commitment"),
        ("compliance", "0013_untidied"),
    ]

    initial = True

    dependencies = [
        ("tenancy", "0001_squashed"),
    ]

    operations = [
        migrations.CreateModel(
            name="AutomaticTexts",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "program",
                    models.CharField(
                        blank=True,
                        help_text="By which people know you; empty: the brand's name.",
                        max_length=60,
                        verbose_name="name",
                    ),
                ),
                (
                    "monthly",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="At most; people are promised this number. HELP and START cannot be answered without it.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="texts a month",
                    ),
                ),
                ("help_page", models.CharField(blank=True, help_text="Like acme.com/help.", max_length=100)),
                (
                    "help_phone",
                    models.CharField(blank=True, help_text="Free of charge, like 800-555-0199.", max_length=30),
                ),
                ("help_email", models.EmailField(blank=True, help_text="Or an address that is read.", max_length=100)),
                (
                    "opt_out_text",
                    models.TextField(
                        blank=True, help_text="Empty: ours, as shown above.", verbose_name="answer to STOP"
                    ),
                ),
                (
                    "help_text",
                    models.TextField(
                        blank=True, help_text="Empty: ours, as shown above.", verbose_name="answer to HELP"
                    ),
                ),
                (
                    "opt_in_text",
                    models.TextField(
                        blank=True, help_text="Empty: ours, as shown above.", verbose_name="answer to START"
                    ),
                ),
                (
                    "ask_text",
                    models.TextField(
                        blank=True, help_text="Empty: ours, as shown above.", verbose_name="question of a double opt-in"
                    ),
                ),
                (
                    "languages",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=2),
                        blank=True,
                        default=list,
                        help_text="In which people write to you, like en,es; empty: all that we know. It is for texts in people's own words: a word like STOP or ARRET alone counts in every language.",
                        size=None,
                    ),
                ),
                (
                    "reviews_intent_abroad",
                    models.BooleanField(
                        default=False,
                        help_text="A text like “please do not write to me any more” from outside the +1 countries waits for your decision, instead of being an opt-out at once.",
                        verbose_name="look at wishes from abroad first",
                    ),
                ),
                (
                    "brand",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="automatic_texts", to="tenancy.brand"
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
                "verbose_name": "automatic texts",
                "verbose_name_plural": "automatic texts",
            },
        ),
        migrations.CreateModel(
            name="Disclosure",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "digest",
                    models.CharField(editable=False, help_text="SHA-256 of the text: its version.", max_length=64),
                ),
                ("text", models.TextField()),
                (
                    "seen_at",
                    models.DateTimeField(default=django.utils.timezone.now, help_text="When it was first stored."),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("tenant", "digest"), name="one_disclosure_text")],
            },
        ),
        migrations.CreateModel(
            name="Consent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "number",
                    models.CharField(
                        help_text="E.164, or an e-mail address; of an erased person a keyed hash of it.", max_length=254
                    ),
                ),
                (
                    "category",
                    models.CharField(blank=True, help_text="What it is about; empty: every category.", max_length=16),
                ),
                (
                    "event",
                    models.CharField(
                        choices=[
                            ("asked", "asked"),
                            ("granted", "granted"),
                            ("confirmed", "confirmed"),
                            ("imported", "imported"),
                            ("corrected", "corrected"),
                            ("revoked", "revoked"),
                            ("expired", "expired"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "tier",
                    models.CharField(
                        blank=True,
                        choices=[("implied", "implied"), ("express", "express"), ("written", "written")],
                        help_text="Empty: all tiers.",
                        max_length=8,
                    ),
                ),
                ("occurred_at", models.DateTimeField(help_text="When the person did it.")),
                (
                    "recorded_at",
                    models.DateTimeField(default=django.utils.timezone.now, help_text="When we stored it."),
                ),
                ("expires_at", models.DateTimeField(blank=True, help_text="When it ends by itself.", null=True)),
                (
                    "is_undated",
                    models.BooleanField(
                        default=False, help_text="Nobody knows when it was given, so it outlives no revocation."
                    ),
                ),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("web_form", "web form"),
                            ("keyword", "keyword"),
                            ("api", "api"),
                            ("import", "import"),
                            ("paper", "paper"),
                            ("verbal", "verbal"),
                            ("pos", "pos"),
                            ("double_optin", "double optin"),
                            ("admin", "admin"),
                            ("system", "system"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "action",
                    models.CharField(
                        blank=True, help_text='The act, like "ticked the box" or "texted JOIN".', max_length=200
                    ),
                ),
                ("reason", models.CharField(blank=True, help_text="Of an end: why.", max_length=60)),
                (
                    "basis",
                    models.CharField(blank=True, help_text="Of implied consent: purchase or inquiry.", max_length=12),
                ),
                ("page_url", models.TextField(blank=True)),
                ("form_id", models.CharField(blank=True, max_length=120)),
                ("ip", models.GenericIPAddressField(blank=True, null=True)),
                ("user_agent", models.TextField(blank=True)),
                ("session_id", models.CharField(blank=True, max_length=120)),
                ("inbound_id", models.BigIntegerField(blank=True, help_text="The reply.", null=True)),
                ("inbound_text", models.TextField(blank=True)),
                ("our_number", models.CharField(blank=True, max_length=254)),
                (
                    "identity",
                    models.CharField(
                        blank=True, help_text="Name, e-mail address or user id, if known.", max_length=254
                    ),
                ),
                ("import_id", models.BigIntegerField(blank=True, null=True)),
                ("attested_by", models.CharField(blank=True, max_length=120)),
                (
                    "original_date",
                    models.CharField(blank=True, help_text="As it was written in the file.", max_length=60),
                ),
                (
                    "evidence_file",
                    models.CharField(blank=True, help_text="Where the paper or recording is kept.", max_length=400),
                ),
                (
                    "once",
                    models.UUIDField(default=uuid.uuid4, editable=False, help_text="The same for the same evidence."),
                ),
                ("salt", models.UUIDField(default=uuid.uuid4, editable=False, null=True)),
                (
                    "commitment",
                    models.BinaryField(
                        default=bytes, help_text="SHA-256 of salt, number and identity: stays when they are erased."
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
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
                (
                    "attestation",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        help_text="What they signed.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="compliance.disclosure",
                    ),
                ),
                (
                    "disclosure",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        help_text="What the person was shown.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="compliance.disclosure",
                    ),
                ),
            ],
            options={
                "verbose_name": "consent record",
                "constraints": [
                    models.UniqueConstraint(fields=("brand", "number", "once"), name="same_consent_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("event__in", ("revoked", "expired")),
                            models.Q(("tier", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="consent_has_a_tier",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ErasedPerson",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("keyed", models.CharField(help_text="Name of the pepper, and the hash under it.", max_length=73)),
                (
                    "is_suppressed",
                    models.BooleanField(
                        default=True, help_text="Never to be texted again, whoever imports the number."
                    ),
                ),
                ("number", models.CharField(blank=True, help_text="Empty when all is done.", max_length=254)),
                ("reason", models.CharField(blank=True, max_length=120)),
                ("asked_by", models.CharField(max_length=120)),
                ("asked_at", models.DateTimeField()),
                ("erased_at", models.DateTimeField(help_text="When everything that was there was gone.", null=True)),
                (
                    "done_at",
                    models.DateTimeField(
                        help_text="When what came afterwards was gone, too, and the number.", null=True
                    ),
                ),
                ("cursor", models.JSONField(default=dict, help_text="Where a killed erasure goes on.")),
                ("counts", models.JSONField(default=dict, help_text="What was taken away.")),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "erased people",
                "indexes": [
                    models.Index(fields=["tenant", "id"], name="erased_by_tenant"),
                    models.Index(condition=models.Q(("done_at", None)), fields=["asked_at"], name="erasure_at_work"),
                ],
                "constraints": [models.UniqueConstraint(fields=("tenant", "keyed"), name="one_erased_person")],
            },
        ),
        migrations.CreateModel(
            name="Limit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "subject",
                    models.CharField(
                        choices=[
                            ("platform", "the whole platform"),
                            ("tenant", "a client business"),
                            ("brand", "a brand"),
                            ("campaign", "a campaign"),
                            ("account", "a provider account"),
                            ("registration", "a registration (10DLC campaign, toll-free number, short code)"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "subject_id",
                    models.BigIntegerField(blank=True, help_text="The id of the brand, campaign, ...", null=True),
                ),
                (
                    "carrier",
                    models.CharField(
                        blank=True,
                        choices=[("t-mobile", "T-Mobile")],
                        help_text="Only what goes to this carrier; empty: all.",
                        max_length=12,
                    ),
                ),
                (
                    "period",
                    models.CharField(
                        choices=[
                            ("day", "a day, from midnight to midnight in a zone"),
                            ("person", "a person's last hours, for marketing"),
                        ],
                        default="day",
                        max_length=8,
                    ),
                ),
                (
                    "hours",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="For a person's last hours: how many.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "zone",
                    models.CharField(
                        blank=True,
                        help_text="Whose midnight; empty: the usual one.",
                        max_length=64,
                        validators=[smsplatform.tenancy.models.check_zone],
                    ),
                ),
                (
                    "unit",
                    models.CharField(
                        choices=[("messages", "Messages"), ("segments", "Segments")], default="messages", max_length=8
                    ),
                ),
                ("amount", models.PositiveIntegerField(help_text="0 sends nothing.")),
                (
                    "is_promised",
                    models.BooleanField(
                        default=False,
                        help_text="The opt-in text promises it to people: no other limit of the brand may be looser.",
                    ),
                ),
                (
                    "is_operators",
                    models.BooleanField(default=False, editable=False, help_text="Set by the platform's operators."),
                ),
                (
                    "note",
                    models.CharField(
                        blank=True, help_text="Where it comes from: a contract, a carrier's table.", max_length=200
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1, editable=False)),
                ("set_by", models.CharField(editable=False, max_length=120)),
                ("set_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("ended_at", models.DateTimeField(blank=True, editable=False, null=True)),
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
                "ordering": ["-id"],
                "indexes": [models.Index(condition=models.Q(("ended_at", None)), fields=["tenant"], name="limit_live")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)),
                        fields=("subject", "subject_id", "carrier", "period", "hours", "zone", "unit"),
                        name="one_live_limit",
                        nulls_distinct=False,
                        violation_error_message="there is such a limit already; change its amount instead",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("subject", "platform"), ("subject_id", None), ("tenant", None)),
                            models.Q(
                                models.Q(("subject", "platform"), _negated=True),
                                ("subject_id__isnull", False),
                                ("tenant__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="limit_subject_fits",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("hours", None), ("period", "day"), models.Q(("zone", ""), _negated=True)),
                            models.Q(
                                ("carrier", ""),
                                ("hours__gte", 1),
                                ("period", "person"),
                                ("unit", "messages"),
                                ("zone", ""),
                            ),
                            _connector="OR",
                        ),
                        name="limit_period_fits",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="NotTextable",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.CharField(help_text="E.164, like +12025550123.", max_length=16)),
                (
                    "reason",
                    models.CharField(help_text="landline, not_in_service, unreachable or deactivated.", max_length=20),
                ),
                (
                    "provider",
                    models.CharField(help_text="Who says so: the adapter's slug, or operator.", max_length=40),
                ),
                ("code", models.CharField(blank=True, help_text="The provider's code.", max_length=60)),
                ("evidence", models.CharField(blank=True, help_text="The message that proves it.", max_length=120)),
                ("since", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "until",
                    models.DateTimeField(blank=True, help_text="When it may be tried again; empty: never.", null=True),
                ),
                ("cleared_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("cleared_by", models.CharField(blank=True, editable=False, max_length=120)),
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
                "verbose_name": "number that cannot be texted",
                "verbose_name_plural": "numbers that cannot be texted",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("number", "tenant"), name="one_fact_per_number", nulls_distinct=False
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="OptInCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("country", models.CharField(max_length=2)),
                ("day", models.DateField()),
                ("asked", models.PositiveIntegerField(default=0)),
                ("confirmed", models.PositiveIntegerField(default=0)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "verbose_name": "opt-ins of a day",
                "verbose_name_plural": "opt-ins by day",
                "constraints": [models.UniqueConstraint(fields=("tenant", "country", "day"), name="one_opt_in_count")],
            },
        ),
        migrations.CreateModel(
            name="Permit",
            fields=[
                ("dispatch_id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("number", models.CharField(help_text="E.164, or an e-mail address.", max_length=254)),
                ("is_person_capped", models.BooleanField()),
                (
                    "windows",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), default=list, size=None
                    ),
                ),
                (
                    "charges",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        help_text="What was taken from each window; empty: one from each.",
                        null=True,
                        size=None,
                    ),
                ),
                (
                    "claim_windows",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        help_text="The windows of the account and carrier of the present try.",
                        null=True,
                        size=None,
                    ),
                ),
                (
                    "claim_charges",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), null=True, size=None
                    ),
                ),
                ("at", models.DateTimeField(null=True)),
                ("over_cap", models.BooleanField(default=False, help_text="Taken on proof, above the cap.")),
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
            options={
                "indexes": [models.Index(fields=["brand", "number"], name="permit_by_person")],
            },
        ),
        migrations.CreateModel(
            name="RegionalHold",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("AK", "Alaska"),
                            ("AL", "Alabama"),
                            ("AR", "Arkansas"),
                            ("AS", "American Samoa"),
                            ("AZ", "Arizona"),
                            ("CA", "California"),
                            ("CO", "Colorado"),
                            ("CT", "Connecticut"),
                            ("DC", "District of Columbia"),
                            ("DE", "Delaware"),
                            ("FL", "Florida"),
                            ("GA", "Georgia"),
                            ("GU", "Guam"),
                            ("HI", "Hawaii"),
                            ("IA", "Iowa"),
                            ("ID", "Idaho"),
                            ("IL", "Illinois"),
                            ("IN", "Indiana"),
                            ("KS", "Kansas"),
                            ("KY", "Kentucky"),
                            ("LA", "Louisiana"),
                            ("MA", "Massachusetts"),
                            ("MD", "Maryland"),
                            ("ME", "Maine"),
                            ("MI", "Michigan"),
                            ("MN", "Minnesota"),
                            ("MO", "Missouri"),
                            ("MP", "Northern Mariana Islands"),
                            ("MS", "Mississippi"),
                            ("MT", "Montana"),
                            ("NC", "North Carolina"),
                            ("ND", "North Dakota"),
                            ("NE", "Nebraska"),
                            ("NH", "New Hampshire"),
                            ("NJ", "New Jersey"),
                            ("NM", "New Mexico"),
                            ("NV", "Nevada"),
                            ("NY", "New York"),
                            ("OH", "Ohio"),
                            ("OK", "Oklahoma"),
                            ("OR", "Oregon"),
                            ("PA", "Pennsylvania"),
                            ("PR", "Puerto Rico"),
                            ("RI", "Rhode Island"),
                            ("SC", "South Carolina"),
                            ("SD", "South Dakota"),
                            ("TN", "Tennessee"),
                            ("TX", "Texas"),
                            ("UT", "Utah"),
                            ("VA", "Virginia"),
                            ("VI", "U.S. Virgin Islands"),
                            ("VT", "Vermont"),
                            ("WA", "Washington"),
                            ("WI", "Wisconsin"),
                            ("WV", "West Virginia"),
                            ("WY", "Wyoming"),
                        ],
                        max_length=2,
                    ),
                ),
                ("starts_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("ends_at", models.DateTimeField(blank=True, help_text="Empty: until it is lifted.", null=True)),
                ("reason", models.CharField(help_text="What it is, and where it was proclaimed.", max_length=120)),
                ("created_by", models.CharField(blank=True, editable=False, max_length=120)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("lifted_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("lifted_by", models.CharField(blank=True, editable=False, max_length=120)),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    models.Index(condition=models.Q(("lifted_at", None)), fields=["state"], name="hold_in_force")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("ends_at", None), ("ends_at__gt", models.F("starts_at")), _connector="OR"),
                        name="hold_ends_after_it_starts",
                        violation_error_message="It must end after it starts.",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="StopLine",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "brand_id", "number", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.CharField(help_text="E.164, or an e-mail address.", max_length=254)),
                ("told_at", models.DateTimeField()),
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
            name="Suppression",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("platform", "everybody on the platform"),
                            ("brand", "the brand, everything"),
                            ("category", "the brand, one category"),
                        ],
                        default="brand",
                        max_length=10,
                    ),
                ),
                ("number", models.CharField(help_text="E.164, or an e-mail address.", max_length=254)),
                ("category", models.CharField(blank=True, help_text="Empty: every category.", max_length=16)),
                ("reason", models.CharField(help_text="A code of compliance/reasons.py.", max_length=60)),
                (
                    "source",
                    models.CharField(help_text="How word came: reply, web, provider, email, voice …", max_length=60),
                ),
                (
                    "evidence",
                    models.CharField(
                        blank=True, help_text="What proves it: an event, a ticket, a letter.", max_length=200
                    ),
                ),
                (
                    "dispatch_id",
                    models.UUIDField(blank=True, editable=False, help_text="The text that it answers.", null=True),
                ),
                ("created_by", models.CharField(blank=True, db_default="", editable=False, max_length=120)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "renewed_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        default=django.utils.timezone.now,
                        editable=False,
                        help_text="When it was said last.",
                    ),
                ),
                ("released_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("released_by", models.CharField(blank=True, db_default="", editable=False, max_length=120)),
                ("released_because", models.CharField(blank=True, db_default="", editable=False, max_length=200)),
                (
                    "tidied_at",
                    models.DateTimeField(
                        blank=True,
                        editable=False,
                        help_text="What waited for the person is blocked since then.",
                        null=True,
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenancy.brand",
                    ),
                ),
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
                "indexes": [
                    models.Index(fields=["brand", "created_at"], name="suppression_by_brand"),
                    models.Index(
                        condition=models.Q(("dispatch_id__isnull", False)),
                        fields=["dispatch_id"],
                        name="suppression_by_text",
                    ),
                    models.Index(
                        condition=models.Q(
                            ("released_at", None),
                            ("tidied_at", None),
                            models.Q(models.Q(("source", "reply"), _negated=True), ("brand", None), _connector="OR"),
                        ),
                        fields=["id"],
                        name="suppression_untidied",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("released_at", None)),
                        fields=("number", "brand", "category", "reason"),
                        name="one_live_suppression",
                        nulls_distinct=False,
                        violation_error_message="this number is suppressed already, for the same reason",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("brand", None), ("category", ""), ("scope", "platform"), ("tenant", None)),
                            models.Q(
                                ("brand__isnull", False),
                                ("category", ""),
                                ("scope", "brand"),
                                ("tenant__isnull", False),
                            ),
                            models.Q(
                                ("brand__isnull", False),
                                ("scope", "category"),
                                ("tenant__isnull", False),
                                models.Q(("category", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="suppression_scope_fits",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="TrafficCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("subject", models.CharField(max_length=80)),
                ("starts_at", models.DateTimeField()),
                ("used", models.BigIntegerField(default=0)),
                (
                    "recent",
                    models.JSONField(
                        blank=True, default=dict, help_text="A prefix's latest numbers, with their instants."
                    ),
                ),
                (
                    "held_at",
                    models.DateTimeField(blank=True, help_text="Since when its messages wait for a review.", null=True),
                ),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("decided_by", models.CharField(blank=True, max_length=120)),
                ("is_let_through", models.BooleanField(blank=True, help_text="What was decided.", null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "verbose_name": "range of numbers to review",
                "verbose_name_plural": "ranges of numbers to review",
                "indexes": [models.Index(fields=["starts_at"], name="traffic_count_age")],
                "constraints": [models.UniqueConstraint(fields=("tenant", "subject"), name="one_traffic_count")],
            },
        ),
        migrations.CreateModel(
            name="Blackout",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("first_on", models.DateField(verbose_name="first day")),
                ("last_on", models.DateField(verbose_name="last day")),
                (
                    "note",
                    models.CharField(
                        blank=True, help_text="Why; it stands with every message that waits.", max_length=80
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="blackouts", to="tenancy.brand"
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
                "ordering": ["-first_on", "-id"],
                "indexes": [models.Index(fields=["brand", "last_on"], name="blackout_by_brand")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("last_on__gte", models.F("first_on"))), name="blackout_ends_after_it_starts"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="CapWindow",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("subject", models.CharField(help_text="Whose limit, like brand:7.", max_length=40)),
                (
                    "unit",
                    models.CharField(
                        choices=[("messages", "Messages"), ("segments", "Segments")], default="messages", max_length=8
                    ),
                ),
                (
                    "carrier",
                    models.CharField(
                        blank=True, help_text="Counted in hundredths, as carriers are guessed.", max_length=12
                    ),
                ),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("used", models.BigIntegerField(default=0)),
                (
                    "amount",
                    models.BigIntegerField(
                        help_text="The limit when it was last asked; empty: only counted.", null=True
                    ),
                ),
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
                "constraints": [
                    models.UniqueConstraint(
                        fields=("subject", "starts_at", "ends_at", "unit", "carrier"), name="one_window"
                    ),
                    models.CheckConstraint(condition=models.Q(("used__gte", 0)), name="window_never_negative"),
                ],
            },
        ),
        migrations.CreateModel(
            name="ConsentState",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "brand_id", "number", "category", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.CharField(max_length=254)),
                ("category", models.CharField(blank=True, max_length=16)),
                (
                    "tier",
                    models.CharField(blank=True, help_text="The strongest that stands; empty: none.", max_length=8),
                ),
                ("status", models.CharField(max_length=8)),
                ("since", models.DateTimeField(help_text="When what holds began.", null=True)),
                ("expires_at", models.DateTimeField(null=True)),
                ("pending_id", models.BigIntegerField(help_text="The record that asks for a YES.", null=True)),
                ("pending_until", models.DateTimeField(help_text="Until when a YES is waited for.", null=True)),
                ("lapses_at", models.DateTimeField(help_text="When it has to be looked at again.", null=True)),
                ("consent_id", models.BigIntegerField(help_text="The record that decided.", null=True)),
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
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("lapses_at__isnull", False)), fields=["lapses_at"], name="consent_lapses"
                    )
                ],
            },
        ),
        migrations.RunSQL(GUARD, UNGUARD),
        # A permit is written once more when its message is taken: leave room, so that this touches no index.
        migrations.RunSQL("ALTER TABLE compliance_permit SET (fillfactor = 50)", migrations.RunSQL.noop),
    ]
