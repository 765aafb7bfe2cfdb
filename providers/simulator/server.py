"""The HTTP server: the path of one post, from its first header to its answer, as told.

Order: reset before reading → read → faults that refuse → password → rate → numbers → taken (ledger,
aftermath) → latency → answer, or the fault that hides it.
"""

import asyncio
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from aiohttp import web

from providers.simulator.accounts import Account, Accounts
from providers.simulator.aftermath import Aftermath
from providers.simulator.dialects.base import JSON_HEADERS, Answer, BadPost, Dialect, Post, Received
from providers.simulator.ledger import Counts, Ledger
from providers.simulator.script import Rule
from providers.simulator.webhooks import Webhooks

_PAGE: Final = (
    b"<html><head><title>Bad gateway</title></head>"
    b"<body><center><h1>The upstream is out for lunch</h1></center></body></html>"
)
_HTML: Final = {"Content-Type": "text/html"}
_GLANCE: Final = 0.25  # how often a long wait looks whether the poster is still there


@dataclass(slots=True)
class Simulator:
    """One simulator: its accounts, its ledger, and what posts its webhooks."""

    accounts: Accounts
    ledger: Ledger
    webhooks: Webhooks
    aftermath: Aftermath
    started_at: float
    run: str
    taken: int = 0

    @classmethod
    def create(cls, *, seed: int, ledger: Path | None, concurrency: int) -> "Simulator":
        """Return a simulator that has not begun to post webhooks."""
        book = Ledger(ledger)
        webhooks = Webhooks(concurrency=concurrency)
        # Ids never repeat, whatever the seed and however often the process was killed.
        run = os.urandom(8).hex()
        return cls(Accounts(seed), book, webhooks, Aftermath(book, webhooks), time.time(), run)

    async def close(self) -> None:
        """Stop posting and close the ledger."""
        await self.webhooks.close()
        self.ledger.close()

    def posting(self, dialect: Dialect) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return the handler of posts in a dialect."""

        async def handle(request: web.Request) -> web.Response:
            given = _received(request)
            caller = dialect.caller(given)
            if caller is None:
                return _response(dialect.refused("unauthorized"))
            return await self._post(request, dialect, given, *caller)

        return handle

    def looking_up(self, dialect: Dialect) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return the handler of a dialect's questions what became of messages."""

        async def handle(request: web.Request) -> web.Response:
            given = replace(_received(request), body=await request.read())
            caller = dialect.caller(given)
            if caller is None:
                return _response(dialect.refused("unauthorized"))
            wanted = self.accounts.get(caller[0]).script.password
            if wanted and caller[1] != wanted:
                return _response(dialect.refused("unauthorized"))
            return _response(dialect.looked_up(caller[0], given, self.ledger.find))

        return handle

    async def _post(
        self, request: web.Request, dialect: Dialect, given: Received, name: str, password: str
    ) -> web.Response:
        account = self.accounts.get(name)
        counts = self.ledger.count(name)
        counts.posts += 1
        if account.early and account.fault(account.early) is not None:
            counts.faults["reset_before_read"] += 1
            return _reset(request)
        try:
            posts = dialect.read(name, password, replace(given, body=await request.read()))
        except BadPost as problem:
            counts.refused["invalid_request"] += 1
            return _response(dialect.refused("invalid_request", detail=str(problem)))
        account.dialect = account.dialect or dialect.name
        account.secret = account.secret or posts[0].secret
        now = time.time()
        for post in posts:
            self.ledger.posted(post, now)
        fault = account.fault(account.late, posts[0].to) if account.late else None
        if fault is not None and not fault.takes:
            self._rate(posts, now, accepted=False)
            return await self._refuse_by_fault(request, account, dialect, posts, counts, fault)
        refusal = next(filter(None, (self.refusal(account, dialect, post) for post in posts)), None)
        if refusal is not None:
            meaning, wait = refusal
            counts.refused[meaning] += 1
            self._rate(posts, now, accepted=False)
            await asyncio.sleep(_latency(account))
            return _response(dialect.refused(meaning, wait=wait))
        ids = self.take(account, dialect, posts, counts, now)
        if fault is not None:
            return await self._hide(request, account, dialect, posts, counts, fault, ids)
        await self._wait(request, posts, _latency(account))
        return _response(dialect.accepted(posts, ids))

    async def _wait(self, request: web.Request, posts: Sequence[Post], seconds: float) -> None:
        """Let the poster of a message that is taken wait; if they leave, they are in doubt."""
        if seconds <= 0:
            return
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _GLANCE))
            if request.transport is None:
                self._doubt(posts)
                return

    def _doubt(self, posts: Sequence[Post]) -> None:
        for post in posts:
            self.ledger.doubt(post, time.time())

    def refusal(self, account: Account, dialect: Dialect, post: Post) -> tuple[str, float] | None:
        """Return why the script refuses a post, and for how many seconds; None: it does not."""
        script = account.script
        if script.password and post.secret != script.password:
            return "unauthorized", 0.0
        if script.rate_limit is not None:
            wait = account.wait_for_rate(post.sender, post.segments)
            if wait:
                return "rate_limited", wait
        if post.to in script.reject:
            return "invalid_number", 0.0
        if self._has_opted_out(account, post) and not dialect.reports_opt_outs:
            return "opted_out", 0.0
        return None

    def _has_opted_out(self, account: Account, post: Post) -> bool:
        script = account.script
        blocked = script.stops.block and (post.to, post.sender) in self.ledger.stops
        return blocked or post.to in script.opted_out

    def take(self, account: Account, dialect: Dialect, posts: Sequence[Post], counts: Counts, now: float) -> list[str]:
        """Enter acceptances, plan what follows them, and return their ids."""
        uniques = [f"{self.run}{self.taken + number:016x}" for number in range(1, len(posts) + 1)]
        self.taken += len(posts)
        counts.accepted += len(posts)
        ids = dialect.ids(posts, uniques)
        for post, message_id in zip(posts, ids, strict=True):
            opted_out = self._has_opted_out(account, post)
            self.ledger.accept(post, message_id, now)
            self.aftermath.follow(account, post, message_id, now, opted_out=opted_out)
        self._rate(posts, now, accepted=True)
        return ids

    def _rate(self, posts: Sequence[Post], now: float, *, accepted: bool) -> None:
        for post in posts:
            self.ledger.rates.add(post.account, post.sender, now, accepted=accepted, segments=post.segments)

    async def _refuse_by_fault(
        self,
        request: web.Request,
        account: Account,
        dialect: Dialect,
        posts: Sequence[Post],
        counts: Counts,
        fault: Rule,
    ) -> web.Response:
        """Answer a post that is not taken."""
        counts.faults[fault.fault] += 1
        if fault.fault == "reset_after_read":
            self._doubt(posts)
            return _reset(request)
        await asyncio.sleep(_latency(account))
        if fault.fault in {"rate_limited", "unauthorized"}:
            return _response(dialect.refused(fault.fault, wait=1.0 * (fault.fault == "rate_limited")))
        return self._broken(dialect, posts, fault)

    async def _hide(
        self,
        request: web.Request,
        account: Account,
        dialect: Dialect,
        posts: Sequence[Post],
        counts: Counts,
        fault: Rule,
        ids: Sequence[str],
    ) -> web.Response:
        """Keep quiet, or late, or garbled, about a message that is taken."""
        counts.faults[fault.fault] += 1
        if fault.fault == "accept_then_drop":
            self._doubt(posts)
            return _reset(request)
        if fault.fault == "slow":
            await self._wait(request, posts, fault.seconds)
            return _response(dialect.accepted(posts, ids))
        await asyncio.sleep(_latency(account))
        if fault.fault == "garbled":
            self._doubt(posts)
            return web.Response(status=201, body=b'{"status":"acc', headers=JSON_HEADERS)
        return self._broken(dialect, posts, fault)

    def _broken(self, dialect: Dialect, posts: Sequence[Post], fault: Rule) -> web.Response:
        self._doubt(posts)
        if fault.fault == "error":
            return _response(dialect.broken(fault.status))
        if fault.fault == "redirect":
            return web.Response(status=307, headers={"Location": "https://elsewhere.invalid/"})
        return web.Response(status=fault.status, body=_PAGE, headers=_HTML)


def _received(request: web.Request) -> Received:
    return Received(request.method, request.rel_url, request.match_info, request.headers)


def _latency(account: Account) -> float:
    return account.script.latency.seconds(account.random)


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


def _reset(request: web.Request) -> web.Response:
    """Cut the connection with a reset; what is returned reaches nobody."""
    cut(request.transport)
    return web.Response(status=500)


def cut(transport: asyncio.BaseTransport | None) -> None:
    """Cut a connection with a reset."""
    if not isinstance(transport, asyncio.Transport):
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        # Lingering for no time at all makes the kernel send RST instead of a polite FIN.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
