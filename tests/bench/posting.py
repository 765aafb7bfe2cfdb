"""Bare HTTP posting: the client of `send` without anything of ours around it. Run as a process of its own.

Arguments: address, account's token, how many messages, how many at once, where to begin counting. It prints "ready",
waits for a line, posts, and prints the seconds.
"""

import asyncio
import sys
import time

import aiohttp

from providers.adapters.base import Message
from providers.adapters.simulator import SimulatorAdapter, SimulatorCredentials
from smsplatform.common import garbage


def main() -> None:
    """Post as told by the arguments."""
    url, token, count, at_once, first = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    adapter = SimulatorAdapter(SimulatorCredentials(token=token, webhook_secret="secret"), base_url=url)
    calls = iter([adapter.call(_message(first + n)) for n in range(count)])
    garbage.collect_rarely()  # as our workers do
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    began = time.perf_counter()
    asyncio.run(_post(calls, at_once))
    sys.stdout.write(f"{time.perf_counter() - began}\n")


def _message(number: int) -> Message:
    return Message(
        reference=f"{number:032x}00000001",
        to=f"+1{3120000000 + number}",
        sender="+18885000001",
        text=f"Hello Person {number}",
        segments=1,
        status_url=f"http://127.0.0.1:8000/webhooks/simulator/0123456789abcdef/status?ref={number:032x}00000001",
        valid_for=3600,
    )


async def _post(calls, at_once: int) -> None:
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=25)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def one_after_another() -> None:
            for call in calls:
                async with session.request(call.method, call.url, data=call.body, headers=call.headers) as answer:
                    await answer.read()
                    assert answer.status < 300, answer.status

        await asyncio.gather(*(one_after_another() for _ in range(at_once)))


if __name__ == "__main__":
    main()
