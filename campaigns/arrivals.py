"""Stores what vendors call us with: each request at most once, and what arrives together in one statement.

Nobody returns before the own request is on disk.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import unquote_plus

from providers.adapters.base import Event, WebhookRequest
from providers.models import ProviderAccount
from smsplatform.common.database import rows
from smsplatform.common.together import Together

_KEPT_HEADERS: Final = ("content-type", "user-agent")
_LONGEST_KEY: Final = 200
LINGER: Final = 0.003  # seconds; shorter than most ways to us differ
_NO_EVENT: Final = -1  # the place of what has no events: the request itself


class AccountChanged(Exception):
    """The account is gone, or has another secret than the one that verified the request."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored request: the places of its events that had not come before."""

    raw_id: int
    news: Sequence[int]
    received_at: datetime


class Arrival:
    """A request that somebody waits to see stored."""

    def __init__(self, account: ProviderAccount, call: WebhookRequest, events: Sequence[Event]) -> None:
        self.account = account
        self.call = call
        self.events = events
        self.keys = [(place, key_of(event)) for place, event in enumerate(events)] or [
            (_NO_EVENT, _digest(call.url.encode() + b"\0" + call.body))
        ]


def keep_together(account: ProviderAccount, call: WebhookRequest, events: Sequence[Event]) -> Kept | None:
    """Store a request, unless all of it is known, with those that arrive at the same time; it is committed when this returns.

    Raises AccountChanged.
    """
    kept = _insert_together(Arrival(account, call, events))
    if isinstance(kept, AccountChanged):
        raise kept
    return kept


def insert(arrivals: Sequence[Arrival]) -> list[Kept | AccountChanged | None]:
    """Store requests by one statement, which by itself is one transaction. A repeated event is news nowhere."""
    keys = [(number, place, key) for number, arrival in enumerate(arrivals) for place, key in arrival.keys]
    found = {
        number: Kept(raw_id, json.loads(news), received_at) if raw_id else None
        for number, raw_id, news, received_at in rows(
            """
            WITH asked AS (
              SELECT q.n, a.id AS account_id, a.tenant_id, q.method, q.url, q.headers, q.body
              FROM unnest(%(numbers)s::int[], %(accounts)s::bigint[], %(secrets)s::text[], %(methods)s::text[],
                %(urls)s::text[], %(headers)s::text[], %(bodies)s::bytea[])
                AS q(n, account_id, secret, method, url, headers, body)
              JOIN providers_provideraccount a ON a.id = q.account_id AND a.secret = q.secret),
            firsts AS (
              SELECT DISTINCT ON (q.account_id, k.key) q.account_id, q.tenant_id, k.key, k.n, k.place
              FROM unnest(%(of)s::int[], %(places)s::int[], %(keys)s::text[]) AS k(n, place, key) JOIN asked q USING (n)
              ORDER BY q.account_id, k.key, k.n, k.place),
            new AS (
              INSERT INTO campaigns_seenevent (account_id, tenant_id, key, seen_at)
              SELECT account_id, tenant_id, key, now() FROM firsts ORDER BY account_id, key
              ON CONFLICT (account_id, key) DO NOTHING RETURNING account_id, key),
            news AS (
              SELECT f.n, nextval(pg_get_serial_sequence('campaigns_rawevent', 'id')) AS id,
                coalesce(jsonb_agg(f.place ORDER BY f.place) FILTER (WHERE f.place >= 0), '[]') AS places
              FROM firsts f JOIN new USING (account_id, key) GROUP BY f.n),
            kept AS (
              INSERT INTO campaigns_rawevent (id, tenant_id, account_id, method, url, headers, body, news, received_at, flaw)
              SELECT w.id, q.tenant_id, q.account_id, q.method, q.url, q.headers::jsonb, q.body, w.places, now(), ''
              FROM asked q JOIN news w USING (n))
            SELECT q.n, w.id, w.places, now() FROM asked q LEFT JOIN news w USING (n)
            """,
            {
                "numbers": list(range(len(arrivals))),
                "accounts": [arrival.account.pk for arrival in arrivals],
                "secrets": [arrival.account.secret for arrival in arrivals],
                "methods": [arrival.call.method for arrival in arrivals],
                "urls": [_without_token(arrival.call.url) for arrival in arrivals],
                "headers": [_headers(arrival.call) for arrival in arrivals],
                "bodies": [arrival.call.body for arrival in arrivals],
                "of": [number for number, _, _ in keys],
                "places": [place for _, place, _ in keys],
                "keys": [key for _, _, key in keys],
            },
        )
    }
    return [found[number] if number in found else AccountChanged() for number in range(len(arrivals))]


_insert_together = Together(insert, linger=LINGER)


def _without_token(url: str) -> str:
    """Return an address as it may be stored: some vendors sign nothing, and show a secret of ours instead."""
    address, mark, query = url.partition("?")
    kept = (
        f"{name}{sign}***" if sign and unquote_plus(name) == "token" else f"{name}{sign}{value}"
        for name, sign, value in (pair.partition("=") for pair in query.split("&"))
    )
    return f"{address}{mark}{'&'.join(kept)}"


def _headers(call: WebhookRequest) -> str:
    return json.dumps({name: call.headers[name] for name in _KEPT_HEADERS if name in call.headers})


def key_of(event: Event) -> str:
    """Return what is equal for the vendor's repeats of one event."""
    text = f"{type(event).__name__}:{event.key}"
    return text if len(text) <= _LONGEST_KEY else _digest(text.encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
