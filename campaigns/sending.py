"""One turn of `send` on one batch: tokens, claim, post, settle, until nothing is ready or the turn is over.

The claim is committed, durably, before the first byte leaves; each answer is tied to its flight; what cannot be
settled at once is tried again until it succeeds. Only rows this worker's claim inserted into the ledger are posted.
"""

import mmap
import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from operator import attrgetter
from typing import Final, NamedTuple

import structlog
from django.conf import settings
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
    connection,
    transaction,
)

from campaigns import fence, leases, scheduling
from campaigns.leases import LeaseLost
from campaigns.models import Attempt, Batch, Dispatch, Lane
from campaigns.states import FATE, State
from campaigns.verbs import Intent, Settlement
from compliance.policy import Objection
from providers import delivery, routing, throttle
from providers.adapters.base import Message, Outcome
from providers.delivery import Answer, Envelope
from providers.routing import Channel
from smsplatform.common import database

log = structlog.get_logger("send")

SLICE: Final = 125  # rows per claim
GROUP: Final = 125  # answers per settlement
MOST_CLOCK_DIFFERENCE: Final = 30.0  # seconds; a machine further off does not send
GROUP_WAIT: Final = 0.2  # seconds
_REFERENCE: Final = 40  # characters
_REFUSED: Final = (DataError, IntegrityError, ProgrammingError)
_SETTLE_PAUSES: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)

# Asked with an account and an instant: what stops all sending through it now, and what forbids single rows.
Judge = Callable[[int, datetime], tuple[fence.Fence, Objection]]

# One byte shared with the children of a worker: set when it shuts down, so that no new slice is claimed.
_stopping = mmap.mmap(-1, 1)


def stop_claiming() -> None:
    """No further slice in this worker; what is in the air is waited for, the rest stays ready."""
    _stopping[0] = 1


@dataclass
class _Row:
    """A ready row of this turn. It goes through each account once."""

    id: uuid.UUID
    number: str
    text: str
    segments: int
    posts: int
    good_until: datetime
    tried: frozenset[int] = field(default_factory=frozenset)


class _Claimed(NamedTuple):
    """The flights of a claimed slice by dispatch, and when it was claimed: by the database's clock, and by ours."""

    flights: dict[uuid.UUID, int]
    at: datetime
    clock: float


def reference(dispatch_id: uuid.UUID, flight: int) -> str:
    """Return what we call a flight towards providers: 40 characters."""
    return f"{dispatch_id.hex}{flight:08x}"


def read_reference(text: str) -> tuple[uuid.UUID, int] | None:
    """Return the dispatch and the flight, or None where the text is no reference of ours."""
    try:
        return (uuid.UUID(hex=text[:32]), int(text[32:], 16)) if len(text) == _REFERENCE else None
    except ValueError:
        return None


def take_turn(batch_id: int, lease: int, *, judging: Callable[[Batch], Judge]) -> None:
    """Post what is ready; returns within the turn's time plus one HTTP time-out. Raises LeaseLost."""
    if connection.in_atomic_block:
        raise RuntimeError("send must not run inside a transaction: its claims would not be committed before they post")
    _Turn(batch_id, lease, judging).run()


class _Turn:
    def __init__(self, batch_id: int, lease: int, judging: Callable[[Batch], Judge]) -> None:
        self.batch_id = batch_id
        self.lease = lease
        self.judging = judging
        self.until = time.monotonic() + settings.SEND_TURN.total_seconds()
        self.answers = delivery.Answers()
        self.in_air: dict[tuple[uuid.UUID, int], tuple[_Row, Channel]] = {}
        self.is_over = False
        self.renewed = time.monotonic()
        self.ask_at = 0.0  # when the throttle has tokens for a slice worth a claim

    def run(self) -> None:
        with transaction.atomic(durable=True):
            self.batch = batch = leases.take(self.batch_id, self.lease, database.now())
        self.channels = routing.channels(batch.brand_id)
        self.look_ahead = throttle.LOOK_AHEAD_FIRST if batch.lane == Lane.URGENT else throttle.LOOK_AHEAD
        difference = database.clock_difference()
        if abs(difference) > MOST_CLOCK_DIFFERENCE:
            # Whatever else is dated by this machine would be wrong: what it signs, what it logs (R55).
            log.error("send.clock_is_wrong", seconds=round(difference, 1))
            self._wait(throttle.UNREACHABLE_WAIT)
            return
        self.judge = self.judging(batch)
        self.pending = [
            _Row(id_, number, text, segments, posts, good_until)
            for id_, number, text, segments, posts, good_until in batch.dispatches.in_state(State.READY)
            .order_by("id")
            .values_list("id", "number", "text", "segments", "posts", "good_until")
            if good_until is not None  # always set by then; a row without it would only wait for its end
        ]
        try:
            while True:
                self._launch()
                if not self.in_air:
                    break
                self._settle(self._collect())
                self._keep_lease()
        finally:
            self._land()

    # -- out ----------------------------------------------------------------------------------------------------

    def _launch(self) -> None:
        """Claim and post slices while there is room in the air."""
        while self.pending and not self.is_over:
            if time.monotonic() >= self.until or _stopping[0]:
                self.is_over = True
                return
            if (patience := self.ask_at - time.monotonic()) > 0:
                if not self.in_air:
                    self._wait(patience)
                return
            channel = routing.choose(self.channels, self.pending[0].tried)
            if channel is None:
                self._wait(throttle.UNREACHABLE_WAIT if self.channels else 30.0)
                return
            air = delivery.air(channel.account_id, channel.limits.concurrency)
            room = air.allowed - sum(1 for _, used in self.in_air.values() if used.account_id == channel.account_id)
            if room < min(SLICE, len(self.pending), max(air.allowed // 2, 1)):
                return  # a slice is worth waiting for
            if not self._post_slice(channel, room):
                return

    def _post_slice(self, channel: Channel, room: int) -> bool:
        """Take tokens, claim exactly the granted rows, post them; return whether to go on at once."""
        same = list(islice(self._pending_for(channel), min(SLICE, room)))
        granted = throttle.take(channel, [row.segments for row in same], look_ahead=self.look_ahead)
        rows = same[: len(granted.delays)]
        if not rows:
            self._wait(granted.wait)
            return False
        if len(rows) < len(same):
            self.ask_at = time.monotonic() + max(granted.wait - throttle.LOOK_AHEAD / 2, 0)
        started, wall = delivery.clock(), time.time()
        claimed = self._claim(channel, rows)
        if claimed is None:
            self.is_over = True
            return False
        flights, now = claimed.flights, claimed.at
        gone = {id(row) for row in rows}
        self.pending = [row for row in self.pending if id(row) not in gone]
        post_within = settings.POST_WITHIN.total_seconds()
        status_url = f"{settings.PUBLIC_URL}/webhooks/{channel.provider}/{channel.key}/status?ref="
        envelopes = []
        for row, delay in zip(rows, granted.delays, strict=True):
            flight = flights.get(row.id)
            if flight is not None:
                self.in_air[row.id, flight] = (row, channel)
                envelopes.append(
                    Envelope(
                        dispatch_id=row.id,
                        flight=flight,
                        account_id=channel.account_id,
                        adapter=channel.adapter,
                        message=_message(row, flight, channel.sender, status_url, now),
                        claimed_at=now,
                        claimed=claimed.clock,
                        post_at=started + delay,
                        post_by=started + post_within,
                        wall_by=wall + post_within,
                        timeout=channel.limits.timeout,
                    )
                )
        delivery.poster().post(
            envelopes,
            self.answers,
            lambda segments: throttle.take(channel, segments, look_ahead=throttle.LOOK_AHEAD_FIRST).delays,
        )
        return len(rows) == len(same)

    def _pending_for(self, channel: Channel) -> Iterator[_Row]:
        chosen = {tried: routing.choose(self.channels, tried) for tried in {row.tried for row in self.pending}}
        return (row for row in self.pending if chosen[row.tried] is channel)

    def _claim(self, channel: Channel, rows: Sequence[_Row]) -> _Claimed | None:
        """Ask every question again and write the intent, in one durable transaction; None: do not post any more."""
        claim = uuid.uuid4()
        try:
            with transaction.atomic(durable=True):
                now, clock = database.now(), delivery.clock()
                leases.renew(self.batch_id, self.lease, now)
                self.renewed = time.monotonic()
                stop, objection = self.judge(channel.account_id, now)
                if not stop.is_open:
                    # What a pause holds, holds nothing; what is cancelled ends.
                    self.batch.dispatches.judge([State.READY], objection, now)
                    return None
                patience = settings.POST_WITHIN + timedelta(seconds=channel.limits.timeout) + settings.HORIZON_MARGIN
                ours = Dispatch.objects.claim(
                    sorted([row.id for row in rows], key=attrgetter("int")),
                    objection=objection,
                    intent=Intent(channel.account_id, channel.sender, channel.reason, claim, now + patience),
                    now=now,
                )
        except LeaseLost:
            return None
        except (DatabaseError, InterfaceError):
            log.warning("claim.failed", batch=self.batch_id, exc_info=True)
            self._disown(claim, [row.id for row in rows])
            return None
        return _Claimed(ours, now, clock)

    def _disown(self, claim: uuid.UUID, ids: Sequence[uuid.UUID]) -> None:
        """The connection died around the commit: if the claim was committed, nothing of it was posted (R7)."""
        lost: list[tuple[uuid.UUID, int, int]] = []

        def find() -> None:
            # Recovery may have called them unknown meanwhile: we alone know better.
            ours = Attempt.objects.filter(claim=claim, dispatch_id__in=ids, outcome__in=(Attempt.OPEN, Outcome.UNKNOWN))
            lost[:] = ours.values_list("dispatch_id", "flight", "account_id")

        _persist(find)
        now = datetime.now(UTC)
        settle(
            [
                Settlement(
                    dispatch_id=dispatch_id,
                    flight=flight,
                    outcome=Outcome.NOT_POSTED,
                    state=State.READY,
                    answered_at=now,
                    account_id=account_id,
                )
                for dispatch_id, flight, account_id in lost
            ]
        )

    def _wait(self, seconds: float) -> None:
        """End the turn; the batch is due when the throttle can serve it again. Not a state of any row (R15)."""
        self.is_over = True
        seconds = min(max(seconds, 0.5), 300.0)
        with transaction.atomic(durable=True):
            Batch.objects.filter(pk=self.batch_id, lease=self.lease).update(
                resume_at=database.now() + timedelta(seconds=seconds)
            )

    # -- back ---------------------------------------------------------------------------------------------------

    def _collect(self) -> list[Answer]:
        """Return the next answers: up to a group, or what came within a short wait, longer while tokens are scarce."""
        scarce = min(self.ask_at - time.monotonic(), throttle.LOOK_AHEAD / 2)
        return self.answers.take(min(GROUP, len(self.in_air)), wait=max(GROUP_WAIT, scarce))

    def _settle(self, group: Sequence[Answer]) -> None:
        """Write what the answers mean; a database that is away is waited for."""
        if not group:
            return
        settlements = []
        for answer in group:
            row, channel = self.in_air.pop((answer.dispatch_id, answer.flight))
            delivery.air(channel.account_id, channel.limits.concurrency).learn(answer)
            again = self._next_try(row, answer)
            settlement = verdict(answer, posts=row.posts, has_next=again is not None)
            settlements.append(settlement)
            if again is not None and settlement.state is State.READY:
                self.pending.append(again)
        settle(settlements)

    def _next_try(self, row: _Row, answer: Answer) -> _Row | None:
        """Return the row for its next account within this turn, or None when there is none."""
        if answer.result.outcome not in (Outcome.REJECTED_RETRYABLE, Outcome.REJECTED_PROVIDER) or self.is_over:
            return None
        tried = row.tried | {answer.account_id}
        if routing.choose(self.channels, tried) is None:
            return None
        return _Row(row.id, row.number, row.text, row.segments, row.posts + 1, row.good_until, tried)

    def _keep_lease(self) -> None:
        """Renew while requests are in the air; a lost lease only ends the claiming."""
        if time.monotonic() - self.renewed < settings.LEASE.total_seconds() / 3:
            return
        self.renewed = time.monotonic()
        try:
            with transaction.atomic(durable=True):
                leases.renew(self.batch_id, self.lease, database.now())
        except LeaseLost:
            self.is_over = True
        except (DatabaseError, InterfaceError):
            connection.close()

    def _land(self) -> None:
        """Whatever ended the turn: wait for what is in the air and settle it."""
        self.is_over = True
        while self.in_air:
            self._settle(self._collect())


def verdict(answer: Answer, *, posts: int, has_next: bool) -> Settlement:
    """Return what an answer means for its dispatch, given how often it was posted before."""
    result = answer.result
    state = FATE[result.outcome]
    reason, until = "", None
    if result.outcome is Outcome.REJECTED_PERMANENT:
        reason = f"provider:{result.code}"
    elif result.outcome is Outcome.UNKNOWN:
        reason = "no_clear_answer"
    elif state is State.HELD:
        reason = "retry"
        if posts + 1 >= settings.MAX_FLIGHTS:
            state, reason = State.DEAD, "retries_exhausted"
        elif has_next:
            state, reason = State.READY, ""
        else:
            until = answer.answered_at + timedelta(seconds=backoff(posts, result.retry_after))
    return Settlement(
        dispatch_id=answer.dispatch_id,
        flight=answer.flight,
        outcome=result.outcome,
        state=state,
        answered_at=answer.answered_at,
        account_id=answer.account_id,
        reason=reason,
        detail=f"{result.code} {result.detail}".strip() if state is not State.ACCEPTED else "",
        until=until,
        provider_id=result.provider_id,
        code=result.code,
    )


def backoff(posts: int, retry_after: float | None) -> float:
    """Return the seconds to wait after the n-th posted try: doubled each time, with jitter, never below the vendor's wish."""
    longest: float = settings.RETRY_LONGEST
    wait: float = min(settings.RETRY_FIRST * 2**posts, longest)
    wait *= random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret
    return max(wait, min(retry_after or 0.0, longest))


def settle(settlements: Sequence[Settlement]) -> None:
    """Store answers, retrying until it succeeds: an answer in hand must never become an unknown (R6).

    One that the database can never store is stored as unknown, alone: it must not take its whole group with it.
    """
    if not settlements:
        return
    try:
        _persist(lambda: _write(settlements))
    except _REFUSED:
        if len(settlements) == 1:
            log.exception("settle.unstorable", dispatch=str(settlements[0].dispatch_id))
            only = settlements[0]
            doubt = Settlement(
                dispatch_id=only.dispatch_id,
                flight=only.flight,
                outcome=Outcome.UNKNOWN,
                state=State.UNKNOWN,
                answered_at=only.answered_at,
                account_id=only.account_id,
                reason="unstorable_answer",
            )
            _persist(lambda: _write([doubt]))
            return
        for settlement in settlements:
            settle([settlement])


def _write(settlements: Sequence[Settlement]) -> None:
    """Settle in one transaction; batches whose rows come back to life by a late answer are made due again."""
    with transaction.atomic(durable=True):
        now = database.commit_cheaply()
        moved = Attempt.objects.settle(settlements, now)
        if moved[State.UNKNOWN, State.HELD]:
            revived = Dispatch.objects.filter(id__in=[s.dispatch_id for s in settlements], batch__isnull=False)
            scheduling.reopen(revived.values_list("batch_id", flat=True), now)


def _persist(write: Callable[[], None]) -> None:
    """Repeat while the database is away. Only the death of the process ends this; then recovery says `unknown`.

    What the database refuses for its content is raised: repeating would not help.
    """
    failures = 0
    while True:
        try:
            write()
        except _REFUSED:
            raise
        except (DatabaseError, InterfaceError):
            pause = _SETTLE_PAUSES[min(failures, len(_SETTLE_PAUSES) - 1)]
            failures += 1
            log.warning("settle.waits", failures=failures, exc_info=failures == 1)
            connection.close()
            time.sleep(pause)
        else:
            return


def _message(row: _Row, flight: int, sender: str, status_url: str, now: datetime) -> Message:
    ours = reference(row.id, flight)
    return Message(
        reference=ours,
        to=row.number,
        sender=sender,
        text=row.text,
        segments=row.segments,
        status_url=f"{status_url}{ours}",
        valid_for=max(int((row.good_until - now).total_seconds()), 1),
    )
