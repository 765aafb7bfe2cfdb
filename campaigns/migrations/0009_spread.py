"""Campaigns that are spread over hours, or sent at most so many per hour."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0008_place"),
    ]

    operations = [
        migrations.AddField(
            model_name="campaign",
            name="spread_hours",
            field=models.PositiveSmallIntegerField(
                blank=True,
                help_text="Spread it evenly over so many hours of allowed time. Empty: everything at once.",
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
            ),
        ),
        migrations.AddField(
            model_name="campaign",
            name="most_per_hour",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Or: at most so many messages per hour, so that answers and calls can be handled.",
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
            ),
        ),
    ]
