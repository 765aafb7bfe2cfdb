"""The web process (gunicorn reads this file by itself). Reasons and measures: docs/adr/0020-requests-share-a-turn.md."""

import errno
import logging
import socket
import sys
import time
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

worker_class = "gthread"
workers = 2
threads = 16  # what one statement can store together
keepalive = 75  # seconds, longer than load balancers keep a connection: who hangs up first may cut a call
reuse_port = True  # the kernel shares connections out evenly; a worker that ended by plan would drop those it queued
graceful_timeout = 15
control_socket_disable = True


class MaskedLogger(Logger):
    """The server's own lines (errors, and addresses that were asked for) name nobody, like all others."""

    def _set_handler(self, log: logging.Logger, output: str, fmt: logging.Formatter, stream: Any = None) -> None:
        super()._set_handler(log, output, _Masked(fmt._fmt, fmt.datefmt), stream)  # noqa: SLF001 - logging's own


class _Masked(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        from smsplatform.common import masking

        return masking.text(super().format(record))


logger_class = MaskedLogger


def on_starting(server: Arbiter) -> None:
    """Refuse an address that somebody else serves: with `reuse_port` the kernel would share it out between both."""
    for address in server.cfg.address:
        for last in (False, False, False, False, True):  # the workers of a server that was killed end within a second
            with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(address)
                except OSError as error:
                    if last or error.errno != errno.EADDRINUSE:
                        sys.exit(f"The web process cannot listen on {address[0]}:{address[1]}: {error.strerror}.")
                    time.sleep(0.5)
                else:
                    break
