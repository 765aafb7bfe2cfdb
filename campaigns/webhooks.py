"""Where providers reach us: /webhooks/<provider>/<account key>/<anything>.

The view does the least: size, account, signature, parse; then one transaction stores the request (once) and, for an
inbound STOP, the suppression, before it answers (P6). Everything else follows by task, and does not need Redis to be
up: the events wait in Postgres. Our store down, or the account unreadable: 503, so that the vendor repeats.
"""

from collections.abc import Sequence
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from campaigns import arrivals, refusals, replies
from campaigns.arrivals import AccountChanged, Arrival, Kept
from campaigns.models import RawEvent
from campaigns.nudges import Nudge
from campaigns.replies import Heard
from providers.adapters.base import Adapter, Event, Inbound, MalformedEvent, Receipt, WebhookRequest
from providers.models import UNUSABLE, ProviderAccount
from smsplatform.common.sessionless import sessionless
from smsplatform.common.together import Together

log = structlog.get_logger("webhook")

_nudge = Nudge("apply_events", wait=0.25, pause=1.0)  # the more at once, the less each costs
_have_answered = Nudge("answer_replies", pause=0.25)  # at once, as people wait
_MOST_REMEMBERED: Final = 1000

# Accounts that were called with a good signature, by (provider, key), with their adapters: to make one is to decrypt.
# Only a guess: to store is to compare with the table.
_remembered: dict[tuple[str, str], tuple[ProviderAccount, Adapter]] = {}


class _AccountUnusable(Exception):
    """Nobody can say whether the request is the vendor's, until the account is mended."""


@sessionless
@csrf_exempt
def receive(  # noqa: PLR0911 - each refusal leaves at once, before any dearer work
    request: HttpRequest, provider: str, key: str, rest: str
) -> HttpResponse:
    """Store a vendor's call and answer what that vendor expects."""
    if _is_too_large(request):
        return _refuse(413, "body_too_large", provider)
    try:
        remembered = _remembered.get((provider, key))
        found = remembered or _look_up(provider, key)
        if found is None:
            return _refuse(404, "unknown_account", provider)
        account, adapter = found
        query = request.META.get("QUERY_STRING", "")
        call = WebhookRequest(
            method=request.method or "",
            url=f"{settings.PUBLIC_URL}/webhooks/{provider}/{key}/{rest}" + (f"?{query}" if query else ""),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=request.body,
        )
        if not adapter.verify(call):
            if remembered and _remembered.pop((provider, key), None):
                return receive(request, provider, key, rest)  # its secret may have changed
            return _refuse(403, "bad_signature", provider)
        try:
            events = adapter.parse(call)
        except MalformedEvent as error:
            return _refuse(400, "malformed_event", provider, str(error))
        is_news = store(account, call, events)
    except AccountChanged:
        _remembered.pop((provider, key), None)
        return receive(request, provider, key, rest)
    except (DatabaseError, InterfaceError, _AccountUnusable):
        log.exception("webhook.not_now", provider=provider)
        return HttpResponse("this cannot be stored now; please repeat", status=503, content_type="text/plain")
    _remember(account, adapter)
    if is_news:
        _nudge()
    if is_news and any(isinstance(event, Inbound) for event in events):
        _have_answered()
    answer = adapter.answer(call)
    return HttpResponse(answer.body, status=answer.status, content_type=answer.content_type)


def _is_too_large(request: HttpRequest) -> bool:
    """Return whether the body is longer than allowed; by its header, before it is read, where that says so."""
    length = request.headers.get("Content-Length", "0")
    if not length.isdigit() or int(length or 0) > settings.WEBHOOK_MAX_BYTES:
        return True
    return bool(len(request.body) > settings.WEBHOOK_MAX_BYTES)


def _look_up(provider: str, key: str) -> tuple[ProviderAccount, Adapter] | None:
    account = ProviderAccount.objects.filter(provider=provider, key=key).first()
    try:
        return (account, account.adapter()) if account else None
    except UNUSABLE as error:
        raise _AccountUnusable(str(error)) from error


def _remember(account: ProviderAccount, adapter: Adapter) -> None:
    if len(_remembered) >= _MOST_REMEMBERED:
        _remembered.clear()
    _remembered[account.provider, account.key] = account, adapter


def store(account: ProviderAccount, call: WebhookRequest, events: Sequence[Event]) -> bool:
    """Keep the request with its events that had not come before, and the suppressions these ask for.

    Vendors repeat events, also in other company: each event counts once. Returns whether there was news; raises
    AccountChanged if the account is not, or no longer, what it is taken for.
    """
    if all(isinstance(event, Receipt) for event in events):
        return arrivals.keep_together(account, call, events) is not None
    kept = _keep_words_together(Arrival(account, call, events))
    if isinstance(kept, AccountChanged):
        raise kept
    return kept is not None


def _keep_words(came: Sequence[Arrival]) -> list[Kept | AccountChanged | None]:
    """Store requests with what people say in them, and all that has to hold at once, in one transaction."""
    with transaction.atomic(durable=True):
        found = arrivals.insert(came)
        replies.take_in(
            [
                Heard(
                    arrival.account,
                    RawEvent(id=kept.raw_id, tenant_id=arrival.account.tenant_id, received_at=kept.received_at),
                    [event for event in map(arrival.events.__getitem__, kept.news) if not isinstance(event, Receipt)],
                )
                for arrival, kept in zip(came, found, strict=True)
                if isinstance(kept, Kept)
            ]
        )
    return found


_keep_words_together = Together(_keep_words, linger=arrivals.LINGER)


def _refuse(status: int, reason: str, provider: str, detail: str = "") -> HttpResponse:
    refusals.count(provider, reason)
    log.info("webhook.refused", status=status, reason=reason, provider=provider, detail=detail)
    return HttpResponse(f"{reason}: {detail}" if detail else reason, status=status, content_type="text/plain")


def as_call(raw: RawEvent) -> WebhookRequest:
    """Return a stored request as the adapter reads it."""
    headers: dict[str, Any] = raw.headers
    return WebhookRequest(method=raw.method, url=raw.url, headers=headers, body=bytes(raw.body))
