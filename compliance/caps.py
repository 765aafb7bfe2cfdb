"""Limits on counts: how permits are reserved, given back, and counted by their accept time.

A permit is a row; a return is its deletion; counters change by what was really inserted or deleted, in the same
transaction (R26). Nothing here is ever checked without being reserved.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from compliance import policy
from compliance.policy import Category, Rule
from compliance.quiet_hours import local_instant
from smsplatform.common.database import execute, rows
from smsplatform.tenancy.models import Brand


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
    *, brand: Brand, category: Category, asking: Sequence[tuple[uuid.UUID, str]], now: datetime
) -> list[Grant | Refusal]:
    """Take a permit for each (dispatch, number) that the caps allow, in the order given.

    The caller holds the locks of these persons, so their permits do not change meanwhile; the brand's window row is
    locked here, last, so any number of batches may ask at once. Four statements, whatever the number of rows.
    """
    decisions: list[Grant | Refusal] = []
    spent = _spent(brand, [number for _, number in asking], now) if category.has_person_cap else {}
    allowed: list[tuple[uuid.UUID, str]] = []
    for dispatch_id, number in asking:
        times = spent.get(number, [])
        if len(times) >= brand.person_cap:
            frees_at = times[len(times) - brand.person_cap] + timedelta(hours=brand.person_cap_hours)
            detail = f"{len(times)} of {brand.person_cap} in {brand.person_cap_hours} h used"
            decisions.append(Refusal(dispatch_id, policy.PERSON_CAP, frees_at, detail))
        else:
            allowed.append((dispatch_id, number))
    window, room, ends_at = _window(brand, now)
    for dispatch_id, _ in allowed[room:]:
        detail = f"{brand.daily_cap} of {brand.daily_cap} today used"
        decisions.append(Refusal(dispatch_id, policy.DAILY_CAP, ends_at, detail))
    allowed = allowed[:room]
    taken = execute(
        """
        WITH asked AS (SELECT * FROM unnest(%(ids)s::uuid[], %(numbers)s::text[]) AS a(id, number)),
        permits AS (
          INSERT INTO compliance_permit (dispatch_id, tenant_id, brand_id, number, is_person_capped, windows, over_cap)
          SELECT a.id, %(tenant)s, %(brand)s, a.number, %(capped)s, %(windows)s::bigint[], false FROM asked a
          ON CONFLICT (dispatch_id) DO NOTHING RETURNING 1)
        UPDATE compliance_capwindow w SET used = used + (SELECT count(*) FROM permits) WHERE w.id = %(window)s
        """,
        {
            "ids": [dispatch_id for dispatch_id, _ in allowed],
            "numbers": [number for _, number in allowed],
            "tenant": brand.tenant_id,
            "brand": brand.pk,
            "capped": category.has_person_cap,
            "windows": [window],
            "window": window,
        },
    )
    assert taken == 1, "the window row was locked in this transaction"  # noqa: S101
    good_until = ends_at if brand.daily_cap is not None else None
    decisions += [Grant(dispatch_id, good_until) for dispatch_id, _ in allowed]
    return decisions


def _spent(brand: Brand, numbers: Sequence[str], now: datetime) -> dict[str, list[datetime]]:
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
            {
                "now": now,
                "brand": brand.pk,
                "numbers": list(numbers),
                "span": timedelta(hours=brand.person_cap_hours),
            },
        )
    )


def _window(brand: Brand, now: datetime) -> tuple[int, int, datetime]:
    """Lock the brand's window of this day in its own zone; return its id, the room left, and its end."""
    starts_at, ends_at = _day(ZoneInfo(brand.zone), now)
    subject = f"brand:{brand.pk}"
    execute(
        """
        INSERT INTO compliance_capwindow (tenant_id, subject, starts_at, ends_at, used)
        VALUES (%s, %s, %s, %s, 0) ON CONFLICT (subject, starts_at) DO NOTHING
        """,
        [brand.tenant_id, subject, starts_at, ends_at],
    )
    [(window, used)] = rows(
        "SELECT id, used FROM compliance_capwindow WHERE subject = %s AND starts_at = %s FOR UPDATE",
        [subject, starts_at],
    )
    unlimited = 2**31
    return window, max(brand.daily_cap - used, 0) if brand.daily_cap is not None else unlimited, ends_at


def _day(zone: ZoneInfo, now: datetime) -> tuple[datetime, datetime]:
    """Return the instants between which it is the same date in the zone: 23, 24 or 25 hours apart."""
    midnight = datetime.combine(now.astimezone(zone).date(), time())
    return (
        local_instant(wall=midnight, zone=zone),
        local_instant(wall=midnight + timedelta(days=1), zone=zone),
    )


# The three fragments below are parts of the product's move statement; `moved` is its list of rows. No two of them may
# touch one permit in one statement: Postgres would silently do only one of the two.

GIVE_BACK: Final = """
 returned AS (
   DELETE FROM compliance_permit p USING moved m
   WHERE p.dispatch_id = m.id AND NOT m.state = ANY(%(permit_states)s) RETURNING p.windows),
 refunded AS (
   UPDATE compliance_capwindow w SET used = w.used - r.n
   FROM (SELECT unnest(windows) AS id, count(*) AS n FROM returned GROUP BY 1) r WHERE w.id = r.id)"""

SPEND: Final = """
 spent AS (
   UPDATE compliance_permit p SET at = m.at FROM moved m
   WHERE p.dispatch_id = m.id AND m.state = ANY(%(spent_states)s))"""

TAKE_ON_PROOF: Final = """
 taken AS (
   INSERT INTO compliance_permit AS p
     (dispatch_id, tenant_id, brand_id, number, is_person_capped, windows, at, over_cap)
   SELECT m.id, m.tenant_id, m.brand_id, m.number, m.is_person_capped, coalesce(
     (SELECT array_agg(w.id) FROM compliance_capwindow w
      WHERE w.subject = 'brand:' || m.brand_id AND w.starts_at <= m.at AND m.at < w.ends_at), '{}'), m.at, true
   FROM moved m
   ON CONFLICT (dispatch_id) DO UPDATE SET at = coalesce(p.at, excluded.at)
   RETURNING p.windows, xmax = 0 AS is_new),
 charged AS (
   UPDATE compliance_capwindow w SET used = w.used + r.n
   FROM (SELECT unnest(windows) AS id, count(*) AS n FROM taken WHERE is_new GROUP BY 1) r WHERE w.id = r.id)"""


def audit() -> list[tuple[str, datetime, int, int]]:
    """Return the windows whose counter is not the number of their permits: (subject, start, counter, permits)."""
    return [
        (subject, starts_at, used, permits)
        for subject, starts_at, used, permits in rows(
            """
            SELECT w.subject, w.starts_at, w.used, count(p.id)
            FROM compliance_capwindow w
            LEFT JOIN (SELECT unnest(windows) AS id FROM compliance_permit) p ON p.id = w.id
            GROUP BY w.id HAVING w.used <> count(p.id) ORDER BY w.id
            """
        )
    ]
