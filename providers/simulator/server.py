"""The HTTP server: the path of one post, from its first header to its answer, as told.

Order: reset before reading → read → faults that refuse → password → rate → numbers → taken (ledger,
aftermath) → latency → answer, or the fault that hides it.
"""

import asyncio
import base64
import binascii
import os
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from providers.simulator.accounts import Account, Accounts
from providers.simulator.aftermath import Aftermath
from providers.simulator.dialects import (
    JSON_HEADERS,
    OWN,
    TWILIO,
    Answer,
    BadPost,
    Dialect,
    Post,
)
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

    async def own(self, request: web.Request) -> web.Response:
        """POST /v1/messages."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return _response(OWN.refused("unauthorized"))
        return await self._post(request, OWN, token, token)

    async def twilio(self, request: web.Request) -> web.Response:
        """POST /2010-04-01/Accounts/{sid}/Messages.json."""
        user, password = _basic(request.headers.get("Authorization", ""))
        account = request.match_info["sid"]
        if not user or not password:
            return _response(TWILIO.refused("unauthorized"))
        return await self._post(request, TWILIO, account, password)

    async def _post(self, request: web.Request, dialect: Dialect, name: str, password: str) -> web.Response:
        account = self.accounts.get(name)
        counts = self.ledger.count(name)
        counts.posts += 1
        if account.early and account.fault(account.early) is not None:
            counts.faults["reset_before_read"] += 1
            return _reset(request)
        body = await request.read()
        try:
            post = dialect.read(name, password, body)
        except BadPost as problem:
            counts.refused["invalid_request"] += 1
            return _response(dialect.refused("invalid_request", detail=str(problem)))
        account.dialect = account.dialect or dialect.name
        account.secret = account.secret or password
        now = time.time()
        self.ledger.posted(post, now)
        fault = account.fault(account.late, post.to) if account.late else None
        if fault is not None and not fault.takes:
            self._rate(post, now, accepted=False)
            return await self._refuse_by_fault(request, account, dialect, post, counts, fault)
        refusal = self._refusal(account, post, password)
        if refusal is not None:
            meaning, wait = refusal
            counts.refused[meaning] += 1
            self._rate(post, now, accepted=False)
            await asyncio.sleep(_latency(account))
            return _response(dialect.refused(meaning, wait=wait))
        message_id = self._take(account, dialect, post, counts, now)
        if fault is not None:
            return await self._hide(request, account, dialect, post, counts, fault, message_id)
        await self._wait(request, post, _latency(account))
        return _response(dialect.accepted(post, message_id))

    async def _wait(self, request: web.Request, post: Post, seconds: float) -> None:
        """Let the poster of a message that is taken wait; if they leave, they are in doubt."""
        if seconds <= 0:
            return
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _GLANCE))
            if request.transport is None:
                self.ledger.doubt(post, time.time())
                return

    def _refusal(self, account: Account, post: Post, password: str) -> tuple[str, float] | None:
        script = account.script
        if script.password and password != script.password:
            return "unauthorized", 0.0
        if script.rate_limit is not None:
            wait = account.wait_for_rate(post.sender, post.segments)
            if wait:
                return "rate_limited", wait
        if post.to in script.reject:
            return "invalid_number", 0.0
        blocked = script.stops.block and (post.to, post.sender) in self.ledger.stops
        if blocked or post.to in script.opted_out:
            return "opted_out", 0.0
        return None

    def _take(self, account: Account, dialect: Dialect, post: Post, counts: Counts, now: float) -> str:
        self.taken += 1
        message_id = f"{dialect.id_prefix}{self.run}{self.taken:016x}"
        counts.accepted += 1
        self.ledger.accept(post, message_id, now)
        self._rate(post, now, accepted=True)
        self.aftermath.follow(account, post, message_id, now)
        return message_id

    def _rate(self, post: Post, now: float, *, accepted: bool) -> None:
        self.ledger.rates.add(post.account, post.sender, now, accepted=accepted, segments=post.segments)

    async def _refuse_by_fault(
        self,
        request: web.Request,
        account: Account,
        dialect: Dialect,
        post: Post,
        counts: Counts,
        fault: Rule,
    ) -> web.Response:
        """Answer a post that is not taken."""
        counts.faults[fault.fault] += 1
        if fault.fault == "reset_after_read":
            self.ledger.doubt(post, time.time())
            return _reset(request)
        await asyncio.sleep(_latency(account))
        if fault.fault in {"rate_limited", "unauthorized"}:
            return _response(dialect.refused(fault.fault, wait=1.0 * (fault.fault == "rate_limited")))
        return self._broken(dialect, post, fault)

    async def _hide(
        self,
        request: web.Request,
        account: Account,
        dialect: Dialect,
        post: Post,
        counts: Counts,
        fault: Rule,
        message_id: str,
    ) -> web.Response:
        """Keep quiet, or late, or garbled, about a message that is taken."""
        counts.faults[fault.fault] += 1
        if fault.fault == "accept_then_drop":
            self.ledger.doubt(post, time.time())
            return _reset(request)
        if fault.fault == "slow":
            await self._wait(request, post, fault.seconds)
            return _response(dialect.accepted(post, message_id))
        await asyncio.sleep(_latency(account))
        if fault.fault == "garbled":
            self.ledger.doubt(post, time.time())
            return web.Response(status=201, body=b'{"status":"acc', headers=JSON_HEADERS)
        return self._broken(dialect, post, fault)

    def _broken(self, dialect: Dialect, post: Post, fault: Rule) -> web.Response:
        self.ledger.doubt(post, time.time())
        if fault.fault == "error":
            return _response(dialect.broken(fault.status))
        if fault.fault == "redirect":
            return web.Response(status=307, headers={"Location": "https://elsewhere.invalid/"})
        return web.Response(status=fault.status, body=_PAGE, headers=_HTML)


def _latency(account: Account) -> float:
    return account.script.latency.seconds(account.random)


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


def _reset(request: web.Request) -> web.Response:
    """Cut the connection with a reset; what is returned reaches nobody."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            # Lingering for no time at all makes the kernel send RST instead of a polite FIN.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=500)


def _basic(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return user, password
