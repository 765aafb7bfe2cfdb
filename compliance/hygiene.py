"""Numbers that no text reaches: stored by what providers answer and report, asked before each send, cleared by operators.

A fact counts for the tenant whose message met it, and for everybody once two tenants have met it or an operator says
so: accounts belong to tenants, and what one tenant's account says must not stop another's messages. A number that its
carrier took back is nobody's until a brand has a consent younger than that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from django.conf import settings

from smsplatform.common.database import execute, rows


class Reason(StrEnum):
    """Why no text reaches a number."""

    LANDLINE = "landline"
    NOT_IN_SERVICE = "not_in_service"
    UNREACHABLE = "unreachable"
    DEACTIVATED = "deactivated"


TOLD: Final[Mapping[str, str]] = {
    Reason.LANDLINE: "a landline",
    Reason.NOT_IN_SERVICE: "not in service",
    Reason.UNREACHABLE: "out of reach for now",
    Reason.DEACTIVATED: "taken back by its carrier",
}
_WITNESSES: Final = 2  # tenants whose messages met it, before it counts for everybody


def life(reason: str) -> timedelta | None:
    """Return how long a fact holds; None: until an operator clears it."""
    days: int = settings.UNREACHABLE_DAYS
    return timedelta(days=days) if reason == Reason.UNREACHABLE else None


class Fact(NamedTuple):
    """What a provider says of a number."""

    tenant_id: int
    number: str
    reason: str
    provider: str
    code: str
    evidence: str


def mark(facts: Sequence[Fact], *, now: datetime) -> int:
    """Store the facts; return how many rows were written. One statement; what holds already is not written again.

    One that was cleared, and is met once more, holds again. A lasting reason is not replaced by a passing one.
    """
    unique = {(fact.number, fact.tenant_id): fact for fact in facts if fact.number.startswith("+")}
    if not unique:
        return 0
    ordered = [unique[key] for key in sorted(unique)]
    return execute(
        """
        INSERT INTO compliance_nottextable AS old
          (tenant_id, number, reason, provider, code, evidence, since, until, cleared_by)
        SELECT g.tenant_id, g.number, g.reason, g.provider, g.code, g.evidence, %(now)s, g.until, ''
        FROM unnest(%(tenants)s::bigint[], %(numbers)s::text[], %(reasons)s::text[], %(providers)s::text[], %(codes)s::text[],
          %(evidences)s::text[], %(untils)s::timestamptz[]) AS g(tenant_id, number, reason, provider, code, evidence, until)
        ON CONFLICT (number, tenant_id) DO UPDATE SET reason = excluded.reason, provider = excluded.provider,
          code = excluded.code, evidence = excluded.evidence, since = excluded.since, until = excluded.until,
          cleared_at = NULL, cleared_by = ''
        WHERE old.cleared_at IS NOT NULL OR old.until IS NOT NULL
        """,
        {
            "now": now,
            "tenants": [fact.tenant_id for fact in ordered],
            "numbers": [fact.number for fact in ordered],
            "reasons": [fact.reason for fact in ordered],
            "providers": [fact.provider[:40] for fact in ordered],
            "codes": [fact.code[:60] for fact in ordered],
            "evidences": [fact.evidence[:120] for fact in ordered],
            "untils": [now + lasts if (lasts := life(fact.reason)) else None for fact in ordered],
        },
    )


def mark_for_all(*, numbers: Sequence[str], reason: str, by: str, now: datetime, since: datetime | None = None) -> int:
    """Store that nobody's text reaches these numbers, since an instant (now); return for how many that is news.

    What was cleared after that instant stays cleared: whoever cleared it knew more.
    """
    return execute(
        """
        INSERT INTO compliance_nottextable AS old
          (tenant_id, number, reason, provider, code, evidence, since, until, cleared_by)
        SELECT NULL, u.number, %(reason)s, 'operator', '', %(by)s, %(since)s, %(until)s, ''
        FROM unnest(%(numbers)s::text[]) AS u(number) ORDER BY u.number
        ON CONFLICT (number, tenant_id) DO UPDATE SET reason = excluded.reason, evidence = excluded.evidence,
          since = excluded.since, until = excluded.until, cleared_at = NULL, cleared_by = ''
        WHERE old.cleared_at <= excluded.since OR (old.cleared_at IS NULL AND old.until IS DISTINCT FROM excluded.until)
        """,
        {
            "numbers": sorted(set(numbers)),
            "reason": reason,
            "by": by[:120],
            "since": since or now,
            "until": now + lasts if (lasts := life(reason)) else None,
        },
    )


def clear(*, number: str, by: str, now: datetime) -> int:
    """Let the number be texted again, by everybody; return how many facts ended."""
    return execute(
        "UPDATE compliance_nottextable SET cleared_at = %s, cleared_by = %s WHERE number = %s AND cleared_at IS NULL",
        [now, by[:120], number],
    )


# Whether the number of a row `x` of the table cannot be texted by the tenant: parts of a grouped SELECT.
_HOLDS: Final = "x.cleared_at IS NULL AND (x.until IS NULL OR x.until > %(now)s)"


def _counts_for(tenant: str) -> str:
    return f"bool_or(x.tenant_id IS NULL OR x.tenant_id = {tenant}) OR count(*) >= {_WITNESSES}"


# Who holds a number after it was given back speaks for it: by a consent, or a wish to be asked, that is younger.
_IS_HELD_ANEW: Final = f"""x.reason = '{Reason.DEACTIVATED}' AND EXISTS (
     SELECT 1 FROM compliance_consentstate s WHERE s.brand_id = d.brand_id AND s.number = x.number
       AND s.status IN ('granted', 'pending') AND s.since > x.since)"""

# For the objection over dispatches `d`: one probe of the unique index per row.
JOIN: Final = f"""
 LEFT JOIN LATERAL (
   SELECT true AS is_known FROM compliance_nottextable x
   WHERE x.number = d.number AND {_HOLDS} AND NOT ({_IS_HELD_ANEW})
   HAVING {_counts_for("d.tenant_id")}) nt ON true"""


def count_among(numbers: str) -> str:
    """Return SQL that counts, in a SELECT of column `number`, those that %(tenant)s cannot text at %(now)s."""
    return f"""
        SELECT count(*) FROM ({numbers}) among CROSS JOIN LATERAL (
          SELECT true FROM compliance_nottextable x WHERE x.number = among.number AND {_HOLDS}
          HAVING {_counts_for("%(tenant)s")}) nt"""


@dataclass(frozen=True, slots=True)
class Told:
    """Why a number cannot be texted, in words."""

    reason: str
    provider: str
    code: str
    since: datetime
    until: datetime | None

    def __str__(self) -> str:
        said = f"{self.provider} ({self.code})" if self.code else self.provider
        lasts = f"until {self.until:%F}" if self.until else "until an operator clears it"
        return f"{TOLD.get(self.reason, self.reason)}, says {said} since {self.since:%F}; {lasts}"


def why_not(*, number: str, tenant_id: int, now: datetime) -> Told | None:
    """Return why this tenant cannot text the number, or None where nothing speaks against it."""
    found = rows(
        f"""
        SELECT x.reason, x.provider, x.code, x.since, x.until, x.tenant_id FROM compliance_nottextable x
        WHERE x.number = %(number)s AND {_HOLDS} ORDER BY x.tenant_id = %(tenant)s DESC NULLS LAST, x.since
        """,
        {"number": number, "tenant": tenant_id, "now": now},
    )
    holds = len(found) >= _WITNESSES or any(row[5] in (None, tenant_id) for row in found)
    return Told(*found[0][:5]) if holds else None


def forget(now: datetime) -> int:
    """Drop facts that ended long ago."""
    return execute(
        "DELETE FROM compliance_nottextable WHERE coalesce(cleared_at, until) < %s", [now - timedelta(days=90)]
    )
