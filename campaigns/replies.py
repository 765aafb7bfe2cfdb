"""Messages from people: stored, and an exact STOP honoured before the webhook answers."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from django.db import transaction

from campaigns import scheduling
from campaigns.models import Dispatch, RawEvent, Reply
from campaigns.states import EARLY, State
from compliance import keywords, policy, suppression
from providers.adapters.base import Inbound
from providers.models import ProviderAccount, Sender
from smsplatform.common.database import rows
from smsplatform.tenancy.models import Brand

_STOPPABLE: Final = (*EARLY, State.HELD)
# Whatever else writes to us, nothing is ever sent to it.
_IS_NUMBER: Final = re.compile(r"\+[1-9]\d{3,14}")


def honour_stops(account: ProviderAccount, raw: RawEvent, inbound: Sequence[Inbound]) -> None:
    """Store the replies and, in the same transaction, the suppression that each exact STOP asks for."""
    for message in inbound:
        brand = _brand_of(account, message.to)
        is_opt_out = keywords.is_exact_stop(message.text)
        Reply.objects.create(
            tenant_id=account.tenant_id,
            brand=brand,
            raw=raw,
            account=account,
            provider_id=message.provider_id[:80],
            number=message.sender[:20],
            to=message.to[:20],
            text=message.text,
            media=list(message.media),
            is_opt_out=is_opt_out,
            received_at=raw.received_at,
        )
        if is_opt_out and brand is not None and _IS_NUMBER.fullmatch(message.sender):
            suppression.suppress(
                brand=brand,
                number=message.sender,
                reason="opt_out",
                source="reply",
                evidence=message.key,
                now=raw.received_at,
            )


def _brand_of(account: ProviderAccount, address: str) -> Brand | None:
    sender = Sender.objects.filter(account=account, address=address).select_related("brand").first()
    return sender.brand if sender else None


def tidy_stops(now: datetime) -> int:
    """Block what still waits for people who opted out, so that lists and totals say so at once; return how many rows.

    The claim would refuse them anyway. Found through the batches of the brand that still have open rows.
    """
    stops = list(Reply.objects.filter(is_opt_out=True, tidied_at=None, brand__isnull=False).order_by("id")[:500])
    moved = 0
    for brand_id in sorted({stop.brand_id for stop in stops if stop.brand_id is not None}):
        numbers = sorted({stop.number for stop in stops if stop.brand_id == brand_id})
        with transaction.atomic():
            waiting = rows(
                """
                SELECT d.id, d.batch_id FROM campaigns_batch b JOIN campaigns_dispatch d ON d.batch_id = b.id
                WHERE b.brand_id = %s AND b.phase <> 'closed' AND d.number = ANY(%s) AND d.state = ANY(%s)
                """,
                [brand_id, numbers, list(_STOPPABLE)],
            )
            rule = str(policy.SUPPRESSED_BRAND)
            moved += (
                Dispatch.objects.filter(id__in=[row[0] for row in waiting])
                .move(_STOPPABLE, State.BLOCKED, now=now, reason=rule)
                .total()
            )
            Reply.objects.filter(pk__in=[stop.pk for stop in stops if stop.brand_id == brand_id]).update(tidied_at=now)
        scheduling.end_where_empty([row[1] for row in waiting], now)
    Reply.objects.filter(is_opt_out=True, tidied_at=None, brand=None).update(tidied_at=now)
    return moved
