"""The redirect of a short link: one statement finds the link and stores the hit; every visitor is treated alike."""

import json
from typing import Final

import structlog
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from smsplatform.common.database import rows
from smsplatform.common.sessionless import sessionless

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

_FIND = """
 SELECT destination, tenant_id, dispatch_id, killed_at IS NOT NULL OR expires_at <= now() FROM tracking_link
 WHERE code = %(code)s AND host = %(host)s"""

_FIND_AND_COUNT = f"""
 WITH link AS ({_FIND}),
 hit AS (
   INSERT INTO tracking_click (tenant_id, code, dispatch_id, at, method, ip, user_agent, signals)
   SELECT tenant_id, %(code)s, dispatch_id, now(), %(method)s, %(ip)s::inet, %(agent)s, %(signals)s::jsonb
   -- the visitor does not wait for the disk: a crash may cost the hits of the last half second
   FROM link CROSS JOIN set_config('synchronous_commit', 'off', true))
 SELECT * FROM link"""


@sessionless
@require_safe
def follow(request: HttpRequest, code: str) -> HttpResponse:
    """Send the visitor on; a hit that cannot be stored never keeps anybody from the page."""
    parameters = {
        "code": code,
        "host": request.get_host(),
        "method": request.method,
        "ip": request.META.get("REMOTE_ADDR"),
        "agent": request.headers.get("User-Agent", "")[:400],
        "signals": json.dumps({name: request.headers[name][:200] for name in _SIGNALS if name in request.headers}),
    }
    try:
        found = rows(_FIND_AND_COUNT, parameters)
    except DatabaseError:
        log.exception("redirect.hit_not_stored")
        found = rows(_FIND, parameters)
    if not found:
        return HttpResponse("This link is not known.", status=404, headers=_HEADERS, content_type="text/plain")
    destination, _, _, is_over = found[0]
    if is_over:
        return HttpResponse("This link is no longer in use.", status=410, headers=_HEADERS, content_type="text/plain")
    return HttpResponse(status=302, headers={**_HEADERS, "Location": destination})
