"""Limits on counts: how permits are reserved, given back, and counted by their accept time.

A permit is a row; a return is its deletion; counters change by what was really inserted or deleted, in the same
transaction (R26). Nothing here is ever checked without being reserved. Person, brand, tenant, campaign and platform are
asked in `reserve`; account, registration and carrier, which only the claim knows, in `claim_caps`.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from compliance import cap_windows, limit_rules
from compliance.cap_windows import MESSAGES, Quota
from compliance.limit_rules import PersonRule
from compliance.models import Limit
from compliance.policy import Category, Rule
from smsplatform.common.database import execute, rows
from smsplatform.tenancy.models import Brand


class Asking(NamedTuple):
    """A dispatch that asks for a permit; `place` is the zones key of its person."""

    dispatch_id: uuid.UUID
    number: str
    segments: int = 1
    place: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """A permit for one dispatch; it is good until the end of the shortest window it was taken from."""

    dispatch_id: uuid.UUID
    good_until: datetime | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """No permit, by which rule, and when to ask again. `detail` is for people."""

    dispatch_id: uuid.UUID
    rule: Rule
    until: datetime
    detail: str


def reserve(
    *,
    brand: Brand,
    category: Category,
    asking: Sequence[Asking],
    now: datetime,
    campaign_id: int | None = None,
    per_hour: int | None = None,
) -> list[Grant | Refusal]:
    """Take a permit for each that the caps allow, in the order given; `per_hour` is of a campaign that is spread.

    The caller holds the locks of these persons, so their permits do not change meanwhile; the windows are locked
    here, last, so any number of batches may ask at once. Five statements, whatever the number of rows and limits.
    """
    limits = limit_rules.live(brand)
    decisions: list[Grant | Refusal] = []
    allowed = list(asking)
    if category.has_person_cap:
        allowed, tired = _by_person(brand, limit_rules.person_rules(brand, limits), allowed, now)
        decisions += tired
    limited = quotas(brand=brand, limits=limits, now=now, campaign_id=campaign_id, per_hour=per_hour)
    windows = cap_windows.opened(limited)
    # What is never refused is counted like all others.
    asked = limited if category.has_daily_cap else [replace(quota, amount=None) for quota in limited]
    keys = list(windows)
    is_one_each = all(key.unit == MESSAGES for key in keys)
    if is_one_each:
        granted, refused = cap_windows.fit_one_each(asked, windows, allowed)
    else:
        granted, refused = cap_windows.fit(asked, windows, allowed, _cost)
    decisions += [Refusal(row.dispatch_id, quota.rule, quota.key.ends_at, words) for row, quota, words in refused]
    most = cap_windows.amounts(limited)
    execute(
        """
        WITH asked AS (
          SELECT * FROM unnest(%(ids)s::uuid[], %(numbers)s::text[], %(charges)s::text[]) AS a(id, number, charges)),
        permits AS (
          INSERT INTO compliance_permit
            (dispatch_id, tenant_id, brand_id, number, is_person_capped, windows, charges, over_cap)
          SELECT a.id, %(tenant)s, %(brand)s, a.number, %(capped)s, %(windows)s::bigint[], a.charges::bigint[], false
          FROM asked a
          ON CONFLICT (dispatch_id) DO NOTHING RETURNING windows, charges),
        taken AS (
          SELECT u.id, sum(coalesce(u.n, 1)) AS n FROM permits p, unnest(p.windows, p.charges) AS u(id, n) GROUP BY u.id)
        UPDATE compliance_capwindow w SET used = w.used + coalesce(t.n, 0), amount = a.amount
        FROM unnest(%(windows)s::bigint[], %(amounts)s::bigint[]) AS a(id, amount) LEFT JOIN taken t ON t.id = a.id
        WHERE w.id = a.id AND (t.n IS NOT NULL OR w.amount IS DISTINCT FROM a.amount)
        """,
        {
            "ids": [row.dispatch_id for row, _ in granted],
            "numbers": [row.number for row, _ in granted],
            "charges": [
                None if is_one_each else cap_windows.as_array([needs[key] for key in keys]) for _, needs in granted
            ],
            "tenant": brand.tenant_id,
            "brand": brand.pk,
            "capped": category.has_person_cap,
            "windows": [windows[key].id for key in keys],
            "amounts": [most[key] for key in keys],
        },
    )
    good_until = min(
        (quota.key.ends_at for quota in limited if quota.amount is not None and quota.is_lasting), default=None
    )
    decisions += [Grant(row.dispatch_id, good_until) for row, _ in granted]
    return decisions


def quotas(
    *, brand: Brand, limits: Iterable[Limit], now: datetime, campaign_id: int | None, per_hour: int | None
) -> list[Quota]:
    """Return what limits the brand's messages at this instant, whoever they are for; of `limits`, those that do."""
    found = [cap_windows.of_brand(brand, now)]
    holders = {"platform", f"tenant:{brand.tenant_id}", f"brand:{brand.pk}", f"campaign:{campaign_id}"}
    found += [
        cap_windows.of_limit(limit, now)
        for limit in limits
        if limit.period == "day" and limit.holder in holders and not limit.is_of_claims
    ]
    if campaign_id is not None and per_hour is not None:
        found.append(cap_windows.of_hour(campaign_id=campaign_id, tenant_id=brand.tenant_id, amount=per_hour, now=now))
    return found


def _cost(quota: Quota, row: Asking) -> int:
    return 1 if quota.key.unit == MESSAGES else max(row.segments, 1)


# -- persons --------------------------------------------------------------------------------------------------------


def _by_person(
    brand: Brand, rules: Sequence[PersonRule], asking: Sequence[Asking], now: datetime
) -> tuple[list[Asking], list[Grant | Refusal]]:
    """Return those whom every rule allows one more, and the refusals of the others. One statement."""
    longest = max(limit_rules.LONGEST_OF_STATES, *(rule.span for rule in rules))
    spent = _spent(brand, [row.number for row in asking], longest, now)
    nobody = any(rule.amount == 0 for rule in rules)
    allowed: list[Asking] = []
    refused: list[Grant | Refusal] = []
    for row in asking:
        times = spent.get(row.number, [])
        if not times and not nobody:  # nearly everybody
            allowed.append(row)
            continue
        # The law comes first, so that of equal holds it is the one that is named.
        broken = _broken((*limit_rules.state_rules(row.number, row.place, now), *rules), times, now)
        if broken is None:
            allowed.append(row)
        else:
            rule, used, until = broken
            refused.append(Refusal(row.dispatch_id, rule.rule, until, told(rule, used, until)))
    return allowed, refused


def _broken(
    rules: Sequence[PersonRule], times: Sequence[datetime], now: datetime
) -> tuple[PersonRule, int, datetime] | None:
    """Return the rule that holds longest, of those that allow no more, with how much is used and until when."""
    worst: tuple[PersonRule, int, datetime] | None = None
    for rule in rules:
        recent = [at for at in times if at > now - rule.span]
        if len(recent) < rule.amount:
            continue
        until = recent[len(recent) - rule.amount] + rule.span if rule.amount else now + rule.span
        if worst is None or until > worst[2]:
            worst = rule, len(recent), until
    return worst


def told(rule: PersonRule, used: int, until: datetime) -> str:
    """Return for people how much of a person's rule is used, and when it goes on."""
    return f"{used} of {rule.amount} in {rule.hours} h used ({rule.source}), next at {until:%F %H:%M} UTC"


def _spent(brand: Brand, numbers: Sequence[str], span: timedelta, now: datetime) -> dict[str, list[datetime]]:
    """Return, per number, the times of its counted permits within the rolling window, oldest first."""
    return dict(
        rows(
            """
            SELECT number, array_agg(coalesce(at, %(now)s) ORDER BY coalesce(at, %(now)s))
            FROM compliance_permit
            WHERE brand_id = %(brand)s AND number = ANY(%(numbers)s) AND is_person_capped
              AND coalesce(at, %(now)s) > %(now)s - %(span)s
            GROUP BY number
            """,
            {"now": now, "brand": brand.pk, "numbers": list(numbers), "span": span},
        )
    )


# The fragments below are parts of the product's move statement; `moved` is its list of rows. No two of them may touch
# one permit or one window in one statement: Postgres would silently do only one of the two. Windows are locked in the
# order of their ids, like everywhere.

_RETURNED: Final = """
 returned AS (
   DELETE FROM compliance_permit p USING moved m
   WHERE p.dispatch_id = m.id AND NOT m.state = ANY(%(permit_states)s)
   RETURNING p.windows, p.charges, p.claim_windows, p.claim_charges)"""

_REFUND: Final = """
 owed AS (
   SELECT u.id, sum(coalesce(u.n, 1)) AS n FROM ({owed}) r, unnest(r.windows, r.charges) AS u(id, n) GROUP BY u.id),
 locked AS (
   SELECT id FROM compliance_capwindow WHERE id = ANY (ARRAY(SELECT id FROM owed)) ORDER BY id FOR UPDATE),
 refunded AS (
   UPDATE compliance_capwindow w SET used = w.used - o.n FROM owed o JOIN locked l ON l.id = o.id WHERE w.id = o.id)"""

_OWED: Final = "SELECT windows, charges FROM returned UNION ALL SELECT claim_windows, claim_charges FROM returned"

GIVE_BACK: Final = f"{_RETURNED},{_REFUND.format(owed=_OWED)}"

# Of a flight that was not taken, and whose message is ready again: another account may be next (R32).
GIVE_BACK_OF_CLAIM: Final = f"""{_RETURNED},
 unclaimed AS (
   UPDATE compliance_permit p SET claim_windows = NULL, claim_charges = NULL
   FROM moved m JOIN compliance_permit o ON o.dispatch_id = m.id
   WHERE p.dispatch_id = m.id AND m.state = 'ready' AND o.claim_windows IS NOT NULL
   RETURNING o.claim_windows AS windows, o.claim_charges AS charges),
 {_REFUND.format(owed=f"{_OWED} UNION ALL SELECT windows, charges FROM unclaimed")}"""

SPEND: Final = """
 spent AS (
   UPDATE compliance_permit p SET at = m.at FROM moved m
   WHERE p.dispatch_id = m.id AND m.state = ANY(%(spent_states)s))"""

TAKE_ON_PROOF: Final = """
 proven AS (
   SELECT m.*, p.dispatch_id IS NULL AS has_none FROM moved m LEFT JOIN compliance_permit p ON p.dispatch_id = m.id),
 dated AS (
   UPDATE compliance_permit p SET at = m.at FROM proven m
   WHERE p.dispatch_id = m.id AND NOT m.has_none AND p.at IS NULL),
 taken AS (
   INSERT INTO compliance_permit AS p
     (dispatch_id, tenant_id, brand_id, number, is_person_capped, windows, charges, at, over_cap)
   SELECT m.id, m.tenant_id, m.brand_id, m.number, m.is_person_capped, coalesce(w.ids, '{}'), w.charges, m.at, true
   FROM proven m CROSS JOIN LATERAL (
     SELECT array_agg(c.id ORDER BY c.id) AS ids, array_agg(
       CASE WHEN c.carrier <> '' THEN greatest(m.segments, 1) * %(carrier_share)s
            WHEN c.unit = 'segments' THEN greatest(m.segments, 1) ELSE 1 END ORDER BY c.id) AS charges
     FROM compliance_capwindow c
     WHERE c.subject = ANY (ARRAY['platform', 'tenant:' || m.tenant_id, 'brand:' || m.brand_id,
         'campaign:' || m.campaign_id, 'account:' || m.account_id])
       AND c.starts_at <= m.at AND m.at < c.ends_at) w
   WHERE m.has_none
   ON CONFLICT (dispatch_id) DO UPDATE SET at = coalesce(p.at, excluded.at)
   RETURNING p.windows, p.charges, xmax = 0 AS is_new),
 due AS (
   SELECT u.id, sum(coalesce(u.n, 1)) AS n FROM taken t, unnest(t.windows, t.charges) AS u(id, n)
   WHERE t.is_new GROUP BY u.id),
 locked AS (
   SELECT id FROM compliance_capwindow WHERE id = ANY (ARRAY(SELECT id FROM due)) ORDER BY id FOR UPDATE),
 charged AS (
   UPDATE compliance_capwindow w SET used = w.used + d.n FROM due d JOIN locked l ON l.id = d.id WHERE w.id = d.id)"""


class Wrong(NamedTuple):
    """A window whose counter is not what its permits took."""

    subject: str
    starts_at: datetime
    counter: int
    permits: int


def audit() -> list[Wrong]:
    """Count every window again from the permits, in its own unit, and return those that are wrong."""
    return [
        Wrong(*found)
        for found in rows(
            """
            WITH named AS (
              SELECT windows, charges FROM compliance_permit
              UNION ALL SELECT claim_windows, claim_charges FROM compliance_permit WHERE claim_windows IS NOT NULL),
            counted AS (
              SELECT u.id, sum(coalesce(u.n, 1))::bigint AS n FROM named p, unnest(p.windows, p.charges) AS u(id, n)
              GROUP BY u.id)
            SELECT concat_ws(' ', w.subject, nullif(w.unit, 'messages'), nullif(w.carrier, '')), w.starts_at, w.used,
              coalesce(c.n, 0)
            FROM compliance_capwindow w LEFT JOIN counted c ON c.id = w.id
            WHERE w.used <> coalesce(c.n, 0) ORDER BY w.id
            """
        )
    ]
