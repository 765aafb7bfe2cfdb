from django.db import migrations, models

# Numbers stood in full in what the admin recorded about people until now.
MASK_WHAT_IS_THERE = r"""
UPDATE django_admin_log SET object_repr = regexp_replace(object_repr, '(\+\d)\d{3,}(\d{4})', '\1*******\2', 'g')
WHERE object_repr ~ '\+\d{8,}';
"""


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0010_content"),
        ("compliance", "0010_erasure"),
        ("admin", "0003_logentry_add_action_flag_choices"),
    ]
    operations = [
        migrations.RunSQL(MASK_WHAT_IS_THERE, migrations.RunSQL.noop),
        migrations.AddField(
            "run",
            "redacted_at",
            models.DateTimeField(blank=True, help_text="The texts of its messages are gone since then.", null=True),
        ),
        migrations.AddIndex(
            "run",
            models.Index(condition=models.Q(("redacted_at", None)), fields=["launched_at"], name="run_unredacted"),
        ),
        migrations.AddField(
            "import",
            "forgotten_at",
            models.DateTimeField(
                blank=True,
                editable=False,
                help_text="Its file and its refused rows are gone since then.",
                null=True,
            ),
        ),
    ]
