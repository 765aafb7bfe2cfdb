"""Messages from people: stored, and an exact STOP honoured before the webhook answers."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from campaigns import scheduling
from campaigns.models import Dispatch, RawEvent, Reply
from campaigns.states import EARLY, State
from compliance import keywords, policy, suppression
from providers.adapters.base import Inbound, OptOut
from providers.models import ProviderAccount, Sender
from smsplatform.common.database import rows
from smsplatform.tenancy.models import Brand

_STOPPABLE: Final = (*EARLY, State.HELD)
# Whatever else writes to us, nothing is ever sent to it.
_IS_NUMBER: Final = re.compile(r"\+[1-9]\d{3,14}|[^@\s]+@[^@\s]+")
# Phones count their long messages in one byte: the same mark after that time, or the same piece again, is another one.
_PIECES_WITHIN: Final = timedelta(hours=1)


def take_in(account: ProviderAccount, raw: RawEvent, events: Sequence[Inbound | OptOut]) -> None:
    """Store what people wrote and, in the same transaction, the suppression that each opt-out asks for."""
    for event in events:
        if isinstance(event, OptOut):
            _stop(account, event.number, event.sender, source="provider", evidence=event.key, now=raw.received_at)
            continue
        of = _brands_of(account, event.to)[:1]
        reply = _reply(account, raw, event, of[0] if of else None)
        if reply.is_opt_out:
            _stop(account, event.sender, event.to, source="reply", evidence=event.key, now=raw.received_at)


def _reply(account: ProviderAccount, raw: RawEvent, message: Inbound, brand: Brand | None) -> Reply:
    """Store a message; one that comes in pieces is one reply, whose text grows with them."""
    is_opt_out = message.answered_as == "stop" or keywords.is_exact_stop(message.text)
    values = {
        "tenant_id": account.tenant_id,
        "brand": brand,
        "raw": raw,
        "provider_id": message.provider_id[:80],
        "number": message.sender[:254],
        "to": message.to[:254],
        "text": message.text,
        "media": list(message.media),
        "is_opt_out": is_opt_out,
        "received_at": raw.received_at,
    }
    piece = message.part
    if piece is None:
        return Reply.objects.create(account=account, **values)
    whole = f"{message.sender}:{message.to}:{piece.whole}"[:120]
    known = Reply.objects.select_for_update().filter(account=account, whole=whole).first()
    if known is not None and (
        str(piece.number) in known.pieces or known.received_at < raw.received_at - _PIECES_WITHIN
    ):
        Reply.objects.filter(pk=known.pk).update(whole="")
    reply, is_new = Reply.objects.select_for_update().get_or_create(
        account=account, whole=whole, defaults={**values, "pieces": {piece.number: message.text}}
    )
    if not is_new:
        reply.pieces[str(piece.number)] = message.text
        reply.text = "".join(text for _, text in sorted(reply.pieces.items(), key=lambda item: int(item[0])))
        reply.media = [*reply.media, *message.media]
        # What the first piece asked for stays asked for, whatever follows.
        reply.is_opt_out = reply.is_opt_out or is_opt_out or keywords.is_exact_stop(reply.text)
        reply.save(update_fields=["pieces", "text", "media", "is_opt_out"])
    return reply


def _stop(account: ProviderAccount, number: str, address: str, *, source: str, evidence: str, now: datetime) -> None:
    """Suppress a person for the brand of this address; for all of the account's where it is nobody's: STOP wins."""
    if not _IS_NUMBER.fullmatch(number):
        return
    for brand in _brands_of(account, address) or _brands_of(account, ""):
        suppression.suppress(brand=brand, number=number, reason="opt_out", source=source, evidence=evidence, now=now)


def _brands_of(account: ProviderAccount, address: str) -> list[Brand]:
    """Return the brand that texts from this address; without an address, all that text through the account."""
    senders = Sender.objects.filter(account=account).select_related("brand").order_by("id")
    if address:
        senders = senders.filter(address=address)
    return list({sender.brand_id: sender.brand for sender in senders}.values())


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
