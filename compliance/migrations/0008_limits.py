"""Limits as rows; windows of any unit and carrier; permits that say what they took from each window."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import smsplatform.tenancy.models


class Migration(migrations.Migration):
    dependencies = [
        ("compliance", "0007_place"),
    ]

    operations = [
        migrations.CreateModel(
            name="Limit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "subject",
                    models.CharField(
                        choices=[
                            ("platform", "the whole platform"),
                            ("tenant", "a client business"),
                            ("brand", "a brand"),
                            ("campaign", "a campaign"),
                            ("account", "a provider account"),
                            ("registration", "a registration (10DLC campaign, toll-free number, short code)"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "subject_id",
                    models.BigIntegerField(blank=True, help_text="The id of the brand, campaign, ...", null=True),
                ),
                (
                    "carrier",
                    models.CharField(
                        blank=True,
                        choices=[("t-mobile", "T-Mobile")],
                        help_text="Only what goes to this carrier; empty: all.",
                        max_length=12,
                    ),
                ),
                (
                    "period",
                    models.CharField(
                        choices=[
                            ("day", "a day, from midnight to midnight in a zone"),
                            ("person", "a person's last hours, for marketing"),
                        ],
                        default="day",
                        max_length=8,
                    ),
                ),
                (
                    "hours",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="For a person's last hours: how many.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "zone",
                    models.CharField(
                        blank=True,
                        help_text="Whose midnight; empty: the usual one.",
                        max_length=64,
                        validators=[smsplatform.tenancy.models.check_zone],
                    ),
                ),
                (
                    "unit",
                    models.CharField(
                        choices=[("messages", "Messages"), ("segments", "Segments")], default="messages", max_length=8
                    ),
                ),
                ("amount", models.PositiveIntegerField(help_text="0 sends nothing.")),
                (
                    "is_promised",
                    models.BooleanField(
                        default=False,
                        help_text="The opt-in text promises it to people: no other limit of the brand may be looser.",
                    ),
                ),
                (
                    "is_operators",
                    models.BooleanField(default=False, editable=False, help_text="Set by the platform's operators."),
                ),
                (
                    "note",
                    models.CharField(
                        blank=True, help_text="Where it comes from: a contract, a carrier's table.", max_length=200
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1, editable=False)),
                ("set_by", models.CharField(editable=False, max_length=120)),
                ("set_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("ended_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [models.Index(condition=models.Q(("ended_at", None)), fields=["tenant"], name="limit_live")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)),
                        fields=("subject", "subject_id", "carrier", "period", "hours", "zone", "unit"),
                        name="one_live_limit",
                        nulls_distinct=False,
                        violation_error_message="there is such a limit already; change its amount instead",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("subject", "platform"), ("subject_id", None), ("tenant", None)),
                            models.Q(
                                models.Q(("subject", "platform"), _negated=True),
                                ("subject_id__isnull", False),
                                ("tenant__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="limit_subject_fits",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("hours", None), ("period", "day"), models.Q(("zone", ""), _negated=True)),
                            models.Q(
                                ("carrier", ""),
                                ("hours__gte", 1),
                                ("period", "person"),
                                ("unit", "messages"),
                                ("zone", ""),
                            ),
                            _connector="OR",
                        ),
                        name="limit_period_fits",
                    ),
                ],
            },
        ),
        migrations.RemoveConstraint(model_name="capwindow", name="one_window"),
        migrations.AddField(
            model_name="capwindow",
            name="unit",
            field=models.CharField(
                choices=[("messages", "Messages"), ("segments", "Segments")], default="messages", max_length=8
            ),
        ),
        migrations.AddField(
            model_name="capwindow",
            name="carrier",
            field=models.CharField(
                blank=True, default="", help_text="Counted in hundredths, as carriers are guessed.", max_length=12
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="capwindow",
            name="amount",
            field=models.BigIntegerField(help_text="The limit when it was last asked; empty: only counted.", null=True),
        ),
        migrations.AlterField(
            model_name="capwindow",
            name="tenant",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tenancy.tenant",
            ),
        ),
        migrations.AddConstraint(
            model_name="capwindow",
            constraint=models.UniqueConstraint(
                fields=("subject", "starts_at", "ends_at", "unit", "carrier"), name="one_window"
            ),
        ),
        migrations.AddField(
            model_name="permit",
            name="charges",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(),
                help_text="What was taken from each window; empty: one from each.",
                null=True,
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="permit",
            name="claim_windows",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(),
                help_text="The windows of the account and carrier of the present try.",
                null=True,
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="permit",
            name="claim_charges",
            field=django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), null=True, size=None),
        ),
    ]
