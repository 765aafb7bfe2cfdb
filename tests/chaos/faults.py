"""What is done to processes and services from outside. Everything found is ended by its own id."""

import contextlib
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from random import Random

import redis
from django.conf import settings
from django.db import connection

from smsplatform import embedded
from tests.ground import wait_for

HOT = ("campaigns_dispatch", "campaigns_attempt", "campaigns_batch", "campaigns_rawevent", "compliance_permit")


def broker() -> "redis.Redis":
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)


def flush_redis() -> None:
    broker().flushall()


def restart(name: str, number: int, *, down: float = 0.0) -> None:
    """End an embedded server with a signal and start it again on its port."""
    service = _service(name)
    assert service.pid is not None
    os.kill(service.pid, number)
    # A process of ours that just begins may start it again before anybody sees it gone.
    wait_for(lambda: _service(name).pid != service.pid, f"the end of {name}", seconds=30, every=0.02)
    time.sleep(down)
    connection.close()
    embedded.tend()


def _service(name: str) -> embedded.Service:
    return next(service for service in embedded.status() if service.name == name)


def end_connections(random: Random, share: float = 0.3) -> None:
    """End some sessions of Postgres, whatever they are doing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend' ORDER BY pid"
        )
        for (pid,) in cursor.fetchall():
            if random.random() < share:
                cursor.execute("SELECT pg_terminate_backend(%s)", [pid])


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Every statement that writes to a hot table is refused as if the disk were full."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION chaos_full_disk() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
        )
        for table in HOT:
            cursor.execute(
                f"CREATE OR REPLACE TRIGGER chaos_full_disk BEFORE INSERT OR UPDATE OR DELETE ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION chaos_full_disk()"
            )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for table in HOT:
                cursor.execute(f"DROP TRIGGER IF EXISTS chaos_full_disk ON {table}")


class Echo:
    """Repeats the broker's messages: copies those that wait, keeps them, and publishes the old ones again later."""

    QUEUES = ("bulk.sql", "bulk.http", "control", "events")

    def __init__(self) -> None:
        self.heard: dict[tuple[str, str], bytes] = {}
        self.copied = 0

    def copy(self) -> None:
        """Put a second copy of every message that waits behind it."""
        client = broker()
        for queue in self.QUEUES:
            for message in client.lrange(queue, 0, -1):
                known = json.loads(message)
                if self.heard.setdefault((queue, known["headers"]["id"]), message) is message:
                    self._publish(client, queue, known)

    def repeat(self) -> None:
        """Publish every message ever heard once more, the oldest first."""
        client = broker()
        for (queue, _), message in self.heard.items():
            self._publish(client, queue, json.loads(message))

    def _publish(self, client: "redis.Redis", queue: str, message: dict) -> None:
        # As a broker delivers again: the same message under a tag of its own.
        message["properties"]["delivery_tag"] = str(uuid.uuid4())
        message["headers"].pop("expires", None)
        client.lpush(queue, json.dumps(message))
        self.copied += 1


def together(works: list[Callable[[], None]]) -> None:
    """Run these in threads of their own, each with its own connection, and raise what one of them raised."""
    failures: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
