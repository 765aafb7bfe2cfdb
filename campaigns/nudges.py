"""Hints from whoever stores something to the workers: there is news. Few stand for many, and beat looks all the same.

So losing one, or giving it twice, does no harm; it only costs, or saves, a moment.
"""

import time
from typing import Final

import structlog

log = structlog.get_logger("nudge")

_EXPIRES: Final = 10  # seconds; by then beat has looked


class Nudge:
    """Publishes a task soon after each call, but not more than one in `pause` seconds by this process."""

    def __init__(self, task: str, *, wait: float = 0.0, pause: float) -> None:
        self.task = task
        self.wait = wait
        self.pause = pause
        self._given_for = 0.0

    def __call__(self) -> None:
        """Have the task run after `wait` seconds, later if it was published a moment ago; what comes meanwhile is its, too."""
        now = time.monotonic()
        if now < self._given_for:
            return
        wait = max(self._given_for + self.pause - now, self.wait)
        self._given_for = now + wait
        from campaigns import tasks

        try:
            getattr(tasks, self.task).apply_async(countdown=wait or None, expires=wait + _EXPIRES)
        except Exception:  # noqa: BLE001 - what it is about is stored; only its speed is at stake
            log.warning("nudge.failed", task=self.task)
