"""Does what people's texts ask for, and answers them: once each, from the number they wrote to, and never too late.

A conversation's texts are applied in the order in which they were received, under its lock. What a text does (lift a
suppression, record a consent, join a list) and its answer are written in one transaction with the mark that it is
done, so repeating any of this changes nothing. An answer is a keyword reply: it goes out although the person has opted
out, so nothing but this module may make one (R35). Whether there is one, `compliance.keywords.answering` decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import QuerySet

from campaigns import conversations, joining, notifications, reading, replies
from campaigns.models import Conversation, Keyword, Reply
from compliance import automatic_texts, consent, traffic
from compliance.keywords import Kind, Purpose, answering, wording
from compliance.keywords.answering import Line, OptOutMode, Past
from compliance.models import Suppression
from providers.models import Sender
from smsplatform.common import phone
from smsplatform.tenancy.models import Brand

log = structlog.get_logger("answers")

_AT_ONCE: Final = 200
_PAUSE: Final = timedelta(minutes=1)  # before one that failed is tried again
_ANSWERED: Final[Mapping[Kind, str]] = {Kind.OPT_OUT: "stop_answered_at", Kind.HELP: "help_answered_at"}


@dataclass(frozen=True, slots=True)
class Done:
    """What a text has led to: whether it may be answered, else why not; and the brand's own word that it was."""

    silence: str = ""
    keyword: Keyword | None = None
    is_news: bool = True


def answer_replies(now: datetime) -> int:
    """Apply the texts that wait, conversation by conversation, the oldest first; return how many answers go out."""
    replies.read_incomplete(now)
    waiting = _waiting(now).order_by("apply_at", "id").values_list("brand_id", "number")[:_AT_ONCE]
    people = list(dict.fromkeys(waiting))
    brands = Brand.objects.select_related("tenant").in_bulk({brand_id for brand_id, _ in people})
    return sum(_converse(brands[brand_id], number, now) for brand_id, number in people)


def is_anybody_waiting(now: datetime) -> bool:
    """Return whether there are texts to apply now."""
    return _waiting(now).exists()


def _waiting(now: datetime) -> QuerySet[Reply]:
    return Reply.objects.filter(apply_at__lte=now, brand__isnull=False).exclude(kind="")


def _converse(brand: Brand, number: str, now: datetime) -> int:
    """Apply all that one person wrote to one brand; return how many answers go out. One that fails waits."""
    try:
        with transaction.atomic(durable=True):
            conversation = conversations.take(brand, number)
            if conversation is None:
                return 0
            texts = (
                Reply.objects.filter(brand=brand, number=number, apply_at__isnull=False)
                .exclude(kind="")
                .order_by("received_at", "id")
                .select_related("account")
            )
            return sum(_apply(conversation, brand, reply, now) for reply in texts)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("answers.failed", brand=brand.pk)
        Reply.objects.filter(brand=brand, number=number, apply_at__isnull=False).update(apply_at=now + _PAUSE)
        return 0


def _apply(conversation: Conversation, brand: Brand, reply: Reply, now: datetime) -> bool:
    """Do what a text asks for and answer it; return whether an answer goes out."""
    past = _past(conversation, brand, reply)
    done = _do(conversation, brand, reply, now)
    reply.apply_at = None
    reply.answer_rule = done.silence or _answer(conversation, brand, reply, past, done, now)
    reply.save(update_fields=["apply_at", "answer", "answer_rule"])
    return reply.answer is not None


def _past(conversation: Conversation, brand: Brand, reply: Reply) -> Past:
    """Return what held before this text."""
    stored = list(
        Suppression.objects.filter(number=reply.number, brand=brand, released_at=None).values_list("reason", "evidence")
    )
    own, is_start = replies.evidence_of(reply), reply.kind == Kind.OPT_IN
    return Past(
        # A STOP after a text that waits for its review is a first one; a START ends the review as well.
        is_opted_out=any(evidence != own for reason, evidence in stored if reason != "review" or is_start),
        is_opted_in=conversation.started_at is not None,
        is_blocked=any(reason == "provider_blocked" for reason, _ in stored),
        answered_at=getattr(conversation, _ANSWERED[Kind(reply.kind)]) if reply.kind in _ANSWERED else None,
    )


# -- what it asks for ----------------------------------------------------------------------------------------------


def _do(conversation: Conversation, brand: Brand, reply: Reply, now: datetime) -> Done:
    if reply.is_opt_out:
        replies.revoke(brand, reply, now)
    if reply.kind != Kind.OPT_IN:
        return Done()
    return _start(conversation, brand, reply, now)


def _start(conversation: Conversation, brand: Brand, reply: Reply, now: datetime) -> Done:
    """Let the person come back, or in for the first time, unless a STOP came later."""
    rule = reading.stored(reply).name
    keyword = joining.word_of(brand, reply.text) if rule == "brand_word" else None
    if conversation.stopped_at is not None and conversation.stopped_at >= reply.received_at:
        return Done("overtaken_by_stop")
    if rule == "yes" and not _confirm(brand, reply):
        return Done("nothing_to_confirm")
    if rule == "brand_word" and keyword is None:
        return Done("word_is_gone")
    conversations.start(conversation, brand, at=reply.received_at, now=now)
    _end_reviews(brand, reply, now)
    is_news = True
    if keyword is not None:
        joined = joining.join(reply, brand, keyword, now)
        if joined is None:
            return Done("number_not_allowed")
        is_news = joined
    elif rule == "start":
        _grant(brand, reply, now)
    if Suppression.objects.filter(number=reply.number, released_at=None, brand=brand, category="").exists():
        return Done("still_suppressed")  # by somebody else than the person
    return Done(keyword=keyword, is_news=is_news)


def _grant(brand: Brand, reply: Reply, now: datetime) -> None:
    """Put a START on record: as strong as what the person was shown before, and no stronger."""
    consent.record(
        brand=brand,
        number=reply.number,
        event=consent.Event.GRANTED,
        tier=consent.Tier.WRITTEN,
        source=consent.Source.KEYWORD,
        occurred_at=reply.received_at,
        now=now,
        action="texted START",
        inbound_id=reply.pk,
        inbound_text=reply.text,
        our_number=reply.to,
    )


def _confirm(brand: Brand, reply: Reply) -> bool:
    asked_at = consent.asked_at(brand=brand, number=reply.number)
    is_confirmed = consent.confirm(
        brand=brand,
        number=reply.number,
        now=reply.received_at,
        inbound_id=reply.pk,
        inbound_text=reply.text,
        our_number=reply.to,
    )
    if is_confirmed and asked_at is not None:
        traffic.note_opt_in_confirmed(tenant=brand.tenant, number=reply.number, asked_at=asked_at)
    return is_confirmed


def _end_reviews(brand: Brand, reply: Reply, now: datetime) -> None:
    """Whatever the person meant before: this is what they want now."""
    Reply.objects.filter(
        brand=brand,
        number=reply.number,
        review_until__isnull=False,
        reviewed_at=None,
        received_at__lt=reply.received_at,
    ).update(reviewed_at=now, reviewed_by=replies.BY_START)


# -- the answer ----------------------------------------------------------------------------------------------------


def _answer(conversation: Conversation, brand: Brand, reply: Reply, past: Past, done: Done, now: datetime) -> str:
    """Send the answer, if there is to be one, and return why, or why not."""
    if "@" in reply.number:
        return "mail_is_not_answered"  # two machines would talk to each other
    if isinstance(notifications.parse_number(brand, reply.number), phone.Refusal):
        return "number_not_allowed"  # who answers a paid number pays for every text it thinks of
    if _is_suppressed_everywhere(reply.number):
        return "suppressed_platform"
    sender = (
        Sender.objects.filter(brand=brand, account_id=reply.account_id, address=reply.to, is_active=True)
        .select_related("account")
        .first()
    )
    found = answering.answer(
        reading.stored(reply),
        body=reply.text,
        line=_line(sender),
        past=_seen(past, done),
        received_at=reply.received_at,
        # what is claimed in the last seconds would be posted after them
        now=now + settings.POST_WITHIN,
        has_vendor_answered=bool(reply.answered_as),
    )
    if found.purpose is None or sender is None:
        return "no_sender_to_answer_from" if found.purpose else str(found)
    text = _text(brand, done.keyword, found.purpose, now)
    if not text.is_fit:
        return f"text_unfit:{','.join((*text.missing, *text.faults))}"[:60]
    reply.answer = notifications.answer(
        reply=reply,
        brand=brand,
        sender_id=sender.pk,
        text=text.text,
        now=now,
        lifetime=found.until - settings.POST_WITHIN - now if found.until else None,
    )
    if reply.kind in _ANSWERED:
        setattr(conversation, _ANSWERED[Kind(reply.kind)], now)
        conversation.save(update_fields=[_ANSWERED[Kind(reply.kind)]])
    return str(found)


def _is_suppressed_everywhere(number: str) -> bool:
    return Suppression.objects.filter(
        number=number, scope=Suppression.Scope.PLATFORM, brand=None, released_at=None
    ).exists()


def _line(sender: Sender | None) -> Line:
    """Return who answers keywords on the number that was written to; on one that is none of ours, nobody of us."""
    if sender is None:
        return Line(OptOutMode.SELF)
    return Line(
        mode=OptOutMode(sender.keyword_mode),
        is_short_code=sender.is_short_code,
        vendor_words=sender.answered_words,
        is_prefix=sender.is_answered_by_beginning,
    )


def _seen(past: Past, done: Done) -> Past:
    """Who joins another list hears so, although they are in already; who joins the same one again does not."""
    return past if done.keyword is None else replace(past, is_opted_in=not done.is_news)


def _text(brand: Brand, keyword: Keyword | None, purpose: Purpose, now: datetime) -> wording.Wording:
    texts = automatic_texts.of(brand)
    day = now.astimezone(UTC).date()
    if keyword is not None and keyword.welcome.strip():
        program = automatic_texts.program_of(texts)
        return wording.check(keyword.welcome.strip(), purpose=purpose, program=program, day=day)
    return automatic_texts.text(texts, purpose=purpose, day=day)
