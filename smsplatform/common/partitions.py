"""Partitions of the tables that grow with every message: ranges of the dispatch id, a month of runs each.

A dispatch's id begins with its run's time, so a month's bounds are ids. A DEFAULT partition catches what comes before
its month was made; it should stay empty, and the doctor says when it is not.
"""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Final

from smsplatform.common.database import execute, rows

TABLES: Final = ("campaigns_dispatch", "campaigns_attempt")
MONTHS_AHEAD: Final = 3


def bound(instant: datetime) -> uuid.UUID:
    """Return the lowest dispatch id of runs launched from this instant on."""
    return uuid.UUID(int=(int(instant.timestamp() * 1000) << 20) << 64)


def ensure(now: datetime) -> list[str]:
    """Make the partitions of this month and the next ones where they are missing; return the new names."""
    present = {name for (name,) in rows("SELECT relname FROM pg_class WHERE relispartition")}
    made = []
    month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(MONTHS_AHEAD + 1):
        following = (month + timedelta(days=32)).replace(day=1)
        for table in TABLES:
            name = f"{table}_{month:%Y_%m}"
            if name not in present:
                execute(
                    f"CREATE TABLE {name} PARTITION OF {table}"
                    f" FOR VALUES FROM ('{bound(month)}') TO ('{bound(following)}') WITH (fillfactor = 50,"
                    " autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02)"
                )
                made.append(name)
        month = following
    return made


def strays() -> dict[str, int]:
    """Return how many rows lie in each DEFAULT partition."""
    return {table: rows(f"SELECT count(*) FROM {table}_default")[0][0] for table in TABLES}
