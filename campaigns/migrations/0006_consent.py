from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0005_sender_addresses")]

    operations = [
        migrations.AddField(
            model_name="import",
            name="rows_consented",
            field=models.BigIntegerField(default=0, editable=False, help_text="Consents put on record."),
        ),
    ]
