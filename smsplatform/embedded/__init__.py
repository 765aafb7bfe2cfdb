"""The embedded PostgreSQL and Redis that stand in where DATABASE_URL or REDIS_URL is not set.

Everything lives in one directory, `.var` (or SMS_VAR). Three kinds of locks carry the life cycle;
process ids are only ever used to send a signal:

- `start.lock` is held while servers start or stop, so that these never overlap.
- `users.lock` is held, shared, by every process that uses the servers. Whoever can take it alone
  while leaving was the last one, and stops them.
- `postgres.lock` and `redis.lock` are inherited by the servers and their children: free means that
  nothing of that server is left, whatever a pid file says (crash, zombie, reused pid, container).

No Django in here: settings are read after the URLs are set.
"""

import atexit
import base64
import fcntl
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from smsplatform.embedded import home, postgres, server, valkey
from smsplatform.embedded.home import EmbeddedError

__all__ = [
    "EmbeddedError",
    "Service",
    "secret",
    "status",
    "stop",
    "tend",
    "use_where_unconfigured",
    "var",
]

SERVERS: Final = (postgres.SERVER, valkey.SERVER)
ENV_FILE: Final = home.ROOT / ".env"

var = home.var


@dataclass(frozen=True, kw_only=True)
class Service:
    """What is known about one embedded server."""

    name: str
    is_running: bool
    pid: int | None
    port: int | None
    data: Path
    log: Path


def use_where_unconfigured() -> None:
    """Set DATABASE_URL and REDIS_URL where missing, to servers that run when this returns.

    A URL inherited from a process that uses the embedded servers counts as missing, so that this
    process, too, keeps them alive. With embedded PostgreSQL, SECRET_KEY, CREDENTIAL_KEYS and
    NUMBER_PEPPERS are made once and kept.

    Raises:
        EmbeddedError: a server is missing, does not start, or its files belong to somebody else.
    """
    if ENV_FILE.is_file():
        import environ

        environ.Env.read_env(str(ENV_FILE))
    wanted = [kind for kind in SERVERS if _is_ours(kind)]
    if not wanted:
        return
    place = home.make()
    with home.locked("start.lock"):
        _join(place)
        for kind in wanted:
            given = urlsplit(os.environ.get(kind.variable, ""))
            fresh = urlsplit(server.ensure(kind))
            if given.path:
                fresh = fresh._replace(path=given.path, query=given.query)
            os.environ[kind.variable] = fresh.geturl()
        if postgres.SERVER in wanted:
            _set_keys()


def tend() -> None:
    """Start again what has died of the servers this process uses, under the same URL.

    Raises:
        EmbeddedError: as in `use_where_unconfigured`.
    """
    if any(_is_ours(kind) and not server.is_running(kind) for kind in SERVERS):
        use_where_unconfigured()


def secret(name: str, make: Callable[[], str]) -> str:
    """The value kept under this name in `secrets.json`, made on first use."""
    home.make()
    with home.locked("start.lock"):
        return home.secret(name, make)


def status() -> tuple[Service, ...]:
    """What runs where; starts and creates nothing."""
    return tuple(
        Service(
            name=kind.name,
            is_running=(running := server.is_running(kind)),
            pid=server.pid(kind) if running else None,
            port=home.state(kind.name).get("port"),
            data=kind.data(),
            log=kind.log,
        )
        for kind in SERVERS
    )


def stop() -> None:
    """Stop the embedded servers cleanly, whoever uses them.

    Raises:
        EmbeddedError: a server does not end.
    """
    if var().is_dir():
        with home.locked("start.lock"):
            _stop_all()


_held: Final[list[int]] = []


def _join(place: Path) -> None:
    if _held:
        return
    lock = home.open_lock("users.lock")
    fcntl.flock(lock, fcntl.LOCK_SH)
    _held.append(lock)
    atexit.register(_leave, os.getpid(), place)


def _leave(joined_as: int, place: Path) -> None:
    """Stop the servers if nobody else is left. A forked child leaves that to its parent."""
    if os.getpid() != joined_as or not _held or not place.is_dir():
        return
    # Closed, not unlocked: forked children that live on share this lock, and would lose it.
    os.close(_held.pop())
    with home.locked("start.lock"):
        alone = home.try_lock("users.lock")
        if alone is not None:
            _stop_all()
            os.close(alone)


def _stop_all() -> None:
    for kind in reversed(SERVERS):
        server.stop(kind)


def _is_ours(kind: server.Server) -> bool:
    url = os.environ.get(kind.variable)
    if not url:
        return True
    with suppress(OSError):
        ours = home.kept_secrets().get(f"{kind.name}_password")
        return ours is not None and urlsplit(url).password == ours
    return False


def _set_keys() -> None:
    made = (
        ("SECRET_KEY", secrets.token_urlsafe),
        ("CREDENTIAL_KEYS", _fernet_key),
        ("NUMBER_PEPPERS", secrets.token_urlsafe),
    )
    for name, make in made:
        if not os.environ.get(name):
            os.environ[name] = home.secret(name, make)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
