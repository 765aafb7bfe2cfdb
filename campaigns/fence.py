"""The fence: everything that stops sending, read from Postgres in one statement (P7, R52).

Levels: the whole installation, a database that is a copy, tenant, brand, run, provider account.
"""

from dataclasses import dataclass

from smsplatform.common.database import execute, rows


@dataclass(frozen=True, slots=True)
class Fence:
    """Whether the run is cancelled, what pauses it ("" when nothing does), and whether the account may be used."""

    is_cancelled: bool
    paused: str
    is_account_paused: bool = False

    @property
    def is_open(self) -> bool:
        return not self.is_cancelled and not self.paused and not self.is_account_paused


# R54: a restored dump or a promoted copy has another identity, and claims are missing from it.
IDENTITY = (
    "(SELECT s.system_identifier || ':' || c.timeline_id || ':'"
    " || (SELECT oid FROM pg_database WHERE datname = current_database())"
    " FROM pg_control_system() s, pg_control_checkpoint() c)"
)
IS_COPY = f"(i.identity <> '' AND i.identity <> {IDENTITY})"


def read(batch_id: int, *, account_id: int | None = None) -> Fence:
    """Return the fence of a batch, and of the account about to be used."""
    [(is_cancelled, paused, is_account_paused)] = rows(
        f"""
        SELECT r.cancelled_at IS NOT NULL,
          CASE WHEN NOT coalesce(i.is_sending, true) THEN 'sending is stopped'
               WHEN {IS_COPY} THEN 'this database is a copy; see manage.py accept_database'
               WHEN t.paused_at IS NOT NULL THEN 'the tenant is paused'
               WHEN b.paused_at IS NOT NULL THEN 'the brand is paused'
               WHEN r.paused_at IS NOT NULL THEN 'the run is paused'
               ELSE '' END,
          a.paused_at IS NOT NULL
        FROM campaigns_batch x JOIN campaigns_run r ON r.id = x.run_id JOIN tenancy_brand b ON b.id = x.brand_id
          JOIN tenancy_tenant t ON t.id = x.tenant_id LEFT JOIN tenancy_installation i ON i.id = 1
          LEFT JOIN providers_provideraccount a ON a.id = %s
        WHERE x.id = %s
        """,
        [account_id, batch_id],
    )
    return Fence(is_cancelled=is_cancelled, paused=paused, is_account_paused=is_account_paused)


def remember_database() -> None:
    """Store which database this is, the first time anything is sent from it."""
    execute(
        f"""
        INSERT INTO tenancy_installation AS i (id, is_sending, identity, changed_at, changed_by)
        VALUES (1, true, {IDENTITY}, now(), '')
        ON CONFLICT (id) DO UPDATE SET identity = excluded.identity WHERE i.identity = ''
        """
    )
