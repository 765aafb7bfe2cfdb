"""The pipeline: six stages over a batch, first to last. Each docstring is a part of the state diagram.

A stage is one short durable transaction that first renews the batch's lease, or ends the chain. It takes the rows
that are in its state and moves them on; run twice it moves nothing. `send` is the one that is different: it is not a
transaction (see sending.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db import OperationalError, transaction

from campaigns import fence, leases, rendering_stage, scheduling, sending
from campaigns.models import Batch
from campaigns.states import EARLY, State
from campaigns.verbs import ZONES
from compliance import policy, quiet_hours
from compliance.policy import Category, Objection
from compliance.quiet_hours import Window
from smsplatform.common import database
from tracking import links

_TRIES: Final = 3
_REPEATABLE: Final = ("40P01", "40001")  # deadlock, serialisation failure


@dataclass(frozen=True)
class Stage:
    """A named step over (batch id, lease); raises LeaseLost when the chain is stale."""

    name: str
    run: Callable[[int, int], None]
    kind: str = "sql"


def stage(work: Callable[[Batch, datetime], int]) -> Stage:
    """Make a stage of a function that moves a batch's rows and returns how many moved."""

    def run(batch_id: int, lease: int) -> None:
        for last in [False] * (_TRIES - 1) + [True]:
            try:
                with transaction.atomic(durable=True):
                    now = database.commit_cheaply()
                    batch = leases.take(batch_id, lease, now)
                    if work(batch, now):
                        leases.note_progress(batch)
            except OperationalError as error:
                if last or getattr(error.__cause__, "sqlstate", None) not in _REPEATABLE:
                    raise
            else:
                return

    return Stage(name=work.__name__, run=run)


@stage
def check_compliance(batch: Batch, now: datetime) -> int:
    """queued -> cleared | blocked | held | expired | cancelled; the text is rendered and its segments counted."""
    stop = fence.read(batch.pk)
    dispatches = batch.dispatches
    moved = batch.dispatches.give_up(now)
    moved += dispatches.bring_back(now, everything=stop.is_cancelled, resumed=not stop.paused)
    windows = _windows(batch, dispatches.in_state(*EARLY).zones(), now)
    moved += dispatches.judge(EARLY, _objection(batch, stop, windows, now), now)
    moved += dispatches.clear(rendering_stage.render(batch, windows), now)
    return moved.total()


@stage
def lock_recipients(batch: Batch, now: datetime) -> int:
    """cleared -> locked | held (person busy)."""
    return batch.dispatches.take_locks(now, person_capped=Category(batch.run.category).has_person_cap).total()


@stage
def check_caps(batch: Batch, now: datetime) -> int:
    """locked -> allowed | held (cap) | queued (the lock ran out); permits are written, locks end."""
    return batch.dispatches.reserve(batch.brand, Category(batch.run.category), now).total()


@stage
def shorten_links(batch: Batch, now: datetime) -> int:
    """allowed -> ready; each link gets its code, the same one when this runs twice."""
    wanting = batch.dispatches.in_state(State.ALLOWED).filter(links__isnull=False).values_list("id", "text", "links")
    texts = links.shorten(tenant=batch.tenant_id, brand=batch.brand, wanting=list(wanting), now=now)
    return batch.dispatches.link(texts, now).total()


def _send(batch_id: int, lease: int) -> None:
    """ready -> sending -> as the answers say; the claim is committed before the first byte leaves."""
    sending.take_turn(batch_id, lease, judging=judge_ready)


send: Final = Stage(name="send", run=_send, kind="http")


@stage
def record_results(batch: Batch, now: datetime) -> int:
    """The batch is closed, or due again when its next row is; its tally is told."""
    moved = batch.dispatches.give_up(now)
    scheduling.end_turn(batch, fence.read(batch.pk), now)
    return moved.total()


PIPELINE: Final = (check_compliance, lock_recipients, check_caps, shorten_links, send, record_results)


def judge_ready(batch: Batch) -> sending.Judge:
    """Ask every question once more, right before each claim: what was true at the check may not be true now.

    The brand's hours and where people are are read once a turn; who moved to another zone meanwhile waits.
    """
    zones = batch.dispatches.in_state(State.READY).zones()

    def judge(account_id: int, now: datetime) -> tuple[fence.Fence, Objection]:
        stop = fence.read(batch.pk, account_id=account_id)
        return stop, _objection(batch, stop, _windows(batch, zones, now), now)

    return judge


def _windows(batch: Batch, zones: Sequence[str], now: datetime) -> dict[str, Window] | None:
    if not Category(batch.run.category).has_quiet_hours:
        return None
    hours = quiet_hours.Hours(batch.brand.opens_at, batch.brand.closes_at)
    return quiet_hours.windows(zones_keys=zones, hours=hours, now=now, guard=settings.QUIET_GUARD)


def _objection(batch: Batch, stop: fence.Fence, windows: dict[str, Window] | None, now: datetime) -> Objection:
    return policy.objection(
        category=Category(batch.run.category),
        now=now,
        is_cancelled=stop.is_cancelled,
        paused=stop.paused,
        windows=windows,
        zones=ZONES,
    )
