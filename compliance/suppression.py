"""Stores and lifts "do not text"."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from compliance.models import Suppression
from smsplatform.common.database import execute
from smsplatform.tenancy.models import Brand


def suppress(
    *, brand: Brand, number: str, reason: str, source: str, now: datetime, evidence: str = "", category: str = ""
) -> bool:
    """Store that this brand must not text this number; return False where that is stored already."""
    return bool(
        execute(
            """
            INSERT INTO compliance_suppression
              (scope, tenant_id, brand_id, number, category, reason, source, evidence, created_at)
            VALUES ('brand', %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (number, brand_id, category)
            WHERE released_at IS NULL DO NOTHING
            """,
            [brand.tenant_id, brand.pk, number, category, reason[:60], source[:60], evidence[:120], now],
        )
    )


class Person(NamedTuple):
    """Whom a brand must not text any more, and what says so."""

    tenant_id: int
    brand_id: int
    number: str
    evidence: str


def suppress_all(people: Sequence[Person], *, reason: str, source: str, now: datetime) -> int:
    """Store that these brands must not text these numbers; return how many were not stored before. One statement."""
    people = sorted(set(people), key=lambda person: (person.number, person.brand_id))
    return execute(
        """
        INSERT INTO compliance_suppression
          (scope, tenant_id, brand_id, number, category, reason, source, evidence, created_at)
        SELECT 'brand', p.tenant_id, p.brand_id, p.number, '', %s, %s, p.evidence, %s
        FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[]) AS p(tenant_id, brand_id, number, evidence)
        ON CONFLICT (number, brand_id, category) WHERE released_at IS NULL DO NOTHING
        """,
        [reason[:60], source[:60], now, *(list(column) for column in zip(*people, strict=True))],
    )


def suppress_everywhere(*, number: str, reason: str, source: str, now: datetime, evidence: str = "") -> bool:
    """Store that nobody on the platform may text this number."""
    _, is_new = Suppression.objects.get_or_create(
        scope=Suppression.Scope.PLATFORM,
        brand=None,
        tenant=None,
        number=number,
        category="",
        released_at=None,
        defaults={"reason": reason, "source": source, "evidence": evidence, "created_at": now},
    )
    return is_new
