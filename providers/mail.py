"""Speaks SMTP: one connection, one mail, one answer; and it knows exactly how far a conversation came.

The commands go out one by one, as all depends on which of them was the last: before the final dot nothing
is taken, after it only the server's answer tells (R5). Nothing is ever said twice (R9).

Servers must show a certificate for the name in the URL. One of a private authority is trusted where
OpenSSL looks for it: SSL_CERT_FILE or SSL_CERT_DIR.
"""

import asyncio
import re
import socket
import ssl
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import aiosmtplib
from aiosmtplib import SMTPResponse, SMTPResponseException

from providers.adapters.base import MailCall, MailReply, MailStage

_ENCRYPTED: Final = "smtps"  # the scheme of servers that want TLS from the first byte
_LONGEST_WORDS: Final = 1000
_CODES: Final = range(200, 600)
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_DOT_FIRST: Final = re.compile(rb"^\.", re.MULTILINE)


async def transact(call: MailCall, timeout: float) -> MailReply:  # noqa: ASYNC109 - the stage must survive it
    """Hand over a mail, and return the answer that decided; `timeout` is for all of it. Never raises."""
    talk = _Conversation()
    try:
        async with asyncio.timeout(timeout):
            code, words = await talk.hold(call)
    except SMTPResponseException as refusal:
        code, words = refusal.code, refusal.message
    except Exception as error:  # noqa: BLE001 - the isolation point: whatever broke, the stage tells what it means
        return MailReply(talk.stage, 0, _shortened(error), timed_out=isinstance(error, TimeoutError))
    finally:
        talk.end()
    return MailReply(talk.stage, code if code in _CODES else 0, words[:_LONGEST_WORDS])


class _Conversation:
    """One connection, and how far it came."""

    def __init__(self) -> None:
        self.stage = MailStage.CONNECT
        self._client: aiosmtplib.SMTP | None = None

    async def hold(self, call: MailCall) -> SMTPResponse:
        """Return the first answer that is not the hoped for one, or that to the final dot."""
        client = self._client = _client(call)
        await client.connect()
        await client.ehlo()
        if not client.use_tls and not call.plain:
            await client.starttls()
            await client.ehlo()
        if call.user:
            self.stage = MailStage.LOGIN
            await _log_in(client, call.user, call.password)
        for stage, command, hoped in (
            (MailStage.SENDER, f"MAIL FROM:<{call.sender}>", 2),
            (MailStage.RECIPIENT, f"RCPT TO:<{call.recipient}>", 2),
            (MailStage.DATA, "DATA", 3),
        ):
            self.stage = stage
            answer = await client.execute_command(command.encode("ascii"))
            if answer.code // 100 != hoped:
                return answer
        return await self._hand_over(client, _wire(call.body))

    async def _hand_over(self, client: aiosmtplib.SMTP, message: bytes) -> SMTPResponse:
        if client.protocol is not None:
            client.protocol.write(message)
        if not client.is_connected:
            raise ConnectionResetError("the connection was lost before the final dot")
        self.stage = MailStage.DOT
        return await client.execute_command(b".")

    def end(self) -> None:
        """Say goodbye where somebody may listen, and hang up without waiting for an answer."""
        if self._client is None:
            return
        if self._client.is_connected and self._client.protocol is not None:
            self._client.protocol.write(b"QUIT\r\n")
        self._client.close()


def _client(call: MailCall) -> aiosmtplib.SMTP:
    where = urlsplit(call.url)
    if not where.hostname:
        raise ValueError(f"the account's base_url names no server: {call.url}")
    is_encrypted = where.scheme == _ENCRYPTED
    return aiosmtplib.SMTP(
        hostname=where.hostname,
        port=where.port or (465 if is_encrypted else 587),
        local_hostname=socket.gethostname(),
        timeout=None,
        use_tls=is_encrypted,
        start_tls=False,  # or the client would begin it by itself, and only if it is offered
        tls_context=_trust(),
    )


async def _log_in(client: aiosmtplib.SMTP, user: str, password: str) -> None:
    """Log in by the first way that we know and the server offers. Once: servers lock out who tries in vain."""
    for method, log_in in (
        ("plain", client.auth_plain),
        ("login", client.auth_login),
        ("cram-md5", client.auth_crammd5),
    ):
        if method in client.server_auth_methods:
            await log_in(user, password)
            return
    raise aiosmtplib.SMTPException("the server offers no way to log in that we know")


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


def _wire(body: bytes) -> bytes:
    """Return a mail as it travels (RFC 5321, 4.5.2): dated, its lines ended as one must, their dots doubled."""
    date = f"Date: {format_datetime(datetime.now(UTC))}\r\n".encode("ascii")
    message = _LINE_END.sub(b"\r\n", date + body)
    if not message.endswith(b"\r\n"):
        message += b"\r\n"
    return _DOT_FIRST.sub(b"..", message)


def _shortened(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:_LONGEST_WORDS]
