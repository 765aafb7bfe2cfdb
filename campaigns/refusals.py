"""Counts the webhooks that were refused, so that a wrong secret or address at a vendor does not stay unseen.

A hint in Redis, by day: a refusal must stay cheap, so a process adds what it counted at most once a second, and leaves
Redis alone for a while where it does not answer.
"""

import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Final

from smsplatform.common import redis

_EVERY: Final = 1.0  # seconds
_AFTER_FAILURE: Final = 30.0
_KEPT: Final = timedelta(days=8)
_MOST_KINDS: Final = 200  # of refusals between two writes: a flood of made-up providers is one kind
_OTHERS: Final = "others"

_lock = threading.Lock()
_counted: Counter[str] = Counter()
_write_at = 0.0


def count(provider: str, reason: str) -> None:
    """Count a refusal; `provider` is what the caller says, `reason` one of ours."""
    global _write_at  # noqa: PLW0603 - the process's own clock of writes
    kind = f"{provider[:40]} {reason}"
    with _lock:
        _counted[kind if kind in _counted or len(_counted) < _MOST_KINDS else _OTHERS] += 1
        now = time.monotonic()
        if now < _write_at:
            return
        _write_at = now + _EVERY
        told = dict(_counted)
        _counted.clear()
    try:
        client = redis.client().pipeline(transaction=False)
        for name, number in told.items():
            client.hincrby(_key(datetime.now(UTC)), name, number)
        client.expire(_key(datetime.now(UTC)), _KEPT)
        client.execute()
    except redis.Unreachable:
        with _lock:
            _counted.update(told)
            _write_at = time.monotonic() + _AFTER_FAILURE


def of_day(now: datetime) -> dict[str, int]:
    """Return how many webhooks were refused on that day (UTC), by "provider reason", the most first."""
    found: dict[bytes, bytes] = redis.client().hgetall(_key(now))  # type: ignore[assignment]  # ours never decodes
    told = {name.decode(): int(number) for name, number in found.items()}
    return dict(sorted(told.items(), key=lambda item: -item[1]))


def _key(day: datetime) -> str:
    return f"webhooks:refused:{day:%Y-%m-%d}"
