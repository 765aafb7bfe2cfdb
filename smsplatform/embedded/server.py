"""Finding, launching and stopping one embedded server, whichever it is.

The caller of `ensure` and `stop` holds `start.lock`.
"""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from smsplatform.embedded import home
from smsplatform.embedded.home import EmbeddedError

PATIENCE: Final = 60.0  # seconds; recovery after a crash in the middle of heavy writing takes a while
LAUNCHES: Final = 3
PORTS: Final = range(15000, 32000)  # below those that outgoing connections take

_launched: Final[list[subprocess.Popen[bytes]]] = []


@dataclass(frozen=True, kw_only=True)
class Server:
    """One kind of server: its URL, and how it is launched, asked and stopped."""

    name: str
    variable: str
    url: str  # with {password} and {port}
    stop_signal: signal.Signals
    launch: Callable[[int, str, dict[str, Any]], subprocess.Popen[bytes]]
    answers: Callable[[str], bool]
    data: Callable[[], Path]
    pid_file: Callable[[], Path]

    @property
    def lock(self) -> str:
        """The lock that lives as long as any process of the server."""
        return f"{self.name}.lock"

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return home.var() / f"{self.name}.log"


def ensure(server: Server) -> str:
    """The URL of the running server, found or launched.

    Raises:
        EmbeddedError: it does not start, or does not answer.
    """
    password = home.secret(f"{server.name}_password", secrets.token_hex)
    deadline, launches = time.monotonic() + PATIENCE, 0
    told = server.log.stat().st_size if server.log.exists() else 0
    while time.monotonic() < deadline:
        lock = home.try_lock(server.lock)
        if lock is not None:
            try:
                if launches == LAUNCHES:
                    break
                launches += 1
                _launch(server, lock, password)
            finally:
                os.close(lock)
        url = server.url.format(password=password, port=home.state(server.name).get("port", 0))
        if server.answers(url):
            return url
        time.sleep(0.02)
    raise EmbeddedError(
        f"The embedded {server.name} {'did not start' if launches else 'does not answer'}:\n"
        f"{_last_words(server.log, told)}\nIts log is {server.log}, its data are in "
        f"{server.data()}. To use a server of your own, set {server.variable}."
    )


def stop(server: Server) -> None:
    """Stop the server cleanly; nothing happens if it does not run.

    Raises:
        EmbeddedError: it does not end.
    """
    deadline, asked = time.monotonic() + PATIENCE, None
    while is_running(server):
        process = pid(server)
        if process is not None and process != asked:
            with suppress(ProcessLookupError):
                os.kill(process, server.stop_signal)
            asked = process
        if time.monotonic() > deadline:
            raise EmbeddedError(f"The embedded {server.name} (pid {process}) does not stop: see {server.log}.")
        time.sleep(0.02)
    for child in _launched:
        child.poll()


def is_running(server: Server) -> bool:
    """Whether any process of the server is left."""
    if not (home.var() / server.lock).exists():
        return False
    lock = home.try_lock(server.lock)
    if lock is not None:
        os.close(lock)
    return lock is None


def pid(server: Server) -> int | None:
    """The process to signal, as the server wrote it down."""
    with suppress(FileNotFoundError, ValueError, IndexError):
        return int(server.pid_file().read_text().split()[0])
    return None


def _launch(server: Server, lock: int, password: str) -> None:
    # Nothing of the server is left, so its pid file can only mislead it and us.
    server.pid_file().unlink(missing_ok=True)
    port = _free_port(home.state(server.name).get("port"))
    home.remember(server.name, port=port)
    with os.fdopen(os.open(server.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)) as log:
        settings = {
            "stdout": log,
            "stderr": log,
            "pass_fds": (lock,),
            "start_new_session": True,  # Ctrl-C in the terminal is not for the servers
            "cwd": "/",
        }
        _launched.append(server.launch(port, password, settings))


def _free_port(last: int | None) -> int:
    """The port of the last run if free: then processes that still know it find the server again."""
    for port in (*([last] if last else []), *(secrets.choice(PORTS) for _ in range(100))):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise EmbeddedError(f"No TCP port between {PORTS.start} and {PORTS.stop} is free on 127.0.0.1.")


def _last_words(log: Path, told: int) -> str:
    """The end of what the log says beyond `told` bytes."""
    lines = log.read_bytes()[told:].decode(errors="replace").splitlines() if log.exists() else []
    return "\n".join(lines[-4:] or ["it wrote nothing"])
