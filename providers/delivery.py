"""Posts messages: one event loop and one pooled HTTP client per worker process, in a thread of their own.

The task's thread hands over frozen envelopes and reads frozen answers from a queue. The loop never waits for the
database, so a database stall cannot turn answered requests into timeouts (R5). Every envelope gets exactly one answer,
and at most one request leaves for it: the client refuses a second try of any method (R9). Each leaves at the instant that
the throttle gave it; who misses it, because the claim or this process was slow, takes another.
"""

import asyncio
import atexit
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import islice, takewhile
from typing import Final, NamedTuple

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from providers import mail
from providers.adapters.base import SPLIT, Adapter, HttpCall, HttpReply, MailCall, Message, Outcome, Result, Split

_CONNECT_SECONDS: Final = 5.0
_IDLE_SECONDS: Final = 25.0  # shorter than any vendor's
_MOST_BYTES: Final = 64 * 1024
_TICK: Final = 0.001  # seconds; the event loop's clock is no finer
_WALL_SLACK: Final = 1.0  # seconds the wall clock may disagree before a request is given back
_LATE: Final = 0.01  # seconds behind its instant at which a message has missed it; doubled each time it does
# So late, messages may bunch up beyond the limit: from here on they take twice their tokens, which is as good as time.
_TOO_LATE_TO_BE_EXACT: Final = 0.03
_MOST_LATE: Final = 1.0


class Envelope(NamedTuple):
    """One claimed message. `post_by` is a `clock()` value; after it the message must be given back, not posted.

    The claim's instant is told by the database's clock and by ours: whatever comes later is dated from there, so a step
    of this machine's wall clock moves no date.
    """

    dispatch_id: uuid.UUID
    flight: int
    account_id: int
    adapter: Adapter
    message: Message
    claimed_at: datetime
    claimed: float
    post_at: float
    post_by: float
    wall_by: float
    timeout: float
    lateness: float = _LATE  # seconds after `post_at` until which it may still be posted


class Answer(NamedTuple):
    """What became of an envelope."""

    dispatch_id: uuid.UUID
    flight: int
    account_id: int
    result: Result
    answered_at: datetime
    timed_out: bool = False


class Answers:
    """Where the answers of one turn arrive. Whoever waits is woken once for many, not once for each."""

    def __init__(self) -> None:
        self._arrived: deque[Answer] = deque()
        self._enough = threading.Event()
        self._wanted = 1

    def put(self, answer: Answer) -> None:
        """Add an answer; called by the poster's thread."""
        self._arrived.append(answer)
        if len(self._arrived) >= self._wanted:
            self._enough.set()

    def take(self, most: int, *, wait: float) -> list[Answer]:
        """Return up to `most` answers: as soon as these are there, else what came within `wait` seconds."""
        self._wanted = most
        self._enough.clear()
        if len(self._arrived) < most:
            self._enough.wait(wait)
        return [self._arrived.popleft() for _ in range(min(most, len(self._arrived)))]


# Tokens of rows that missed their instants -> seconds from now of the new ones, of as many rows as get one.
Again = Callable[[Sequence[int]], Sequence[float]]


def clock() -> float:
    """Return seconds of a clock that goes on while the machine sleeps or the process is frozen."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SecondTry(Exception):
    """The HTTP client tried to repeat a request by itself; the first try may have been taken."""


class _Once:
    """A client middleware for one request: the client repeats what HTTP calls idempotent, so never a POST."""

    def __init__(self) -> None:
        self.tries = 0

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        self.tries += 1
        if self.tries > 1:
            raise SecondTry
        return await handler(request)


class Poster:
    """The process's event loop with its pooled client."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        threading.Thread(target=self._loop.run_forever, name="poster", daemon=True).start()

    def post(self, envelopes: Sequence[Envelope], answers: Answers, again: Again) -> None:
        """Start posting a slice, in the order of its instants; each answer comes to the queue."""
        self._loop.call_soon_threadsafe(self._start, envelopes, answers, again)

    def close(self) -> None:
        """End the connections; called when the process ends."""
        if self._session is not None:
            asyncio.run_coroutine_threadsafe(self._session.close(), self._loop).result(timeout=2)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _start(self, envelopes: Sequence[Envelope], answers: Answers, again: Again) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=True,
            )
        pace = self._pace_parcels if envelopes and envelopes[0].adapter.batch_size > 1 else self._pace
        self._spawn(pace(self._session, envelopes, answers, again))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pace(
        self, session: aiohttp.ClientSession, envelopes: Sequence[Envelope], answers: Answers, again: Again
    ) -> None:
        """Start each post at its instant; those that missed theirs ask for others, or are given back."""
        waiting = deque(envelopes)
        try:
            while waiting:
                if (wait := waiting[0].post_at - clock()) > _TICK:
                    await asyncio.sleep(wait)
                now = clock()
                late = list(takewhile(lambda envelope: envelope.post_at + envelope.lateness < now, waiting))  # noqa: B023
                if not late:
                    self._spawn(self._deliver(session, waiting.popleft(), answers))
                    continue
                moved = await self._postpone(late, answers, again)
                waiting = deque(sorted([*islice(waiting, len(late), None), *moved], key=lambda e: e.post_at))
        except BaseException as error:  # noqa: BLE001 - whatever happens: none of these was posted
            for envelope in waiting:
                _answer(answers, envelope, Result(Outcome.NOT_POSTED, code="internal", detail=type(error).__name__))

    async def _pace_parcels(
        self, session: aiohttp.ClientSession, envelopes: Sequence[Envelope], answers: Answers, again: Again
    ) -> None:
        """Start each shared request at the instant of its last message, so that none of them is early."""
        waiting = deque(_parcels(envelopes))
        try:
            while waiting:
                parcel = waiting[0]
                while parcel:
                    if (wait := parcel[-1].post_at - clock()) > _TICK:
                        await asyncio.sleep(wait)
                    if clock() <= parcel[-1].post_at + parcel[-1].lateness:
                        break
                    waiting[0] = parcel = await self._postpone(parcel, answers, again)
                waiting.popleft()
                if parcel:
                    self._spawn(self._deliver_parcel(session, parcel, answers))
        except BaseException as error:  # noqa: BLE001 - whatever happens: none of these was posted
            for envelope in (each for parcel in waiting for each in parcel):
                _answer(answers, envelope, Result(Outcome.NOT_POSTED, code="internal", detail=type(error).__name__))

    async def _postpone(self, late: Sequence[Envelope], answers: Answers, again: Again) -> list[Envelope]:
        """Return those that get another instant, with it; the others are given back.

        Each may miss the new one by twice as much, so that a machine that is slow all the time posts in the end.
        """
        patient = [envelope._replace(lateness=min(envelope.lateness * 2, _MOST_LATE)) for envelope in late]
        tokens = [e.message.segments * (1 if e.lateness <= _TOO_LATE_TO_BE_EXACT else 2) for e in patient]
        delays = await self._loop.run_in_executor(None, again, tokens)
        now = clock()
        for envelope in late[len(delays) :]:
            _answer(answers, envelope, Result(Outcome.NOT_POSTED, code="missed_its_instant"))
        return [e._replace(post_at=now + delay) for e, delay in zip(patient, delays, strict=False)]

    async def _deliver_parcel(
        self, session: aiohttp.ClientSession, parcel: Sequence[Envelope], answers: Answers
    ) -> None:
        """Post messages together; each has its own answer. What is refused because of some of them goes in halves."""
        if len(parcel) == 1:
            await self._deliver(session, parcel[0], answers)
            return
        timed_out = False
        try:
            results, timed_out = await _exchange_parcel(session, parcel)
        except BaseException as error:  # noqa: BLE001 - the isolation point: each envelope has one answer, whatever happens
            results = [Result(Outcome.UNKNOWN, code="internal", detail=type(error).__name__)] * len(parcel)
        if results is SPLIT:
            middle = len(parcel) // 2
            await self._deliver_parcel(session, parcel[:middle], answers)
            await self._deliver_parcel(session, parcel[middle:], answers)
            return
        for envelope, result in zip(parcel, results, strict=True):
            _answer(answers, envelope, result, timed_out=timed_out)

    async def _deliver(self, session: aiohttp.ClientSession, envelope: Envelope, answers: Answers) -> None:
        timed_out = False
        try:
            result, timed_out = await _exchange(session, envelope)
        except BaseException as error:  # noqa: BLE001 - the isolation point: one envelope, one answer, whatever happens
            result = Result(Outcome.UNKNOWN, code="internal", detail=type(error).__name__)
        _answer(answers, envelope, result, timed_out=timed_out)


def _answer(answers: Answers, envelope: Envelope, result: Result, *, timed_out: bool = False) -> None:
    answers.put(
        Answer(
            dispatch_id=envelope.dispatch_id,
            flight=envelope.flight,
            account_id=envelope.account_id,
            result=result,
            answered_at=envelope.claimed_at + timedelta(seconds=clock() - envelope.claimed),
            timed_out=timed_out,
        )
    )


def _parcels(envelopes: Sequence[Envelope]) -> list[list[Envelope]]:
    """Group neighbours that may share a request: each person once, each text such as can be shared."""
    parcels: list[list[Envelope]] = []
    people: set[str] = set()
    is_open = False
    for envelope in envelopes:
        adapter, message = envelope.adapter, envelope.message
        fits = adapter.fits_batch(message)
        if fits and is_open and message.to not in people and len(parcels[-1]) < adapter.batch_size:
            parcels[-1].append(envelope)
            people.add(message.to)
        else:
            parcels.append([envelope])
            people, is_open = {message.to}, fits
    return parcels


async def _exchange(session: aiohttp.ClientSession, envelope: Envelope) -> tuple[Result, bool]:
    """Post once and return the meaning, and whether the answer did not come in time."""
    try:
        call = envelope.adapter.call(envelope.message)
    except Exception as error:  # noqa: BLE001 - nothing was sent: the adapter could not even say what to send
        # An adapter says with a ValueError what its vendor cannot carry; anything else is a defect of ours.
        why = envelope.adapter.shown(str(error)) if isinstance(error, ValueError) else ""
        return Result(Outcome.REJECTED_PERMANENT, code="not_callable", detail=why or type(error).__name__), False
    if hindrance := _hindrance(envelope):
        return hindrance, False
    if isinstance(call, MailCall):
        answer = await mail.transact(call, envelope.timeout)
        return envelope.adapter.read(envelope.message, answer), answer.timed_out
    reply, timed_out = await _ask(session, call, _patience(envelope.timeout))
    return (reply if isinstance(reply, Result) else envelope.adapter.read(envelope.message, reply)), timed_out


async def _exchange_parcel(
    session: aiohttp.ClientSession, parcel: Sequence[Envelope]
) -> tuple[Sequence[Result] | Split, bool]:
    """Post messages in one request and return the meaning for each, and whether the answer did not come in time."""
    adapter, messages = parcel[0].adapter, [envelope.message for envelope in parcel]
    try:
        call = adapter.call_batch(messages)
    except Exception:  # noqa: BLE001 - nothing was sent; alone each can say why not
        return SPLIT, False
    if hindrance := next(filter(None, map(_hindrance, parcel)), None):
        return [hindrance] * len(parcel), False
    reply, timed_out = await _ask(session, call, _patience(parcel[0].timeout))
    if isinstance(reply, Result):
        return [reply] * len(parcel), timed_out
    results = adapter.read_batch(messages, reply)
    if results is not SPLIT and len(results) != len(parcel):
        raise RuntimeError(f"{adapter.slug} has {len(results)} results for {len(parcel)} messages")
    return results, timed_out


_TOO_LATE: Final = Result(Outcome.NOT_POSTED, code="too_late_to_post")
_WITHDRAWN: Final = Result(Outcome.NOT_POSTED, code="account_broken")
_WITHDRAWN_ONCE: Final = 30.0  # seconds; shorter than an account is broken
_withdrawn: dict[int, float] = {}


def withdraw(account_id: int) -> None:
    """Give back what this process has claimed for an account and not posted yet.

    Once an outage: the canaries that follow must not be taken back by an answer that comes late.
    """
    if clock() - _withdrawn.get(account_id, -_WITHDRAWN_ONCE) >= _WITHDRAWN_ONCE:
        _withdrawn[account_id] = clock()


def _hindrance(envelope: Envelope) -> Result | None:
    """Return why this must not be posted any more, if anything."""
    if clock() > envelope.post_by or time.time() > envelope.wall_by + _WALL_SLACK:
        return _TOO_LATE
    return _WITHDRAWN if envelope.claimed <= _withdrawn.get(envelope.account_id, -1.0) else None


async def _ask(
    session: aiohttp.ClientSession, call: HttpCall, patience: aiohttp.ClientTimeout
) -> tuple[HttpReply | Result, bool]:
    """Make the one request; return its answer, or what it means that there is none, and whether time ran out."""
    try:
        async with session.request(
            call.method,
            call.url,
            data=call.body,
            headers=call.headers,
            timeout=patience,
            allow_redirects=False,
            middlewares=() if call.method == "POST" else (_Once(),),
        ) as response:
            body = await response.content.read(_MOST_BYTES)
            while not response.content.at_eof() and len(body) < _MOST_BYTES:
                body += await response.content.read(_MOST_BYTES - len(body))
            return HttpReply(status=response.status, headers=response.headers, body=body), False
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        # No connection was made, so no byte of the request left us.
        return Result(Outcome.REJECTED_RETRYABLE, code="no_connection", detail=type(error).__name__), False
    except aiohttp.InvalidURL:
        return Result(Outcome.REJECTED_PROVIDER, code="bad_base_url", detail="the account's base_url is no URL"), False
    except TimeoutError:
        return Result(Outcome.UNKNOWN, code="timeout", detail=f"no answer in {patience.total:g} s"), True
    except (aiohttp.ClientError, SecondTry, OSError) as error:
        return Result(Outcome.UNKNOWN, code="connection_lost", detail=type(error).__name__), False


@cache
def _patience(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS)


class Air:
    """How many requests may be in the air for one account in this process: halved on a time-out, grown on success."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._allowed = float(limit)

    @property
    def allowed(self) -> int:
        return max(int(self._allowed), 1)

    def learn(self, answer: Answer) -> None:
        if answer.timed_out:
            self._allowed = max(self._allowed / 2, 1)
        elif answer.result.outcome is Outcome.ACCEPTED:
            self._allowed = min(self._allowed + 1 / self._allowed, self.limit)


_posters: dict[int, Poster] = {}
_airs: dict[int, Air] = {}


def poster() -> Poster:
    """Return this process's poster; a forked child makes its own."""
    pid = os.getpid()
    if pid not in _posters:
        _posters[pid] = Poster()
        atexit.register(_posters[pid].close)
    return _posters[pid]


def air(account_id: int, limit: int) -> Air:
    """Return this process's limit for the account."""
    known = _airs.get(account_id)
    if known is None or known.limit != limit:
        known = _airs[account_id] = Air(limit)
    return known
