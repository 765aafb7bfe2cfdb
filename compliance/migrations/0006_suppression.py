from django.db import migrations, models
from django.db.models.functions import Now
from django.utils import timezone

# Rows of before: a category is a scope of its own, and what everybody must obey is about everything.
SCOPES = """
UPDATE compliance_suppression SET category = '' WHERE scope = 'platform' AND category <> '';
UPDATE compliance_suppression SET scope = 'category' WHERE scope = 'brand' AND category <> '';
UPDATE compliance_suppression SET renewed_at = created_at;
UPDATE compliance_suppression s SET dispatch_id = s.evidence::uuid
WHERE reason = 'provider_blocked' AND evidence ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';
"""
BACK = """
DELETE FROM compliance_suppression s USING compliance_suppression o
WHERE s.released_at IS NULL AND o.released_at IS NULL AND s.id > o.id AND s.number = o.number
  AND s.brand_id IS NOT DISTINCT FROM o.brand_id AND s.category = o.category;
UPDATE compliance_suppression SET scope = 'brand' WHERE scope = 'category';
"""


class Migration(migrations.Migration):
    dependencies = [
        ("compliance", "0005_automatic_texts"),
        ("tenancy", "0001_initial"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="suppression", name="one_live_suppression"),
        migrations.RemoveConstraint(model_name="suppression", name="suppression_scope_fits"),
        migrations.AddField(
            model_name="suppression",
            name="dispatch_id",
            field=models.UUIDField(blank=True, editable=False, help_text="The text that it answers.", null=True),
        ),
        migrations.AddField(
            model_name="suppression",
            name="created_by",
            field=models.CharField(blank=True, db_default="", editable=False, max_length=120),
        ),
        migrations.AddField(
            model_name="suppression",
            name="renewed_at",
            field=models.DateTimeField(
                db_default=Now(), default=timezone.now, editable=False, help_text="When it was said last."
            ),
        ),
        migrations.AddField(
            model_name="suppression",
            name="released_by",
            field=models.CharField(blank=True, db_default="", editable=False, max_length=120),
        ),
        migrations.AddField(
            model_name="suppression",
            name="released_because",
            field=models.CharField(blank=True, db_default="", editable=False, max_length=200),
        ),
        migrations.AddField(
            model_name="suppression",
            name="tidied_at",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="What waited for the person is blocked since then.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="suppression",
            name="scope",
            field=models.CharField(
                choices=[
                    ("platform", "everybody on the platform"),
                    ("brand", "the brand, everything"),
                    ("category", "the brand, one category"),
                ],
                default="brand",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="suppression",
            name="brand",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=models.PROTECT,
                related_name="+",
                to="tenancy.brand",
            ),
        ),
        migrations.AlterField(
            model_name="suppression",
            name="reason",
            field=models.CharField(help_text="A code of compliance/reasons.py.", max_length=60),
        ),
        migrations.AlterField(
            model_name="suppression",
            name="source",
            field=models.CharField(help_text="How word came: reply, web, provider, email, voice …", max_length=60),
        ),
        migrations.AlterField(
            model_name="suppression",
            name="evidence",
            field=models.CharField(
                blank=True, help_text="What proves it: an event, a ticket, a letter.", max_length=200
            ),
        ),
        migrations.RunSQL(SCOPES, BACK),
        # What waited then is looked at in any case; only what comes from now on is tidied.
        migrations.RunSQL("UPDATE compliance_suppression SET tidied_at = created_at", migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="suppression",
            constraint=models.UniqueConstraint(
                condition=models.Q(("released_at", None)),
                fields=("number", "brand", "category", "reason"),
                name="one_live_suppression",
                nulls_distinct=False,
                violation_error_message="this number is suppressed already, for the same reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="suppression",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("brand", None), ("category", ""), ("scope", "platform"), ("tenant", None)),
                    models.Q(("brand__isnull", False), ("category", ""), ("scope", "brand"), ("tenant__isnull", False)),
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
        ),
        migrations.AddIndex(
            model_name="suppression",
            index=models.Index(fields=["brand", "created_at"], name="suppression_by_brand"),
        ),
        migrations.AddIndex(
            model_name="suppression",
            index=models.Index(
                condition=models.Q(("dispatch_id__isnull", False)), fields=["dispatch_id"], name="suppression_by_text"
            ),
        ),
        migrations.AddIndex(
            model_name="suppression",
            index=models.Index(
                condition=models.Q(
                    ("released_at", None),
                    ("tidied_at", None),
                    models.Q(("source", "reply"), _negated=True),
                ),
                fields=["id"],
                name="suppression_untidied",
            ),
        ),
    ]
