"""Dispatch and attempt become range-partitioned by the dispatch id; Django's models stay ordinary.

The columns and defaults are those of the tables Django made; keys and indexes are written here. No index has `state` in
it or in its predicate: it would end heap-only updates.
"""

from django.db import migrations
from django.utils import timezone

from smsplatform.common import partitions

DISPATCH = """
ALTER TABLE campaigns_dispatch RENAME TO campaigns_dispatch_plain;
CREATE TABLE campaigns_dispatch (LIKE campaigns_dispatch_plain INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY RANGE (id);
DROP TABLE campaigns_dispatch_plain;
CREATE INDEX campaigns_dispatch_by_batch ON campaigns_dispatch (batch_id);
CREATE INDEX campaigns_dispatch_to_collect ON campaigns_dispatch (due_at) WHERE batch_id IS NULL;
CREATE TABLE campaigns_dispatch_default PARTITION OF campaigns_dispatch DEFAULT;
"""

ATTEMPT = """
ALTER TABLE campaigns_attempt RENAME TO campaigns_attempt_plain;
CREATE TABLE campaigns_attempt (LIKE campaigns_attempt_plain INCLUDING DEFAULTS, PRIMARY KEY (dispatch_id, flight))
  PARTITION BY RANGE (dispatch_id);
DROP TABLE campaigns_attempt_plain;
-- P1: at most one try per dispatch that was, or may have been, taken
CREATE UNIQUE INDEX campaigns_attempt_one_live ON campaigns_attempt (dispatch_id)
  WHERE outcome IN ('open', 'accepted', 'unknown');
CREATE TABLE campaigns_attempt_default PARTITION OF campaigns_attempt DEFAULT;
"""


def make_partitions(apps, schema_editor):
    partitions.ensure(timezone.now())


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0001_initial")]
    operations = [
        migrations.RunSQL(DISPATCH, migrations.RunSQL.noop),
        migrations.RunSQL(ATTEMPT, migrations.RunSQL.noop),
        migrations.RunSQL(
            "CREATE SEQUENCE campaigns_notification_number", "DROP SEQUENCE campaigns_notification_number"
        ),
        migrations.RunPython(make_partitions, migrations.RunPython.noop),
    ]
