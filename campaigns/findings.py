"""What a check of the platform finds: how well something is, and what to do about it."""

import enum
from dataclasses import dataclass
from datetime import timedelta


class Level(enum.StrEnum):
    """How well something is."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor: how well what is, and what to do about it."""

    level: Level
    about: str
    told: str
    remedy: str = ""


def ok(about: str, told: str) -> Finding:
    return Finding(Level.OK, about, told)


def warn(about: str, told: str, remedy: str) -> Finding:
    return Finding(Level.WARN, about, told, remedy)


def bad(about: str, told: str, remedy: str) -> Finding:
    return Finding(Level.BAD, about, told, remedy)


def span(age: timedelta | None) -> str:
    seconds = int(age.total_seconds()) if age else 0
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{max(seconds, 0)} s"


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
