"""The redirect of a short link: one statement finds the links and stores the hits; every visitor is treated alike."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from smsplatform.common.database import rows
from smsplatform.common.sessionless import sessionless
from smsplatform.common.together import Together
from smsplatform.tenancy import trail

log = structlog.get_logger("redirect")

_SIGNALS: Final = (
    "accept",
    "accept-language",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-purpose",
    "purpose",
    "x-purpose",
    "x-moz",
)
_HEADERS: Final = {
    "Cache-Control": "no-store, private",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}

_LINGER: Final = 0.003  # seconds


@dataclass(frozen=True, slots=True)
class _Hit:
    """What a visitor asked for, and what the verdict on the visit will be computed from."""

    code: str
    host: str
    method: str
    ip: str | None
    user_agent: str
    signals: str


@dataclass(frozen=True, slots=True)
class _Found:
    destination: str
    is_over: bool


_FOUND = """
WITH found AS (
  SELECT q.*, l.destination, l.tenant_id, l.dispatch_id, l.killed_at IS NOT NULL OR l.expires_at <= now() AS is_over
  FROM unnest(%(numbers)s::int[], %(codes)s::text[], %(hosts)s::text[], %(methods)s::text[], %(ips)s::text[],
    %(agents)s::text[], %(signals)s::text[]) AS q(n, code, host, method, ip, user_agent, signals)
  JOIN tracking_link l ON l.code = q.code AND l.host = q.host)
"""
_FIND = f"{_FOUND} SELECT n, destination, is_over FROM found"
_FIND_AND_COUNT = f"""{_FOUND}, hits AS (
  INSERT INTO tracking_click (tenant_id, code, dispatch_id, at, method, ip, user_agent, signals)
  SELECT tenant_id, code, dispatch_id, now(), method, ip::inet, user_agent, signals::jsonb
  -- the visitor does not wait for the disk: a crash may cost the hits of the last half second
  FROM found CROSS JOIN set_config('synchronous_commit', 'off', true))
SELECT n, destination, is_over FROM found
"""


def _look_up(statement: str, hits: Sequence[_Hit]) -> list[_Found | None]:
    """Return where each of these leads."""
    found = {
        number: _Found(destination, is_over)
        for number, destination, is_over in rows(
            statement,
            {
                "numbers": list(range(len(hits))),
                "codes": [hit.code for hit in hits],
                "hosts": [hit.host for hit in hits],
                "methods": [hit.method for hit in hits],
                "ips": [hit.ip for hit in hits],
                "agents": [hit.user_agent for hit in hits],
                "signals": [hit.signals for hit in hits],
            },
        )
    }
    return [found.get(number) for number in range(len(hits))]


_find_and_count = Together(partial(_look_up, _FIND_AND_COUNT), linger=_LINGER)


@sessionless
@require_safe
def follow(request: HttpRequest, code: str) -> HttpResponse:
    """Send the visitor on; a hit that cannot be stored never keeps anybody from the page."""
    hit = _Hit(
        code=code,
        host=request.get_host(),
        method=request.method or "",
        ip=trail.address_of(request),
        user_agent=request.headers.get("User-Agent", "")[:400],
        signals=json.dumps({name: request.headers[name][:200] for name in _SIGNALS if name in request.headers}),
    )
    try:
        found = _find_and_count(hit)
    except (DatabaseError, InterfaceError):
        log.exception("redirect.hit_not_stored")
        [found] = _look_up(_FIND, [hit])
    if found is None:
        return HttpResponse("This link is not known.", status=404, headers=_HEADERS, content_type="text/plain")
    if found.is_over:
        return HttpResponse("This link is no longer in use.", status=410, headers=_HEADERS, content_type="text/plain")
    return HttpResponse(status=302, headers={**_HEADERS, "Location": found.destination})
