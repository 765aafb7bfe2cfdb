"""The only ways to touch evidence: a person's erasure, and the end of its legal term. Each is open for one transaction.

A trigger refuses everything else, and refuses an erasure that changes more than who it is about, that leaves it anything
but a keyed hash, or that has been done before.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from django.db import transaction

from compliance.consent import states
from smsplatform.common.database import execute, rows

_DELETE_STATES: Final = """
  DELETE FROM compliance_consentstate WHERE (brand_id, number) IN (
    SELECT b.id, n FROM tenancy_brand b CROSS JOIN unnest(%(numbers)s::text[]) AS u(n) WHERE b.tenant_id = %(tenant)s)"""


def erase(*, tenant_id: int, keyed: Mapping[str, str]) -> int:
    """Forget who the records of these numbers are about, in all of the tenant's brands; return how many records.

    `keyed` gives each number's keyed hash, under which its records are kept for the legal term; what was said, shown
    and done stays. No consent of the person holds any more: what asks for one finds none. Running it again finds nothing.
    """
    numbers = sorted(keyed)
    with transaction.atomic():
        states.lock([(brand_id, number) for brand_id in _brands(tenant_id) for number in numbers])
        with _open("erasure"):
            count = execute(
                """
                UPDATE compliance_consent c SET number = u.hash, identity = '', salt = NULL, ip = NULL, user_agent = '',
                  session_id = '', once = gen_random_uuid()
                FROM tenancy_brand b CROSS JOIN unnest(%(numbers)s::text[], %(hashes)s::text[]) AS u(number, hash)
                WHERE b.tenant_id = %(tenant)s AND c.brand_id = b.id AND c.number = u.number
                """,
                {"tenant": tenant_id, "numbers": numbers, "hashes": [keyed[number] for number in numbers]},
            )
        execute(_DELETE_STATES, {"tenant": tenant_id, "numbers": numbers})
    return count


def forget(*, brand_id: int, numbers: Sequence[str]) -> int:
    """Delete all records of these people (numbers, or the hashes of erased ones) when their legal term is over.

    Whoever calls knows that no message was sent under them for `consent_rules.KEPT_FOR_YEARS`. All or none of a person's
    records: what is left must not say more than the whole did.
    """
    with transaction.atomic():
        states.lock([(brand_id, number) for number in numbers])
        given = {"brand": brand_id, "numbers": sorted(numbers)}
        with _open("retention"):
            count = execute(
                "DELETE FROM compliance_consent WHERE brand_id = %(brand)s AND number = ANY(%(numbers)s)", given
            )
        execute("DELETE FROM compliance_consentstate WHERE brand_id = %(brand)s AND number = ANY(%(numbers)s)", given)
    return count


@contextmanager
def _open(door: str) -> Iterator[None]:
    rows("SELECT set_config('consent.door', %s, true)", [door])
    yield
    rows("SELECT set_config('consent.door', '', true)")


def _brands(tenant_id: int) -> list[int]:
    return [brand_id for (brand_id,) in rows("SELECT id FROM tenancy_brand WHERE tenant_id = %s", [tenant_id])]
