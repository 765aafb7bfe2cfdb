"""Single messages: a dispatch with an instant and no batch, gathered into batches when it is due (R50).

They belong to their brand's run of the day, so everything that holds for campaigns holds for them. `send` is the one door
for all of them, whoever asks; what strangers can trigger is guarded there (compliance.traffic).
"""

import json
import re
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction

from campaigns import hosts, rendering_stage
from campaigns.models import Lane, Reply, Run
from campaigns.states import State
from compliance import place, policy, smart, traffic
from compliance.data import npa
from compliance.policy import Category
from compliance.segments import count as segment_count
from compliance.traffic import Origin, Trigger
from smsplatform.common import mailbox, phone
from smsplatform.common.database import key, rows
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy.models import Brand
from tracking import links, shortening

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII).fullmatch


def send(  # noqa: PLR0913 - what a message is, and who asks for it
    *,
    brand: Brand,
    number: str,
    text: str,
    now: datetime,
    category: Category = Category.TRANSACTIONAL,
    lane: Lane = Lane.URGENT,
    due_at: datetime | None = None,
    lifetime: timedelta | None = None,
    origin: Origin | Trigger = Origin.OPERATOR,
) -> uuid.UUID:
    """Accept one message and return its dispatch's id. The caller nudges `collect` when the transaction commits.

    `number` is E.164, or an e-mail address, which is stored in its one spelling; the API and forms may give a number as
    people write it. Raises InvalidInput for what can never be sent, and TooMany for more than may be triggered.
    """
    trigger = origin if isinstance(origin, Trigger) else Trigger(origin)
    number = mailbox.spelled(number)
    if category.is_answer:
        raise InvalidInput(
            f"{category} is for answers to a person's own text; choose {', '.join(dict(Category.choices()))}",
            field="category",
        )
    due_at = due_at or now
    is_read = trigger.origin.is_guarded and "@" not in number
    found = read_number(brand, number, is_sandbox=trigger.is_sandbox) if is_read else None
    segments = _checked(brand, text, found.e164 if found else number)
    run = _day_run(brand, category, lane, due_at, now)
    with transaction.atomic():
        is_held = found is not None and traffic.admit(
            tenant=brand.tenant, trigger=trigger, number=found, segments=segments, now=now
        )
        expires_at = due_at + (lifetime or settings.LATENESS_LIMIT)
        return _store(run, found.e164 if found else number, text, due_at=due_at, expires_at=expires_at, is_held=is_held)


def answer(
    *, reply: Reply, brand: Brand, sender_id: int, text: str, now: datetime, lifetime: timedelta | None = None
) -> uuid.UUID:
    """Accept the answer to a person's keyword, also where the person has opted out, and return its dispatch's id (R35).

    It leaves from the sender that the person wrote to, or not at all. Only `answers` asks for one, once a reply.
    """
    run = _day_run(brand, Category.KEYWORD_REPLY, Lane.URGENT, now, now, sender_id)
    with transaction.atomic():
        expires_at = now + (lifetime or settings.LATENESS_LIMIT)
        return _store(run, reply.number, text, due_at=now, expires_at=expires_at)


def _checked(brand: Brand, text: str, number: str) -> int:
    """Return how many segments the text has. Raises InvalidInput for one that is never sent, and for a bad number."""
    if not text.strip():
        raise InvalidInput("the text is empty; give what the person should read", field="text")
    if "@" not in number and not _E164(number):
        raise InvalidInput(
            "is no telephone number in full; write it with its country code, like +12125550123", field="number"
        )
    tenant = brand.tenant
    sent = smart.encode(text, smart=tenant.has_smart_encoding, accents=tenant.strips_accents)
    try:
        short, destinations = shortening.with_placeholders(sent, links.base_url(brand))
    except shortening.BadDestination as error:
        raise InvalidInput(f"a link in the text {error.reason}; link to a public https:// page", field="text") from None
    if host := hosts.forbidden(sent, destinations, rendering_stage.banned_hosts(tenant)):
        raise InvalidInput(f"{host} must not be in a text; link to your own page", field="text")
    count, most = segment_count(short).segments, rendering_stage.most_segments(brand.max_segments)
    if count > most:
        raise InvalidInput(f"the text has {count} segments, {most} are allowed; write less", field="text")
    return count


def read_number(brand: Brand, number: str, *, is_sandbox: bool = False) -> phone.Number:
    """Return what a stranger gave as a number, if the tenant may text it; raises InvalidInput."""
    found = parse_number(brand, number, is_sandbox=is_sandbox)
    if isinstance(found, phone.Refusal):
        raise InvalidInput(f"{phone.masked(number)}: {found.message}", field="number")
    return found


def parse_number(brand: Brand, number: str, *, is_sandbox: bool = False) -> phone.Number | phone.Refusal:
    """Return the number that strangers give or text from, or why the brand's client does not text such."""
    return phone.parse(number, countries=brand.tenant.allowed_countries, known_npas=npa.COUNTRY, sandbox=is_sandbox)


def _store(
    run: Run, number: str, text: str, *, due_at: datetime, expires_at: datetime, is_held: bool = False
) -> uuid.UUID:
    """Insert the message; one that waits for a review is held until its end, unless somebody decides before."""
    state, reason = (State.HELD, str(policy.TRAFFIC_REVIEW)) if is_held else (State.QUEUED, "")
    [(sequence,)] = rows("SELECT nextval('campaigns_notification_number')")
    dispatch_id = key(run.pk, sequence)
    rows(
        """
        INSERT INTO campaigns_dispatch
          (id, tenant_id, brand_id, run_id, recipient_id, number, state, reason, not_before, due_at, expires_at, text,
           zones)
        VALUES (%(id)s, %(tenant)s, %(brand)s, %(run)s,
          (SELECT id FROM campaigns_recipient WHERE tenant_id = %(tenant)s AND number = %(number)s),
          %(number)s, %(state)s, %(reason)s, %(until)s, %(due)s, %(expires)s, %(text)s, %(zones)s)
        """,
        {
            "id": dispatch_id,
            "tenant": run.tenant_id,
            "brand": run.brand_id,
            "run": run.pk,
            "number": number,
            "due": due_at,
            "expires": expires_at,
            "state": state,
            "reason": reason,
            "until": expires_at if is_held else None,
            "text": text,
            "zones": place.locate(number=number).key,
        },
    )
    rows(
        "INSERT INTO campaigns_tallydelta (run_id, tenant_id, state, change) VALUES (%s, %s, %s, 1)",
        [run.pk, run.tenant_id, state],
    )
    return dispatch_id


def _day_run(
    brand: Brand, category: Category, lane: Lane, due_at: datetime, now: datetime, sender_id: int | None = None
) -> Run:
    """Return the brand's run of the day; what must leave from one sender has a run of its own."""
    of_sender = f" {sender_id}" if sender_id is not None else ""
    run, _ = Run.objects.get_or_create(
        brand=brand,
        campaign=None,
        occurrence=f"{due_at.astimezone(UTC):%Y-%m-%d} {lane} {category}{of_sender}",
        defaults={
            "tenant_id": brand.tenant_id,
            "lane": lane,
            "category": category,
            "plan": {"sender": sender_id} if sender_id is not None else {},
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
