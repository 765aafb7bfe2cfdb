"""The trail says before, after and from where; it can only be added to, and is sealed. What tenants keep, and how long."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

# Numbers stood in full in what was recorded about people until now.
MASK_WHAT_IS_THERE = r"""
UPDATE tenancy_auditevent SET target = regexp_replace(target, '(\+\d)\d{3,}(\d{4})', '\1*******\2', 'g')
WHERE target ~ '\+\d{8,}';
"""
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


def months(default, help_text):
    limits = [django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(120)]
    return models.PositiveSmallIntegerField(default=default, validators=limits, help_text=help_text)


def own_id():
    return models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    dependencies = [
        ("tenancy", "0005_content"),
    ]
    operations = [
        migrations.AlterField(
            model_name="auditevent",
            name="tenant",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenancy.tenant",
            ),
        ),
        migrations.AddField(
            "auditevent",
            "object_type",
            models.CharField(blank=True, db_default="", help_text="Like campaigns.Run.", max_length=60),
        ),
        migrations.AddField("auditevent", "object_id", models.CharField(blank=True, db_default="", max_length=60)),
        migrations.AddField(
            "auditevent",
            "before",
            models.JSONField(blank=True, help_text="What was changed, as it was; masked.", null=True),
        ),
        migrations.AddField(
            "auditevent",
            "after",
            models.JSONField(blank=True, help_text="… and as it is since; masked.", null=True),
        ),
        migrations.AddField(
            "auditevent",
            "ip",
            models.GenericIPAddressField(blank=True, help_text="Of whoever asked for it over the web.", null=True),
        ),
        migrations.AddField("auditevent", "request_id", models.CharField(blank=True, db_default="", max_length=64)),
        migrations.AddIndex("auditevent", models.Index(fields=["tenant", "id"], name="audit_by_tenant")),
        migrations.CreateModel(
            name="AuditSeal",
            fields=[
                ("id", own_id()),
                (
                    "ledger",
                    models.CharField(help_text="Which table; see smsplatform.tenancy.seals.", max_length=20),
                ),
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
                "constraints": [
                    models.UniqueConstraint(
                        fields=("ledger", "tenant", "first_id"), name="one_seal_per_range", nulls_distinct=False
                    )
                ],
                "indexes": [models.Index(fields=["ledger", "last_id"], name="seal_horizon")],
            },
        ),
        migrations.CreateModel(
            name="Retention",
            fields=[
                ("id", own_id()),
                (
                    "texts_months",
                    months(13, "Texts that were sent, their links' destinations, and what people answered."),
                ),
                ("events_months", months(3, "What providers sent us, as it came.")),
                (
                    "clicks_months",
                    months(13, "Address and browser of who followed a link; that it was followed stays."),
                ),
                (
                    "imports_months",
                    months(1, "Uploaded files, and the rows that were refused, after the import has ended."),
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
            name="RetentionMark",
            fields=[
                ("id", own_id()),
                ("kind", models.CharField(max_length=20)),
                ("months", models.PositiveSmallIntegerField()),
                ("upto", models.BigIntegerField(default=0)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("kind", "months"), name="one_retention_mark")],
            },
        ),
        migrations.RunSQL(MASK_WHAT_IS_THERE, migrations.RunSQL.noop),
        migrations.RunSQL(APPEND_ONLY, NOT_APPEND_ONLY),
    ]
