"""The other side of the web process: a process of its own that calls it, round after round.

Reads rounds as JSON from standard input and writes what each gave to standard output. A round either goes as fast as
its connections allow, or starts its requests at fixed instants whatever becomes of the earlier ones: an answer is then
timed from the instant at which its request was due, so that a server that falls behind cannot hide it.

It stands on the cores of the server that it measures, so it is no general client: requests are bytes before a round
begins, and of an answer it reads the status and where it ends.
"""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from tests.bench.frame import percentile
from tests.ground import ROOT, GroundFailed

KEPT = 60  # seconds that an unused connection is kept; a server that hangs up first may do so while we ask


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


class _Connection(asyncio.Protocol):
    """One connection: a request at a time, and its status; "none" where the server hung up instead."""

    def __init__(self) -> None:
        self.is_open = False
        self.used_at = 0.0
        self.waiter: asyncio.Future[str] | None = None
        self.got = b""

    async def ask(self, request: bytes) -> str:
        self.got, self.waiter = b"", asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.waiter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.is_open = cast("asyncio.Transport", transport), True

    def connection_lost(self, _reason: Exception | None) -> None:
        self.is_open = False
        self._tell("none")

    def data_received(self, data: bytes) -> None:
        self.got += data
        head, end, body = self.got.partition(b"\r\n\r\n")
        if not end:
            return
        if _CHUNKED.search(head):
            is_whole = body.endswith(b"0\r\n\r\n")
        else:
            length = _LENGTH.search(head)
            is_whole = len(body) >= (int(length[1]) if length else 0)
        if is_whole:
            if _CLOSE.search(head):
                self.is_open = False
                self.transport.close()
            self._tell(head[9:12].decode())

    def _tell(self, status: str) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(status)


_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_CHUNKED = re.compile(rb"(?i)\r\ntransfer-encoding: *chunked")
_CLOSE = re.compile(rb"(?i)\r\nconnection: *close")


class _Caller:
    def __init__(self, each: Round) -> None:
        self.round = each
        with Path(each.path).open() as lines:
            requests = [json.loads(line) for line in lines]
        self.requests = [_encoded(*request) for request in requests]
        first = urlsplit(requests[0][1])
        self.host, self.port = first.hostname, first.port
        self.free: list[_Connection] = []
        self.places = asyncio.Semaphore(each.connections)
        self.took: list[float] = []
        self.statuses: Counter[str] = Counter()

    async def run(self) -> Answers:
        began, wall = time.perf_counter(), time.time()
        await (self._paced(began) if self.round.rate else self._flat_out(began))
        for connection in self.free:
            connection.transport.close()
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

    async def _one(self, request: bytes, due: float) -> None:
        status = "none"
        async with self.places:
            with contextlib.suppress(OSError, TimeoutError):
                connection = await self._connection()
                async with asyncio.timeout(60):
                    status = await connection.ask(request)
                if connection.is_open:
                    connection.used_at = time.perf_counter()
                    self.free.append(connection)
        self.took.append(time.perf_counter() - due)
        self.statuses[status] += 1

    async def _connection(self) -> _Connection:
        while self.free:
            connection = self.free.pop()
            if connection.is_open and time.perf_counter() - connection.used_at < KEPT:
                return connection
            connection.transport.close()
        _, opened = await asyncio.get_running_loop().create_connection(_Connection, self.host, self.port)
        return opened


def _encoded(method: str, url: str, headers: dict[str, str], body: str) -> bytes:
    """Return a request as it goes over the wire."""
    to, content = urlsplit(url), body.encode()
    target = to.path + (f"?{to.query}" if to.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {to.netloc}", *(f"{name}: {headers[name]}" for name in headers)]
    if content:
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join([*lines, "", ""]).encode() + content


async def _main(rounds: Sequence[Round]) -> list[Answers]:
    return [await _Caller(each).run() for each in rounds]


if __name__ == "__main__":
    json.dump(
        [asdict(found) for found in asyncio.run(_main([Round(**each) for each in json.load(sys.stdin)]))], sys.stdout
    )
