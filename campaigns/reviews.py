"""Texts that may be opt-outs: somebody reads them, or they become opt-outs when the law's time is over (facts §1.3 R9).

Until then nothing is marketed to the person. What is decided is decided once.
"""

from datetime import datetime
from typing import Final

from django.db import transaction

from campaigns import conversations, replies
from campaigns.models import Reply
from compliance import suppression
from compliance.reasons import OPT_OUT, REVIEW
from smsplatform.common.errors import Conflict
from smsplatform.tenancy import audit

BY_TIME: Final = "time"
_AT_ONCE: Final = 500


def decide(reply_id: int, *, is_opt_out: bool, actor: str, now: datetime) -> Reply:
    """Say whether a text is an opt-out. Raises Conflict where that is decided already."""
    with transaction.atomic():
        found = Reply.objects.select_related("account", "brand").get(pk=reply_id)
        brands = replies.brands_meant(found)
        conversations.lock((brand, found.number) for brand in brands)
        reply = Reply.objects.select_for_update(of=("self",)).get(pk=reply_id)
        if reply.review_until is None or reply.reviewed_at is not None:
            raise Conflict(
                f"this is decided already, by {reply.reviewed_by or 'the rules'}; an opt-out can still be entered under"
                " Suppressions",
                field="reply",
            )
        reply.reviewed_at, reply.reviewed_by = now, actor[:120]
        reply.is_opt_out = is_opt_out
        reply.apply_at = reply.received_at if is_opt_out and reply.brand_id else None
        reply.save(update_fields=["reviewed_at", "reviewed_by", "is_opt_out", "apply_at"])
        for brand in brands:
            if is_opt_out:
                evidence = replies.evidence_of(reply)
                conversations.stop(
                    brand, reply.number, OPT_OUT, source="review", evidence=evidence, at=reply.received_at, now=now
                )
            if not _is_another_open(reply, brand.pk):
                suppression.lift(brand=brand, number=reply.number, before=now, now=now, reasons=(REVIEW,))
        audit.record(
            actor=actor,
            verb="reply.reviewed",
            target=f"reply {reply.pk}",
            tenant=reply.tenant_id,
            at=now,
            is_opt_out=is_opt_out,
        )
    return reply


def _is_another_open(reply: Reply, brand_id: int) -> bool:
    """Return whether another text of the person waits, so that nothing may be marketed yet."""
    waiting = Reply.objects.filter(number=reply.number, review_until__isnull=False, reviewed_at=None)
    others = waiting.exclude(pk=reply.pk).select_related("account", "brand")
    return any(brand_id == brand.pk for other in others for brand in replies.brands_meant(other))


def end_overdue(now: datetime) -> int:
    """Take what nobody has looked at in time for opt-outs; return how many."""
    ended = 0
    overdue = Reply.objects.filter(review_until__lte=now, reviewed_at=None).order_by("review_until", "id")
    for reply_id in overdue.values_list("id", flat=True)[:_AT_ONCE]:
        try:
            decide(reply_id, is_opt_out=True, actor=BY_TIME, now=now)
        except Conflict:  # somebody was faster
            continue
        ended += 1
    return ended
