"""Middleware: what is done in a request is recorded, and logged, with the request's id and where it came from.

It stands behind `Sessionless`: views for machines and passers-by record nothing, and pay for nothing.
"""

import re
import uuid
from collections.abc import Callable
from typing import Final

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from smsplatform.tenancy.audit import Origin, origin

HEADER: Final = "X-Request-Id"
_IS_ID: Final = re.compile(r"[\w.:-]{8,64}", re.ASCII).fullmatch


class Trail:
    """Takes a proxy's id of the request, or makes one, and says it in the answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get(HEADER, "")
        request_id = given if _IS_ID(given) else uuid.uuid4().hex
        token = origin.set(Origin(ip=address_of(request), request_id=request_id))
        try:
            with structlog.contextvars.bound_contextvars(request=request_id):
                response = self.get_response(request)
        finally:
            origin.reset(token)
        response.headers[HEADER] = request_id
        return response


def address_of(request: HttpRequest) -> str | None:
    """Return who called: behind our own proxy (https) the address that it added, else the other end of the line."""
    if settings.SECURE_PROXY_SSL_HEADER:
        added = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if added and re.fullmatch(r"[0-9a-fA-F.:]{3,45}", added):
            return added
    address: str | None = request.META.get("REMOTE_ADDR") or None
    return address
