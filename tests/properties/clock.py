"""The clock of a machine: it stands still until told, and everything that asks the database for the time gets it."""

from datetime import UTC, datetime, timedelta
from unittest import mock


class Clock:
    """Starts at an instant; `goes_on` moves it."""

    def __init__(self, start=datetime(2026, 11, 20, 15, tzinfo=UTC)):
        self.now = start
        self._patches = [
            mock.patch(f"smsplatform.common.database.{asking}", side_effect=lambda: self.now)
            for asking in ("now", "commit_cheaply")
        ]

    def start(self):
        for patch in self._patches:
            patch.start()

    def stop(self):
        for patch in self._patches:
            patch.stop()

    def goes_on(self, **duration):
        self.now += timedelta(**duration)

    def goes_to(self, instant):
        self.now = max(self.now, instant)
