"""The tasks: thin shims between the broker and the use cases. They carry ids only, and repeating one changes nothing.

Queues: `<lane>.sql` and `<lane>.http` for the stages, `control` for ticks, `events` for webhooks, `imports`.
"""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

import structlog
from celery import chain, shared_task, signals
from celery.exceptions import Ignore
from django.conf import settings
from django.db import transaction

from campaigns import (
    answers,
    canaries,
    clicks,
    erasure,
    fence,
    imports,
    launch,
    notifications,
    opt_outs,
    preflight,
    receipts,
    reconciling,
    recovery,
    replies,
    retention,
    reviews,
    schedules,
    scheduling,
    sending,
)
from campaigns.leases import LeaseLost
from campaigns.models import Lane
from campaigns.pipeline import PIPELINE, Stage, record_results
from campaigns.scheduling import Leased
from compliance import consent, hygiene, traffic
from smsplatform.common import database, partitions, redis
from smsplatform.tenancy import seals

log = structlog.get_logger("tasks")

_IMPORT_TURN: Final = timedelta(seconds=60)
_LONG_TURN: Final = timedelta(seconds=60)
_ANSWER_TURN: Final = 5  # seconds


def _task(stage: Stage) -> Any:
    """Return the Celery task of a stage over (batch id, lease, lane)."""

    @shared_task(name=f"stage.{stage.name}")
    def run(batch_id: int, lease: int, lane: str) -> None:
        if not _run(stage, batch_id, lease):
            raise Ignore
        if stage is record_results:
            hand_out(lane)

    return run


def _run(stage: Stage, batch_id: int, lease: int) -> bool:
    """Run a stage; return False where the chain is stale. A failure makes the batch due again and is raised."""
    try:
        stage.run(batch_id, lease)
    except LeaseLost:
        return False
    except Exception as error:
        scheduling.fail(batch_id, lease, stage=stage.name, error=error, now=database.now())
        raise
    return True


STAGE_TASKS: Final = {stage.name: _task(stage) for stage in PIPELINE}


@shared_task(name="run_small_batch")
def run_small_batch(batch_id: int, lease: int, lane: str) -> None:
    """The same six stages inside one task: six messages would cost more than the rows (R51)."""
    for stage in PIPELINE:
        if not _run(stage, batch_id, lease):
            return
    hand_out(lane)


@shared_task(name="hand_out")
def hand_out(lane: str) -> int:
    """Lease due batches and start their chains once the leases are committed; return how many."""
    now = database.now()
    fence.remember_database()
    with transaction.atomic():
        leased = scheduling.claim_due_batches(lane, now)
    return start_chains(leased)


def start_chains(leased: Sequence[Leased]) -> int:
    """Publish the chains of leased batches; a broker that is away costs one try, and the leases are given back."""
    for place, batch in enumerate(leased):
        try:
            _start(batch)
        except Exception:  # noqa: BLE001 - whatever ails the broker
            log.warning("hand_out.broker_down", batches=len(leased) - place)
            for unstarted in leased[place:]:
                scheduling.give_back(unstarted, database.now())
            return place
    return len(leased)


def _start(batch: Leased) -> None:
    arguments = (batch.batch_id, batch.lease, batch.lane)
    if batch.size <= settings.SMALL_BATCH:
        run_small_batch.si(*arguments).set(queue=f"{batch.lane}.http").apply_async()
        return
    stages = (STAGE_TASKS[s.name].si(*arguments).set(queue=f"{batch.lane}.{s.kind}") for s in PIPELINE)
    chain(*stages).apply_async()


@shared_task(name="collect")
def collect() -> None:
    """Gather due single messages and hand them out at once."""
    for lane in notifications.collect(database.now()):
        hand_out(lane)


def start_collecting() -> None:
    """Have a single message go out at once; if the broker is down, beat collects it within seconds of its return."""
    _publish(lambda: collect.si().set(queue="urgent.sql", expires=10).apply_async())


@shared_task(name="fire_schedules")
def fire_schedules() -> None:
    """Launch what repeats."""
    for run in schedules.fire(database.now()):
        start_materialising(run.pk)


@shared_task(name="materialise")
def materialise(run_id: int) -> None:
    """Insert a run's dispatches, then hand out what is due."""
    if launch.materialise(run_id):
        hand_out(Lane.BULK)


def start_materialising(run_id: int) -> None:
    """Have the run materialised soon; if the broker is down, recovery finds it."""
    _publish(lambda: materialise.si(run_id).set(queue="imports").apply_async())


@shared_task(name="run_import")
def run_import(import_id: int) -> None:
    """Read a file into a list, in turns, so that one huge file does not keep a worker for itself."""
    if not imports.run(import_id, turn=_IMPORT_TURN):
        start_import(import_id)


def start_import(import_id: int) -> None:
    """Have the import run soon; if the broker is down, recovery finds it."""
    _publish(lambda: run_import.si(import_id).set(queue="imports").apply_async())


@shared_task(name="apply_events", queue="events")
def apply_events() -> None:
    """Apply what providers told us, until nothing is left."""
    while receipts.apply_events() == receipts.MOST:
        pass


@shared_task(name="answer_replies", queue="urgent.sql")
def answer_replies() -> None:
    """Do what people's texts ask for, hand their answers out at once, and tidy, until nothing waits or the turn is over.

    It shares no queue with the work on events, and one worker at a time does it: a flood of texts leaves the lane's others
    to urgent messages.
    """
    with redis.turn("answer_replies", seconds=2 * _ANSWER_TURN) as is_ours:
        until = time.monotonic() + _ANSWER_TURN
        goes_on = is_ours
        while goes_on:
            if answers.answer_replies(database.now()):
                collect()
            # Not with the events: behind a flood of reports it would be late in lists and totals. The claim asks by itself.
            replies.tidy_stops(database.now())
            opt_outs.tidy(database.now())
            goes_on = answers.is_anybody_waiting(database.now()) and time.monotonic() < until


@shared_task(name="recover")
def recover() -> None:
    """Heal what was lost, from Postgres alone; then hand out."""
    now = database.now()
    ended = recovery.end_leases(now)
    if ended:
        log.info("recover.leases_over", batches=ended)
    for run_id in recovery.half_made_runs(now):
        start_materialising(run_id)
    for import_id in imports.resume_stalled(now):
        start_import(import_id)
    for preflight_id in preflight.stalled(now):
        start_preflight(preflight_id)
    recovery.settle_unknowns(now)
    reviews.end_overdue(now)
    if ended:
        for lane in Lane:
            hand_out(lane)


@shared_task(name="watch_canaries")
def watch_canaries() -> None:
    """Release or halt what waits for its canary; then hand out."""
    if canaries.watch(database.now()):
        hand_out(Lane.BULK)


@shared_task(name="run_preflight")
def run_preflight(preflight_id: int) -> None:
    """Count what a launch would do."""
    preflight.run(preflight_id)


def start_preflight(preflight_id: int) -> None:
    """Have the pre-flight run soon; if the broker is down, its page says that it waits."""
    _publish(lambda: run_preflight.si(preflight_id).set(queue="imports").apply_async())


@shared_task(name="ask_providers", queue="imports")
def ask_providers() -> None:
    """Ask providers about what is in doubt. It may take long, so it shares the queue of what nobody waits for."""
    reconciling.ask_providers(database.now())


@shared_task(name="seal_ledgers")
def seal_ledgers() -> None:
    """Seal what has been added to the trail since the last minute."""
    seals.seal_all(database.now())


@shared_task(name="erase_people", queue="imports")
def erase_people() -> None:
    """Go on with the erasures that have something to do; it may take long, so it shares the queue of what nobody waits for."""
    now = database.now()
    for person_id in erasure.at_work(now):
        erasure.work(person_id, until=now + _LONG_TURN)


def start_erasing() -> None:
    """Have what was asked for done soon; if the broker is down, the next minute's beat finds it."""
    _publish(lambda: erase_people.si().set(queue="imports").apply_async())


@shared_task(name="apply_retention", queue="imports")
def apply_retention() -> None:
    """Take away what tenants need not keep any more, a turn at a time."""
    now = database.now()
    retention.apply(now=now, until=now + _LONG_TURN)


@shared_task(name="judge_clicks", queue="imports")
def judge_clicks() -> None:
    """Tell people from machines among the hits that nobody has judged yet; nobody waits for it."""
    now = database.now()
    clicks.judge(until=now + _LONG_TURN)


@shared_task(name="keep_house")
def keep_house() -> None:
    """Make the partitions of the months ahead; mark what has ended for good; forget what is no longer needed."""
    now = database.now()
    partitions.ensure(now)
    recovery.settle_runs(now)
    imports.forget_failed(now)
    recovery.forget(now)
    consent.expire(now)
    hygiene.forget(now)
    traffic.forget(now)


def _publish(publish: Callable[[], Any]) -> None:
    try:
        publish()
    except Exception:  # noqa: BLE001 - whatever ails the broker
        log.warning("publish.broker_down")


@signals.worker_shutting_down.connect
def _stop_claiming(**_: Any) -> None:
    """SIGTERM: no new slice; what is in the air is waited for, the rest goes back."""
    sending.stop_claiming()
