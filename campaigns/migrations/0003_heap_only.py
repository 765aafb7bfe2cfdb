"""Updates of the hot tables stay in their pages and leave the indexes alone.

The unique index of the ledger looks at a generated column that an acceptance does not change; renewing a lease changes
no indexed column; half of each page is kept free, because a stage updates all rows of a page at once.
"""

from django.db import migrations, models

LIVE = "outcome IN ('open', 'accepted', 'unknown')"

ATTEMPT = f"""
ALTER TABLE campaigns_attempt ADD COLUMN is_live boolean GENERATED ALWAYS AS ({LIVE}) STORED;
DROP INDEX campaigns_attempt_one_live;
CREATE UNIQUE INDEX campaigns_attempt_one_live ON campaigns_attempt (dispatch_id) WHERE is_live;
"""
BACK = f"""
DROP INDEX campaigns_attempt_one_live;
CREATE UNIQUE INDEX campaigns_attempt_one_live ON campaigns_attempt (dispatch_id) WHERE {LIVE};
ALTER TABLE campaigns_attempt DROP COLUMN is_live;
"""
ROOM = """
DO $$ DECLARE part regclass; BEGIN
  FOR part IN SELECT inhrelid::regclass FROM pg_inherits
    WHERE inhparent IN ('campaigns_dispatch'::regclass, 'campaigns_attempt'::regclass)
  LOOP EXECUTE format('ALTER TABLE %s SET (fillfactor = 50)', part); END LOOP;
END $$;
ALTER TABLE campaigns_batch SET (fillfactor = 50);
"""


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0002_partitions")]
    operations = [
        migrations.RunSQL(
            ATTEMPT,
            BACK,
            state_operations=[
                migrations.AddField(
                    "attempt",
                    "is_live",
                    models.GeneratedField(
                        db_persist=True,
                        expression=models.Q(("outcome__in", ("open", "accepted", "unknown"))),
                        output_field=models.BooleanField(),
                    ),
                )
            ],
        ),
        migrations.RunSQL(ROOM, migrations.RunSQL.noop),
        migrations.RemoveIndex("batch", "batch_leased"),
        migrations.AddIndex(
            "batch",
            models.Index(condition=models.Q(("phase", "leased")), fields=["lane"], name="batch_in_flight"),
        ),
    ]
