"""Single messages: a dispatch with an instant and no batch, gathered into batches when it is due (R50).

They belong to their brand's run of the day, so everything that holds for campaigns holds for them.
"""

import json
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction

from campaigns.models import Lane, Run
from compliance import place
from compliance.policy import Category
from smsplatform.common import mailbox
from smsplatform.common.database import key, rows
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy.models import Brand


def send(
    *,
    brand: Brand,
    number: str,
    text: str,
    now: datetime,
    category: Category = Category.TRANSACTIONAL,
    lane: Lane = Lane.URGENT,
    due_at: datetime | None = None,
    lifetime: timedelta | None = None,
) -> uuid.UUID:
    """Accept one message and return its dispatch's id. The caller nudges `collect` when the transaction commits.

    `number` is E.164, or an e-mail address, which is stored in its one spelling.
    """
    if not text.strip():
        raise InvalidInput("the text is empty; give what the person should read", field="text")
    number = mailbox.spelled(number)
    due_at = due_at or now
    run = _day_run(brand, category, lane, due_at, now)
    [(sequence,)] = rows("SELECT nextval('campaigns_notification_number')")
    dispatch_id = key(run.pk, sequence)
    with transaction.atomic():
        rows(
            """
            INSERT INTO campaigns_dispatch
              (id, tenant_id, brand_id, run_id, recipient_id, number, state, due_at, expires_at, text, zones)
            VALUES (%(id)s, %(tenant)s, %(brand)s, %(run)s,
              (SELECT id FROM campaigns_recipient WHERE tenant_id = %(tenant)s AND number = %(number)s),
              %(number)s, 'queued', %(due)s, %(expires)s, %(text)s, %(zones)s)
            """,
            {
                "id": dispatch_id,
                "tenant": brand.tenant_id,
                "brand": brand.pk,
                "run": run.pk,
                "number": number,
                "due": due_at,
                "expires": due_at + (lifetime or settings.LATENESS_LIMIT),
                "text": text,
                "zones": place.locate(number=number).zones,
            },
        )
        rows(
            "INSERT INTO campaigns_tallydelta (run_id, tenant_id, state, change) VALUES (%s, %s, 'queued', 1)",
            [run.pk, brand.tenant_id],
        )
    return dispatch_id


def _day_run(brand: Brand, category: Category, lane: Lane, due_at: datetime, now: datetime) -> Run:
    run, _ = Run.objects.get_or_create(
        brand=brand,
        campaign=None,
        occurrence=f"{due_at.astimezone(UTC):%Y-%m-%d} {lane} {category}",
        defaults={
            "tenant_id": brand.tenant_id,
            "lane": lane,
            "category": category,
            "launched_at": now,
            "materialise_at": now,
            "materialised_at": now,
        },
    )
    return run


def collect(now: datetime) -> list[str]:
    """Gather due single messages into new batches per run; return the lanes that have work now.

    Rows that another collector is gathering are passed over. Three statements, whatever the number of rows.
    """
    with transaction.atomic():
        due = rows(
            """
            SELECT id, run_id, state, expires_at FROM campaigns_dispatch
            WHERE batch_id IS NULL AND due_at <= %s ORDER BY due_at, id LIMIT 5000 FOR UPDATE SKIP LOCKED
            """,
            [now],
        )
        if not due:
            return []
        groups: dict[int, list[tuple[uuid.UUID, str, datetime]]] = {}
        for dispatch_id, run_id, state, expires_at in due:
            groups.setdefault(run_id, []).append((dispatch_id, state, expires_at))
        cut = [
            (run_id, members[start : start + settings.BATCH_SIZE])
            for run_id, members in groups.items()
            for start in range(0, len(members), settings.BATCH_SIZE)
        ]
        made = rows(
            """
            WITH counted AS (
              UPDATE campaigns_run r SET batches_made = batches_made + c.n
              FROM (SELECT run_id, count(*) AS n FROM unnest(%(runs)s::bigint[]) AS u(run_id) GROUP BY 1) c
              WHERE r.id = c.run_id RETURNING r.id, r.batches_made - c.n AS base, r.tenant_id, r.brand_id, r.lane)
            INSERT INTO campaigns_batch
              (tenant_id, brand_id, run_id, position, lane, due_at, expires_at, phase, lease, starts, error, size, tally)
            SELECT c.tenant_id, c.brand_id, c.id, c.base + row_number() OVER (PARTITION BY c.id ORDER BY b.place) - 1,
              c.lane, %(now)s, b.expires_at, 'waiting', 0, 0, '', b.size, b.tally
            FROM unnest(%(runs)s::bigint[], %(expiries)s::timestamptz[], %(sizes)s::int[], %(tallies)s::jsonb[])
              WITH ORDINALITY AS b(run_id, expires_at, size, tally, place) JOIN counted c ON c.id = b.run_id
            ORDER BY b.place RETURNING id, lane
            """,
            {
                "now": now,
                "runs": [run_id for run_id, _ in cut],
                "expiries": [max(member[2] for member in members) for _, members in cut],
                "sizes": [len(members) for _, members in cut],
                "tallies": [json.dumps(Counter(member[1] for member in members)) for _, members in cut],
            },
        )
        rows(
            """
            WITH placed AS (
              UPDATE campaigns_dispatch d SET batch_id = p.batch_id
              FROM unnest(%(ids)s::uuid[], %(batches)s::bigint[]) AS p(id, batch_id) WHERE d.id = p.id
              RETURNING d.run_id, d.tenant_id, d.state)
            INSERT INTO campaigns_tallydelta (run_id, tenant_id, state, change)
            SELECT run_id, tenant_id, state, -count(*) FROM placed GROUP BY 1, 2, 3
            """,
            {
                "ids": [member[0] for _, members in cut for member in members],
                "batches": [batch_id for (batch_id, _), (_, members) in zip(made, cut, strict=True) for _ in members],
            },
        )
    return sorted({lane for _, lane in made})
