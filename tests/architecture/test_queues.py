"""Every queue that anything is put into is consumed by some process, and the lanes do not share workers."""

import ast
from collections.abc import Iterator

from django.conf import settings

from campaigns import tasks  # noqa: F401 - registers them
from campaigns.models import Lane
from campaigns.pipeline import PIPELINE
from smsplatform.celery import app
from smsplatform.processes import PROCESSES
from tests.architecture import source

KINDS = sorted({stage.kind for stage in PIPELINE})


def _named() -> Iterator[tuple[str, str]]:
    """Yield (where, queue) for every `queue=` of the code; one made of lane and kind stands for each of them."""
    for path in source.files():
        for call in source.calls(path):
            for keyword in call.keywords:
                if keyword.arg in {"queue", "task_default_queue"}:
                    for name in _values(keyword.value):
                        yield source.where(path, keyword.value), name


def _values(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    assert isinstance(node, ast.JoinedStr), f"a queue whose name cannot be read: {ast.unparse(node)}"
    names = [""]
    for part in node.values:
        names = [name + more for name in names for more in _parts(part)]
    return names


def _parts(part: ast.expr) -> list[str]:
    if isinstance(part, ast.Constant):
        return [str(part.value)]
    assert isinstance(part, ast.FormattedValue)
    return {"lane": list(Lane.values), "kind": KINDS}[ast.unparse(part.value).rpartition(".")[2]]


def _consumed() -> dict[str, list[str]]:
    """Return the queues of each worker."""
    lines = {name: process.arguments for name, process in PROCESSES.items() if "-Q" in process.arguments}
    return {name: line[line.index("-Q") + 1].split(",") for name, line in lines.items()}


def test_every_queue_named_in_code_is_declared():
    named = list(_named())
    assert {name for _, name in named} >= {"events", "imports", "bulk.sql", "urgent.http"}
    assert [(place, name) for place, name in named if name not in settings.QUEUES] == []


def test_every_declared_queue_is_used():
    assert set(settings.QUEUES) == {name for _, name in _named()} | {settings.CELERY_TASK_DEFAULT_QUEUE}


def test_every_declared_queue_has_one_kind_of_worker():
    assert sorted(queue for queues in _consumed().values() for queue in queues) == sorted(settings.QUEUES)


def test_celery_makes_no_queue_that_nobody_consumes():
    assert {queue.name for queue in settings.CELERY_TASK_QUEUES} == set(settings.QUEUES)
    assert not settings.CELERY_TASK_CREATE_MISSING_QUEUES


def test_urgent_messages_have_workers_of_their_own():
    for name, queues in _consumed().items():
        lanes = {queue.partition(".")[0] for queue in queues}
        assert not {"urgent", "bulk"} <= lanes, f"{name} serves both lanes"


def test_beat_asks_only_for_tasks_that_exist():
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        assert entry["task"] in app.tasks
        assert set(entry.get("args", [])) <= set(Lane.values)
        assert entry.get("options", {}).get("queue", settings.CELERY_TASK_DEFAULT_QUEUE) in settings.QUEUES
