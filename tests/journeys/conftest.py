"""Real processes beside the test: a Celery worker on the test's database, and the web server that providers call."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from django.conf import settings as configured
from django.db import connection


def until(condition, what, seconds=60):
    """Wait for a condition; the test fails when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


class Worker:
    """One worker process, for all queues unless told otherwise, in a session of its own so that kill -9 reaches its children."""

    def __init__(self, public_url, queues=(), **environment):
        self.queues = queues or configured.QUEUES
        name = connection.settings_dict["NAME"]
        self.environment = {
            **os.environ,
            "DATABASE_URL": configured.DATABASE_URL.rsplit("/", 1)[0] + f"/{name}",
            "REDIS_URL": configured.REDIS_URL,
            "PUBLIC_URL": public_url,
            "LOG_LEVEL": "WARNING",
            "LEASE_SECONDS": "3",
            "POST_WITHIN_SECONDS": "2",
            "HORIZON_MARGIN_SECONDS": "1",
            "RETRY_FIRST_SECONDS": "0.5",
            "BATCH_SIZE": "50",
            **environment,
        }
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "smsplatform", "worker", "-Q", ",".join(self.queues), "-c", "2",
             "--without-gossip", "--without-mingle", "-n", f"journey{os.getpid()}@%h"],
            env=self.environment,
            start_new_session=True,
        )  # fmt: skip

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait(40)


@pytest.fixture
def worker(live_server, settings):
    settings.PUBLIC_URL = live_server.url
    settings.BATCH_SIZE = 50
    settings.LEASE = timedelta(seconds=3)
    worker = Worker(live_server.url)
    yield worker
    worker.stop()


@pytest.fixture
def ticking():
    """What beat does, from here: hand out and recover, as often as the test waits."""
    from campaigns import tasks

    def tick():
        tasks.hand_out("bulk")
        tasks.collect()
        tasks.answer_replies()
        tasks.recover()

    return tick
