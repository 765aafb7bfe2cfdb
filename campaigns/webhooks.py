"""Where providers reach us: /webhooks/<provider>/<account key>/<anything>.

The view does the least: size, account, signature, parse; then one transaction stores the request (once) and, for an
inbound STOP, the suppression, before it answers (P6). Everything else follows by task, and does not need Redis to be
up: the events wait in Postgres. Our store down: 503, so that the vendor repeats.
"""

import hashlib
import json
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
_MOST_REMEMBERED: Final = 1000

# Accounts that were called with a good signature, by (provider, key). Only a guess: to store is to compare with the table.
_remembered: dict[tuple[str, str], ProviderAccount] = {}


class AccountChanged(Exception):
    """The account is not, or no longer, what the caller takes it for."""


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
        remembered = _remembered.get((provider, key))
        account = remembered or _look_up(provider, key)
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
            if remembered and _remembered.pop((provider, key), None):
                return receive(request, provider, key, rest)  # its secret may have changed
            return _refuse(403, "bad_signature", provider)
        try:
            events = adapter.parse(call)
        except MalformedEvent as error:
            return _refuse(400, f"malformed_event: {error}", provider)
        is_news = store(account, call, events)
    except AccountChanged:
        _remembered.pop((provider, key), None)
        return receive(request, provider, key, rest)
    except (DatabaseError, InterfaceError):
        log.exception("webhook.store_down", provider=provider)
        return HttpResponse("the store is down; please repeat", status=503, content_type="text/plain")
    _remember(account)
    if is_news:
        _nudge()
    answer = adapter.answer(call)
    return HttpResponse(answer.body, status=answer.status, content_type=answer.content_type)


def _look_up(provider: str, key: str) -> ProviderAccount | None:
    return ProviderAccount.objects.filter(provider=provider, key=key).first()


def _remember(account: ProviderAccount) -> None:
    if len(_remembered) >= _MOST_REMEMBERED:
        _remembered.clear()
    _remembered[account.provider, account.key] = account


def store(account: ProviderAccount, call: WebhookRequest, events: Sequence[Receipt | Inbound]) -> bool:
    """Keep the request with its events that had not come before, and the suppressions these ask for.

    Vendors repeat events, also in other company: each event counts once. Returns whether there was news; raises
    AccountChanged if the account is gone or has another secret than the one that verified the call.
    """
    if not any(isinstance(event, Inbound) for event in events):
        return _keep(account, call, events) is not None
    with transaction.atomic(durable=True):
        raw = _keep(account, call, events)
        if raw is None:
            return False
        fresh = [events[place] for place in raw.news]
        replies.honour_stops(account, raw, [event for event in fresh if isinstance(event, Inbound)])
    return True


def _keep(account: ProviderAccount, call: WebhookRequest, events: Sequence[Receipt | Inbound]) -> RawEvent | None:
    """Store the request unless all of it is known. One statement, which by itself is one transaction."""
    keys = [_key(event) for event in events] or [_digest(call.url.encode() + b"\0" + call.body)]
    found = database.rows(
        """
        WITH account AS (SELECT id, tenant_id FROM providers_provideraccount WHERE id = %(account)s AND secret = %(secret)s),
        given AS (
          SELECT k, min(n) - 1 AS place FROM unnest(%(keys)s::text[]) WITH ORDINALITY AS u(k, n) GROUP BY k),
        new AS (
          INSERT INTO campaigns_seenevent (account_id, tenant_id, key, seen_at)
          SELECT a.id, a.tenant_id, g.k, now() FROM account a CROSS JOIN given g ORDER BY g.k
          ON CONFLICT (account_id, key) DO NOTHING RETURNING key),
        raw AS (
          INSERT INTO campaigns_rawevent (tenant_id, account_id, method, url, headers, body, news, received_at, flaw)
          SELECT a.tenant_id, a.id, %(method)s, %(url)s, %(headers)s::jsonb, %(body)s,
            (SELECT coalesce(jsonb_agg(g.place ORDER BY g.place), '[]') FROM given g JOIN new ON new.key = g.k
             WHERE %(has_events)s), clock_timestamp(), ''
          FROM account a WHERE EXISTS (SELECT 1 FROM new) RETURNING id, news, received_at)
        SELECT raw.* FROM account LEFT JOIN raw ON true
        """,
        {
            "account": account.pk,
            "secret": account.secret,
            "keys": keys,
            "method": call.method,
            "url": call.url,
            "headers": json.dumps({name: call.headers[name] for name in _KEPT_HEADERS if name in call.headers}),
            "body": call.body,
            "has_events": bool(events),
        },
    )
    if not found:
        raise AccountChanged
    raw_id, news, received_at = found[0]
    if raw_id is None:
        return None
    # jsonb comes as text: Django decodes it by the field.
    return RawEvent(id=raw_id, tenant_id=account.tenant_id, news=json.loads(news), received_at=received_at)


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
