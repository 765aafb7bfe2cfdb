from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0010_content"),
        ("compliance", "0010_erasure"),
    ]
    operations = [
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
