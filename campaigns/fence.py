"""The fence: everything that stops sending, read from Postgres in one statement (P7, R52).

Levels: the whole installation, a database that is a copy, tenant, brand, run, provider account. A run is also stopped
while it can be undone, while nobody has approved so many people, and, but for its canary, until that is judged.
"""

from dataclasses import dataclass

from compliance.claim_caps import HAS_LIMITS
from smsplatform.common.database import execute, rows


@dataclass(frozen=True, slots=True)
class Fence:
    """Whether the run is cancelled, what pauses it ("" when nothing does), and whether the account may be used.

    `has_limits`: there are limits that the claim has to ask.
    `erasures` is how often the tenant was asked to forget somebody: it tells whether anybody has to be looked for.
    """

    is_cancelled: bool
    paused: str
    is_account_paused: bool = False
    has_limits: bool = False
    erasures: int = 0

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

# Why a batch `x` of the run `r` of the tenant `t` has to wait at the instant `{now}`; '' when it need not.
_WAITS = """
 CASE WHEN r.undo_until > {now} THEN 'the launch can still be undone'
   WHEN r.campaign_id IS NOT NULL AND r.people > greatest(t.approve_above, coalesce(r.approved_people, 0))
     AND t.approve_above IS NOT NULL THEN 'more people than were approved: a second person has to say yes'
   WHEN r.canary = 'waiting' AND NOT x.is_canary THEN 'the canary is not judged yet'
   ELSE '' END"""


def waits(now: str) -> str:
    """Return the expression of why a batch has to wait for its run's guards, at the instant that `now` is in SQL."""
    return _WAITS.format(now=now)


def read(batch_id: int, *, account_id: int | None = None) -> Fence:
    """Return the fence of a batch, and of the account about to be used."""
    [(is_cancelled, paused, is_account_paused, has_limits, erasures)] = rows(
        f"""
        SELECT r.cancelled_at IS NOT NULL,
          CASE WHEN NOT coalesce(i.is_sending, true) THEN 'sending is stopped'
               WHEN {IS_COPY} THEN 'this database is a copy; see manage.py accept_database'
               WHEN t.paused_at IS NOT NULL THEN 'the tenant is paused'
               WHEN b.paused_at IS NOT NULL THEN 'the brand is paused'
               WHEN r.paused_at IS NOT NULL THEN 'the run is paused'
               ELSE {waits("clock_timestamp()")} END,
          a.paused_at IS NOT NULL, {HAS_LIMITS}, t.erasures
        FROM campaigns_batch x JOIN campaigns_run r ON r.id = x.run_id JOIN tenancy_brand b ON b.id = x.brand_id
          JOIN tenancy_tenant t ON t.id = x.tenant_id LEFT JOIN tenancy_installation i ON i.id = 1
          LEFT JOIN providers_provideraccount a ON a.id = %s
        WHERE x.id = %s
        """,
        [account_id, batch_id],
    )
    return Fence(
        is_cancelled=is_cancelled,
        paused=paused,
        is_account_paused=is_account_paused,
        has_limits=has_limits,
        erasures=erasures,
    )


def remember_database() -> None:
    """Store which database this is, the first time anything is sent from it."""
    # Asked first: an upsert locks the row even where it changes nothing, and every hand-out would wait for the others.
    execute(
        f"""
        INSERT INTO tenancy_installation AS i (id, is_sending, identity, changed_at, changed_by)
        SELECT 1, true, {IDENTITY}, now(), ''
        WHERE NOT EXISTS (SELECT 1 FROM tenancy_installation WHERE id = 1 AND identity <> '')
        ON CONFLICT (id) DO UPDATE SET identity = excluded.identity WHERE i.identity = ''
        """
    )
