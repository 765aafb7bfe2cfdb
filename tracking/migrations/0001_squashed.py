"""Everything up to 0002, as a new database gets it: at once."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [("tracking", "0001_initial"), ("tracking", "0002_verdicts")]

    initial = True

    dependencies = [
        ("tenancy", "0001_squashed"),
    ]

    operations = [
        migrations.CreateModel(
            name="Click",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("code", models.CharField(db_collation="C", db_index=True, max_length=10)),
                ("dispatch_id", models.UUIDField()),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                ("method", models.CharField(max_length=8)),
                ("ip", models.GenericIPAddressField(null=True)),
                ("user_agent", models.CharField(blank=True, max_length=400)),
                ("signals", models.JSONField(default=dict)),
                (
                    "verdict",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("human", "a person"),
                            ("bot", "a machine"),
                            ("bot_suspected", "probably a machine"),
                            ("prefetch", "a browser, ahead of time"),
                            ("duplicate", "a person, once more"),
                        ],
                        db_default="",
                        max_length=13,
                    ),
                ),
                (
                    "subtype",
                    models.CharField(
                        blank=True, db_default="", help_text="Of a machine that says what it is.", max_length=8
                    ),
                ),
                (
                    "reasons",
                    models.CharField(blank=True, db_default="", help_text="Separated by spaces.", max_length=200),
                ),
                ("points", models.SmallIntegerField(db_default=0)),
                (
                    "list_version",
                    models.CharField(
                        blank=True, db_default="", help_text="The rules and lists it was judged by.", max_length=60
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("verdict", "")), fields=["id"], name="click_to_judge"),
                    models.Index(
                        condition=models.Q(("verdict", ""), _negated=True),
                        fields=["dispatch_id"],
                        include=("verdict",),
                        name="click_judged",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Link",
            fields=[
                ("code", models.CharField(db_collation="C", max_length=10, primary_key=True, serialize=False)),
                ("host", models.CharField(max_length=120)),
                ("dispatch_id", models.UUIDField()),
                ("position", models.PositiveSmallIntegerField()),
                ("destination", models.TextField()),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("killed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("dispatch_id", "position"), name="one_link_per_position")
                ],
            },
        ),
    ]
