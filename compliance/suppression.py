"""Stores and ends "do not text".

Who is suppressed stays so: nothing here is ever deleted, what is said again is remembered as said again
(`renewed_at`), and an import never comes here. How far a reason reaches is data (reasons.py).
"""

import uuid
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from django.conf import settings
from django.db import transaction

from compliance.models import Suppression
from compliance.policy import Category
from compliance.reasons import REASONS, Reach, reach_of
from smsplatform.common import mailbox, phone
from smsplatform.common.database import execute, rows
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import audit
from smsplatform.tenancy.models import Brand

_SHORTEST_BECAUSE: Final = 10
_LONGEST_BECAUSE: Final = 200
OWN_WORDS: Final = tuple(reason.code for reason in REASONS.values() if reason.ends_with_start)
"""The reasons that rest on what the person said, to us or to the provider: the same person's START ends them."""
# What a STOP may be meant for alone, where brand and platform allow to read it so (FCC 26-67).
_NARROW: Final = (Category.INFORMATIONAL, Category.TRANSACTIONAL)


class Person(NamedTuple):
    """Whom a brand must not text any more, and what says so. Without tenant and brand: nobody may."""

    tenant_id: int | None
    brand_id: int | None
    number: str
    evidence: str = ""
    dispatch_id: uuid.UUID | None = None


def suppress(  # noqa: PLR0913 - what a row says
    *,
    brand: Brand,
    number: str,
    reason: str,
    source: str,
    now: datetime,
    evidence: str = "",
    category: str = "",
    dispatch_id: uuid.UUID | None = None,
    by: str = "",
) -> bool:
    """Store that this brand must not text this number; return False where that is stored already.

    A reason that reaches further is stored for everybody on the platform.
    """
    person = Person(brand.tenant_id, brand.pk, number, evidence, dispatch_id)
    return bool(suppress_all([person], reason=reason, source=source, now=now, category=category, by=by))


def suppress_everywhere(
    *,
    number: str,
    reason: str,
    source: str,
    now: datetime,
    evidence: str = "",
    dispatch_id: uuid.UUID | None = None,
    by: str = "",
) -> bool:
    """Store that nobody on the platform may text this number; return False where that is stored already."""
    person = Person(None, None, number, evidence, dispatch_id)
    return bool(suppress_all([person], reason=reason, source=source, now=now, by=by))


def suppress_all(
    people: Iterable[Person], *, reason: str, source: str, now: datetime, category: str = "", by: str = ""
) -> int:
    """Store that these brands must not text these numbers; return how many were not stored before. One statement.

    What is stored already is renewed, and tidied again, because consent may have been given meanwhile. A text renews only
    the instant: its reply is what is tidied.
    """
    is_for_all = reach_of(reason) is Reach.PLATFORM
    wanted: dict[tuple[str, int], Person] = {}
    for person in people:
        whom = person._replace(tenant_id=None, brand_id=None) if is_for_all else person
        wanted.setdefault((whom.number, whom.brand_id or 0), whom)
    columns = list(zip(*(wanted[key] for key in sorted(wanted)), strict=True))
    if not columns:
        return 0
    found = rows(
        """
        INSERT INTO compliance_suppression AS s (scope, tenant_id, brand_id, number, category, reason, source, evidence,
          dispatch_id, created_at, renewed_at, created_by)
        SELECT CASE WHEN p.brand_id IS NULL THEN 'platform' WHEN c.category = '' THEN 'brand' ELSE 'category' END,
          p.tenant_id, p.brand_id, p.number, c.category, %(reason)s, %(source)s, p.evidence, p.dispatch_id,
          %(now)s, %(now)s, %(by)s
        FROM unnest(%(tenants)s::bigint[], %(brands)s::bigint[], %(numbers)s::text[], %(evidence)s::text[],
            %(dispatches)s::uuid[]) WITH ORDINALITY AS p(tenant_id, brand_id, number, evidence, dispatch_id, place)
          CROSS JOIN LATERAL (SELECT CASE WHEN p.brand_id IS NULL THEN '' ELSE %(category)s END) AS c(category)
        ORDER BY p.place
        ON CONFLICT (number, brand_id, category, reason) WHERE released_at IS NULL
          DO UPDATE SET renewed_at = excluded.renewed_at,
            source = CASE excluded.source WHEN 'reply' THEN s.source ELSE excluded.source END,
            evidence = CASE excluded.source WHEN 'reply' THEN s.evidence
              ELSE coalesce(nullif(excluded.evidence, ''), s.evidence) END,
            tidied_at = CASE WHEN excluded.source = 'reply' AND excluded.brand_id IS NOT NULL THEN s.tidied_at END
          WHERE s.renewed_at < excluded.renewed_at
        RETURNING s.xmax = 0
        """,
        {
            "reason": reason[:60],
            "source": source[:60],
            "now": now,
            "by": by[:120],
            "category": category,
            "tenants": list(columns[0]),
            "brands": list(columns[1]),
            "numbers": list(columns[2]),
            "evidence": [evidence[:200] for evidence in columns[3]],
            "dispatches": [None if one is None else one.hex for one in columns[4]],
        },
    )
    return sum(is_new for (is_new,) in found)


def lift(*, brand: Brand, number: str, before: datetime, now: datetime, reasons: Collection[str] = OWN_WORDS) -> int:
    """Release what was last said before this instant, for these reasons; return how many rows.

    Only of this brand: what holds for the whole platform, and what others than the person have stored, stays.
    """
    return execute(
        """
        UPDATE compliance_suppression SET released_at = %s, released_by = 'the person', released_because = 'a later START'
        WHERE number = %s AND brand_id = %s AND released_at IS NULL AND renewed_at < %s AND reason = ANY(%s)
        """,
        [now, number, brand.pk, before, list(reasons)],
    )


def category_of_stop(*, brand: Brand, answered: Collection[str]) -> str:
    """Return the one category that a STOP ends, or nothing: it ends all.

    It ends one only where the brand and the platform both read a STOP so, and where all that it can answer was of
    that one category, which is no marketing.
    """
    if {brand.optout_scope_policy, settings.OPTOUT_SCOPE_POLICY} != {Brand.OptOutScope.CATEGORY}:
        return ""
    categories = set(answered)
    return categories.pop() if len(categories) == 1 and categories <= {*_NARROW} else ""


def suppressed(*, brand: Brand, numbers: Sequence[str], category: str) -> set[str]:
    """Return those of these numbers that the brand must not text about this. One statement."""
    found = rows(
        """
        SELECT DISTINCT number FROM compliance_suppression
        WHERE number = ANY(%s) AND released_at IS NULL AND category IN ('', %s) AND coalesce(brand_id, %s) = %s
        """,
        [list(numbers), category, brand.pk, brand.pk],
    )
    return {number for (number,) in found}


def release(row: Suppression, *, by: str, because: str, now: datetime) -> bool:
    """End a suppression by a person's decision, which is audited; return False where it has ended already.

    The row stays as history. Who may do this is for the caller to say.
    """
    because = " ".join(because.split())
    if not _SHORTEST_BECAUSE <= len(because) <= _LONGEST_BECAUSE:
        raise InvalidInput(
            f"say why in {_SHORTEST_BECAUSE} to {_LONGEST_BECAUSE} characters: whoever is asked later reads it",
            field="because",
        )
    with transaction.atomic():
        changed = execute(
            """
            UPDATE compliance_suppression SET released_at = %s, released_by = %s, released_because = %s
            WHERE id = %s AND released_at IS NULL
            """,
            [now, by[:120], because, row.pk],
        )
        if changed:
            audit.record(
                actor=by,
                verb="number.released",
                target=masked(row.number),
                tenant=row.tenant_id,
                suppression=row.pk,
                scope=row.scope,
                reason=row.reason,
                because=because,
            )
    return bool(changed)


def masked(number: str) -> str:
    """Return a number or an address as it may stand in a trail."""
    return mailbox.masked(number) if "@" in number else phone.masked(number)
