"""Read JSON objects strictly: each refusal names the field and what would have been right."""

import math
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit


class InvalidField(ValueError):
    """A field is missing, unknown or of the wrong kind."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field
        self.problem = problem


class Fields:
    """One JSON object, whose fields are taken out one by one; `done` refuses what is left."""

    def __init__(self, value: object, at: str = "") -> None:
        if not isinstance(value, Mapping):
            raise InvalidField(at, "must be an object")
        self._left: dict[str, Any] = dict(value)
        self._known: list[str] = []
        self._at = at

    def path(self, name: str) -> str:
        """Return the field's full name, as errors give it."""
        return f"{self._at}.{name}" if self._at else name

    def has(self, name: str) -> bool:
        """Return whether the field is given (and not null)."""
        return self._left.get(name) is not None

    def take(self, name: str) -> Any:
        """Return the raw value, or None."""
        self._known.append(name)
        return self._left.pop(name, None)

    def number(self, name: str, default: float, *, low: float = 0.0, high: float = math.inf) -> float:
        """Return a number between `low` and `high`."""
        value = self.take(name)
        return default if value is None else number(value, self.path(name), low=low, high=high)

    def count(self, name: str, default: int, *, low: int = 0) -> int:
        """Return a whole number of at least `low`."""
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise InvalidField(self.path(name), f"must be a whole number, at least {low}")
        return value

    def share(self, name: str, default: float) -> float:
        """Return a share between 0 and 1."""
        return self.number(name, default, high=1.0)

    def text(self, name: str, default: str = "") -> str:
        """Return a text."""
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise InvalidField(self.path(name), "must be text")
        return value

    def choice(self, name: str, default: str, among: Collection[str]) -> str:
        """Return one of several words."""
        value = self.text(name, default)
        if value not in among:
            words = ", ".join(sorted(word for word in among if word))
            raise InvalidField(self.path(name), f"must be one of {words}")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InvalidField(self.path(name), "must be true or false")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self.take(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            raise InvalidField(self.path(name), "must be a list of texts")
        return tuple(value)

    def url(self, name: str) -> str:
        """Return an absolute http(s) URL, or nothing."""
        value = self.text(name)
        if value and not is_url(value):
            raise InvalidField(self.path(name), "must be an absolute http(s) URL")
        return value

    def done(self) -> None:
        """Refuse the fields that nobody took."""
        for name in self._left:
            known = ", ".join(sorted(self._known))
            raise InvalidField(self.path(str(name)), f"unknown; known are {known}")


def number(value: object, at: str, *, low: float = 0.0, high: float = math.inf) -> float:
    """Return a finite number between `low` and `high`."""
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not fits or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type,operator]
        limit = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
        raise InvalidField(at, f"must be a number {limit}")
    return float(value)  # type: ignore[arg-type]


def is_url(value: str) -> bool:
    """Return whether a text is an absolute http(s) URL."""
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False
