"""Runs things at the same time, each in a thread with a database connection of its own, and waits for conditions."""

import threading
import time
from contextlib import contextmanager

from django.db import connection, connections

DEADLINE = 30.0


def until(condition, seconds=10.0):
    """Return the condition's value as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        threading.Event().wait(0.01)
    return value


class Job(threading.Thread):
    """One thing done beside the test; `result()` waits for it and raises what it raised."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self._work = work
        self._value = None
        self._error = None
        self.start()

    def run(self):
        try:
            self._value = self._work()
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks for the result
            self._error = error
        finally:
            connections.close_all()

    def result(self, seconds=DEADLINE):
        self.join(seconds)
        assert not self.is_alive(), "the job hangs"
        if self._error is not None:
            raise self._error
        return self._value

    @property
    def is_waiting(self):
        return self.is_alive()


def together(*works):
    """Start all of them at one moment and return their results in order."""
    line = threading.Barrier(len(works))

    def lined_up(work):
        def run():
            connection.ensure_connection()
            line.wait(DEADLINE)
            return work()

        return run

    jobs = [Job(lined_up(work)) for work in works]
    return [job.result() for job in jobs]


class Gate:
    """A place where work stops until the test lets it pass."""

    def __init__(self):
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, *_args, **_kwargs):
        self.reached.set()
        assert self.opened.wait(DEADLINE), "nobody opened the gate"

    def wait(self):
        assert self.reached.wait(DEADLINE), "nobody came to the gate"

    def open(self):
        self.opened.set()


def gated(monkeypatch, place, name, gate, *, after=False, times=1):
    """Let the first calls of `place.name` stop at the gate, before (or after) they do their work."""
    original = getattr(place, name)
    left = [times]

    def call(*args, **kwargs):
        stops = left[0] > 0
        left[0] -= 1
        if stops and not after:
            gate()
        value = original(*args, **kwargs)
        if stops and after:
            gate()
        return value

    monkeypatch.setattr(place, name, call)


@contextmanager
def elsewhere(sql, parameters=()):
    """Hold an open transaction, in which this statement ran, in another session."""
    held, release = threading.Event(), threading.Event()

    def hold():
        from django.db import transaction

        from smsplatform.common.database import rows

        with transaction.atomic():
            rows(sql, parameters)
            held.set()
            assert release.wait(DEADLINE), "nobody released the session"

    job = Job(hold)
    until(lambda: held.is_set() or not job.is_waiting)
    try:
        yield
    finally:
        release.set()
        job.result()


def blocked_sessions():
    """How many sessions of this database wait for a lock."""
    from smsplatform.common.database import rows

    return rows(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )[0][0]
