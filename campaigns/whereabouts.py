"""Where a stored person may be, worked out again from everything the row tells: number, own zone, ZIP code, state, country.

Imports do the same from the cells of a file. Working out again never forgets: a zone that was told stays, and states only
add up. Used by the admin, and by `manage.py locate_recipients` for rows from before states were kept.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings

from campaigns.models import Dispatch, Recipient
from compliance import hours, place
from compliance.place import Place, ZoneSource
from compliance.policy import Category
from smsplatform.common import database
from smsplatform.common.database import execute, rows
from smsplatform.tenancy.models import Brand, Tenant

_WORTH: Final = {source.value: worth for worth, source in enumerate(ZoneSource)}


@dataclass(frozen=True, slots=True)
class Located:
    """A place key and what its zones and states came from, as a row stores them."""

    zones: str
    zone_source: str
    state_source: str


def of(*, number: str, fields: Mapping[str, Any], zone: str = "") -> Place:
    """Return the place of a person by the number, the fields that imports keep, and an own zone if one is known."""

    def told(name: str) -> str:
        value = fields.get(name, "")
        return value if isinstance(value, str) else ""

    return place.locate(
        number=number,
        explicit_zone=zone,
        postal_code=told("postal_code"),
        state=told("state"),
        country=told("country"),
    )


def again(*, number: str, fields: Mapping[str, Any], stored: Located) -> Located:
    """Return the place of a stored person as it is worked out today, without forgetting what is known better."""
    found = of(number=number, fields=fields)
    zones, _, states = stored.zones.partition(";")
    keeps_zones = bool(zones) and _WORTH[stored.zone_source] < _WORTH[found.source]
    keeps_states = bool(states) and _WORTH[stored.state_source] < _WORTH[found.state_source]
    if not found.key and not keeps_zones and not keeps_states:
        return Located("", found.source.value, found.state_source.value)
    named = {*found.states.split("|"), *(states.split("|") if keeps_states else ())}
    return Located(
        f"{zones if keeps_zones else found.zones};{place.zones_key(named)}",
        stored.zone_source if keeps_zones else found.source.value,
        stored.state_source if keeps_states else found.state_source.value,
    )


@dataclass(frozen=True, slots=True)
class Told:
    """Where a person may be, how that is known, and whether a text may go now: for whoever asks why."""

    words: str
    zone_source: str
    state_source: str
    answer: hours.Answer


def told_of(*, person: Recipient, category: str, brand: Brand) -> Told:
    """Return it for a person and a brand."""
    return Told(
        hours.place_in_words(person.zones),
        person.zone_source,
        person.state_source,
        _answer(person.zones, category, brand),
    )


def told(*, dispatch: Dispatch, category: str, brand: Brand) -> Told:
    """Return it for the person of a message; of a message without a recipient the number is all there is."""
    person = Recipient.objects.filter(pk=dispatch.recipient_id).first() if dispatch.recipient_id else None
    if person is not None:
        return told_of(person=person, category=category, brand=brand)
    found = place.locate(number=dispatch.number)
    answer = _answer(dispatch.zones, category, brand)
    return Told(hours.place_in_words(dispatch.zones), found.source.value, found.state_source.value, answer)


def _answer(key: str, category: str, brand: Brand) -> hours.Answer:
    now = database.now()
    terms = hours.terms(brand=brand, category=Category(category), now=now)
    return hours.answer(key=key, terms=terms, now=now, guard=settings.QUIET_GUARD)


@dataclass(frozen=True, slots=True)
class Turn:
    """One page of `locate_all`: how many rows were looked at and changed, and the last id."""

    looked: int
    changed: int
    last: int


def locate_page(*, tenant: Tenant | None, after: int, most: int, everybody: bool, is_dry: bool) -> Turn | None:
    """Work out the places of the next people; None when there are no more. Two statements.

    Looks at rows whose states are not known, or at all of them. A row that changes meanwhile is left to whoever changed it.
    """
    found = rows(
        """
        SELECT id, number, fields, zones, zone_source, state_source FROM campaigns_recipient
        WHERE id > %(after)s AND (%(tenant)s::bigint IS NULL OR tenant_id = %(tenant)s)
          AND (%(everybody)s OR (zones <> '' AND position(';' IN zones) = 0))
        ORDER BY id LIMIT %(most)s
        """,
        {"after": after, "tenant": tenant.pk if tenant else None, "everybody": everybody, "most": most},
    )
    if not found:
        return None
    changed = []
    for id_, number, fields, *stored in found:
        was = Located(*stored)
        now = again(number=number, fields=_read(fields), stored=was)
        if now != was:
            changed.append((id_, was, now))
    if changed and not is_dry:
        _store(changed)
    return Turn(len(found), len(changed), found[-1][0])


def _store(changed: Sequence[tuple[int, Located, Located]]) -> None:
    execute(
        """
        UPDATE campaigns_recipient r SET zones = g.zones, zone_source = g.zone_source, state_source = g.state_source
        FROM unnest(%(ids)s::bigint[], %(was)s::text[], %(zones)s::text[], %(sources)s::text[], %(states)s::text[])
          AS g(id, was, zones, zone_source, state_source)
        WHERE r.id = g.id AND r.zones = g.was
        """,
        {
            "ids": [id_ for id_, _, _ in changed],
            "was": [was.zones for _, was, _ in changed],
            "zones": [now.zones for _, _, now in changed],
            "sources": [now.zone_source for _, _, now in changed],
            "states": [now.state_source for _, _, now in changed],
        },
    )


def _read(fields: str | Mapping[str, Any] | None) -> Mapping[str, Any]:
    return json.loads(fields) if isinstance(fields, str) else fields or {}
