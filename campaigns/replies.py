"""Messages from people: stored, and an exact STOP honoured before the webhook answers."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

from django.db import transaction

from campaigns import scheduling
from campaigns.models import Dispatch, RawEvent, Reply
from campaigns.states import EARLY, State
from compliance import keywords, policy, suppression
from providers.adapters.base import Inbound, OptOut, Part
from providers.models import ProviderAccount, Sender
from smsplatform.common.database import rows
from smsplatform.tenancy.models import Brand

_STOPPABLE: Final = (*EARLY, State.HELD)
# Whatever else writes to us, nothing is ever sent to it.
_IS_NUMBER: Final = re.compile(r"\+[1-9]\d{3,14}|[^@\s]+@[^@\s]+")
_PIECES_COME_WITHIN: Final = timedelta(days=1)


def take_in(account: ProviderAccount, raw: RawEvent, events: Sequence[Inbound | OptOut]) -> None:
    """Store what people wrote and, in the same transaction, the suppression that each opt-out asks for."""
    for event in events:
        if isinstance(event, OptOut):
            for brand in _brands_of(account, event.sender):
                _suppress(brand, event.number, source="provider", evidence=event.key, now=raw.received_at)
            continue
        brands = _brands_of(account, event.to)
        reply = _reply(account, raw, event, brands[0] if len(brands) == 1 else None)
        if reply.is_opt_out:
            for brand in brands:
                _suppress(brand, event.sender, source="reply", evidence=event.key, now=raw.received_at)


def _reply(account: ProviderAccount, raw: RawEvent, message: Inbound, brand: Brand | None) -> Reply:
    """Store a message; one that comes in pieces is one reply, whose text grows with them."""
    values: dict[str, Any] = {
        "tenant_id": account.tenant_id,
        "brand": brand,
        "raw": raw,
        "provider_id": message.provider_id[:80],
        "number": message.sender[:254],
        "to": message.to[:254],
        "text": message.text,
        "media": list(message.media),
        "is_opt_out": message.answered_as == "stop" or (message.part is None and keywords.is_exact_stop(message.text)),
        "received_at": raw.received_at,
    }
    if message.part is None:
        return Reply.objects.create(account=account, **values)
    whole = f"{message.sender}:{message.to}:{message.part.whole}"[:120]
    _end_other(account, whole, message.part, message.text, raw.received_at)
    reply, _ = Reply.objects.select_for_update().get_or_create(account=account, whole=whole, defaults=values)
    reply.pieces[str(message.part.number)] = message.text
    pieces = [text for _, text in sorted(reply.pieces.items(), key=lambda item: int(item[0]))]
    reply.text = "".join(pieces)
    reply.media = list(dict.fromkeys([*reply.media, *message.media]))
    # What was asked for stays asked for, whatever follows.
    reply.is_opt_out = reply.is_opt_out or values["is_opt_out"] or _begins_with_stop(reply.pieces)
    reply.save(update_fields=["pieces", "text", "media", "is_opt_out"])
    return reply


def _end_other(account: ProviderAccount, whole: str, piece: Part, text: str, now: datetime) -> None:
    """Take the mark from an older message that has the same: vendors have few marks, which soon come again."""
    for other in Reply.objects.select_for_update().filter(account=account, whole=whole):
        known = other.pieces.get(str(piece.number), text)
        if known != text or now - other.received_at > _PIECES_COME_WITHIN or len(other.pieces) > piece.total:
            Reply.objects.filter(pk=other.pk).update(whole="")


def _begins_with_stop(pieces: Mapping[str, str]) -> bool:
    """Return whether the beginning that is there already is a STOP: a later piece alone says nothing."""
    text = ""
    for number in count(1):
        if str(number) not in pieces:
            return False
        text += pieces[str(number)]
        if keywords.is_exact_stop(text):
            return True
    return False


def _suppress(brand: Brand, number: str, *, source: str, evidence: str, now: datetime) -> None:
    if _IS_NUMBER.fullmatch(number):
        suppression.suppress(brand=brand, number=number, reason="opt_out", source=source, evidence=evidence, now=now)


def _brands_of(account: ProviderAccount, address: str) -> list[Brand]:
    """Return the brand that texts from this address.

    Without an address, or with one that is none of our senders (a number out of a vendor's pool, or one that was
    removed): all that text through the account, so that no STOP is lost.
    """
    senders = list(Sender.objects.filter(account=account).select_related("brand").order_by("id"))
    named = [sender for sender in senders if sender.address == address]
    return list({sender.brand_id: sender.brand for sender in named or senders}.values())


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
