"""Limits that only a claim can ask: of the account, the registration and the carrier a message goes to (R32).

What a claim takes stands on the message's permit beside what the caps took, and is given back when its flight was
not taken. Carriers are seldom known: of a number without one, a share of each segment counts (facts §3.5).
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.db.models import Q

from compliance import cap_windows
from compliance.cap_windows import MESSAGES, SHARES, Quota
from compliance.caps import Refusal
from compliance.data import carriers
from compliance.models import Limit
from smsplatform.common.database import execute


class Claiming(NamedTuple):
    """A message that is about to be claimed; `more` is how many segments its text has grown by since its permit."""

    dispatch_id: uuid.UUID
    number: str
    segments: int
    more: int = 0
    carrier: str | None = None  # the carrier's name, where somebody looked it up


class Route(NamedTuple):
    """Where a slice of messages goes."""

    tenant_id: int
    brand_id: int
    campaign_id: int | None
    account_id: int
    registration_id: int | None


# Whether the claim has to ask at all, for `x`, a row with the tenant: part of a statement that is sent anyway.
HAS_LIMITS = """EXISTS (
  SELECT 1 FROM compliance_limit l
  WHERE l.ended_at IS NULL AND l.period = 'day' AND (l.tenant_id IS NULL OR l.tenant_id = x.tenant_id)
    AND (l.unit = 'segments' OR l.subject IN ('account', 'registration')))"""


def quotas(route: Route, now: datetime) -> list[Quota]:
    """Return what limits a slice at its claim, and what a text that has grown takes more of. One statement."""
    claimed = {f"account:{route.account_id}", f"registration:{route.registration_id}", f"brand:{route.brand_id}"}
    reserved = {
        "platform",
        f"tenant:{route.tenant_id}",
        f"brand:{route.brand_id}",
        f"campaign:{route.campaign_id}",
    }
    found = Limit.objects.filter(
        Q(tenant=None) | Q(tenant=route.tenant_id), period=Limit.Period.DAY, ended_at=None
    ).order_by("id")
    return [
        cap_windows.of_limit(limit, now)
        for limit in found
        if (limit.is_of_claims and limit.holder in claimed) or (_grows(limit) and limit.holder in reserved)
    ]


def _grows(limit: Limit) -> bool:
    return not limit.is_of_claims and limit.unit == limit.Unit.SEGMENTS


def take(asked: Sequence[Quota], rows: Sequence[Claiming]) -> list[Refusal]:
    """Take what the rows need from each quota, by position, onto their permits; return those without room.

    The caller has locked the dispatches. Three statements.
    """
    if not asked or not rows:
        return []
    windows = cap_windows.opened(asked)
    granted, refused = cap_windows.fit(asked, windows, rows, _cost)
    most = cap_windows.amounts(asked)
    taken = [(row, {windows[key].id: need for key, need in needs.items() if need}) for row, needs in granted]
    taken = [(row, needs) for row, needs in taken if needs]
    execute(
        """
        WITH asked AS (
          SELECT * FROM unnest(%(ids)s::uuid[], %(windows)s::text[], %(charges)s::text[]) AS a(id, windows, charges)),
        permits AS (
          UPDATE compliance_permit p SET claim_windows = a.windows::bigint[], claim_charges = a.charges::bigint[]
          FROM asked a WHERE p.dispatch_id = a.id AND p.claim_windows IS NULL
          RETURNING p.claim_windows, p.claim_charges),
        taken AS (
          SELECT u.id, sum(u.n) AS n FROM permits p, unnest(p.claim_windows, p.claim_charges) AS u(id, n) GROUP BY u.id)
        UPDATE compliance_capwindow w SET used = w.used + coalesce(t.n, 0), amount = a.amount
        FROM unnest(%(all)s::bigint[], %(amounts)s::bigint[]) AS a(id, amount) LEFT JOIN taken t ON t.id = a.id
        WHERE w.id = a.id AND (t.n IS NOT NULL OR w.amount IS DISTINCT FROM a.amount)
        """,
        {
            "ids": [row.dispatch_id for row, _ in taken],
            "windows": [cap_windows.as_array(needs) for _, needs in taken],
            "charges": [cap_windows.as_array(needs.values()) for _, needs in taken],
            "all": [window.id for window in windows.values()],
            "amounts": [most[key] for key in windows],
        },
    )
    return [Refusal(row.dispatch_id, quota.rule, quota.key.ends_at, words) for row, quota, words in refused]


def _cost(quota: Quota, row: Claiming) -> int:
    holder = quota.key.holder.partition(":")[0]
    if quota.key.carrier:
        return max(row.segments, 1) * _share(row, quota.key.carrier)
    if holder not in ("account", "registration"):
        return row.more
    return 1 if quota.key.unit == MESSAGES else max(row.segments, 1)


def _share(row: Claiming, carrier: str) -> int:
    """Return how many hundredths of a segment count towards a carrier's limit."""
    known = carriers.group(row.carrier)
    if known:
        return SHARES if known == carrier else 0
    share: int = settings.UNKNOWN_CARRIER_SHARE
    return share if carriers.is_possible(row.number) else 0
