"""The Redis client of the limiters: no hidden retries, short timeouts.

redis-py repeats commands on its own by default, which would count a reservation twice; here a failure is a failure
and the caller fails closed. The broker has its own connections.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

Unreachable = redis.exceptions.RedisError


@cache
def client() -> "redis.Redis":
    """Return this process's client."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=1,
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
    )


@contextmanager
def turn(name: str, *, seconds: int) -> Iterator[bool]:
    """Yield whether nobody else is at this, for at most so long. A hint that saves work: without Redis everybody may."""
    key = f"turn:{name}"
    try:
        is_ours = bool(client().set(key, "", nx=True, ex=seconds))
    except Unreachable:
        is_ours = True
    try:
        yield is_ours
    finally:
        if is_ours:
            with suppress(Unreachable):
                client().delete(key)
