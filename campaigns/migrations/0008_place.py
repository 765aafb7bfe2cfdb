from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0007_keywords"),
    ]

    operations = [
        migrations.AlterField(
            model_name="recipient",
            name="zones",
            field=models.CharField(
                blank=True,
                help_text="The zones this person may be in, joined with |; then a semicolon and the states whose law may hold. Empty: unknown.",
                max_length=400,
            ),
        ),
        migrations.AlterField(
            model_name="recipient",
            name="zone_source",
            field=models.CharField(
                choices=[
                    ("explicit", "explicit"),
                    ("postal_code", "postal_code"),
                    ("state", "state"),
                    ("country", "country"),
                    ("area_code", "area_code"),
                    ("unknown", "unknown"),
                ],
                default="unknown",
                max_length=12,
            ),
        ),
        migrations.AddField(
            model_name="recipient",
            name="state_source",
            field=models.CharField(
                choices=[
                    ("explicit", "explicit"),
                    ("postal_code", "postal_code"),
                    ("state", "state"),
                    ("country", "country"),
                    ("area_code", "area_code"),
                    ("unknown", "unknown"),
                ],
                db_default="unknown",
                default="unknown",
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="dispatch",
            name="zones",
            field=models.CharField(
                blank=True,
                db_default="",
                help_text="By which place it was judged; of messages without a recipient, by which it will be.",
                max_length=400,
                verbose_name="place",
            ),
        ),
    ]
