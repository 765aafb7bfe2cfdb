"""Everything up to 0006, as a new database gets it: at once."""

import django.contrib.postgres.constraints
import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import providers.models
from django.db import migrations, models
from django.contrib.postgres.operations import BtreeGistExtension


class Migration(migrations.Migration):
    replaces = [
        ("providers", "0001_initial"),
        ("providers", "0002_routes_and_health"),
        ("providers", "0003_mail_servers"),
        ("providers", "0004_opt_out_mode"),
        ("providers", "0005_suppression"),
        ("providers", "0006_preflight"),
    ]

    initial = True

    dependencies = [
        ("tenancy", "0001_squashed"),
    ]

    operations = [
        # Comes with PostgreSQL and needs no superuser, only the right to create in the database.
        BtreeGistExtension(),
        migrations.CreateModel(
            name="ProviderAccount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=120)),
                ("provider", models.CharField(help_text="The adapter's slug.", max_length=40)),
                (
                    "key",
                    models.CharField(default=providers.models.account_key, editable=False, max_length=40, unique=True),
                ),
                ("secret", models.TextField(editable=False, help_text="The credentials, encrypted.")),
                (
                    "base_url",
                    models.CharField(
                        blank=True,
                        help_text="Empty: the vendor's.",
                        max_length=200,
                        validators=[django.core.validators.URLValidator(schemes=["http", "https", "smtp", "smtps"])],
                    ),
                ),
                (
                    "segments_per_second",
                    models.FloatField(
                        blank=True, null=True, validators=[django.core.validators.MinValueValidator(0.01)]
                    ),
                ),
                (
                    "concurrency",
                    models.PositiveSmallIntegerField(
                        blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)]
                    ),
                ),
                (
                    "timeout",
                    models.FloatField(
                        blank=True,
                        help_text="Seconds.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "options",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text="What this account does otherwise than the adapter's defaults.",
                    ),
                ),
                ("paused_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [models.UniqueConstraint(fields=("tenant", "name"), name="one_account_name")],
            },
        ),
        migrations.CreateModel(
            name="Pin",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reason", models.CharField(max_length=120)),
                ("pinned_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="pins", to="providers.provideraccount"
                    ),
                ),
                (
                    "brand",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="pin", to="tenancy.brand"
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Price",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "country",
                    models.CharField(
                        blank=True,
                        help_text="Of the person's number, like US. Empty: every country without its own.",
                        max_length=2,
                    ),
                ),
                (
                    "micros",
                    models.PositiveBigIntegerField(help_text="Millionths of the currency per segment: 0.0079 is 7900."),
                ),
                ("currency", models.CharField(default="USD", help_text="ISO 4217, like USD.", max_length=3)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="prices",
                        to="providers.provideraccount",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "ordering": ["account", "country"],
                "constraints": [models.UniqueConstraint(fields=("account", "country"), name="one_price_per_country")],
            },
        ),
        migrations.CreateModel(
            name="Registration",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.CharField(help_text="The registry's id, like CXXXXXX of a 10DLC campaign.", max_length=60),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[("pending", "Pending"), ("approved", "Approved"), ("rejected", "Rejected")],
                        default="pending",
                        max_length=8,
                    ),
                ),
                (
                    "segments_per_second",
                    models.FloatField(
                        blank=True,
                        help_text="Over all of its senders; empty: no own limit.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0.01)],
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="registrations", to="tenancy.brand"
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [models.UniqueConstraint(fields=("tenant", "name"), name="one_registration_name")],
            },
        ),
        migrations.CreateModel(
            name="Sender",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "address",
                    models.CharField(help_text="E.164 number, short code, id, or e-mail address.", max_length=120),
                ),
                (
                    "kind",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("long_code", "long code"),
                            ("toll_free", "toll-free number"),
                            ("short_code", "short code"),
                            ("alphanumeric", "name"),
                            ("email", "e-mail address"),
                        ],
                        help_text="The vendor's usual rate for this kind applies.",
                        max_length=12,
                    ),
                ),
                (
                    "opt_out_mode",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("provider_default", "the provider answers its usual words"),
                            ("provider_advanced", "the provider's opt-out service, switched on for it, answers"),
                            ("self", "we do: the provider handles no words on it"),
                            ("network_tollfree", "the toll-free network answers STOP, START and UNSTOP"),
                        ],
                        db_default="",
                        default="",
                        help_text="Empty: the toll-free network on toll-free numbers, we on short codes, else the provider, as far as it does. People must never get two answers, nor none.",
                        max_length=20,
                        verbose_name="who answers STOP and HELP",
                    ),
                ),
                ("position", models.PositiveSmallIntegerField(default=0, help_text="The lowest is tried first.")),
                (
                    "weight",
                    models.PositiveSmallIntegerField(
                        default=1,
                        help_text="Share among the senders of one position.",
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "countries",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=2),
                        blank=True,
                        default=list,
                        help_text="Only for these; empty: for all.",
                        size=None,
                    ),
                ),
                (
                    "segments_per_second",
                    models.FloatField(
                        blank=True,
                        help_text="Empty: what is usual for its kind.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0.01)],
                    ),
                ),
                ("is_active", models.BooleanField(default=True)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="senders",
                        to="providers.provideraccount",
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="senders", to="tenancy.brand"
                    ),
                ),
                (
                    "registration",
                    models.ForeignKey(
                        blank=True,
                        help_text="If given, it must be approved before anything is sent.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="senders",
                        to="providers.registration",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "ordering": ["position", "id"],
                "constraints": [
                    models.UniqueConstraint(fields=("account", "address"), name="one_brand_per_sender"),
                    django.contrib.postgres.constraints.ExclusionConstraint(
                        condition=models.Q(("address__regex", "^\\+?[0-9]+$|^[A-Za-z0-9-]{20,}$|@")),
                        expressions=[("address", "="), ("brand", "<>")],
                        name="one_brand_per_address",
                        violation_error_message="this address texts for another brand; a person's STOP must reach exactly one",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="AccountHealth",
            fields=[
                (
                    "account",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="health",
                        serialize=False,
                        to="providers.provideraccount",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("ok", "Ok"), ("broken", "Broken"), ("recovery", "Recovery")],
                        default="ok",
                        max_length=8,
                    ),
                ),
                ("since", models.DateTimeField(default=django.utils.timezone.now)),
                ("reason", models.CharField(blank=True, max_length=200)),
                ("probe_at", models.DateTimeField(help_text="When the next canary may go.", null=True)),
                ("pause", models.FloatField(default=0, help_text="Seconds between the canaries of this outage.")),
                (
                    "canaries",
                    models.PositiveSmallIntegerField(default=0, help_text="Canaries in a row that came through."),
                ),
                (
                    "switches",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.DateTimeField(),
                        default=list,
                        help_text="When it broke and came back, of late.",
                        size=None,
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="tenancy.tenant"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "account health",
            },
        ),
    ]
