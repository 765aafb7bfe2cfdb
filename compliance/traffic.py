"""Guards against traffic pumping on messages that the API or a form triggers (facts §7.3).

Pumpers have one-time codes and opt-in forms send to ranges of numbers whose owner shares the revenue. What is triggered
is counted before it is stored, in one statement and in the caller's transaction: what cannot be counted is not sent,
and what is refused counts for nothing. A range with too many different numbers is held until a person has looked.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final

from django.conf import settings

from compliance.models import TrafficCount
from smsplatform.common import phone
from smsplatform.common.database import execute, rows
from smsplatform.common.errors import InvalidInput, TooMany
from smsplatform.tenancy.models import Tenant

RULE: Final = "traffic_pumping@1"
RANGE_SPAN: Final = timedelta(minutes=10)
MOST_NUMBERS: Final = 5  # different numbers of a range within the span
DECISION_LIFE: Final = timedelta(days=30)
FEW: Final = 0.20  # a smaller share of confirmed opt-ins is an alarm
_ENOUGH_ASKED: Final = 20
_LAST_DIGITS: Final = 4
_KEPT: Final = timedelta(days=2)


class Origin(StrEnum):
    """Who has a single message sent."""

    OPERATOR = "operator"
    API = "api"
    FORM = "form"
    REPLY = "reply"

    @property
    def is_guarded(self) -> bool:
        """Whether strangers can trigger it."""
        return self in (Origin.API, Origin.FORM)


@dataclass(frozen=True, slots=True)
class Trigger:
    """What triggers a message: through what, by which form, from which address, which is stored as a keyed hash only."""

    origin: Origin = Origin.OPERATOR
    form: str = ""
    ip: str = ""
    is_sandbox: bool = False


@dataclass(frozen=True, slots=True)
class _Limit:
    """A count that must not grow above `most` in the window that began at `starts_at`."""

    subject: str
    starts_at: datetime
    ends_at: datetime
    adds: int
    most: int
    told: str


def range_of(number: str) -> str:
    """Return the range that a number is out of: all but its last four digits."""
    return number[:-_LAST_DIGITS]


def subject_of_range(number: str) -> str:
    return f"range:{range_of(number)}"


def admit(*, tenant: Tenant, trigger: Trigger, number: phone.Number, segments: int, now: datetime) -> bool:
    """Count a triggered message; return whether it must wait for a review of its range of numbers.

    Raises InvalidInput for a country that the API and forms may not reach, and TooMany for a limit that is reached. One
    statement, and a second one when a range is held.
    """
    if number.country not in phone.with_implied(tenant.allowed_triggered_countries):
        allowed = ", ".join(sorted(tenant.allowed_triggered_countries)) or "none"
        raise InvalidInput(
            f"the API and forms may not send to numbers of {number.country}; allowed: {allowed}. An operator can add the"
            " country to the tenant",
            field="number",
        )
    limits = _limits(tenant, trigger, number, segments, now)
    subject = subject_of_range(number.e164)
    found = rows(
        """
        INSERT INTO compliance_trafficcount AS old (tenant_id, subject, starts_at, used, recent, decided_by)
        SELECT %(tenant)s, g.subject, g.starts_at, g.adds,
          CASE WHEN g.subject = %(range)s THEN jsonb_build_object(%(number)s::text, %(epoch)s::float8) ELSE '{}' END, ''
        FROM unnest(%(subjects)s::text[], %(starts)s::timestamptz[], %(adds)s::bigint[]) AS g(subject, starts_at, adds)
        ORDER BY g.subject
        ON CONFLICT (tenant_id, subject) DO UPDATE SET
          used = CASE WHEN old.starts_at < excluded.starts_at THEN 0 ELSE old.used END + excluded.used,
          starts_at = greatest(old.starts_at, excluded.starts_at),
          recent = excluded.recent || (
            SELECT coalesce(jsonb_object_agg(k.key, k.value), '{}') FROM (
              SELECT e.key, e.value FROM jsonb_each(old.recent) e
              WHERE e.value::float8 > %(since)s AND e.key <> %(number)s ORDER BY e.value DESC LIMIT %(most)s) k)
        RETURNING subject, used, (SELECT count(*) FROM jsonb_object_keys(recent)), held_at, decided_at, is_let_through
        """,
        {
            "tenant": tenant.pk,
            "range": subject,
            "number": number.e164,
            "epoch": now.timestamp(),
            "since": (now - RANGE_SPAN).timestamp(),
            "most": MOST_NUMBERS,
            "subjects": [limit.subject for limit in limits] + [subject],
            "starts": [limit.starts_at for limit in limits] + [now],
            "adds": [limit.adds for limit in limits] + [1],
        },
    )
    used = {name: count for name, count, *_ in found}
    for limit in limits:
        if used[limit.subject] > limit.most:
            raise TooMany(limit.told, wait=limit.ends_at - now)
    [(numbers, held_at, decided_at, is_let_through)] = [rest for name, _, *rest in found if name == subject]
    return _must_wait(
        tenant, subject, now,
        is_crowded=numbers > MOST_NUMBERS, held_at=held_at, decided_at=decided_at, is_let_through=is_let_through,
    )  # fmt: skip


def _must_wait(
    tenant: Tenant,
    subject: str,
    now: datetime,
    *,
    is_crowded: bool,
    held_at: datetime | None,
    decided_at: datetime | None,
    is_let_through: bool | None,
) -> bool:
    """Return whether a range's messages wait; hold it where it has become too crowded. Its row is locked by us."""
    if held_at is not None and decided_at is None:
        return True
    if decided_at is not None and decided_at > now - DECISION_LIFE:
        if not is_let_through:
            raise TooMany(
                "messages to this range of numbers were stopped after a review; ask whoever manages the tenant",
                wait=decided_at + DECISION_LIFE - now,
                field="number",
            )
        return False
    if is_crowded:
        execute(
            "UPDATE compliance_trafficcount SET held_at = %s, decided_at = NULL, decided_by = '', is_let_through = NULL"
            " WHERE tenant_id = %s AND subject = %s",
            [now, tenant.pk, subject],
        )
    return is_crowded


def _limits(tenant: Tenant, trigger: Trigger, number: phone.Number, segments: int, now: datetime) -> list[_Limit]:
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    next_day, next_hour = day + timedelta(days=1), hour + timedelta(hours=1)
    most = tenant.triggered_segments
    limits = [
        _Limit(
            f"country:{number.country}", day, next_day, segments, most,
            f"the API and forms may trigger {most:,} segments a day to {number.country}, and these are used; wait until"
            " midnight UTC, or have an operator raise the tenant's limit",
        )
    ]  # fmt: skip
    if trigger.form:
        most = settings.TRIGGERS_PER_FORM
        told = f"this form has triggered {most} messages within an hour; wait until the next one"
        limits.append(_Limit(f"form:{trigger.form[:60]}", hour, next_hour, 1, most, told))
    if trigger.ip:
        most = settings.TRIGGERS_PER_IP
        told = f"{most} messages were triggered from this address within an hour; wait until the next one"
        limits.append(_Limit(f"ip:{_hashed(trigger.ip)}", hour, next_hour, 1, most, told))
    return limits


def _hashed(ip: str) -> str:
    return hmac.new(settings.SECRET_KEY.encode(), f"trigger {ip}".encode(), hashlib.sha256).hexdigest()[:32]


# -- reviews --------------------------------------------------------------------------------------------------------


def decide(*, count: TrafficCount, let_through: bool, by: str, now: datetime) -> bool:
    """Store what was decided about a held range, for 30 days; return whether it was still undecided."""
    waiting = TrafficCount.objects.filter(pk=count.pk, held_at__isnull=False, decided_at=None)
    return bool(waiting.update(decided_at=now, decided_by=by[:120], is_let_through=let_through))


def forget(now: datetime) -> int:
    """Drop counts whose window is over, but not what waits for a decision or was decided lately."""
    return execute(
        """
        DELETE FROM compliance_trafficcount WHERE starts_at < %s
          AND (held_at IS NULL OR (decided_at IS NOT NULL AND decided_at < %s))
        """,
        [now - _KEPT, now - DECISION_LIFE],
    )


# -- double opt-ins -------------------------------------------------------------------------------------------------


def note_opt_in_asked(*, tenant: Tenant, number: str, now: datetime) -> None:
    """Count that somebody was asked to confirm an opt-in."""
    _note(tenant, number, now.astimezone(UTC).date(), asked=1, confirmed=0)


def note_opt_in_confirmed(*, tenant: Tenant, number: str, asked_at: datetime) -> None:
    """Count that somebody confirmed; it counts for the day on which they were asked."""
    _note(tenant, number, asked_at.astimezone(UTC).date(), asked=0, confirmed=1)


def _note(tenant: Tenant, number: str, day: date, *, asked: int, confirmed: int) -> None:
    execute(
        """
        INSERT INTO compliance_optincount AS old (tenant_id, country, day, asked, confirmed) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (tenant_id, country, day) DO UPDATE
        SET asked = old.asked + excluded.asked, confirmed = old.confirmed + excluded.confirmed
        """,
        [tenant.pk, phone.country(number), day, asked, confirmed],
    )


@dataclass(frozen=True, slots=True)
class Conversion:
    """How many of those who were asked to confirm an opt-in did so."""

    tenant: str
    country: str
    asked: int
    confirmed: int

    def __str__(self) -> str:
        return f"{self.tenant}, {self.country or 'unknown country'}: {self.confirmed} of {self.asked}"


def low_conversions(now: datetime) -> list[Conversion]:
    """Return where, of at least twenty asked since yesterday, fewer than a fifth have confirmed."""
    return [
        Conversion(*row)
        for row in rows(
            """
            SELECT t.slug, o.country, sum(o.asked)::int, sum(o.confirmed)::int
            FROM compliance_optincount o JOIN tenancy_tenant t ON t.id = o.tenant_id
            WHERE o.day >= %s GROUP BY 1, 2
            HAVING sum(o.asked) >= %s AND sum(o.confirmed) < %s * sum(o.asked) ORDER BY 1, 2
            """,
            [now.astimezone(UTC).date() - timedelta(days=1), _ENOUGH_ASKED, FEW],
        )
    ]
