"""An erasure may put nothing but a keyed hash in a number's place, and only once."""

from django.db import migrations

_GUARD = """
CREATE OR REPLACE FUNCTION compliance_consent_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  door text := coalesce(current_setting('consent.door', true), '');
  personal text[] := ARRAY['number', 'identity', 'salt', 'ip', 'user_agent', 'session_id', 'once'];
BEGIN
  IF TG_OP = 'DELETE' AND door = 'retention' THEN
    RETURN OLD;
  END IF;
  IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'compliance_consent' AND door = 'erasure'
     AND to_jsonb(NEW) - personal = to_jsonb(OLD) - personal {erased} THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'evidence of consent is only ever added: % of % refused', TG_OP, TG_TABLE_NAME;
END $$;
"""
# Read from the row as JSON: the other table that this guards has no such columns.
_ERASED = """
     AND to_jsonb(OLD) ->> 'salt' IS NOT NULL AND to_jsonb(NEW) ->> 'salt' IS NULL
     AND to_jsonb(NEW) ->> 'identity' = '' AND to_jsonb(NEW) ->> 'number' ~ '^[0-9a-f]{8}:[0-9a-f]{64}$'
"""


class Migration(migrations.Migration):
    dependencies = [
        ("compliance", "0011_deactivated"),
    ]

    operations = [
        migrations.RunSQL(_GUARD.replace("{erased}", _ERASED), _GUARD.replace("{erased}", "")),
    ]
