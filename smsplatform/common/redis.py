"""The Redis client of the limiters: no hidden retries, short timeouts.

redis-py repeats commands on its own by default, which would count a reservation twice; here a failure is a failure
and the caller fails closed. The broker has its own connections.
"""

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
