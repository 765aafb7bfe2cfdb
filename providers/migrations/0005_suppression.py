import django.contrib.postgres.constraints
from django.contrib.postgres.operations import BtreeGistExtension
from django.db import migrations, models

# Two brands that share an address: somebody has to say whose it is, before the table can promise that it is one's.
SHARED = """
DO $$ DECLARE shared text; BEGIN
  SELECT string_agg(address, ', ') INTO shared FROM (
    SELECT address FROM providers_sender WHERE address ~ '^\\+?[0-9]+$|^[A-Za-z0-9-]{20,}$|@'
    GROUP BY address HAVING count(DISTINCT brand_id) > 1) s;
  IF shared IS NOT NULL THEN
    RAISE EXCEPTION 'these senders text for several brands: %; a STOP must reach exactly one, so delete each but one of'
      ' their rows in the admin (Senders) before you migrate', shared;
  END IF;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("providers", "0004_opt_out_mode"),
        ("tenancy", "0001_initial"),
    ]

    operations = [
        # Comes with PostgreSQL and needs no superuser, only the right to create in the database.
        BtreeGistExtension(),
        migrations.RunSQL(SHARED, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="sender",
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(
                condition=models.Q(("address__regex", "^\\+?[0-9]+$|^[A-Za-z0-9-]{20,}$|@")),
                expressions=[("address", "="), ("brand", "<>")],
                name="one_brand_per_address",
                violation_error_message="this address texts for another brand; a person's STOP must reach exactly one",
            ),
        ),
    ]
