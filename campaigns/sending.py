"""One turn of `send` on one batch: tokens, claim, post, settle, until nothing is ready or the turn is over.

The claim is committed, durably, before the first byte leaves; each answer is tied to its flight; what cannot be
settled at once is tried again until it succeeds. Only rows this worker's claim inserted into the ledger are posted.
"""

import mmap
import re
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Final, NamedTuple

import structlog
from django.conf import settings
from django.db import (
    DatabaseError,
    InterfaceError,
    connection,
    transaction,
)

from campaigns import fence, introduction, leases, opt_out_links, settling
from campaigns.leases import LeaseLost
from campaigns.models import Attempt, Batch, Dispatch, Lane
from campaigns.states import State
from campaigns.verbs import Intent, Settlement, Way
from compliance import claim_caps
from compliance.caps import Refusal
from compliance.policy import ACCOUNT_CAP, Objection
from providers import delivery, health, routing, throttle
from providers.adapters.base import Message, Outcome
from providers.delivery import Answer, Envelope
from providers.routing import Channel, Choice
from smsplatform.common import database
from tracking import links

log = structlog.get_logger("send")

SLICE: Final = 125  # rows per claim
GROUP: Final = 125  # answers per settlement
MOST_CLOCK_DIFFERENCE: Final = 30.0  # seconds; a machine further off does not send
GROUP_WAIT: Final = 0.2  # seconds
NO_SENDER_WAIT: Final = timedelta(minutes=5)  # before a row that no sender may serve is looked at again
_REFERENCE: Final = re.compile(r"[0-9a-fA-F]{40}").fullmatch
_MOST_FLIGHTS: Final = 32_767  # what the ledger can number

# Asked with an account and an instant: what stops all sending through it now, and what forbids single rows.
Judge = Callable[[int, datetime], tuple[fence.Fence, Objection]]

# One byte shared with the children of a worker: set when it shuts down, so that no new slice is claimed.
_stopping = mmap.mmap(-1, 1)


def stop_claiming() -> None:
    """No further slice in this worker; what is in the air is waited for, the rest stays ready."""
    _stopping[0] = 1


@dataclass(slots=True)
class _Row:
    """A ready row of this turn. It goes through each account once."""

    id: uuid.UUID
    number: str
    text: str
    segments: int
    posts: int
    good_until: datetime
    tried: frozenset[int] = field(default_factory=frozenset)
    is_introduced: bool = False  # the text is not the stored one any more


class _Granted(NamedTuple):
    """A row, the channel it goes through, and the instant that the throttle gave it, by `delivery.clock`."""

    row: _Row
    choice: Choice
    post_at: float


class _Claimed(NamedTuple):
    """The flights of a claimed slice by dispatch, and when it was claimed: by the database's clock, and by ours.

    `refused` are the rows for which account or carrier have no room.
    """

    flights: dict[uuid.UUID, int]
    at: datetime
    clock: float
    refused: Sequence[Refusal] = ()


def reference(dispatch_id: uuid.UUID, flight: int) -> str:
    """Return what we call a flight towards providers: 40 characters."""
    return f"{dispatch_id.hex}{flight:08x}"


def read_reference(text: str) -> tuple[uuid.UUID, int] | None:
    """Return the dispatch and the flight, or None where the text is no reference of ours: it may be anybody's."""
    if not _REFERENCE(text):
        return None
    flight = int(text[32:], 16)
    return (uuid.UUID(hex=text[:32]), flight) if flight <= _MOST_FLIGHTS else None


def take_turn(batch_id: int, lease: int, *, judging: Callable[[Batch], Judge]) -> None:
    """Post what is ready; returns within the turn's time plus one HTTP time-out. Raises LeaseLost."""
    if connection.in_atomic_block:
        raise RuntimeError("send must not run inside a transaction: its claims would not be committed before they post")
    turn = _Turn(batch_id, lease, judging)
    turn.run()
    leases.end(turn.batch)


class _Turn:
    """One turn. Ready rows wait in a queue for each choice of channel; `no_route` has those that none can take now."""

    def __init__(self, batch_id: int, lease: int, judging: Callable[[Batch], Judge]) -> None:
        self.batch_id = batch_id
        self.lease = lease
        self.judging = judging
        self.until = time.monotonic() + settings.SEND_TURN.total_seconds()
        self.answers = delivery.Answers()
        self.queues: dict[Choice, deque[_Row]] = {}
        self.no_route: list[_Row] = []
        self.in_air: dict[tuple[uuid.UUID, int], tuple[_Row, Channel]] = {}
        self.flying: Counter[int] = Counter()  # requests in the air by account
        self.canaries: set[uuid.UUID] = set()
        self.asked_for: set[int] = set()  # broken accounts whose canary this turn has asked to send
        self.ask_at: dict[Choice, float] = {}  # when the throttle has tokens for a slice worth a claim
        self.is_over = False
        self.renewed = time.monotonic()

    def run(self) -> None:
        with transaction.atomic(durable=True):
            self.batch = batch = leases.take(self.batch_id, self.lease, database.now())
            leases.begin(batch, "send")
        self.routes = self._routes()
        self.look_ahead = throttle.LOOK_AHEAD_FIRST if batch.lane == Lane.URGENT else throttle.LOOK_AHEAD
        difference = database.clock_difference()
        if abs(difference) > MOST_CLOCK_DIFFERENCE:
            # Whatever else is dated by this machine would be wrong: what it signs, what it logs (R55).
            log.error("send.clock_is_wrong", seconds=round(difference, 1))
            self._wait(throttle.UNREACHABLE_WAIT)
            return
        self.judge = self.judging(batch)
        self._line_up(
            _Row(id_, number, text, segments, posts, good_until)
            for id_, number, text, segments, posts, good_until in batch.dispatches.in_state(State.READY)
            .order_by("id")
            .values_list("id", "number", "text", "segments", "posts", "good_until")
            if good_until is not None  # always set by then; a row without it would only wait for its end
        )
        try:
            while True:
                self._launch()
                if not self.in_air:
                    break
                self._settle(self._collect())
                self._keep_lease()
        finally:
            self._land()

    # -- routes -------------------------------------------------------------------------------------------------

    def _routes(self) -> routing.Routes:
        """Read the routes as they are now; an answer leaves only from the number that the person wrote to."""
        return routing.routes(self.batch.brand_id, only=self.batch.run.plan.get("sender"))

    def _line_up(self, rows: Iterable[_Row]) -> None:
        """Put each row into the queue of the channel that it goes through."""
        for row in rows:
            choice = self.routes.choose(row.number, row.tried)
            if choice is None:
                self.no_route.append(row)
            else:
                self.queues.setdefault(choice, deque()).append(row)
        self._elect_canaries()

    def _line_up_again(self) -> None:
        """The routes have changed: read them, and let every row that is not posted yet choose again."""
        self.routes = self._routes()
        rows = [row for queue in self.queues.values() for row in queue] + self.no_route
        self.queues, self.no_route, self.asked_for = {}, [], set()
        self.canaries &= {dispatch_id for dispatch_id, _ in self.in_air}
        self._line_up(rows)

    def _elect_canaries(self) -> None:
        """Broken accounts whose time has come get one message, from whichever worker is the first to ask for it."""
        for account_id in self.routes.probes_due(datetime.now(UTC)):
            found = None if account_id in self.asked_for else self._canary(account_id)
            if found is None:
                continue
            self.asked_for.add(account_id)
            if not health.elect(account_id, database.now()):
                continue
            row, choice = found
            for waiting in (self.no_route, *self.queues.values()):
                if row in waiting:
                    waiting.remove(row)
            self.canaries.add(row.id)
            self.queues[choice] = deque([row])

    def _canary(self, account_id: int) -> tuple[_Row, Choice] | None:
        """Return a row that would go through this account if it were well."""
        for row in [*self.no_route, *(row for queue in self.queues.values() for row in queue)]:
            if account_id in row.tried:
                continue
            choice = self.routes.canary(row.number, account_id)
            if choice is not None:
                return row, choice
        return None

    # -- out ----------------------------------------------------------------------------------------------------

    def _launch(self) -> None:
        """Claim and post slices while there is room in the air; a channel without room or tokens holds up no other."""
        posted = True
        while posted and not self.is_over:
            posted = False
            for choices in self._together():
                if not self._ends():
                    posted |= self._post_slice(choices)
        if not self.is_over and not self.in_air:
            self._rest()

    def _ends(self) -> bool:
        """Return whether the turn is over: its time is, the worker stops, or something ended it before."""
        self.is_over = self.is_over or time.monotonic() >= self.until or bool(_stopping[0])
        return self.is_over

    def _rest(self) -> None:
        """Nothing can be posted now, and nothing is in the air: the turn is over, and the batch due when it is worth it."""
        waits = [at - time.monotonic() for choice, at in self.ask_at.items() if self.queues.get(choice)]
        if self.no_route:
            self._hold_unservable()
            waits.append(self._patience())
        self.is_over = True
        if self.no_route or any(self.queues.values()):
            self._wait(min(waits, default=throttle.UNREACHABLE_WAIT))

    def _patience(self) -> float:
        """Return the seconds until one of the rows without a route may have one."""
        if not self.routes.channels:
            return 30.0
        now = database.now()
        look = self.routes.next_look((row.number for row in self.no_route), now)
        return throttle.UNREACHABLE_WAIT if look is None else (look - now).total_seconds()

    def _hold_unservable(self) -> None:
        """Rows that no sender of the brand may ever serve say so, instead of keeping their batch busy."""
        never = {row.id for row in self.no_route if self.routes.channels and not self.routes.order(row.number)}
        if not never:
            return
        self.no_route = [row for row in self.no_route if row.id not in never]
        with transaction.atomic(durable=True):
            now = database.now()
            Dispatch.objects.filter(id__in=never).move(
                [State.READY], State.HELD, now=now, reason="no_sender_for_number", until=now + NO_SENDER_WAIT
            )

    def _together(self) -> list[list[Choice]]:
        """Group the choices whose rows can be claimed together: the senders of a pool must not cost a claim each.

        They have the account in common, and the registration, because limits are counted by both.
        """
        found: dict[tuple[int, int | None], list[Choice]] = {}
        for choice, queue in self.queues.items():
            if queue:
                found.setdefault((choice.channel.account_id, choice.channel.registration_id), []).append(choice)
        return list(found.values())

    def _post_slice(self, choices: Sequence[Choice]) -> bool:
        """Take tokens, claim exactly the granted rows, post them; return whether anything went out.

        The choices are such as `_together` puts together.
        """
        choices = [choice for choice in choices if time.monotonic() >= self.ask_at.get(choice, 0.0)]
        if not choices:
            return False
        channel = choices[0].channel
        air = delivery.air(channel.account_id, channel.limits.concurrency)
        room = air.allowed - self.flying[channel.account_id]
        waiting = sum(len(self.queues[choice]) for choice in choices)
        if room < min(SLICE, waiting, max(air.allowed // 2, 1)):
            return False  # a slice is worth waiting for
        granted = self._take_tokens(choices, min(SLICE, room))
        if not granted:
            return False
        started, wall = delivery.clock(), time.time()
        claimed = self._claim(granted)
        if claimed is None:
            self.is_over = True
            return False
        for each in granted:
            self.queues[each.choice].popleft()
        post_within = settings.POST_WITHIN.total_seconds()
        envelopes: dict[Channel, list[Envelope]] = {}
        for row, choice, post_at in granted:
            flight = claimed.flights.get(row.id)
            if flight is not None:
                through = choice.channel
                self.in_air[row.id, flight] = (row, through)
                envelopes.setdefault(through, []).append(
                    Envelope(
                        dispatch_id=row.id,
                        flight=flight,
                        account_id=through.account_id,
                        adapter=through.adapter,
                        message=_message(row, flight, through, self._opt_out_url(row, through), claimed.at),
                        claimed_at=claimed.at,
                        claimed=claimed.clock,
                        post_at=post_at,
                        post_by=started + post_within,
                        wall_by=wall + post_within,
                        timeout=through.limits.timeout,
                    )
                )
        self.flying[channel.account_id] += len(claimed.flights)
        for through, theirs in envelopes.items():
            delivery.poster().post(theirs, self.answers, partial(_take_again, through))
        if claimed.refused:
            self._without_room(channel, [each.row for each in granted], claimed.refused)
        return True

    def _take_tokens(self, choices: Sequence[Choice], most: int) -> list[_Granted]:
        """Take tokens for up to so many rows, channel by channel; who was served goes to the end of the line."""
        granted: list[_Granted] = []
        for choice in choices:
            room = most - len(granted)
            if room <= 0:
                break
            same = [self._introduced(row, choice.channel) for row in islice(self.queues[choice], room)]
            found = throttle.take(choice.channel, [row.segments for row in same], look_ahead=self.look_ahead)
            now = delivery.clock()
            granted += [_Granted(row, choice, now + delay) for row, delay in zip(same, found.delays, strict=False)]
            if len(found.delays) < len(same):
                early = throttle.LOOK_AHEAD / 2 if found.delays else 0.0
                self.ask_at[choice] = time.monotonic() + max(found.wait - early, 0)
            self.queues[choice] = self.queues.pop(choice)
        return granted

    def _opt_out_url(self, row: _Row, channel: Channel) -> str:
        """Return where mail programs may end these mails with one click (RFC 8058); texts carry it in their words."""
        if channel.adapter.channel != "email":
            return ""
        return opt_out_links.url(links.base_url(self.batch.brand), row.id)

    def _without_room(self, channel: Channel, rows: Sequence[_Row], refused: Sequence[Refusal]) -> None:
        """Rows that account or carrier have no room for go through another account where only this one is full, or wait.

        In a transaction of its own: what a claim locks last must not be followed by locks that come before.
        """
        by_id = {row.id: row for row in rows}
        waiting: dict[tuple[str, str, datetime], list[uuid.UUID]] = {}
        for refusal in refused:
            row = by_id[refusal.dispatch_id]
            tried = row.tried | {channel.account_id}
            if refusal.rule.code == ACCOUNT_CAP and self.routes.choose(row.number, tried) is not None:
                self._line_up([replace(row, tried=tried)])
            else:
                waiting.setdefault((str(refusal.rule), refusal.detail, refusal.until), []).append(row.id)
        if not waiting:
            return
        try:
            with transaction.atomic(durable=True):
                now = database.now()
                for (reason, detail, until), ids in waiting.items():
                    held = Dispatch.objects.filter(id__in=ids)
                    held.move([State.READY], State.HELD, now=now, reason=reason, detail=detail, until=until)
        except (DatabaseError, InterfaceError):  # they are ready, and the next turn asks again
            log.warning("hold.failed", batch=self.batch_id, exc_info=True)
            self.is_over = True

    def _introduced(self, row: _Row, channel: Channel) -> _Row:
        """Return the row with a text that says who we are, where the person gets it from a number they do not know (R69)."""
        home = self.routes.home(row.number)
        if channel.sender == home.sender or not introduction.is_needed(self.batch.run.category):
            return row
        text, segments = introduction.introduce(row.text, self.batch.brand.name)
        return row if text == row.text else replace(row, text=text, segments=segments, is_introduced=True)

    def _claim(self, granted: Sequence[_Granted]) -> _Claimed | None:
        """Ask every question again and write the intent, in one durable transaction; None: do not post any more."""
        claim = uuid.uuid4()
        channel = granted[0].choice.channel
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
                route = claim_caps.Route(
                    self.batch.tenant_id,
                    self.batch.brand_id,
                    self.batch.run.campaign_id,
                    channel.account_id,
                    channel.registration_id,
                )
                patience = settings.POST_WITHIN + timedelta(seconds=channel.limits.timeout) + settings.HORIZON_MARGIN
                ours, refused = Dispatch.objects.claim(
                    {row.id: Way(choice.channel.sender, choice.reason) for row, choice, _ in granted},
                    objection=objection,
                    intent=Intent(channel.account_id, claim, now + patience),
                    texts={row.id: (row.text, row.segments) for row, _, _ in granted if row.is_introduced},
                    quotas=claim_caps.quotas(route, now) if stop.has_limits else (),
                    now=now,
                )
                if ours:
                    leases.note_progress(self.batch)
        except LeaseLost:
            return None
        except (DatabaseError, InterfaceError):
            log.warning("claim.failed", batch=self.batch_id, exc_info=True)
            self._disown(claim, [each.row.id for each in granted])
            return None
        return _Claimed(ours, now, clock, refused)

    def _disown(self, claim: uuid.UUID, ids: Sequence[uuid.UUID]) -> None:
        """The connection died around the commit: if the claim was committed, nothing of it was posted (R7)."""
        lost: list[tuple[uuid.UUID, int, int]] = []

        def find() -> None:
            # Recovery may have called them unknown meanwhile: we alone know better.
            ours = Attempt.objects.filter(claim=claim, dispatch_id__in=ids, outcome__in=(Attempt.OPEN, Outcome.UNKNOWN))
            lost[:] = ours.values_list("dispatch_id", "flight", "account_id")

        settling.persist(find)
        now = datetime.now(UTC)
        settling.settle(
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
        waiting = [at - time.monotonic() for choice, at in self.ask_at.items() if self.queues.get(choice)]
        scarce = min([*waiting, throttle.LOOK_AHEAD / 2]) if waiting else 0.0
        return self.answers.take(min(GROUP, len(self.in_air)), wait=max(GROUP_WAIT, scarce))

    def _settle(self, group: Sequence[Answer]) -> None:
        """Write what the answers mean; a database that is away is waited for."""
        if not group:
            return
        settlements = []
        again = []
        told = []
        for answer in group:
            row, channel = self.in_air.pop((answer.dispatch_id, answer.flight))
            told.append((answer, channel))
            self.flying[channel.account_id] -= 1
            delivery.air(channel.account_id, channel.limits.concurrency).learn(answer)
            following = self._next_try(row, answer)
            flaw = channel.adapter.answered_flaws.get(answer.result.code.lower(), "")
            settlement = settling.verdict(answer, posts=row.posts, has_next=following is not None, number_flaw=flaw)
            settlements.append(settlement)
            if following is not None and settlement.state is State.READY:
                again.append(following)
        settling.settle(settlements)
        has_changed = self._learn(told)
        if self._ends():  # nothing more is sent, and what is in the air must come back whatever else fails
            return
        self._line_up(again)
        if has_changed:
            self._line_up_again()

    def _learn(self, told: Sequence[tuple[Answer, Channel]]) -> bool:
        """Tell the breaker what the answers say about the accounts; return whether one of them has switched."""
        has_changed = False
        seen: dict[int, list[bool | None]] = {}
        refusals = {channel for answer, channel in told if answer.result.outcome is Outcome.REJECTED_PROVIDER}
        private = {channel for channel in refusals if channel.is_shared and not health.is_general(channel)}
        for answer, channel in told:
            bad = health.is_bad(answer.result.outcome, answer.result.code)
            if answer.dispatch_id not in self.canaries:
                about_sender = answer.result.outcome is Outcome.REJECTED_PROVIDER and channel in private
                seen.setdefault(answer.account_id, []).append(None if about_sender else bad)
                continue
            self.canaries.discard(answer.dispatch_id)
            has_changed = True
            if bad is not None:  # one that was never posted tells nothing; the next is sent when its time is over
                settling.persist(partial(_tell_of_canary, answer.account_id, is_well=not bad))
        for account_id, bads in seen.items():
            counts = health.watch(account_id).saw(bads, time.monotonic())
            if counts is not None and counts.is_ill:
                settling.persist(partial(_declare_broken, account_id, counts))
                if self.routes.is_well(account_id):
                    delivery.withdraw(account_id)
                has_changed = True
        return has_changed

    def _next_try(self, row: _Row, answer: Answer) -> _Row | None:
        """Return the row for its next account within this turn, or None when there is none.

        A canary whose account is still broken goes on as if it had never been one.
        """
        if answer.result.outcome not in (Outcome.REJECTED_RETRYABLE, Outcome.REJECTED_PROVIDER) or self.is_over:
            return None
        tried = row.tried | {answer.account_id}
        if self.routes.choose(row.number, tried) is None:
            return None
        return replace(row, posts=row.posts + 1, tried=tried)

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


def _tell_of_canary(account_id: int, *, is_well: bool) -> None:
    health.canary_came_back(account_id, is_well=is_well, now=database.now())


def _declare_broken(account_id: int, counts: health.Counts) -> None:
    health.declare_broken(account_id, counts, database.now())


def _take_again(channel: Channel, segments: Sequence[int]) -> Sequence[float]:
    """Return new instants, as `delivery.Again`, for rows of this channel that missed theirs."""
    return throttle.take(channel, segments, look_ahead=throttle.LOOK_AHEAD_FIRST).delays


def _message(row: _Row, flight: int, channel: Channel, opt_out_url: str, now: datetime) -> Message:
    ours = reference(row.id, flight)
    return Message(
        reference=ours,
        to=row.number,
        sender=channel.sender,
        text=row.text,
        segments=row.segments,
        status_url=f"{settings.PUBLIC_URL}/webhooks/{channel.provider}/{channel.key}/status?ref={ours}",
        valid_for=max(int((row.good_until - now).total_seconds()), 1),
        expires_at=row.good_until,
        opt_out_url=opt_out_url,
    )
