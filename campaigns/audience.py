"""Whom a run is for: the people of its lists, minus those of others, met in the order of their ids."""

from dataclasses import dataclass
from datetime import UTC, datetime

from campaigns.models import Run
from smsplatform.common.database import rows


@dataclass(frozen=True, slots=True)
class Person:
    """One recipient at the moment of launch."""

    id: int
    number: str
    zones: str
    own_time: datetime | None = None


def people(run: Run, *, after: int, limit: int) -> list[Person]:
    """Return the next people after this recipient id, each once, however many of the lists they are on."""
    plan = run.plan
    own_time = "NULL"
    if plan["schedule"] == "field":
        own_time = "r.fields ->> %(field)s" if plan["time_field"] else "r.send_at"
    found = rows(
        f"""
        SELECT r.id, r.number, r.zones, {own_time} FROM campaigns_recipient r
        WHERE r.tenant_id = %(tenant)s AND r.id > %(after)s
          AND EXISTS (SELECT 1 FROM campaigns_listmember m WHERE m.recipient_id = r.id AND m.list_id = ANY(%(lists)s))
          AND NOT EXISTS (SELECT 1 FROM campaigns_listmember m WHERE m.recipient_id = r.id AND m.list_id = ANY(%(minus)s))
        ORDER BY r.id LIMIT %(limit)s
        """,
        {
            "tenant": run.tenant_id,
            "after": after,
            "lists": plan["lists"],
            "minus": plan["minus_lists"],
            "field": plan["time_field"],
            "limit": limit,
        },
    )
    return [Person(id_, number, zones, _instant(own)) for id_, number, zones, own in found]


def count(run: Run) -> int:
    """Return how many people the run is for."""
    [(number,)] = rows(
        """
        SELECT count(DISTINCT m.recipient_id) FROM campaigns_listmember m
        WHERE m.list_id = ANY(%(lists)s) AND NOT EXISTS (
          SELECT 1 FROM campaigns_listmember x WHERE x.recipient_id = m.recipient_id AND x.list_id = ANY(%(minus)s))
        """,
        {"lists": run.plan["lists"], "minus": run.plan["minus_lists"]},
    )
    return int(number)


def _instant(value: datetime | str | None) -> datetime | None:
    """Return the person's own time; a text that is no ISO 8601 instant with an offset counts as none."""
    if value is None or isinstance(value, datetime):
        return value
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else None
