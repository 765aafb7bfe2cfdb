"""People who asked to be forgotten: known again by the keyed hash of their number, and by nothing else.

A number that comes back (an old file is imported once more) is hashed and looked for here, when its message is checked
and again in the claim. Where a tenant has never erased anybody, nothing is hashed and nothing is looked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import F

from compliance.models import ErasedPerson, Suppression
from smsplatform.common import crypto
from smsplatform.common.database import execute, rows
from smsplatform.tenancy.models import Tenant


@dataclass(frozen=True, slots=True)
class Found:
    """Those of some numbers whose people were erased. Blind: a pepper is missing, so that nobody can say it of any."""

    numbers: frozenset[str] = frozenset()
    is_blind: bool = False


NOBODY: Final = Found()


def remember(
    *, tenant_id: int, number: str, is_suppressed: bool, reason: str, actor: str, now: datetime
) -> ErasedPerson:
    """Store that this person is to be forgotten, and must not be texted; from the commit on, no claim takes them.

    `is_suppressed` false: may be texted again should the number come back, unless an opt-out says otherwise. Asking
    again begins again, for what has come back since.
    """
    known = list(crypto.all_keyed([number]))
    own = ErasedPerson.objects.select_for_update().filter(tenant_id=tenant_id)
    has_opted_out = Suppression.objects.filter(
        tenant_id=tenant_id, released_at=None, number__in=[number, *known]
    ).exists()
    person = own.filter(keyed__in=known).order_by("-pk").first()
    if person is None:
        person = ErasedPerson(tenant_id=tenant_id, keyed=crypto.keyed(number), is_suppressed=False)
    person.is_suppressed = person.is_suppressed or is_suppressed or has_opted_out
    person.number, person.reason, person.asked_by, person.asked_at = number, reason[:120], actor[:120], now
    person.erased_at, person.done_at, person.cursor = None, None, {}
    person.save()
    # Claims of a turn that runs look for the erased again; commits follow each other in the order of the counter.
    Tenant.objects.filter(pk=tenant_id).update(erasures=F("erasures") + 1)
    return person


def has_any(tenant_id: int) -> bool:
    """Return whether the tenant has ever erased anybody."""
    return ErasedPerson.objects.filter(tenant_id=tenant_id).exists()


def among(*, tenant_id: int, numbers: Sequence[str]) -> Found:
    """Return who of these was erased and must not be texted. One statement, and a hash for each number and pepper."""
    keyed = crypto.all_keyed(numbers)
    found = [
        known
        for (known,) in rows(
            """
            SELECT keyed FROM compliance_erasedperson
            WHERE tenant_id = %(tenant)s AND is_suppressed AND keyed = ANY(%(keyed)s)
            UNION ALL
            SELECT '' WHERE EXISTS (SELECT 1 FROM compliance_erasedperson
              WHERE tenant_id = %(tenant)s AND is_suppressed AND NOT split_part(keyed, ':', 1) = ANY(%(versions)s))
            """,
            {"tenant": tenant_id, "keyed": list(keyed), "versions": crypto.pepper_versions()},
        )
    ]
    return Found(frozenset(keyed[known] for known in found if known), is_blind="" in found)


def unreadable() -> dict[str, int]:
    """Return how many erased people are kept under peppers that we do not have, by the pepper's name."""
    return dict(
        rows(
            """
            SELECT split_part(keyed, ':', 1), count(*) FROM compliance_erasedperson
            WHERE NOT split_part(keyed, ':', 1) = ANY(%s) GROUP BY 1
            """,
            [crypto.pepper_versions()],
        )
    )


def hide_suppressions(*, tenant_id: int, number: str, keyed: str) -> int:
    """Keep the tenant's opt-outs of a number under its hash; one that came after the ask still wins over "may be texted".

    The platform's own stay: they protect from all tenants.
    """
    given = {"tenant": tenant_id, "number": number, "keyed": keyed}
    execute(
        """
        UPDATE compliance_suppression s SET released_at = now()
        WHERE tenant_id = %(tenant)s AND number = %(number)s AND released_at IS NULL AND EXISTS (
          SELECT 1 FROM compliance_suppression k WHERE k.tenant_id = s.tenant_id AND k.number = %(keyed)s
            AND k.released_at IS NULL AND k.category = s.category AND k.brand_id = s.brand_id AND k.reason = s.reason)
        """,
        given,
    )
    hidden = execute(
        "UPDATE compliance_suppression SET number = %(keyed)s WHERE tenant_id = %(tenant)s AND number = %(number)s",
        given,
    )
    if hidden:  # by its number nobody finds it any more
        execute(
            """
            UPDATE compliance_erasedperson e SET is_suppressed = true
            WHERE tenant_id = %(tenant)s AND keyed = %(keyed)s AND NOT is_suppressed AND EXISTS (
              SELECT 1 FROM compliance_suppression s
              WHERE s.tenant_id = e.tenant_id AND s.number = e.keyed AND s.released_at IS NULL)
            """,
            given,
        )
    return hidden


def forget_traces(*, tenant_id: int, number: str) -> int:
    """Delete what the rules have noted of a number: when it was told of STOP, that no text reaches it, that it was asked."""
    given = {"tenant": tenant_id, "number": number}
    return sum(
        execute(sql, given)
        for sql in (
            """
            DELETE FROM compliance_stopline l USING tenancy_brand b
            WHERE b.tenant_id = %(tenant)s AND l.brand_id = b.id AND l.number = %(number)s
            """,
            "DELETE FROM compliance_nottextable WHERE tenant_id = %(tenant)s AND number = %(number)s",
            """
            UPDATE compliance_trafficcount SET recent = recent - %(number)s::text
            WHERE tenant_id = %(tenant)s AND recent ? %(number)s::text
            """,
        )
    )
