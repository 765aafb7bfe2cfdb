from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tenancy", "0002_consent"),
    ]

    operations = [
        migrations.AddField(
            model_name="brand",
            name="optout_scope_policy",
            field=models.CharField(
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
    ]
