from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tenancy", "0003_suppression"),
    ]

    operations = [
        migrations.AddField(
            model_name="tenant",
            name="informational_hours",
            field=models.CharField(
                choices=[
                    ("federal", "08-21 (federal)"),
                    ("states", "as marketing: the hours of each state"),
                    ("none", "at any time"),
                ],
                default="federal",
                help_text="When order news and reminders may go out, in each recipient's local time.",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="tenant",
            name="texts_unknown_places",
            field=models.BooleanField(
                default=True,
                help_text="Marketing to people of whom no place is known, in the hours that are day in all of the United States. Off: never.",
                verbose_name="text people of unknown place",
            ),
        ),
        migrations.AddField(
            model_name="brand",
            name="sunday_opens_at",
            field=models.TimeField(
                blank=True,
                help_text="On Sundays instead; both or none. Recommended: 09-20, on Sundays 12-20.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="brand",
            name="sunday_closes_at",
            field=models.TimeField(blank=True, null=True),
        ),
        migrations.AddConstraint(
            model_name="brand",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("sunday_closes_at", None), ("sunday_opens_at", None)),
                    models.Q(
                        ("sunday_closes_at__isnull", False),
                        ("sunday_opens_at__isnull", False),
                        ("sunday_opens_at__lt", models.F("sunday_closes_at")),
                    ),
                    _connector="OR",
                ),
                name="brand_opens_on_sunday_before_it_closes",
                violation_error_message="On Sundays give both times, the first before the second, or none.",
            ),
        ),
    ]
