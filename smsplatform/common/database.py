"""The database's clock and the few things that every SQL verb needs."""

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper


def now() -> datetime:
    """Return the database's clock. Read once per task and passed down: no worker's clock decides anything."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        row: tuple[datetime] = cursor.fetchone()
    return row[0]


def clock_difference() -> float:
    """Return by how many seconds this machine's clock is ahead of the database's."""
    with connection.cursor() as cursor:
        before = time.time()
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float")
        row: tuple[float] = cursor.fetchone()
    return (before + time.time()) / 2 - row[0]


def rows(sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows. A list among the parameters becomes an array literal."""
    with connection.cursor() as cursor:
        cursor.execute(sql, _adapted(parameters))
        return cursor.fetchall() if cursor.description else []


def execute(sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> int:
    """Run one statement and return how many rows it touched. Parameters as for `rows`."""
    with connection.cursor() as cursor:
        cursor.execute(sql, _adapted(parameters))
        return max(int(cursor.rowcount), 0)


def _adapted(parameters: Sequence[Any] | dict[str, Any]) -> Sequence[Any] | dict[str, Any]:
    if isinstance(parameters, dict):
        return {name: _array(value) if type(value) is list else value for name, value in parameters.items()}
    return [_array(value) if type(value) is list else value for value in parameters]


def _array(values: list[Any]) -> str:
    """Return the array literal of a flat list: an element costs a fifth of what the driver takes to adapt it."""
    if values and type(values[0]) is uuid.UUID:
        return "{" + ",".join([value.hex for value in values]) + "}"
    if values and type(values[0]) is bytes:
        return "{" + ",".join([_quoted(f"\\x{value.hex()}") for value in values]) + "}"
    return "{" + ",".join(["NULL" if value is None else _quoted(str(value)) for value in values]) + "}"


def _quoted(text: str) -> str:
    if '"' in text or "\\" in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def commit_cheaply() -> datetime:
    """Let this transaction's commit not wait for the disk: losing it costs work, never a promise. Returns `now()`."""
    [(_, instant)] = rows("SELECT set_config('synchronous_commit', 'off', true), clock_timestamp()")
    found: datetime = instant
    return found


@contextmanager
def cheap_commit() -> Iterator[CursorWrapper]:
    """A transaction that commits cheaply."""
    with transaction.atomic(), connection.cursor() as cursor:
        commit_cheaply()
        yield cursor


def key(high: int, low: int) -> uuid.UUID:
    """Return the 128-bit key made of two 64-bit halves (a dispatch's id: run and recipient)."""
    return uuid.UUID(int=(high << 64) | low)


def keys_of(high: int) -> dict[str, uuid.UUID]:
    """Return the lowest key with this high half and the lowest above: a run's dispatches, in one partition."""
    return {"lowest": key(high, 0), "above": key(high + 1, 0)}
