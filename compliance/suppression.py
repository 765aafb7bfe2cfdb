"""Stores and lifts "do not text"."""

from datetime import datetime

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
