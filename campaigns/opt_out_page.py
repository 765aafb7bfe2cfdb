"""The page on which a person ends a brand's texts: one look, one button, no login, no cookie, no script.

The signed link is all the proof there is (opt_out_links.py): whoever has it was sent it. Looking changes nothing, so
scanners and previews do no harm; a POST, from the button or from a mail program (RFC 8058), opts out, however often.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import structlog
from django.db import DatabaseError, InterfaceError, transaction
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from campaigns import opt_out_links
from campaigns.models import Dispatch
from compliance import reasons, suppression
from smsplatform.common import database
from smsplatform.common.sessionless import sessionless
from smsplatform.tenancy.models import Brand

log = structlog.get_logger("opt_out")

_HEADERS: Final = {
    "Cache-Control": "no-store, private",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


@sessionless
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def opt_out(request: HttpRequest, token: str) -> HttpResponse:
    """Show what would end; on POST, end it."""
    dispatch_id = opt_out_links.read(token)
    if dispatch_id is None:
        return _page("unknown", status=404)
    try:
        # Of a message whose person is forgotten, nobody can say any more whom it was for.
        dispatch = Dispatch.objects.select_related("brand").filter(pk=dispatch_id).first()
        if dispatch is None or not (dispatch.number.startswith("+") or "@" in dispatch.number):
            return _page("gone", status=410)
        brand: Any = dispatch.brand
        if request.method == "POST":
            _end(brand, dispatch)
        is_over = bool(suppression.suppressed(brand=brand, numbers=[dispatch.number], category=""))
    except (DatabaseError, InterfaceError):
        log.exception("opt_out.not_now")
        return _page("not_now", status=503)
    said = {"brand": brand, "number": _shown(dispatch.number), "is_mail": "@" in dispatch.number}
    # A person who ended one category may still end the rest.
    return _page("done" if is_over else "ask", said)


def _end(brand: Brand, dispatch: Dispatch) -> None:
    with transaction.atomic(durable=True):
        suppression.suppress(
            brand=brand,
            number=dispatch.number,
            reason=reasons.OPT_OUT,
            source="web",
            evidence="the opt-out page",
            dispatch_id=dispatch.pk,
            now=database.now(),
        )


def _shown(number: str) -> str:
    """Return whom the page is about, so that the person knows and a passer-by does not."""
    if "@" in number:
        return suppression.masked(number)
    return f"{'•' * 3} {number[-4:]}"


def _page(what: str, said: Mapping[str, object] = MappingProxyType({}), *, status: int = 200) -> HttpResponse:
    page = render_to_string("opt_out.html", {"what": what, **said})
    return HttpResponse(page, status=status, headers=_HEADERS)
