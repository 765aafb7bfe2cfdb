"""Windows of limits: stored instants with a counter, opened when first asked for, locked in the order of their ids.

A window is known by whose it is, its unit and carrier, and its two instants, which are computed here in the limit's own
zone: a day has 23, 24 or 25 hours (R33). Whoever changes counters locks the rows first, last of all that is locked.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from compliance import policy
from compliance.models import Limit
from compliance.policy import Fate, Rule
from compliance.quiet_hours import local_instant
from smsplatform.common.database import execute, rows
from smsplatform.tenancy.models import Brand

Row = TypeVar("Row")

MESSAGES: Final = "messages"
SHARES: Final = 100  # carriers are guessed, so their windows count in hundredths
_HOUR: Final = timedelta(hours=1)


class Key(NamedTuple):
    """What makes two limits share a counter."""

    holder: str
    starts_at: datetime
    ends_at: datetime
    unit: str
    carrier: str


class Open(NamedTuple):
    """A locked window: its id, and how much of it is used."""

    id: int
    used: int


@dataclass(frozen=True, slots=True)
class Quota:
    """So much in one window, by a rule; no amount: it is only counted."""

    key: Key
    tenant_id: int | None
    amount: int | None
    rule: Rule
    whose: str
    is_lasting: bool = True  # a permit from it is good until the window ends

    @property
    def most(self) -> int | None:
        """Return the amount as the window counts."""
        return self.amount * SHARES if self.amount is not None and self.key.carrier else self.amount

    def used_up(self, used: int) -> str:
        """Return for people how much is used, and when it goes on."""
        carrier = f" to {self.key.carrier}" if self.key.carrier else ""
        number = -(-used // SHARES) if self.key.carrier else used
        span = "today" if self.is_lasting else "this hour"
        return (
            f"{number:,} of {self.amount or 0:,} {self.key.unit}{carrier} {span} used ({self.whose}),"
            f" next at {self.key.ends_at:%F %H:%M} UTC"
        )


def day(zone: ZoneInfo, now: datetime) -> tuple[datetime, datetime]:
    """Return the instants between which it is the same date in the zone: 23, 24 or 25 hours apart."""
    midnight = datetime.combine(now.astimezone(zone).date(), time())
    return (
        local_instant(wall=midnight, zone=zone),
        local_instant(wall=midnight + timedelta(days=1), zone=zone),
    )


def of_brand(brand: Brand, now: datetime) -> Quota:
    """Return the brand's own day. It is counted without a cap, too, so that one set at noon knows the morning."""
    key = Key(f"brand:{brand.pk}", *day(ZoneInfo(brand.zone), now), MESSAGES, "")
    return Quota(key, brand.tenant_id, brand.daily_cap, policy.DAILY_CAP, "the brand's daily cap")


def of_hour(*, campaign_id: int, tenant_id: int, amount: int, now: datetime) -> Quota:
    """Return this clock hour of a campaign that is spread."""
    begins = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    key = Key(f"campaign:{campaign_id}", begins, begins + _HOUR, MESSAGES, "")
    return Quota(key, tenant_id, amount, policy.HOURLY_CAP, "the campaign is spread", is_lasting=False)


def of_limit(limit: Limit, now: datetime) -> Quota:
    """Return the day of a limit in its own zone."""
    key = Key(limit.holder, *day(ZoneInfo(limit.zone), now), limit.unit, limit.carrier)
    code = policy.CARRIER_CAP.code if limit.carrier else f"{limit.subject}_cap"
    whose = f"limit {limit.pk} of the {limit.subject}"
    return Quota(key, limit.tenant_id, limit.amount, Rule(code, Fate.HELD, limit.version), whose)


# One by one through the key's index.
_OF_KEYS: Final = """
  SELECT c.id FROM unnest(%s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::text[])
    AS w(subject, starts_at, ends_at, unit, carrier)
  JOIN compliance_capwindow c USING (subject, starts_at, ends_at, unit, carrier)"""


def opened(quotas: Sequence[Quota]) -> dict[Key, Open]:
    """Lock the windows of these quotas, making those that are new, and return them. Two statements."""
    columns = _made(quotas)
    # Whoever locks several, locks them in this order.
    found = rows(
        f"""
        SELECT x.subject, x.starts_at, x.ends_at, x.unit, x.carrier, x.id, x.used FROM compliance_capwindow x
        WHERE x.id = ANY (ARRAY({_OF_KEYS})) ORDER BY x.id FOR UPDATE
        """,
        columns,
    )
    return {Key(*key): Open(id_, used) for *key, id_, used in found}


def lock(quotas: Sequence[Quota], dispatch_ids: Sequence[uuid.UUID]) -> None:
    """Lock the windows of these quotas and those that the dispatches' permits took from, all in the one order.

    For who gives back first and takes then. Two statements.
    """
    columns = _made(quotas)
    rows(
        f"""
        SELECT x.id FROM compliance_capwindow x
        WHERE x.id = ANY (ARRAY({_OF_KEYS}
          UNION SELECT unnest(p.windows || coalesce(p.claim_windows, '{{}}')) FROM compliance_permit p
            WHERE p.dispatch_id = ANY(%s)))
        ORDER BY x.id FOR UPDATE
        """,
        [*columns, list(dispatch_ids)],
    )


def _made(quotas: Sequence[Quota]) -> list[list[Any]]:
    """Make those of the quotas' windows that are new; return the columns of their keys, in order."""
    wanted = sorted({quota.key: quota.tenant_id for quota in quotas}.items())
    columns = [list(column) for column in zip(*(key for key, _ in wanted), strict=True)]
    execute(
        """
        INSERT INTO compliance_capwindow (tenant_id, subject, starts_at, ends_at, unit, carrier, used)
        SELECT w.tenant_id, w.subject, w.starts_at, w.ends_at, w.unit, w.carrier, 0
        FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::text[])
          WITH ORDINALITY AS w(tenant_id, subject, starts_at, ends_at, unit, carrier, place)
        ORDER BY w.place ON CONFLICT (subject, starts_at, ends_at, unit, carrier) DO NOTHING
        """,
        [[tenant_id for _, tenant_id in wanted], *columns],
    )
    return columns


def fit(
    quotas: Sequence[Quota],
    windows: Mapping[Key, Open],
    asking: Sequence[Row],
    cost: Callable[[Quota, Row], int],
) -> tuple[list[tuple[Row, dict[Key, int]]], list[tuple[Row, Quota, str]]]:
    """Grant rows by position while each quota has room; of those that stop a row, the longest is named.

    Returns (row, what it takes from each window) and (row, quota, words).
    """
    used = {key: window.used for key, window in windows.items()}
    granted: list[tuple[Row, dict[Key, int]]] = []
    refused: list[tuple[Row, Quota, str]] = []
    for row in asking:
        needs = {quota.key: cost(quota, row) for quota in quotas}
        broken = _broken(quotas, used, needs)
        if broken is not None:
            refused.append((row, broken, broken.used_up(used[broken.key])))
            continue
        for key, need in needs.items():
            used[key] += need
        granted.append((row, needs))
    return granted, refused


def fit_one_each(
    quotas: Sequence[Quota], windows: Mapping[Key, Open], asking: Sequence[Row]
) -> tuple[list[tuple[Row, dict[Key, int]]], list[tuple[Row, Quota, str]]]:
    """As `fit`, where each row takes one from each window: the first so many, and no row is looked at."""
    needs = {quota.key: 1 for quota in quotas}
    rooms = [quota.most - windows[quota.key].used for quota in quotas if quota.most is not None]
    room = max(min(rooms, default=len(asking)), 0)
    granted = [(row, needs) for row in asking[:room]]
    if room >= len(asking):
        return granted, []
    used = {key: window.used + room for key, window in windows.items()}
    broken = _broken(quotas, used, needs)
    assert broken is not None, "somebody had no room"  # noqa: S101
    words = broken.used_up(used[broken.key])
    return granted, [(row, broken, words) for row in asking[room:]]


def _broken(quotas: Sequence[Quota], used: Mapping[Key, int], needs: Mapping[Key, int]) -> Quota | None:
    """Return which quota has no room for this much; of several the one whose window ends last."""
    full = [quota for quota in quotas if _is_over(quota, used[quota.key], needs[quota.key])]
    return max(full, key=lambda quota: quota.key.ends_at, default=None)


def _is_over(quota: Quota, used: int, need: int) -> bool:
    return need > 0 and quota.most is not None and used + need > quota.most


def amounts(quotas: Iterable[Quota]) -> dict[Key, int | None]:
    """Return the strictest amount of each window, as it counts."""
    found: dict[Key, int | None] = {}
    for quota in quotas:
        known = [most for most in (found.get(quota.key), quota.most) if most is not None]
        found[quota.key] = min(known, default=None)
    return found


def as_array(values: Iterable[int]) -> str:
    """Return numbers as the text of an array: one element of a column of arrays."""
    return "{" + ",".join(map(str, values)) + "}"
