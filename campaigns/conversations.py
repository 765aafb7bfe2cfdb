"""One person and one brand: the row lock under which that person's texts are applied, and their last words (R37).

Vendors' calls overtake each other, and so do our workers. What holds in the end depends only on when the texts were
received: the latest word wins, and a tie goes to STOP.
"""

from collections.abc import Iterable
from datetime import datetime

from campaigns import opt_outs
from campaigns.models import Conversation
from compliance import suppression
from compliance.policy import Category
from smsplatform.common.database import rows
from smsplatform.tenancy.models import Brand


def lock(people: Iterable[tuple[Brand, str]]) -> None:
    """Lock the conversations of these people until the transaction ends, in one order everywhere; new ones are made."""
    wanted = sorted({(brand.pk, number, brand.tenant_id) for brand, number in people})
    if not wanted:
        return
    rows(
        """
        INSERT INTO campaigns_conversation (tenant_id, brand_id, number)
        SELECT w.tenant_id, w.brand_id, w.number FROM unnest(%s::bigint[], %s::text[], %s::bigint[])
          WITH ORDINALITY AS w(brand_id, number, tenant_id, place) ORDER BY w.place
        ON CONFLICT (brand_id, number) DO UPDATE SET tenant_id = excluded.tenant_id
        """,
        [list(column) for column in zip(*wanted, strict=True)],
    )


def take(brand: Brand, number: str) -> Conversation | None:
    """Return the conversation of a person, locked; None where somebody else is at it, and will be done with it."""
    locked = Conversation.objects.select_for_update(skip_locked=True)
    return locked.filter(brand=brand, number=number).first()


def stop(brand: Brand, number: str, reason: str, *, source: str, evidence: str, at: datetime, now: datetime) -> None:
    """Store an opt-out that was received at this instant. Only what the person said later outweighs it. Under the lock."""
    [(started_at,)] = rows(
        """
        UPDATE campaigns_conversation SET stopped_at = greatest(stopped_at, %s)
        WHERE brand_id = %s AND number = %s RETURNING started_at
        """,
        [at, brand.pk, number],
    )
    opt_outs.store(brand=brand, number=number, reason=reason, source=source, evidence=evidence, now=at)
    _give_way(brand, number, started_at, now)


def hold(brand: Brand, number: str, *, evidence: str, at: datetime) -> bool:
    """Market nothing more to a person whose text may be an opt-out, until somebody has read it. Under the lock.

    Returns False where the person has sent a START since.
    """
    started_at = Conversation.objects.values_list("started_at", flat=True).get(brand=brand, number=number)
    if started_at is not None and started_at > at:
        return False
    suppression.suppress(
        brand=brand,
        number=number,
        category=Category.MARKETING,
        reason="review",
        source="reply",
        evidence=evidence,
        now=at,
    )
    return True


def start(conversation: Conversation, brand: Brand, *, at: datetime, now: datetime) -> bool:
    """Let the person's own word lift what is older; return False where a STOP came later, or at the same instant."""
    if conversation.stopped_at is not None and conversation.stopped_at >= at:
        return False
    conversation.started_at = max(filter(None, (conversation.started_at, at)))
    conversation.save(update_fields=["started_at"])
    _give_way(brand, conversation.number, conversation.started_at, now)
    return True


def _give_way(brand: Brand, number: str, started_at: datetime | None, now: datetime) -> None:
    """Let the person's START win over what is older."""
    if started_at is not None:
        suppression.lift(brand=brand, number=number, before=started_at, now=now)
