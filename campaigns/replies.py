"""Messages from people: stored, read, and an opt-out honoured before the webhook answers.

Whatever else a text asks for is done by task, from what is stored here (`answers`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time, timedelta
from itertools import count
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from django.db import transaction

from campaigns import conversations, reading, scheduling
from campaigns.models import Dispatch, RawEvent, Reply
from campaigns.states import EARLY, State
from compliance import consent, keywords, policy, suppression
from compliance.keywords import Kind, Match, Scope
from compliance.policy import Category
from compliance.reasons import OPT_OUT, PROVIDER_BLOCKED
from providers.adapters.base import Inbound, OptOut, Part
from providers.models import ProviderAccount, Sender
from smsplatform.common.database import rows
from smsplatform.tenancy.models import Brand

_STOPPABLE: Final = (*EARLY, State.HELD)
# Whatever else writes to us, nothing is ever sent to it.
_IS_NUMBER: Final = re.compile(r"\+[1-9]\d{3,14}|[^@\s]+@[^@\s]+").fullmatch
_PIECES_COME_WITHIN: Final = timedelta(days=1)
_PATIENCE: Final = timedelta(minutes=2)  # with missing pieces; an answer to what is there still comes in time
_AT_ONCE: Final = 500
_READ: Final = ("kind", "rule", "is_opt_out", "apply_at", "review_until")
BY_START: Final = "the person's own START"
_ASKING: Final = frozenset({Kind.OPT_OUT, Kind.HELP, Kind.OPT_IN})


class Heard(NamedTuple):
    """What a request of a vendor's says that people have said."""

    account: ProviderAccount
    raw: RawEvent
    events: Sequence[Inbound | OptOut]


def take_in(heard: Sequence[Heard]) -> None:
    """Store what people wrote and, in the same transaction, the suppression that each opt-out asks for."""
    # Person by person, as suppressions are stored everywhere: two that store the same ones wait, and never for each other.
    found = sorted(((each, event) for each in heard for event in each.events), key=lambda pair: _person(pair[1]))
    if not found:
        return
    senders = _senders({each.account.pk for each, _ in found})
    meant = [(each, event, _brands(senders[each.account.pk], _address(event))) for each, event in found]
    # All at once, and so in one order: two processes take in what came to them together.
    people = ((brand, _person(event)) for _, event, brands in meant for brand in brands)
    conversations.lock((brand, number) for brand, number in people if _IS_NUMBER(number))
    known = reading.Known()
    for each, event, brands in meant:
        if isinstance(event, Inbound):
            _take_in(each.account, each.raw, event, brands, known)
        elif _IS_NUMBER(event.number):
            for brand in brands:
                at = each.raw.received_at
                conversations.stop(
                    brand, event.number, PROVIDER_BLOCKED, source="provider", evidence=event.key, at=at, now=at
                )


def _person(event: Inbound | OptOut) -> str:
    return event.number if isinstance(event, OptOut) else event.sender


def _address(event: Inbound | OptOut) -> str:
    """Return ours."""
    return event.sender if isinstance(event, OptOut) else event.to


def _take_in(
    account: ProviderAccount, raw: RawEvent, message: Inbound, brands: Sequence[Brand], known: reading.Known
) -> None:
    reply = _reply(account, raw, message, brands[0] if len(brands) == 1 else None)
    if reply.is_opt_out:
        return  # what was asked for stays asked for, whatever follows
    found = _meaning(reply, known, is_all=bool(reply.kind))  # what was read without its missing pieces is read again
    if message.answered_as == "stop" and (found is None or found.kind is not Kind.OPT_OUT):
        found = reading.VENDOR_STOP
    if found is not None and found.kind != reply.kind:
        honour(reply, found, brands=brands, now=raw.received_at)


def _reply(account: ProviderAccount, raw: RawEvent, message: Inbound, brand: Brand | None) -> Reply:
    """Return the reply that a message is, not stored yet; one that comes in pieces is one, whose text grows with them."""
    values: dict[str, Any] = {
        "tenant_id": account.tenant_id,
        "brand": brand,
        "raw": raw,
        "provider_id": message.provider_id[:80],
        "number": message.sender[:254],
        "to": message.to[:254],
        "text": message.text,
        "media": list(message.media),
        "answered_as": message.answered_as[:10],
        "received_at": raw.received_at,
    }
    if message.part is None:
        return Reply(account=account, **values)
    whole = f"{message.sender}:{message.to}:{message.part.whole}"[:120]
    _end_other(account, whole, message.part, message.text, raw.received_at)
    values |= {"pieces_due": message.part.total, "apply_at": raw.received_at + _PATIENCE}
    reply, _ = Reply.objects.select_for_update().get_or_create(account=account, whole=whole, defaults=values)
    reply.pieces[str(message.part.number)] = message.text
    pieces = [text for _, text in sorted(reply.pieces.items(), key=lambda item: int(item[0]))]
    reply.text = "".join(pieces)
    reply.media = list(dict.fromkeys([*reply.media, *message.media]))
    reply.save(update_fields=["pieces", "text", "media"])
    return reply


def _end_other(account: ProviderAccount, whole: str, piece: Part, text: str, now: datetime) -> None:
    """Take the mark from an older message that has the same: vendors have few marks, which soon come again."""
    for other in Reply.objects.select_for_update().filter(account=account, whole=whole):
        known = other.pieces.get(str(piece.number), text)
        if known != text or now - other.received_at > _PIECES_COME_WITHIN or len(other.pieces) > piece.total:
            Reply.objects.filter(pk=other.pk).update(whole="")


def _meaning(reply: Reply, known: reading.Known, *, is_all: bool = False) -> Match | None:
    """Return what a text is taken for; None while pieces are missing and what is there is no STOP.

    `is_all`: no more pieces are waited for.
    """
    stop = _stop_in_beginning(reply.pieces)
    if not (stop or is_all or len(reply.pieces) >= reply.pieces_due):
        return None
    return reading.read(stop or reply.text, brand=reply.brand, number=reply.number, at=reply.received_at, known=known)


def _stop_in_beginning(pieces: Mapping[str, str]) -> str:
    """Return the beginning that is there already, if it is a STOP: a later piece alone says nothing."""
    text = ""
    for number in count(1):
        if str(number) not in pieces:
            return ""
        text += pieces[str(number)]
        if keywords.is_exact_stop(text):
            return text
    return ""


def honour(reply: Reply, found: Match, *, brands: Sequence[Brand], now: datetime) -> None:
    """Store what a text is taken for; an opt-out, or what may be one, holds with this transaction.

    The conversations of the brands are locked.
    """
    is_person = _IS_NUMBER(reply.number) is not None
    is_held = is_person and found.kind is Kind.REVIEW and bool(brands)
    reply.kind, reply.rule = found.kind.value, str(found)
    reply.is_opt_out = found.kind is Kind.OPT_OUT
    reply.apply_at = reply.received_at if is_person and reply.brand_id and found.kind in _ASKING else None
    reply.review_until = min(_review_ends(brand, reply.received_at) for brand in brands) if is_held else None
    reply.save(update_fields=None if reply._state.adding else _READ)  # noqa: SLF001 - Django's own name for it
    if is_person and reply.is_opt_out:
        _stop(reply, found, brands, now)
    if is_held:
        _hold(reply, brands, now)


def _stop(reply: Reply, found: Match, brands: Sequence[Brand], now: datetime) -> None:
    evidence = evidence_of(reply)
    for brand in brands:
        conversations.stop(
            brand, reply.number, OPT_OUT, source="reply", evidence=evidence, at=reply.received_at, now=now
        )
    if found.scope is Scope.PLATFORM:
        suppression.suppress_everywhere(
            number=reply.number, reason="wrong_number", source="reply", evidence=evidence, now=reply.received_at
        )


def _hold(reply: Reply, brands: Sequence[Brand], now: datetime) -> None:
    """Hold marketing; where the person has said START since, there is nothing to decide any more."""
    evidence = evidence_of(reply)
    held = [conversations.hold(b, reply.number, evidence=evidence, at=reply.received_at) for b in brands]
    if not any(held):
        Reply.objects.filter(pk=reply.pk).update(reviewed_at=now, reviewed_by=BY_START)


def _review_ends(brand: Brand, received_at: datetime) -> datetime:
    """Return the end of the last day, by the brand's clock, on which somebody can say that it is no opt-out."""
    zone = ZoneInfo(brand.zone)
    last = keywords.review_ends_on(received_at.astimezone(zone).date())
    return datetime.combine(last + timedelta(days=1), time(), zone)


def evidence_of(reply: Reply) -> str:
    """Return by what a suppression names the text that asked for it."""
    return f"reply:{reply.pk}"


def brands_meant(reply: Reply) -> list[Brand]:
    """Return the brand that a text was meant for, or all that may be."""
    if reply.brand is not None:
        return [reply.brand]
    return _brands(_senders([reply.account_id])[reply.account_id], reply.to)


def _senders(account_ids: Iterable[int]) -> dict[int, list[Sender]]:
    found: dict[int, list[Sender]] = {account_id: [] for account_id in account_ids}
    for sender in Sender.objects.filter(account_id__in=found).select_related("brand").order_by("id"):
        found[sender.account_id].append(sender)
    return found


def _brands(senders: Sequence[Sender], address: str) -> list[Brand]:
    """Return the brand that texts from this address.

    Without an address, or with one that is none of our senders (a number out of a vendor's pool, or one that was
    removed): all that text through the account, so that no STOP is lost.
    """
    named = [sender for sender in senders if sender.address == address]
    return list({sender.brand_id: sender.brand for sender in named or senders}.values())


def read_incomplete(now: datetime) -> int:
    """Read messages of which pieces are still missing as far as they came; return how many."""
    late = Reply.objects.filter(kind="", apply_at__lte=now).order_by("apply_at", "id")
    waiting = list(late.select_related("account", "brand")[:_AT_ONCE])
    for reply in waiting:
        brands = brands_meant(reply)
        with transaction.atomic():
            conversations.lock((brand, reply.number) for brand in brands if _IS_NUMBER(reply.number))
            locked = Reply.objects.select_for_update(of=("self",)).select_related("brand").get(pk=reply.pk)
            found = _meaning(locked, reading.Known(), is_all=True)
            if not locked.kind and found is not None:
                honour(locked, found, brands=brands, now=now)
    return len(waiting)


def revoke(brand: Brand, reply: Reply, now: datetime) -> None:
    """Put the end of the person's consent on record; the suppression holds since the webhook. Again, it changes nothing."""
    consent.record(
        brand=brand,
        number=reply.number,
        event=consent.Event.REVOKED,
        source=consent.Source.KEYWORD,
        occurred_at=reply.received_at,
        now=now,
        action="texted an opt-out",
        reason="opt_out",
        inbound_id=reply.pk,
        inbound_text=reply.text,
        our_number=reply.to,
    )


def tidy_stops(now: datetime) -> int:
    """Block what still waits for people who opted out, so that lists and totals say so at once; return how many rows.

    The claim would refuse them anyway. Found through the batches of the brand that still have open rows. Answers to
    what they wrote go out all the same, and who has come back meanwhile loses nothing more.
    """
    untidied = Reply.objects.filter(is_opt_out=True, tidied_at=None).order_by("id").select_related("account", "brand")
    stops = list(untidied[:_AT_ONCE])
    numbers: dict[int, set[str]] = {}
    for stop in stops:
        for brand in brands_meant(stop):
            numbers.setdefault(brand.pk, set()).add(stop.number)
            if stop.brand is None:  # no conversation of one brand: nobody else puts it on record
                revoke(brand, stop, now)
    moved = 0
    for brand_id, stopped in sorted(numbers.items()):
        waiting = rows(
            """
            SELECT d.id, d.batch_id, r.category
            FROM campaigns_batch b JOIN campaigns_run r ON r.id = b.run_id JOIN campaigns_dispatch d ON d.batch_id = b.id
            WHERE b.brand_id = %s AND b.phase <> 'closed' AND d.number = ANY(%s) AND d.state = ANY(%s)
            """,
            [brand_id, sorted(stopped), list(_STOPPABLE)],
        )
        for category in sorted({row[2] for row in waiting}):
            theirs = Dispatch.objects.filter(id__in=[row[0] for row in waiting if row[2] == category])
            with transaction.atomic():
                moved += theirs.judge(_STOPPABLE, policy.suppressions(Category(category)), now).total()
        scheduling.end_where_empty([row[1] for row in waiting], now)
    Reply.objects.filter(pk__in=[stop.pk for stop in stops]).update(tidied_at=now)
    return moved
