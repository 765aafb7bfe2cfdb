"""The start/stop switch of all automatic sending: one row in Postgres, read in every claim."""

from datetime import datetime

from django.db import transaction

from campaigns import fence
from smsplatform.common.database import rows
from smsplatform.tenancy import audit


def turn(*, is_sending: bool, actor: str, now: datetime) -> bool:
    """Set the switch; return whether that changed it."""
    with transaction.atomic():
        changed = rows(
            """
            INSERT INTO tenancy_installation AS i (id, is_sending, identity, changed_at, changed_by)
            VALUES (1, %(is_sending)s, '', %(now)s, %(actor)s)
            ON CONFLICT (id) DO UPDATE SET is_sending = excluded.is_sending, changed_at = excluded.changed_at,
              changed_by = excluded.changed_by WHERE i.is_sending <> excluded.is_sending
            RETURNING xmax = 0 AS is_new
            """,
            {"is_sending": is_sending, "now": now, "actor": actor[:120]},
        )
        # A first row that says "on" only says what held before.
        is_change = bool(changed) and not (is_sending and changed[0][0])
        if is_change:
            audit.record(
                actor=actor, verb="sending.started" if is_sending else "sending.stopped", target="installation"
            )
    return is_change


def is_copy() -> bool:
    """Return whether this database is a restored or promoted copy that nobody has accepted yet."""
    return bool(rows(f"SELECT 1 FROM tenancy_installation i WHERE i.id = 1 AND {fence.IS_COPY}"))
