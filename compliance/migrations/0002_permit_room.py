"""A permit is written once more when its message is taken: leave room, so that this touches no index."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("compliance", "0001_initial")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE compliance_permit SET (fillfactor = 50)", "ALTER TABLE compliance_permit RESET (fillfactor)"
        )
    ]
