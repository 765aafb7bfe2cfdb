"""The pipeline: six stages over a batch, first to last. Each docstring is a part of the state diagram.

A stage is one short durable transaction that first renews the batch's lease, or ends the chain. It takes the rows
that are in its state and moves them on; run twice it moves nothing. `send` is the one that is different: it is not a
transaction (see sending.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import OperationalError, transaction

from campaigns import fence, leases, rendering_stage, scheduling, sending, spreading
from campaigns.models import Batch, Lane
from campaigns.states import EARLY, State
from campaigns.verbs import ZONES
from compliance import erasure, hours, policy
from compliance.policy import Category, Objection
from compliance.quiet_hours import Window
from smsplatform.common import database, phone
from smsplatform.tenancy.models import ConsentKept
from tracking import links

_TRIES: Final = 3
_MINUTE: Final = timedelta(minutes=1)
_REPEATABLE: Final = ("40P01", "40001")  # deadlock, serialisation failure


@dataclass(frozen=True)
class Stage:
    """A named step over (batch id, lease); raises LeaseLost when the chain is stale."""

    name: str
    run: Callable[[int, int], None]
    kind: str = "sql"


def stage(work: Callable[[Batch, datetime], int]) -> Stage:
    """Make a stage of a function that moves a batch's rows and returns how many moved."""

    def once(batch_id: int, lease: int) -> bool:
        with transaction.atomic(durable=True):
            now = database.commit_cheaply()
            batch = leases.take(batch_id, lease, now)
            if leases.begin(batch, work.__name__):
                return False
            if work(batch, now):
                leases.note_progress(batch)
            leases.end(batch)
        return True

    def run(batch_id: int, lease: int) -> None:
        for last in [False] * (_TRIES - 1) + [True]:
            try:
                if not once(batch_id, lease):
                    once(batch_id, lease)
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
    erased = _erased(batch, stop, EARLY)
    moved += dispatches.judge(EARLY, _objection(batch, stop, windows, now, erased), now)
    moved += dispatches.clear(rendering_stage.render(batch, windows, now), now)
    return moved.total()


@stage
def lock_recipients(batch: Batch, now: datetime) -> int:
    """cleared -> locked | held (person busy)."""
    return batch.dispatches.take_locks(now, person_capped=Category(batch.run.category).has_person_cap).total()


@stage
def check_caps(batch: Batch, now: datetime) -> int:
    """locked -> allowed | held (cap) | queued (the lock ran out); permits are written, locks end."""
    run = batch.run
    return batch.dispatches.reserve(
        batch.brand, Category(run.category), now, campaign_id=run.campaign_id, per_hour=spreading.per_hour(run)
    ).total()


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
    rendering_stage.remember_stop_lines(batch, now)
    scheduling.end_turn(batch, fence.read(batch.pk), now)
    return moved.total()


PIPELINE: Final = (check_compliance, lock_recipients, check_caps, shorten_links, send, record_results)


def judge_ready(batch: Batch) -> sending.Judge:
    """Ask every question once more, right before each claim: what was true at the check may not be true now.

    The brand's hours and where people are are read once a turn; who moved meanwhile waits. Holds are read every time.
    """
    zones = batch.dispatches.in_state(State.READY).zones()
    erased: dict[int, erasure.Found] = {}  # read again when somebody is erased

    def judge(account_id: int, now: datetime) -> tuple[fence.Fence, Objection]:
        stop = fence.read(batch.pk, account_id=account_id)
        if stop.erasures not in erased:
            # What is in the air may come back within this turn.
            erased[stop.erasures] = _erased(batch, stop, [State.READY, State.SENDING])
        return stop, _objection(batch, stop, _windows(batch, zones, now), now, erased[stop.erasures])

    return judge


def _windows(batch: Batch, zones: Sequence[str], now: datetime) -> dict[str, Window] | None:
    found = terms(batch, now)
    return None if found is None else _windows_by(found, batch, zones, now)


def _windows_by(found: hours.Terms, batch: Batch, zones: Sequence[str], now: datetime) -> dict[str, Window]:
    # Batch by batch a minute later, so that a morning does not begin with everything at once (by a row: too many ticks).
    turn = batch.pk % (settings.RELEASE_SPREAD // _MINUTE + 1) if batch.lane == Lane.BULK else 0
    return hours.windows(keys=zones, terms=found, now=now, guard=settings.QUIET_GUARD, spread=turn * _MINUTE)


def _erased(batch: Batch, stop: fence.Fence, states: Sequence[State]) -> erasure.Found:
    """Return who of these was erased; most tenants have never erased anybody, and then nothing is asked."""
    if not stop.erasures:
        return erasure.NOBODY
    numbers = batch.dispatches.in_state(*states).order_by().values_list("number", flat=True)
    return erasure.among(tenant_id=batch.tenant_id, numbers=list(numbers))


def _objection(
    batch: Batch,
    stop: fence.Fence,
    windows: Mapping[str, Window] | None,
    now: datetime,
    erased: erasure.Found,
    zones: str = ZONES,
) -> Objection:
    return policy.objection(
        category=Category(batch.run.category),
        now=now,
        is_cancelled=stop.is_cancelled,
        paused=stop.paused,
        windows=windows,
        zones=zones,
        is_consent_here=batch.brand.consent_kept == ConsentKept.HERE,
        promised="CASE WHEN d.state <> 'queued' THEN d.good_until END",
        countries=sorted(phone.with_implied(batch.brand.tenant.allowed_countries)),
        country="coalesce(r.country, '')",
        erased=erased.numbers,
        knows_erased=not erased.is_blind,
    )


# -- before there is a run ------------------------------------------------------------------------------------------


def terms(batch: Batch, now: datetime) -> hours.Terms | None:
    """Return by which terms the batch's people may be texted; None: at any time."""
    return hours.terms(brand=batch.brand, category=Category(batch.run.category), now=now)


def window_at(batch: Batch, zones: str, at: datetime, by: hours.Terms | None) -> Window | None:
    """Return the window of people of these zones at an instant, by these terms; None: no quiet hours apply."""
    return None if by is None else _windows_by(by, batch, [zones], at)[zones]


def question(batch: Batch, windows: Mapping[str, Window] | None, now: datetime, erased: erasure.Found) -> Objection:
    """Return what the stages would ask of rows that are not there yet, `d`.

    `windows` has each row's window by `d.look_place`. What stops the run as a whole is not asked.
    """
    stop = fence.Fence(is_cancelled=False, paused="")
    return _objection(batch, stop, windows, now, erased, zones="d.look_place")
