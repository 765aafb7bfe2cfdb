from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("providers", "0003_mail_servers"),
    ]

    operations = [
        migrations.AddField(
            model_name="sender",
            name="opt_out_mode",
            field=models.CharField(
                blank=True,
                choices=[
                    ("provider_default", "the provider answers its usual words"),
                    ("provider_advanced", "the provider's opt-out service, switched on for it, answers"),
                    ("self", "we do: the provider handles no words on it"),
                    ("network_tollfree", "the toll-free network answers STOP, START and UNSTOP"),
                ],
                db_default="",
                default="",
                help_text="Empty: the toll-free network on toll-free numbers, we on short codes, else the provider, as far"
                " as it does. People must never get two answers, nor none.",
                max_length=20,
                verbose_name="who answers STOP and HELP",
            ),
        ),
    ]
