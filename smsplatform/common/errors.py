"""Refusals: what a caller did wrong, said so that the caller can mend it.

Raised anywhere below the edges; rendered by the edges (API, admin, management commands) and nowhere else.
"""

from datetime import timedelta
from typing import ClassVar


class ApplicationError(Exception):
    """A refusal with a stable code, a message that names field, problem and remedy, and an HTTP status."""

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class InvalidInput(ApplicationError):
    """A value that cannot be accepted."""

    code = "invalid"
    status = 400


class NotFound(ApplicationError):
    """No such object, or not the caller's: the two are told apart by nobody."""

    code = "not_found"
    status = 404


class Forbidden(ApplicationError):
    """The caller's role does not allow it."""

    code = "forbidden"
    status = 403


class Conflict(ApplicationError):
    """The object's present state does not allow it."""

    code = "conflict"
    status = 409


class TooMany(ApplicationError):
    """A limit on how much may be asked for is reached; the message says when to try again, and `wait` how soon."""

    code = "too_many"
    status = 429

    def __init__(self, message: str, *, wait: timedelta, field: str = "") -> None:
        super().__init__(message, field=field)
        self.wait = wait
