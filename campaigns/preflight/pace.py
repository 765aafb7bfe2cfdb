"""How fast it would go, and when the people of each zone are through: by the rates of the accounts, as they are today.

An estimate, of nothing else on its way: messages in order of their time, at the sum of the rates, until the hours end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf, isfinite
from typing import Final

from campaigns.preflight import looks
from campaigns.preflight.looks import Hours, Turn
from providers.routing import Channel, Routes

_SHARE: Final = 0.95  # of the rates, as the throttle takes it


@dataclass
class Finish:
    """When a zone's people are texted; `unreached` are those whose hours end, or who expire, before it is their turn."""

    zones: str
    people: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    unreached: int = 0


def first_choices(routes: Routes, number: str) -> list[Channel]:
    """Return the channels that share the people of this number's country, while all is well."""
    order = [channel for channel in routes.order(number) if channel.is_well] or list(routes.order(number))
    return [channel for channel in order if channel.position == order[0].position]


def shares(channels: Sequence[Channel]) -> dict[int, float]:
    """Return each account's share of the people."""
    everything = sum(channel.weight for channel in channels)
    found: dict[int, float] = {}
    for channel in channels:
        found[channel.account_id] = found.get(channel.account_id, 0.0) + channel.weight / everything
    return found


def rate(channels: Sequence[Channel]) -> float:
    """Return the segments a second that these give together: no account, registration or sender beyond its limit."""
    accounts: dict[int, float] = {}
    registrations: dict[int, float] = {}
    for channel in channels:
        own = channel.sender_rate or inf
        if channel.registration_id is not None and channel.registration_rate:
            free = registrations.setdefault(channel.registration_id, channel.registration_rate)
            own = min(own, free)
            registrations[channel.registration_id] = free - own
        limit = channel.limits.segments_per_second or inf
        accounts[channel.account_id] = min(accounts.get(channel.account_id, 0.0) + own, limit)
    return sum(accounts.values()) * _SHARE


def finishes(hours: Hours, turns: Iterable[Turn], *, segments_each: float, per_second: float) -> list[Finish]:
    """Return when each zone's people are through."""
    found: dict[str, Finish] = {}
    seconds_each = segments_each / per_second if per_second and isfinite(per_second) else 0.0
    order = count()
    waiting = [(turn.at, next(order), turn) for turn in turns]
    heapify(waiting)
    free_at: datetime | None = None
    for turn in (each for _, _, each in waiting):
        found.setdefault(_zones(turn), Finish(_zones(turn))).people += turn.people
    while waiting:
        at, _, turn = heappop(waiting)
        finish, begins = found[_zones(turn)], max(at, free_at or at)
        opens = looks.again(hours, turn.zones, turn.expires_at, begins).at
        if opens is None:
            finish.unreached += turn.people
            continue
        if opens > begins:
            heappush(waiting, (opens, next(order), turn))
            continue
        window = hours.window(turn.zones, opens)
        closes = min(turn.expires_at, window.until) if window is not None and window.until else turn.expires_at
        room = int((closes - opens).total_seconds() / seconds_each) if seconds_each else turn.people
        taken = min(turn.people, room)
        if taken:
            free_at = opens + timedelta(seconds=taken * seconds_each)
            finish.first_at = min(finish.first_at or opens, opens)
            finish.last_at = max(finish.last_at or free_at, free_at)
        if taken < turn.people:
            heappush(waiting, (closes, next(order), replace(turn, people=turn.people - taken)))
    return sorted(found.values(), key=lambda each: (each.first_at is None, each.first_at, each.zones))


def _zones(turn: Turn) -> str:
    """Return the zones of a place key, whatever law holds there."""
    return turn.zones.partition(";")[0]
