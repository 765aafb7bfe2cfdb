"""The scheduler that beat runs: schedules live in the database, and a change of them is seen within a second."""

import time
from typing import Final

from django_celery_beat.schedulers import DatabaseScheduler

_LOOK_EVERY: Final = 1.0  # seconds


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    """Looks for changes once a second; its parent does at each turn of a loop that spins before a task is due."""

    _looked = 0.0

    def schedule_changed(self) -> bool:
        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY:
            return False
        self._looked = now
        return bool(super().schedule_changed())
