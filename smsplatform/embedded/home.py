"""What the embedded servers keep between runs: locks, ports, passwords.

`state.json` says where each server was last; `secrets.json` holds passwords and keys. Both are
written under `start.lock`, whole, readable by their owner only.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent


class EmbeddedError(RuntimeError):
    """An embedded server cannot be used; the message says what to do."""


def var() -> Path:
    """The directory of everything that is kept between runs."""
    return Path(os.environ.get("SMS_VAR") or ROOT / ".var").resolve()


def make() -> Path:
    """Create `var()`; a relative SMS_VAR becomes absolute, for children that change directory."""
    place = var()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        (place / "start.lock").touch(mode=0o600)
    except OSError as error:
        raise EmbeddedError(
            f"Cannot write to {place}, where the embedded servers live ({error.strerror}). "
            "Set SMS_VAR to a directory of yours, or DATABASE_URL and REDIS_URL to your servers."
        ) from None
    if os.environ.get("SMS_VAR"):
        os.environ["SMS_VAR"] = str(place)
    return place


def open_lock(name: str) -> int:
    """A descriptor of the lock file, not locked yet; children do not inherit it."""
    return os.open(var() / name, os.O_RDWR | os.O_CREAT, 0o600)


def try_lock(name: str) -> int | None:
    """The lock taken alone, or None at once if somebody has it."""
    lock = open_lock(name)
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    os.close(lock)
    return None


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Wait for the lock and hold it alone."""
    lock = open_lock(name)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def state(server: str) -> dict[str, Any]:
    """What is remembered about this server: its `port`."""
    kept: dict[str, Any] = _read("state.json").get(server, {})
    return kept


def remember(server: str, **facts: object) -> None:
    """Add to what is remembered about this server."""
    _write("state.json", _read("state.json") | {server: state(server) | facts})


def kept_secrets() -> dict[str, Any]:
    """All secrets by name; empty if there are none yet."""
    return _read("secrets.json")


def secret(name: str, make: Callable[[], str]) -> str:
    """The secret of this name, made on first use; the caller holds `start.lock`."""
    kept = kept_secrets()
    if name not in kept:
        kept[name] = make()
        _write("secrets.json", kept)
    return str(kept[name])


def _read(name: str) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads((var() / name).read_text())
    except FileNotFoundError:
        return {}
    return kept


def _write(name: str, kept: Mapping[str, Any]) -> None:
    draft = var() / f"{name}.new"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(kept, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(var() / name)
