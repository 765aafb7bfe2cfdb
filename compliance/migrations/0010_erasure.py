import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("compliance", "0009_content"),
        ("tenancy", "0006_privacy"),
    ]
    operations = [
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
                (
                    "erased_at",
                    models.DateTimeField(help_text="When everything that was there was gone.", null=True),
                ),
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
    ]
