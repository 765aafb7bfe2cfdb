"""Where providers reach us: /webhooks/<provider>/<account key>/<anything>.

The view does the least: size, account, signature, parse; then one transaction stores the request (once) and, for an
inbound STOP, the suppression, before it answers (P6). Everything else follows by task, and does not need Redis to be
up: the events wait in Postgres. Our store down: 503, so that the vendor repeats.
"""

import hashlib
import time
from collections.abc import Sequence
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from campaigns import replies
from campaigns.models import RawEvent
from providers.adapters.base import Inbound, MalformedEvent, Receipt, WebhookRequest
from providers.models import ProviderAccount
from smsplatform.common import database

log = structlog.get_logger("webhook")

_KEPT_HEADERS: Final = ("content-type", "user-agent")
_LONGEST_KEY: Final = 200
_NUDGE_PAUSE: Final = 0.25  # seconds; one task applies what came meanwhile


@csrf_exempt
def receive(  # noqa: PLR0911 - each refusal leaves at once, before any dearer work
    request: HttpRequest, provider: str, key: str, rest: str
) -> HttpResponse:
    """Store a vendor's call and answer what that vendor expects."""
    length = request.headers.get("Content-Length", "0")
    if not length.isdigit() or int(length or 0) > settings.WEBHOOK_MAX_BYTES:
        return _refuse(413, "body_too_large", provider)
    body = request.body
    if len(body) > settings.WEBHOOK_MAX_BYTES:
        return _refuse(413, "body_too_large", provider)
    try:
        account = ProviderAccount.objects.filter(provider=provider, key=key).first()
        if account is None:
            return _refuse(404, "unknown_account", provider)
        adapter = account.adapter()
        query = request.META.get("QUERY_STRING", "")
        call = WebhookRequest(
            method=request.method or "",
            url=f"{settings.PUBLIC_URL}/webhooks/{provider}/{key}/{rest}" + (f"?{query}" if query else ""),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
        )
        if not adapter.verify(call):
            return _refuse(403, "bad_signature", provider)
        try:
            events = adapter.parse(call)
        except MalformedEvent as error:
            return _refuse(400, f"malformed_event: {error}", provider)
        is_news = store(account, call, events)
    except (DatabaseError, InterfaceError):
        log.exception("webhook.store_down", provider=provider)
        return HttpResponse("the store is down; please repeat", status=503, content_type="text/plain")
    if is_news:
        _nudge()
    answer = adapter.answer(call)
    return HttpResponse(answer.body, status=answer.status, content_type=answer.content_type)


def store(account: ProviderAccount, call: WebhookRequest, events: Sequence[Receipt | Inbound]) -> bool:
    """Keep the request with its events that had not come before, and the suppressions these ask for.

    Vendors repeat events, also in other company: each event counts once. Returns whether there was news.
    """
    keys = [_key(event) for event in events] or [_digest(call.url.encode() + b"\0" + call.body)]
    with transaction.atomic(durable=True):
        new = {
            key
            for (key,) in database.rows(
                "INSERT INTO campaigns_seenevent (account_id, tenant_id, key, seen_at)"
                " SELECT %s, %s, k, now() FROM (SELECT DISTINCT unnest(%s::text[]) AS k ORDER BY 1) x"
                " ON CONFLICT (account_id, key) DO NOTHING RETURNING key",
                [account.pk, account.tenant_id, keys],
            )
        }
        if not new:
            return False
        news = [place for place, key in enumerate(keys) if key in new and keys.index(key) == place]
        raw = RawEvent.objects.create(
            tenant_id=account.tenant_id,
            account=account,
            method=call.method,
            url=call.url,
            headers={name: call.headers[name] for name in _KEPT_HEADERS if name in call.headers},
            body=call.body,
            news=news if events else [],
            received_at=database.now(),
        )
        fresh = [events[place] for place in raw.news]
        replies.honour_stops(account, raw, [event for event in fresh if isinstance(event, Inbound)])
    return True


def _key(event: Receipt | Inbound) -> str:
    """Return what is equal for the vendor's repeats of one event."""
    text = f"{type(event).__name__}:{event.key}"
    return text if len(text) <= _LONGEST_KEY else _digest(text.encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


_nudged_at = 0.0


def _nudge() -> None:
    """Have the events applied soon, those of the next instants with them; a dead broker only costs the speed."""
    global _nudged_at  # noqa: PLW0603 - a hint per process; losing or doubling it does no harm
    if time.monotonic() - _nudged_at < _NUDGE_PAUSE:
        return
    _nudged_at = time.monotonic()
    from campaigns import tasks

    try:
        tasks.apply_events.apply_async(countdown=_NUDGE_PAUSE, expires=10)
    except Exception:  # noqa: BLE001 - the event is stored; only its speed is at stake
        log.warning("webhook.nudge_failed")


def _refuse(status: int, reason: str, provider: str) -> HttpResponse:
    log.info("webhook.refused", status=status, reason=reason, provider=provider)
    return HttpResponse(reason, status=status, content_type="text/plain")


def as_call(raw: RawEvent) -> WebhookRequest:
    """Return a stored request as the adapter reads it."""
    headers: dict[str, Any] = raw.headers
    return WebhookRequest(method=raw.method, url=raw.url, headers=headers, body=bytes(raw.body))
