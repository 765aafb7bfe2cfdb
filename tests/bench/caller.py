"""The other side of the web process: a process of its own that calls it, round after round.

Reads rounds as JSON from standard input and writes what each gave to standard output. A round either goes as fast as
its connections allow, or starts its requests at fixed instants whatever becomes of the earlier ones: an answer is then
timed from the instant at which its request was due, so that a server that falls behind cannot hide it.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from tests.bench.frame import percentile
from tests.ground import ROOT, GroundFailed


@dataclass(frozen=True)
class Round:
    """What to call and how: `path` holds requests, a JSON array [method, url, headers, body] per line."""

    path: str
    connections: int = 32
    rate: float = 0  # requests a second; 0: as fast as it goes
    seconds: float = 0  # the requests over and over for so long; 0: each once


@dataclass
class Answers:
    """What came back."""

    count: int = 0
    began: float = 0.0  # Unix time
    seconds: float = 0.0
    p50: float = 0.0  # seconds
    p99: float = 0.0
    most: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.count / self.seconds


def write_requests(path: Path, requests: Sequence[tuple[str, str, dict[str, str], str]]) -> Path:
    """Write what a round calls."""
    path.write_text("".join(f"{json.dumps(request)}\n" for request in requests))
    return path


def call(rounds: Sequence[Round], *, seconds: float = 600) -> list[Answers]:
    """Run the rounds in a process of their own and return what each gave. Raises GroundFailed."""
    told = json.dumps([asdict(each) for each in rounds])
    ended = subprocess.run(
        [sys.executable, "-m", __name__],
        input=told,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=seconds,
        check=False,
    )
    if ended.returncode:
        raise GroundFailed(f"the caller failed: {ended.stderr[-500:]}")
    return [Answers(**each) for each in json.loads(ended.stdout)]


class _Caller:
    def __init__(self, session: ClientSession, each: Round) -> None:
        self.session = session
        self.round = each
        with Path(each.path).open() as lines:
            self.requests = [
                (method, URL(url, encoded=True), headers, body.encode())
                for method, url, headers, body in map(json.loads, lines)
            ]
        self.took: list[float] = []
        self.statuses: Counter[str] = Counter()

    async def run(self) -> Answers:
        began, wall = time.perf_counter(), time.time()
        await (self._paced(began) if self.round.rate else self._flat_out(began))
        return Answers(
            count=len(self.took),
            began=wall,
            seconds=time.perf_counter() - began,
            p50=percentile(self.took, 0.5),
            p99=percentile(self.took, 0.99),
            most=max(self.took),
            statuses=dict(self.statuses),
        )

    async def _flat_out(self, began: float) -> None:
        until = began + self.round.seconds if self.round.seconds else float("inf")
        shared: Iterator = cycle(self.requests) if self.round.seconds else iter(self.requests)

        async def work() -> None:
            for request in shared:
                now = time.perf_counter()
                if now >= until:
                    return
                await self._one(request, now)

        await asyncio.gather(*(work() for _ in range(self.round.connections)))

    async def _paced(self, began: float) -> None:
        count = int(self.round.seconds * self.round.rate) if self.round.seconds else len(self.requests)
        running = []
        for number, request in enumerate(islice(cycle(self.requests), count)):
            due = began + number / self.round.rate
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            running.append(asyncio.ensure_future(self._one(request, due)))
        await asyncio.gather(*running)

    async def _one(self, request: tuple[str, URL, dict[str, str], bytes], due: float) -> None:
        method, url, headers, body = request
        status = "none"
        with contextlib.suppress(ClientError, TimeoutError):
            async with self.session.request(method, url, headers=headers, data=body, allow_redirects=False) as answer:
                await answer.read()
                status = str(answer.status)
        self.took.append(time.perf_counter() - due)
        self.statuses[status] += 1


async def _main(rounds: Sequence[Round]) -> list[Answers]:
    found = []
    for each in rounds:
        connector = TCPConnector(limit=each.connections, keepalive_timeout=1.5)
        async with ClientSession(
            connector=connector, cookie_jar=DummyCookieJar(), timeout=ClientTimeout(total=60), auto_decompress=False
        ) as session:
            found.append(await _Caller(session, each).run())
    return found


if __name__ == "__main__":
    json.dump(
        [asdict(found) for found in asyncio.run(_main([Round(**each) for each in json.load(sys.stdin)]))], sys.stdout
    )
