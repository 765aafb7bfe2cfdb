"""The ledger of consent, which nobody can change, and the states that follow from it."""

import django.db.models.deletion
import django.utils.timezone
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
     AND to_jsonb(NEW) - personal = to_jsonb(OLD) - personal THEN
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
    dependencies = [
        ("compliance", "0003_mail_addresses"),
        ("tenancy", "0002_consent"),
    ]

    operations = [
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
        migrations.AddConstraint(
            model_name="disclosure",
            constraint=models.UniqueConstraint(fields=("tenant", "digest"), name="one_disclosure_text"),
        ),
        migrations.AddConstraint(
            model_name="consent",
            constraint=models.UniqueConstraint(fields=("brand", "number", "once"), name="same_consent_once"),
        ),
        migrations.AddConstraint(
            model_name="consent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("event__in", ("revoked", "expired")), models.Q(("tier", ""), _negated=True), _connector="OR"
                ),
                name="consent_has_a_tier",
            ),
        ),
        migrations.RunSQL(GUARD, UNGUARD),
    ]
