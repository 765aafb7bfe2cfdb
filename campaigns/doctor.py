"""What runs, what is missing, what to do: every check of the platform, each with a remedy.

Looks only, and never for long: every connection has a short time-out, and a check that fails says so instead of
ending the visit. What needs a database or a Redis that does not answer is left out: it could say nothing new.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from celery import current_app
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from campaigns import backlog, fence, privacy_checks, refusals
from campaigns.findings import Finding, Level, bad, first_line, ok, warn
from smsplatform.common import crypto, database, redis, services
from smsplatform.common.database import execute, rows

_PATIENCE: Final = 3  # seconds for a connection
_SLOWEST: Final = "5 s"  # for one statement
_TIMED_OUT: Final = "57014"
_NO_SUCH_SCHEMA: Final = ("42P01", "42703")  # undefined table, undefined column
_OLDEST_POSTGRES: Final = 14
_LISTENING: Final = 1.0  # seconds in which workers answer
_CLOCK_OFF, _CLOCK_WRONG = 2.0, 30.0  # seconds
_LONGEST_QUEUE: Final = 1_000
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def examine() -> list[Finding]:
    """Return every finding, in the order in which problems cause one another."""
    found = [*_settings(), *_services()]
    found += (postgres := list(_database()))
    found += (broker := list(_redis()))
    has_database = not any(each.level is Level.BAD and each.about in ("database", "migrations") for each in postgres)
    has_redis = not any(each.level is Level.BAD and each.about == "redis" for each in broker)
    if has_redis:
        found += _of_redis("workers", _workers)
        found += _of_redis("webhooks", _webhooks)
    if has_database:
        for name, check in {**_DATABASE, **backlog.CHECKS, **privacy_checks.CHECKS}.items():
            found += _of_database(name, check)
    return found


def is_well(findings: Sequence[Finding]) -> bool:
    """Return whether nothing is bad."""
    return not any(each.level is Level.BAD for each in findings)


def _of_database(about: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """Run a check in a transaction of its own, with a limit on each statement."""
    try:
        with transaction.atomic():
            execute(f"SET LOCAL statement_timeout = '{_SLOWEST}'")
            return list(check())
    except Exception as error:  # noqa: BLE001 - one check that fails must not keep the others from being made
        sqlstate = getattr(error.__cause__, "sqlstate", None)
        if sqlstate in _NO_SUCH_SCHEMA:
            return [bad(about, first_line(error), "the tables are not this program's: run `manage.py migrate`")]
        if sqlstate == _TIMED_OUT:
            return [
                warn(
                    about,
                    f"was not found out within {_SLOWEST}",
                    "there is a lot to count: run `manage.py audit` at leisure",
                )
            ]
        return [bad(about, f"cannot be read: {first_line(error)}", "look at the database's log")]


def _of_redis(about: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except Exception as error:  # noqa: BLE001 - as above
        return [bad(about, f"cannot be asked: {first_line(error)}", "look at Redis, then run this again")]


# -- this process -------------------------------------------------------------------------------------------------------


def _settings() -> Iterator[Finding]:
    try:
        crypto.decrypt(crypto.encrypt({}, tenant_id=0), tenant_id=0)
        yield ok("settings", "SECRET_KEY, CREDENTIAL_KEYS, DATABASE_URL and REDIS_URL are set")
    except (ImproperlyConfigured, crypto.UndecryptableSecret, IndexError) as error:
        yield bad(
            "settings", f"CREDENTIAL_KEYS cannot be used: {first_line(error)}", "set CREDENTIAL_KEYS to a Fernet key"
        )
    try:
        crypto.pepper_versions()
    except ImproperlyConfigured as error:
        yield bad("settings", first_line(error), "set NUMBER_PEPPERS; put back what was there before")
    host = urlsplit(settings.PUBLIC_URL).hostname or ""
    if host in _LOOPBACK:
        yield warn(
            "PUBLIC_URL",
            f"is {settings.PUBLIC_URL}: only providers on this machine can report deliveries and replies",
            "set PUBLIC_URL to the https address at which providers reach the platform",
        )
    elif not settings.HTTPS:
        yield warn(
            "PUBLIC_URL", f"is {settings.PUBLIC_URL}, not https", "serve it over https: webhooks carry personal data"
        )
    else:
        yield ok("PUBLIC_URL", settings.PUBLIC_URL)
    allowed = [each.lstrip(".") for each in settings.ALLOWED_HOSTS]
    if "*" not in allowed and not any(host == each.strip("[]") or host.endswith(f".{each}") for each in allowed):
        yield bad("ALLOWED_HOSTS", f"does not contain {host}, so webhooks are refused", f"add {host} to ALLOWED_HOSTS")
    if settings.DEBUG:
        yield warn("DEBUG", "is on", "unset DEBUG where real people are texted")


def _services() -> Iterator[Finding]:
    """The embedded servers, where they are used."""
    for each in services.embedded_services():
        if each.is_running:
            yield ok(f"embedded {each.name}", f"runs on port {each.port}, log {each.log}")


# -- database and broker -----------------------------------------------------------------------------------------------


def _database() -> Iterator[Finding]:
    try:
        began = time.perf_counter()
        parameters = connection.get_connection_params() | {"connect_timeout": _PATIENCE}
        for ours in ("cursor_factory", "context"):
            parameters.pop(ours, None)
        with psycopg.connect(**parameters) as probe:
            milliseconds = (time.perf_counter() - began) * 1000
            version = probe.info.server_version // 10_000
    except (psycopg.Error, OSError) as error:
        yield bad("database", f"does not answer: {first_line(error)}", "start PostgreSQL, or correct DATABASE_URL")
        return
    if version < _OLDEST_POSTGRES:
        yield bad("database", f"is PostgreSQL {version}", f"upgrade to {_OLDEST_POSTGRES} or later")
    else:
        yield ok("database", f"PostgreSQL {version} answers in {milliseconds:.0f} ms")
    yield from _of_database("migrations", _migrations)


def _migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in missing[:3])
        yield bad("migrations", f"{len(missing)} not applied: {names} …", "run `manage.py migrate`")
    else:
        yield ok("migrations", "all applied")


def _durability() -> Iterator[Finding]:
    off = [
        name
        for name, value in rows(
            "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes')"
        )
        if value == "off"
    ]
    if off:
        yield bad(
            "durability", f"{', '.join(off)} off: a crash forgets claims, and people are texted twice", "turn it on"
        )
    else:
        yield ok("durability", "fsync, full_page_writes and synchronous_commit are on")


def _identity() -> Iterator[Finding]:
    if rows(f"SELECT 1 FROM tenancy_installation i WHERE {fence.IS_COPY}"):
        yield bad(
            "identity",
            "this database is a restored or promoted copy: nothing is sent",
            "see `manage.py accept_database`",
        )
    else:
        yield ok("identity", "this is the database that sends")


def _clock() -> Iterator[Finding]:
    """R55: no worker's clock decides anything, but post-by times and signatures compare with this one."""
    before = datetime.now(UTC)
    there = database.now()
    here = before + (datetime.now(UTC) - before) / 2
    off = abs((here - there).total_seconds())
    told = f"{off:.1f} s between this machine and the database"
    if off > _CLOCK_WRONG:
        yield bad("clock", told, "synchronise the clocks (NTP)")
    elif off > _CLOCK_OFF:
        yield warn("clock", told, "synchronise the clocks (NTP)")
    else:
        yield ok("clock", told)


def _redis() -> Iterator[Finding]:
    try:
        client = redis.client()
        client.ping()
        about: Mapping[str, Any] = client.info()
    except (redis.Unreachable, OSError) as error:
        yield bad(
            "redis",
            f"does not answer: {first_line(error)}",
            "start Redis, or correct REDIS_URL; nothing is lost meanwhile",
        )
        return
    yield ok("redis", f"Redis {about.get('redis_version', '?')} answers, {about.get('used_memory_human', '?')} used")
    if about.get("maxmemory", 0) and about.get("maxmemory_policy") != "noeviction":
        yield warn(
            "redis memory",
            f"maxmemory-policy is {about['maxmemory_policy']}: tasks may be thrown away, which costs time",
            "set maxmemory-policy to noeviction",
        )
    if about.get("aof_last_write_status", "ok") != "ok" or about.get("rdb_last_bgsave_status", "ok") != "ok":
        yield bad(
            "redis persistence",
            "the last write to disk failed, so Redis may refuse commands",
            "free its disk, or turn persistence off",
        )
    elif about.get("aof_enabled"):
        yield ok("redis persistence", "append-only file on; it may be off, since Postgres is the truth")
    else:
        yield ok("redis persistence", "off, as it may be: Postgres is the truth")


def _webhooks() -> Iterator[Finding]:
    """Whoever calls with a signature that is not right: a vendor with another secret or address, or a stranger."""
    found = refusals.of_day(datetime.now(UTC))
    if not found:
        yield ok("webhooks", "none refused today")
        return
    told = ", ".join(f"{number:,} × {kind}" for kind, number in list(found.items())[:5])  # noqa: RUF001 - times
    if any(kind.endswith("bad_signature") for kind in found):
        yield warn(
            "webhooks",
            f"refused today: {told}",
            "compare the secret with the provider's, and PUBLIC_URL with the address that it calls",
        )
    else:
        yield ok("webhooks", f"refused today: {told}")


def _workers() -> Iterator[Finding]:
    answers = current_app.control.inspect(timeout=_LISTENING).active_queues() or {}
    listening = {queue["name"] for queues in answers.values() for queue in queues}
    prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("global_keyprefix", "")
    for queue in settings.QUEUES:
        length = int(redis.client().llen(f"{prefix}{queue}"))
        told = f"{length:,} waiting"
        if queue not in listening:
            yield bad(
                f"queue {queue}",
                f"nobody works on it, {told}",
                f"start a worker: celery -A smsplatform worker -Q {queue}",
            )
        elif length > _LONGEST_QUEUE:
            yield warn(f"queue {queue}", told, "its workers cannot keep up: start more of them")
        else:
            yield ok(f"queue {queue}", told)


_DATABASE: Final[Mapping[str, Callable[[], Iterator[Finding]]]] = {
    "durability": _durability,
    "identity": _identity,
    "clock": _clock,
}
