"""Messages that gave up (`dead`) or of which nobody knows whether they were taken (`unknown`): the list, and the replay.

A dead message may be tried again only when every one of its tries is proven untaken: the vendor said so in its own
dialect, or nothing was posted. An unknown one is never tried again, because the person may have the text already;
sending it anyway makes a new message, which is a person's decision and not done here.
"""

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from campaigns import moves, scheduling
from campaigns.models import Trouble
from campaigns.states import State
from providers.adapters.base import Outcome
from smsplatform.common.database import execute, rows
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import audit
from smsplatform.tenancy.models import Tenant

GOOD_FOR: Final = timedelta(hours=4)
LONGEST: Final = timedelta(days=7)
_CHUNK: Final = 500
_UNTAKEN: Final = (
    Outcome.REJECTED_PERMANENT,
    Outcome.REJECTED_RETRYABLE,
    Outcome.REJECTED_PROVIDER,
    Outcome.NOT_POSTED,
)
_NEVER_RESENT: Final = (
    "it may have been taken, so it is never sent again by itself; a receipt or its deadline settles it"
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message in trouble. `refusal` says why it cannot be replayed; empty: it can."""

    dispatch_id: uuid.UUID
    tenant: str
    run_id: int
    number: str
    state: str
    reason: str
    detail: str
    tries: int
    since: datetime
    due_at: datetime | None
    batch_id: int | None
    tenant_id: int
    refusal: str

    @property
    def may_be_replayed(self) -> bool:
        return not self.refusal


_FACTS: Final = tuple(each.name for each in fields(DeadLetter) if each.name != "refusal")


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did, or would do: how many, and why the others were left."""

    moved: list[uuid.UUID]
    left: list[DeadLetter]
    missing: list[uuid.UUID]

    @property
    def why(self) -> Counter[str]:
        return Counter(letter.refusal for letter in self.left)


def count(*, tenant: Tenant | None = None) -> dict[str, int]:
    """Return how many are dead and how many unknown."""
    found = Trouble.objects.all() if tenant is None else Trouble.objects.filter(tenant=tenant)
    numbers = Counter(found.values_list("kind", flat=True))
    return {kind: numbers[kind] for kind in (State.DEAD, State.UNKNOWN)}


def listed(
    *, limit: int, tenant: Tenant | None = None, kind: str | None = None, after: uuid.UUID | None = None
) -> list[DeadLetter]:
    """Return messages in trouble, in the order of their ids, each with the verdict on replaying it."""
    found = Trouble.objects.order_by("dispatch_id")
    if tenant is not None:
        found = found.filter(tenant=tenant)
    if kind is not None:
        found = found.filter(kind=kind)
    if after is not None:
        found = found.filter(dispatch_id__gt=after)
    return judged(list(found.values_list("dispatch_id", flat=True)[:limit]))


def judged(ids: Sequence[uuid.UUID]) -> list[DeadLetter]:
    """Return these messages with the verdict on replaying each. One statement; unknown ids are left out."""
    if not ids:
        return []
    found = rows(
        """
        SELECT d.id, t.slug, d.run_id, d.number, d.state, d.reason, d.detail, d.flight, coalesce(x.since, d.changed_at),
          x.due_at, d.batch_id, d.tenant_id, r.cancelled_at IS NOT NULL,
          EXISTS (SELECT 1 FROM campaigns_attempt a WHERE a.dispatch_id = d.id AND a.dispatch_id = ANY(%(ids)s)
            AND (NOT a.outcome = ANY(%(untaken)s) OR a.proof <> '')),
          EXISTS (SELECT 1 FROM campaigns_receipt c WHERE c.dispatch_id = d.id)
        FROM campaigns_dispatch d JOIN tenancy_tenant t ON t.id = d.tenant_id JOIN campaigns_run r ON r.id = d.run_id
          LEFT JOIN campaigns_trouble x ON x.dispatch_id = d.id
        WHERE d.id = ANY(%(ids)s) AND d.id BETWEEN %(first)s AND %(last)s ORDER BY d.id
        """,
        {"ids": list(ids), "first": min(ids), "last": max(ids), "untaken": list(_UNTAKEN)},
    )
    letters = []
    for *facts, is_cancelled, is_taken, is_reported in found:
        told = dict(zip(_FACTS, facts, strict=True))
        refusal = _refusal(State(told["state"]), is_cancelled=is_cancelled, is_taken=is_taken or is_reported)
        letters.append(DeadLetter(**told, refusal=refusal))
    return letters


def _refusal(state: State, *, is_cancelled: bool, is_taken: bool) -> str:
    if state is State.UNKNOWN:
        return _NEVER_RESENT
    if state is not State.DEAD:
        return f"it is {state}, and only dead messages are replayed"
    if is_taken:
        return "one of its tries is not proven untaken, so it is never sent again by itself"
    if is_cancelled:
        return "its run is cancelled"
    return ""


def replay(
    ids: Sequence[uuid.UUID], *, now: datetime, actor: str, good_for: timedelta = GOOD_FOR, is_rehearsal: bool = False
) -> Replayed:
    """Let dead messages start again from `queued`, with all checks and a full number of tries; a rehearsal only tells.

    They expire `good_for` from now, as their own limit is over by then. Twice is once: a replayed one is not dead.
    """
    if not timedelta(0) < good_for <= LONGEST:
        raise InvalidInput("give 1 minute to 7 days", field="good_for")
    done = Replayed([], [], [])
    for start in range(0, len(ids), _CHUNK):
        chunk = sorted(set(ids[start : start + _CHUNK]))
        letters = judged(chunk) if is_rehearsal else _replay_chunk(chunk, now, actor, good_for)
        done.moved.extend(letter.dispatch_id for letter in letters if letter.may_be_replayed)
        done.left.extend(letter for letter in letters if not letter.may_be_replayed)
        known = {letter.dispatch_id for letter in letters}
        done.missing.extend(id_ for id_ in chunk if id_ not in known)
    return done


def _replay_chunk(ids: list[uuid.UUID], now: datetime, actor: str, good_for: timedelta) -> list[DeadLetter]:
    with transaction.atomic(durable=True):
        batches = [letter.batch_id for letter in judged(ids)]
        scheduling.reopen(batches, now)  # locks the batches, and these come before their rows
        rows("SELECT id FROM campaigns_dispatch WHERE id = ANY(%s) ORDER BY id FOR UPDATE", [ids])
        letters = judged(ids)  # again, now that nothing can change them any more
        chosen = [letter for letter in letters if letter.may_be_replayed]
        moves.apply(
            [letter.dispatch_id for letter in chosen],
            given="SELECT unnest(%(ids)s::uuid[]) AS id, 'queued' AS state, '' AS reason, '' AS detail,"
            " NULL::timestamptz AS until, %(expires)s::timestamptz AS expires",
            parameters={"ids": [letter.dispatch_id for letter in chosen], "expires": now + good_for},
            origins=[State.DEAD],
            targets=[State.QUEUED],
            now=now,
            assign=", posts = 0, good_until = NULL, expires_at = greatest(d.expires_at, g.expires)",
        )
        execute(
            "UPDATE campaigns_batch SET expires_at = greatest(expires_at, %s) WHERE id = ANY(%s)",
            [now + good_for, sorted({letter.batch_id for letter in chosen if letter.batch_id is not None})],
        )
        by_tenant = Counter(letter.tenant_id for letter in chosen)
        for tenant_id, number in by_tenant.items():
            audit.record(
                actor=actor, verb="dispatch.replayed", target=f"{number} dead", tenant=tenant_id, number=number
            )
    return letters


def every_dead(*, tenant: Tenant | None = None) -> Iterator[uuid.UUID]:
    """Yield the ids of all dead messages."""
    found = Trouble.objects.filter(kind=State.DEAD)
    if tenant is not None:
        found = found.filter(tenant=tenant)
    yield from found.order_by("dispatch_id").values_list("dispatch_id", flat=True)
