"""Whom a run is for: the people of its lists, minus those of others, met in the order of their ids."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from campaigns.models import Campaign, Run
from smsplatform.common.database import rows

# One by one through the key, which OFFSET has the planner do. A list that has just been imported has no rows for its
# statistics: it would compare all members of one list with all of the other, hours for some 100,000.
_NOT_ON_THE_OTHERS: Final = """NOT EXISTS (
 SELECT 1 FROM campaigns_listmember x WHERE x.recipient_id = m.recipient_id AND x.list_id = ANY(%(minus)s) OFFSET 0)"""


@dataclass(frozen=True, slots=True)
class Person:
    """One recipient at the moment of launch."""

    id: int
    number: str
    zones: str
    own_time: datetime | None = None


def people(run: Run, *, after: int, limit: int) -> list[Person]:
    """Return the next people after this recipient id, each once, however many of the lists they are on."""
    found = rows(
        f"""
        SELECT r.id, r.number, r.zones, {own_time(run)}
        FROM (
          SELECT DISTINCT p.id FROM unnest(%(lists)s::bigint[]) AS l(id) CROSS JOIN LATERAL (
            SELECT m.recipient_id AS id FROM campaigns_listmember m
            WHERE m.list_id = l.id AND m.recipient_id > %(after)s AND {_NOT_ON_THE_OTHERS}
            ORDER BY m.recipient_id LIMIT %(limit)s) p
          ORDER BY p.id LIMIT %(limit)s) a
        JOIN campaigns_recipient r ON r.id = a.id WHERE r.tenant_id = %(tenant)s ORDER BY r.id
        """,
        {**parameters(run), "after": after, "limit": limit},
    )
    return [Person(id_, number, zones, instant(own)) for id_, number, zones, own in found]


def between(joined: str = "") -> str:
    """Return FROM and WHERE of the people `r` of a range of recipient ids, found through the lists: no others are read."""
    return f"""
 FROM (SELECT DISTINCT m.recipient_id AS id FROM campaigns_listmember m
       WHERE m.list_id = ANY(%(lists)s) AND m.recipient_id > %(after)s AND m.recipient_id <= %(upto)s
         AND {_NOT_ON_THE_OTHERS}) a
   JOIN campaigns_recipient r ON r.id = a.id AND r.id > %(after)s AND r.id <= %(upto)s {joined}
 WHERE r.tenant_id = %(tenant)s"""


def own_time(run: Run) -> str:
    """Return the expression of a recipient's own time, for a run whose schedule knows one."""
    if run.plan["schedule"] != Campaign.Schedule.FIELD:
        return "NULL"
    return "r.fields ->> %(field)s" if run.plan["time_field"] else "r.send_at"


def parameters(run: Run) -> dict[str, Any]:
    """Return what whoever asks for the run's people tells the database."""
    return {
        "tenant": run.tenant_id,
        "lists": run.plan["lists"],
        "minus": run.plan["minus_lists"],
        "field": run.plan["time_field"],
    }


def count(run: Run) -> int:
    """Return how many people the run is for."""
    return _count(run.plan["lists"], run.plan["minus_lists"])


def count_of(campaign: Campaign) -> int:
    """Return how many people a launch of the campaign would be for now."""
    return _count(
        list(campaign.lists.values_list("id", flat=True)), list(campaign.minus_lists.values_list("id", flat=True))
    )


def _count(lists: Collection[int], minus: Collection[int]) -> int:
    [(number,)] = rows(
        f"""
        SELECT count(DISTINCT m.recipient_id) FROM campaigns_listmember m
        WHERE m.list_id = ANY(%(lists)s) AND {_NOT_ON_THE_OTHERS}
        """,
        {"lists": list(lists), "minus": list(minus)},
    )
    return int(number)


def instant(value: datetime | str | None) -> datetime | None:
    """Return the person's own time; a text that is no ISO 8601 instant with an offset counts as none."""
    if value is None or isinstance(value, datetime):
        return value
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else None
