"""The Celery application and the one shim every task passes through."""

import os
import signal
import time
from typing import Any

import structlog
from celery import Celery, Task, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smsplatform.settings")
log = structlog.get_logger("task")


class Step(Task):  # type: ignore[type-arg]
    """Log context and duration of every task; nothing of this is repeated inside a task."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with structlog.contextvars.bound_contextvars(task=self.name, arguments=list(args)):
            started = time.perf_counter()
            try:
                return super().__call__(*args, **kwargs)
            finally:
                log.debug("task.done", milliseconds=round((time.perf_counter() - started) * 1000, 1))


app = Celery("smsplatform", task_cls=Step)


@app.on_configure.connect
def _find_services(**_: Any) -> None:
    """A worker started by hand finds the embedded services like every other entry point."""
    from smsplatform import embedded

    embedded.use_where_unconfigured()


app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.task_prerun.connect
def _drop_dead_connections(**_: Any) -> None:
    """Check the connection's health once a task: CELERY_DB_REUSE_MAX keeps it open across tasks."""
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()


@signals.worker_process_init.connect
def _collect_garbage_rarely(**_: Any) -> None:
    from smsplatform.common import garbage

    garbage.collect_rarely()


@signals.setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """Connecting to this signal keeps Celery from installing its own handlers."""


@signals.beat_init.connect
def _stop_beat_outside_of_queries(**_: Any) -> None:
    """SIGTERM unwinds what beat is doing and then saves the schedule.

    Celery's own handler saves it on the spot, and waits for ever where the signal came within a query: its connection
    is locked.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
