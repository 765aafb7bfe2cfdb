"""Brands say where the proof of consent is kept. Those there are keep it where they kept it: nothing of it was asked."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="brand",
            name="consent_attestation",
            field=models.TextField(
                blank=True,
                editable=False,
                help_text="The words with which the tenant vouches for consent kept elsewhere.",
            ),
        ),
        migrations.AddField(
            model_name="brand",
            name="consent_attested_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="brand",
            name="consent_attested_by",
            field=models.CharField(blank=True, editable=False, max_length=120),
        ),
        migrations.AddField(
            model_name="brand",
            name="consent_kept",
            field=models.CharField(
                choices=[
                    ("here", "here, in the consent ledger"),
                    ("elsewhere", "elsewhere: the tenant vouches for it"),
                ],
                default="here",
                editable=False,
                help_text="Kept here, nobody is texted without a consent on record.",
                max_length=10,
                verbose_name="proof of consent is kept",
            ),
        ),
        migrations.AddField(
            model_name="brand",
            name="opt_in_hours",
            field=models.PositiveSmallIntegerField(
                default=72,
                help_text="How long a double opt-in waits for the person's YES.",
                validators=[django.core.validators.MinValueValidator(1)],
                verbose_name="hours for a YES",
            ),
        ),
        migrations.RunSQL(
            "UPDATE tenancy_brand SET consent_kept = 'elsewhere', consent_attested_by = 'migration',"
            " consent_attested_at = now(), consent_attestation = 'before the ledger'",
            migrations.RunSQL.noop,
        ),
        migrations.AddConstraint(
            model_name="brand",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("consent_kept", "here"),
                    models.Q(
                        ("consent_attested_at__isnull", False),
                        models.Q(("consent_attested_by", ""), _negated=True),
                        models.Q(("consent_attestation", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="consent_kept_elsewhere_is_attested",
            ),
        ),
    ]
