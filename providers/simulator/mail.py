"""The simulator's mail server: the path of one mail, from its first command to its answer, as told.

The login names the account, without one the domain of MAIL FROM. The reference is the left half of the
Message-ID, the sender the From header. Everything strikes where it would in life:

    AUTH, without it MAIL   unauthorized (unless it is for some numbers only), a wrong password
    MAIL                    reset_before_read
    RCPT                    rate_limited, redirect; what the rate or the numbers forbid
    after the dot           all other faults, and the latency
"""

import asyncio
import logging
import time
from email import message_from_bytes
from email.policy import default
from typing import Final, NoReturn

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from providers.simulator.accounts import Account
from providers.simulator.dialects import BY_NAME
from providers.simulator.dialects.base import BadPost, Post
from providers.simulator.ledger import Counts
from providers.simulator.script import Rule
from providers.simulator.server import Simulator, cut

_DIALECT: Final = BY_NAME["smtp"]
_REFUSALS: Final = {
    "invalid_number": "550 5.1.1 No such mailbox here",
    "opted_out": "550 5.7.1 This person wants no mail from you",
    "rate_limited": "450 4.7.1 Too many mails, come again later",
    "unauthorized": "530 5.7.0 Authentication required",
    "redirect": "551 5.1.6 Moved, try <somebody@elsewhere.invalid>",
}
_AT_RCPT: Final = frozenset({"rate_limited", "unauthorized", "redirect"})
_PASSES: Final = 503  # the one status of the fault `error` that says: come again


async def serve(simulator: Simulator, host: str, port: int) -> asyncio.Server:
    """Return the server, listening; port 0 picks a free one."""
    # It warns of what scripts make it do; what happened, the ledger tells.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _protocol(simulator, loop), host, port, backlog=1024)


def address(server: asyncio.Server) -> str:
    """Return where the server listens."""
    host, port = server.sockets[0].getsockname()[:2]
    return f"smtp://{host}:{port}"


def _protocol(simulator: Simulator, loop: asyncio.AbstractEventLoop) -> SMTP:
    visit = _Visit(simulator)
    return SMTP(
        visit,
        hostname="simulator.invalid",
        ident="Simulator",
        authenticator=visit.log_in,
        auth_require_tls=False,
        loop=loop,
    )


class _Visit:
    """One connection. The server calls what begins with `handle_`, and says what it returns."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._login: Account | None = None
        self._password = ""
        self._account: Account
        self._fault: Rule | None = None

    def log_in(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _way: str, given: LoginPassword
    ) -> AuthResult:
        """Take everybody, but for a wrong password where the script gives the right one."""
        account = self._simulator.accounts.get(given.login.decode("utf-8", "replace"))
        password = given.password.decode("utf-8", "replace")
        counts = self._simulator.ledger.count(account.name)
        if _shuts_out(account):
            counts.posts += 1
            counts.faults["unauthorized"] += 1
            return AuthResult(success=False, handled=False)
        if account.script.password not in {"", password}:
            counts.posts += 1
            counts.refused["unauthorized"] += 1
            return AuthResult(success=False, handled=False)
        account.secret = account.secret or password
        self._login, self._password = account, password
        return AuthResult(success=True, auth_data=given)

    async def handle_MAIL(  # noqa: N802 - so the server calls it
        self, server: SMTP, _session: Session, envelope: Envelope, sender: str, _options: list[str]
    ) -> str:
        account = self._account = self._login or self._simulator.accounts.get(sender.rpartition("@")[2])
        counts = self._counts
        counts.posts += 1
        if self._login is None and _shuts_out(account):
            counts.faults["unauthorized"] += 1
            return _REFUSALS["unauthorized"]
        if account.early and account.fault(account.early) is not None:
            counts.faults["reset_before_read"] += 1
            await _hang_up(server)
        envelope.mail_from = sender
        return "250 2.1.0 Ok"

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, person: str, _options: list[str]
    ) -> str:
        if envelope.rcpt_tos:
            return "452 4.5.3 One person per mail"
        account = self._account
        fault = self._fault = account.fault([each for each in account.late if not _is_at_login(each[0])], person)
        post = Post(account.name, "", person, envelope.mail_from or "", "", "", self._password)
        if fault is not None and fault.fault in _AT_RCPT:
            self._counts.faults[fault.fault] += 1
            return await self._refused(post, fault.fault)
        if fault is None or fault.takes:
            refusal = self._simulator.refusal(account, _DIALECT, post)
            if refusal is not None:
                self._counts.refused[refusal[0]] += 1
                return await self._refused(post, refusal[0])
        envelope.rcpt_tos.append(person)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        account, fault = self._account, self._fault
        try:
            post = _read(account.name, self._password, envelope)
        except BadPost as problem:
            self._counts.refused["invalid_request"] += 1
            return f"554 5.6.0 {problem}"
        now = time.time()
        account.dialect = account.dialect or _DIALECT.name
        self._simulator.ledger.posted(post, now)
        if fault is not None and not fault.takes:
            self._rate(post, now)
            return await self._refuse_by_fault(server, post, fault)
        [message_id] = self._simulator.take(account, _DIALECT, [post], self._counts, now)
        if fault is not None:
            return await self._hide(server, post, fault, message_id)
        await self._wait(post, _latency(account))
        return _taken(message_id)

    @property
    def _counts(self) -> Counts:
        return self._simulator.ledger.count(self._account.name)

    async def _refused(self, post: Post, meaning: str) -> str:
        self._rate(post, time.time())
        await asyncio.sleep(_latency(self._account))
        return _REFUSALS[meaning]

    async def _refuse_by_fault(self, server: SMTP, post: Post, fault: Rule) -> str:
        """Answer a mail that was read and is not taken."""
        self._counts.faults[fault.fault] += 1
        if fault.fault == "reset_after_read":
            self._doubt(post)
            await _hang_up(server)
        await asyncio.sleep(_latency(self._account))
        if fault.fault == "error":
            return "451 4.3.0 Broken, for now" if fault.status == _PASSES else "554 5.3.0 Broken"
        return self._babble(post)

    async def _hide(self, server: SMTP, post: Post, fault: Rule, message_id: str) -> str:
        """Keep quiet, or late, or garbled, about a mail that is taken."""
        self._counts.faults[fault.fault] += 1
        if fault.fault == "slow":
            await self._wait(post, fault.seconds)
            return _taken(message_id)
        if fault.fault == "accept_then_drop":
            self._doubt(post)
            await _hang_up(server)
        await asyncio.sleep(_latency(self._account))
        if fault.fault == "error":
            self._doubt(post)
            return "421 4.3.0 Closing down"
        return self._babble(post)

    def _babble(self, post: Post) -> str:
        """Return what no SMTP server says."""
        self._doubt(post)
        return "<html><title>Bad gateway</title></html>"

    async def _wait(self, post: Post, seconds: float) -> None:
        """Let whoever brought a mail that is taken wait; if they leave, they are in doubt."""
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self._doubt(post)
            raise

    def _doubt(self, post: Post) -> None:
        self._simulator.ledger.doubt(post, time.time())

    def _rate(self, post: Post, now: float) -> None:
        self._simulator.ledger.rates.add(post.account, post.sender, now, accepted=False, segments=post.segments)


def _read(account: str, password: str, envelope: Envelope) -> Post:
    """Return the post that a mail is; raises BadPost."""
    content = envelope.content
    mail = message_from_bytes(content if isinstance(content, bytes) else b"", policy=default)
    sender, body = mail["From"], mail.get_body(("plain",))
    if sender is None or not sender.addresses:
        raise BadPost("From: missing")
    if body is None:
        raise BadPost("body: no plain text")
    reference = str(mail["Message-ID"] or "").strip("<> ").partition("@")[0]
    text = body.get_content().replace("\r\n", "\n").removesuffix("\n")
    return Post(account, reference, envelope.rcpt_tos[0], sender.addresses[0].addr_spec, text, "", password)


def _is_at_login(rule: Rule) -> bool:
    return rule.fault == "unauthorized" and rule.to is None


def _shuts_out(account: Account) -> bool:
    return account.fault([each for each in account.late if _is_at_login(each[0])]) is not None


def _latency(account: Account) -> float:
    return account.script.latency.seconds(account.random)


def _taken(message_id: str) -> str:
    return f"250 2.0.0 Ok: queued as {message_id}"


async def _hang_up(server: SMTP) -> NoReturn:
    """Cut the connection; the server ends this visit as soon as it sees it."""
    cut(server.transport)
    await asyncio.Event().wait()
    raise AssertionError("nobody sets this event")
