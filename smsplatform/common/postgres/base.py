"""The connection of Django's PostgreSQL backend, with a cheaper check of its health."""

import select
import time
from typing import Final

from django.db.backends.postgresql import base

_TRUSTED_FOR: Final = 1.0  # seconds


class DatabaseWrapper(base.DatabaseWrapper):
    """Asks the server whether the connection lives once a second, not once a request (CONN_HEALTH_CHECKS).

    A server that has closed the connection has left something to read, which costs nothing to see. What remains is
    one that vanished without a word within the last second, and whose loss the request itself would meet as well.
    """

    _trusted_until = 0.0

    def is_usable(self) -> bool:
        """Whether the connection lives."""
        if not self.errors_occurred and time.monotonic() < self._trusted_until and not self._has_news():
            return True
        is_usable: bool = super().is_usable()
        self._trusted_until = time.monotonic() + _TRUSTED_FOR if is_usable else 0.0
        return is_usable

    def _has_news(self) -> bool:
        """Whether the server has said something that nobody asked for, like good-bye."""
        if self.connection is None or self.connection.closed:
            return True
        look = select.poll()
        look.register(self.connection.fileno(), select.POLLIN)
        return bool(look.poll(0))
