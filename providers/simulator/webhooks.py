"""Post events to the customer, with patience and a bounded number of requests in the air."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from providers.simulator.accounts import Account
from providers.simulator.dialects import BY_NAME, DEFAULT
from providers.simulator.dialects.base import Event

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0


@dataclass(slots=True)
class Delivery:
    """One webhook request: usually one event, in our own dialect perhaps several."""

    account: Account
    url: str
    events: list[Event]
    answered: Callable[[float], None] | None = None
    posted: int = 0
    until: float = 0.0


@dataclass(slots=True)
class Tally:
    """What became of the webhooks."""

    events: int = 0
    answered: int = 0
    retried: int = 0
    given_up: int = 0
    in_air: int = 0
    peak_in_air: int = 0


@dataclass(slots=True)
class _Gathering:
    delivery: Delivery
    timer: asyncio.TimerHandle = field(repr=False)


class Webhooks:
    """The postman. He works between `start` and `close`, which forgets what is still waiting."""

    def __init__(self, *, concurrency: int) -> None:
        self.tally = Tally()
        self._concurrency = concurrency
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue()
        self._gatherings: dict[tuple[str, str], _Gathering] = {}
        self._workers: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        """Return how many requests wait for their turn."""
        return self._queue.qsize()

    async def start(self) -> None:
        """Begin to post."""
        self._session = ClientSession(
            connector=TCPConnector(limit=self._concurrency, keepalive_timeout=10.0),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
        )
        loop = asyncio.get_running_loop()
        self._workers = [loop.create_task(self._work()) for _ in range(self._concurrency)]

    async def close(self) -> None:
        """Stop posting."""
        for gathering in self._gatherings.values():
            gathering.timer.cancel()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        await self._session.close()

    def post(self, account: Account, url: str, event: Event, answered: Callable[[float], None] | None) -> None:
        """Post an event soon; `answered` is called with the instant of the first 2xx."""
        self.tally.events += 1
        delivery = Delivery(account, url, [event], answered)
        habits = account.script.webhooks
        if habits.batch == 1 or answered is not None or not BY_NAME[account.dialect or DEFAULT].gathers:
            self._queue.put_nowait(delivery)
            return
        # Callbacks differ only in their query (the reference, which stands in the event too).
        key = (account.name, url.partition("?")[0])
        gathering = self._gatherings.get(key)
        if gathering is None:
            timer = asyncio.get_running_loop().call_later(habits.linger, self._flush, key)
            gathering = self._gatherings[key] = _Gathering(delivery, timer)
        else:
            gathering.delivery.events.append(event)
        if len(gathering.delivery.events) >= habits.batch:
            self._flush(key)

    def _flush(self, key: tuple[str, str]) -> None:
        gathering = self._gatherings.pop(key)
        gathering.timer.cancel()
        self._queue.put_nowait(gathering.delivery)

    async def _work(self) -> None:
        while True:
            delivery = await self._queue.get()
            self.tally.in_air += 1
            self.tally.peak_in_air = max(self.tally.peak_in_air, self.tally.in_air)
            try:
                is_answered = await self._try(delivery)
            finally:
                self.tally.in_air -= 1
            if is_answered:
                self.tally.answered += len(delivery.events)
                if delivery.answered is not None:
                    delivery.answered(time.time())
            else:
                self._again(delivery)

    async def _try(self, delivery: Delivery) -> bool:
        account = delivery.account
        habits = account.script.webhooks
        delivery.until = delivery.until or time.monotonic() + habits.retry_for
        delivery.posted += 1
        hook = BY_NAME[account.dialect or DEFAULT].hook(delivery.url, account.secret, delivery.events)
        try:
            async with self._session.request(
                hook.method,
                URL(hook.url, encoded=True),
                data=hook.body or None,
                headers=hook.headers,
                allow_redirects=False,
                timeout=ClientTimeout(total=habits.timeout),
            ) as answer:
                await answer.read()
                return answer.ok and answer.status < 300  # noqa: PLR2004 - success
        except (ClientError, OSError, TimeoutError, ValueError):
            return False

    def _again(self, delivery: Delivery) -> None:
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (delivery.posted - 1))
        if time.monotonic() + pause > delivery.until:
            self.tally.given_up += len(delivery.events)
            return
        self.tally.retried += 1
        asyncio.get_running_loop().call_later(pause, self._queue.put_nowait, delivery)
