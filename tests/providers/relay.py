"""A mail server as bad as can be: it answers each step of a conversation as told, and counts what it read."""

import asyncio
import ssl
import struct
from contextlib import asynccontextmanager
from socket import SO_LINGER, SOL_SOCKET

from providers.adapters.base import MailStage

DROP, RESET, SILENCE = object(), object(), object()
HALF = b"25"  # said before the connection is closed
ANSWERS = {
    "GREETING": b"220 relay.example ready",
    "EHLO": b"250-relay.example\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS",
    "STARTTLS": b"220 go ahead",
    "AUTH": b"235 welcome",
    "MAIL": b"250 ok",
    "RCPT": b"250 ok",
    "DATA": b"354 go ahead",
    "DOT": b"250 2.0.0 Ok: queued as ABC123",
    "QUIT": b"221 bye",
}
STEPS = {
    "GREETING": MailStage.CONNECT,
    "EHLO": MailStage.CONNECT,
    "AUTH": MailStage.LOGIN,
    "MAIL": MailStage.SENDER,
    "RCPT": MailStage.RECIPIENT,
    "DATA": MailStage.DATA,
    "DOT": MailStage.DOT,
}


class Relay:
    """An SMTP server that answers each step as told, or drops, resets or ignores it, or breaks off, and counts what it read."""

    def __init__(self, told, context=None):
        self.answers = ANSWERS | told
        self.context = context
        self.heard = []
        self.connections = 0
        self.mails = []

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            if await self._answer("GREETING", writer):
                while line := await reader.readline():
                    if not await self._hear(line.decode().strip(), reader, writer):
                        break
        except (ConnectionError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _hear(self, line, reader, writer):
        self.heard.append(line)
        word = line.split(" ")[0].upper()
        goes_on = await self._answer(word, writer)
        if word == "DATA" and goes_on and self.answers["DATA"].startswith(b"3"):
            content = await reader.readuntil(b"\r\n.\r\n")
            self.mails.append(content.removesuffix(b".\r\n"))
            return await self._answer("DOT", writer)
        if word == "STARTTLS" and goes_on:
            await writer.start_tls(self.context)
        return goes_on and word != "QUIT"

    async def _answer(self, step, writer):
        answer = self.answers.get(step, b"500 what?")
        if answer is SILENCE:
            await asyncio.Event().wait()
        if answer is RESET:
            writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        if answer is DROP or answer is RESET:
            return False
        writer.write(answer if answer is HALF else answer + b"\r\n")
        await writer.drain()
        return answer is not HALF


@asynccontextmanager
async def relay(told=None, *, tls=None, context=None):
    made = Relay(told or {}, context)
    tasks = []

    async def visited(reader, writer):
        tasks.append(asyncio.current_task())
        await made.serve(reader, writer)

    server = await asyncio.start_server(visited, "127.0.0.1", 0, ssl=tls, limit=2**20)
    made.port = server.sockets[0].getsockname()[1]
    made.url = f"smtp://127.0.0.1:{made.port}"
    try:
        yield made
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
