"""A year that is over: runs, closed batches, accepted and delivered messages, with all that remains of them.

Inserted set-based, a month at a time; a month's partitions are filled and indexed before they are attached.
"""

import uuid
from datetime import UTC, datetime, timedelta

from campaigns.models import Campaign, Run
from campaigns.models.campaign import run_id
from smsplatform.common import database, partitions
from smsplatform.common.database import execute, rows
from tests.ground import Client

MONTHS = 12
_RUNS_A_MONTH = 20
_BATCH = 500
_REPORTS_PER_REQUEST = 10


def months_ago(number: int, now: datetime) -> datetime:
    """Return the first instant of that month."""
    month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(number):
        month = (month - timedelta(days=1)).replace(day=1)
    return month


def insert(client: Client, messages: int, say) -> int:
    """Insert this many messages of the client, evenly over the months before this one; return how many."""
    now = database.now()
    campaign = Campaign.objects.get(tenant_id=client.tenant_id)
    [(first, people)] = rows(
        "SELECT min(id), count(*) FROM campaigns_recipient WHERE tenant_id = %s", [client.tenant_id]
    )
    per_run = min(messages // (MONTHS * _RUNS_A_MONTH), people)
    for table in ("compliance_permit", "campaigns_receipt"):
        execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    execute("SET synchronous_commit TO off")
    for number in range(MONTHS, 0, -1):
        _month(client, campaign, months_ago(number, now), per_run, first)
        say(f"month {MONTHS - number + 1} of {MONTHS} is there: {database_gb():.1f} GB")
    for table in ("compliance_permit", "campaigns_receipt"):
        execute(f"ALTER TABLE {table} RESET (autovacuum_enabled)")
    execute("VACUUM (ANALYZE)")
    execute("CHECKPOINT")
    return per_run * MONTHS * _RUNS_A_MONTH


def database_gb() -> float:
    [(size,)] = rows("SELECT pg_database_size(current_database())")
    return size / 2**30


def _month(client: Client, campaign: Campaign, month: datetime, per_run: int, first: int) -> None:
    runs = []
    for number in range(_RUNS_A_MONTH):
        at = month + timedelta(days=1 + number, hours=15)
        runs.append(
            Run(
                id=run_id(at),
                tenant_id=client.tenant_id,
                brand_id=client.brand_id,
                campaign=campaign,
                version=campaign.template.latest,
                occurrence=f"{at:%F}",
                category=campaign.category,
                launched_at=at,
                materialise_at=at,
                materialised_at=at,
                settled_at=at + timedelta(days=4),
                cursor=first + per_run,
                batches_made=-(-per_run // _BATCH),
                plan={"lists": [client.list_id]},
            )
        )
    Run.objects.bulk_create(runs)
    execute(
        """
        INSERT INTO campaigns_batch (tenant_id, brand_id, run_id, position, lane, due_at, expires_at, phase, lease, starts,
          error, size, tally, account_id)
        SELECT r.tenant_id, r.brand_id, r.id, n, 'bulk', r.launched_at, r.launched_at + interval '4 hours', 'closed', 1, 0, '',
          least(%(batch)s, %(people)s - n * %(batch)s),
          jsonb_build_object('delivered', least(%(batch)s, %(people)s - n * %(batch)s)), %(account)s
        FROM campaigns_run r, generate_series(0, (%(people)s - 1) / %(batch)s) n WHERE r.id = ANY(%(runs)s)
        """,
        {"batch": _BATCH, "people": per_run, "account": client.account_id, "runs": [run.pk for run in runs]},
    )
    following = (month + timedelta(days=32)).replace(day=1)
    bounds = f"FROM ('{partitions.bound(month)}') TO ('{partitions.bound(following)}')"
    values = {
        "runs": [run.pk for run in runs],
        "batch": _BATCH,
        "people": per_run,
        "first": first,
        "account": client.account_id,
    }
    _part("campaigns_dispatch", month, bounds, _DISPATCHES, values, keys=("id",), then=_BY_BATCH)
    dispatches = _name("campaigns_dispatch", month)
    _part(
        "campaigns_attempt",
        month,
        bounds,
        _ATTEMPTS.format(dispatches=dispatches),
        {"claim": uuid.uuid4()},
        keys=("dispatch_id", "flight"),
        then=_ONE_LIVE,
    )
    execute(_PERMITS.format(dispatches=dispatches))
    [(requests,)] = rows("SELECT coalesce(max(id), 0) FROM campaigns_rawevent")
    execute(
        _EVENTS,
        {
            "tenant": client.tenant_id,
            "account": client.account_id,
            "at": month + timedelta(days=25),
            "base": requests,
            "requests": -(-per_run * _RUNS_A_MONTH // _REPORTS_PER_REQUEST),
        },
    )
    execute(_RECEIPTS.format(dispatches=dispatches), {"base": requests, "each": _REPORTS_PER_REQUEST})
    execute("SELECT setval('campaigns_rawevent_id_seq', (SELECT max(id) FROM campaigns_rawevent))")


def _name(table: str, month: datetime) -> str:
    return f"{table}_{month:%Y_%m}"


def _part(table: str, month: datetime, bounds: str, rows_of: str, values: dict, *, keys: tuple[str, ...], then: str):
    """Fill a month's partition, index it, and attach it."""
    name = _name(table, month)
    execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING GENERATED)")
    execute(f"INSERT INTO {name} {rows_of}", values)
    execute(f"ALTER TABLE {name} ADD PRIMARY KEY ({', '.join(keys)})")
    execute(then.format(name=name))
    execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {bounds}")
    execute(
        f"ALTER TABLE {name} SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05,"
        " autovacuum_analyze_scale_factor = 0.02)"
    )


_BY_BATCH = "CREATE INDEX ON {name} (batch_id); CREATE INDEX ON {name} (due_at) WHERE batch_id IS NULL"
_ONE_LIVE = "CREATE UNIQUE INDEX ON {name} (dispatch_id) WHERE is_live"
_DISPATCHES = """
  (id, tenant_id, brand_id, run_id, batch_id, recipient_id, number, state, due_at, expires_at, good_until, text, segments,
   flight, posts, account_id, accepted_at, settled_at, changed_at)
SELECT (lpad(to_hex(r.id), 16, '0') || lpad(to_hex(%(first)s + n), 16, '0'))::uuid, r.tenant_id, r.brand_id, r.id, b.id,
  %(first)s + n, '+1' || (2120000000 + n + 1), 'delivered', r.launched_at, r.launched_at + interval '4 hours',
  r.launched_at + interval '4 hours', 'Hello Person ' || n || ', your order is on its way.', 1, 1, 1, %(account)s,
  r.launched_at + interval '1 minute', r.launched_at + interval '2 minutes', r.launched_at + interval '2 minutes'
FROM campaigns_run r JOIN campaigns_batch b ON b.run_id = r.id
  CROSS JOIN LATERAL generate_series(b.position * %(batch)s, b.position * %(batch)s + b.size - 1) n
WHERE r.id = ANY(%(runs)s) ORDER BY r.id, b.position"""
_ATTEMPTS = """
  (dispatch_id, flight, tenant_id, account_id, sender, claim, claimed_at, horizon_at, outcome, proof, proven_at, provider_id,
   answered_at, reason)
SELECT id, 1, tenant_id, account_id, '+18885550000', %(claim)s, accepted_at, accepted_at + interval '25 seconds',
  'accepted', 'answer', accepted_at, 'sim' || replace(id::text, '-', ''), accepted_at, 'choice 1 of the brand''s senders'
FROM {dispatches}"""
_PERMITS = """
INSERT INTO compliance_permit (dispatch_id, tenant_id, brand_id, number, is_person_capped, windows, at, over_cap)
SELECT id, tenant_id, brand_id, number, true, ARRAY[1]::bigint[], accepted_at, false FROM {dispatches}"""
_EVENTS = """
INSERT INTO campaigns_rawevent
  (id, tenant_id, account_id, method, url, headers, body, news, received_at, applied_at, flaw)
SELECT %(base)s + n, %(tenant)s, %(account)s, 'POST', '/webhooks/simulator/key/status', '{}', ''::bytea, '[]', %(at)s,
  %(at)s, ''
FROM generate_series(1, %(requests)s) n"""
_RECEIPTS = """
INSERT INTO campaigns_receipt
  (tenant_id, raw_id, place, dispatch_id, flight, provider_id, status, code, detail, received_at)
SELECT tenant_id, %(base)s + 1 + (n - 1) / %(each)s, (n - 1) %% %(each)s, id, 1, 'sim' || replace(id::text, '-', ''),
  'delivered', '', '', settled_at
FROM (SELECT *, row_number() OVER () AS n FROM {dispatches}) d"""
