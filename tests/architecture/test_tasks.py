"""Tasks carry ids: what the broker and Flower see names nobody."""

import inspect

from celery import current_app

IDS = {"batch_id", "run_id", "import_id", "preflight_id", "lease"}
WORDS = {"lane"}  # bulk or urgent


def test_tasks_take_ids_and_nothing_else():
    ours = {name: task for name, task in current_app.tasks.items() if not name.startswith("celery.")}
    assert len(ours) > 15
    taken = {
        (parameter.name, parameter.annotation)
        for task in ours.values()
        for parameter in inspect.signature(task.run).parameters.values()
    }
    assert {(name, int) for name in IDS} | {("lane", str)} == taken
    assert {name for name, _ in taken} == IDS | WORDS
