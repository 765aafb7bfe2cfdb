"""A plain vendor as there are hundreds: JSON, a form or a query in, JSON out; the account stands in the path."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

from providers.simulator.dialects.base import (
    JSON_HEADERS,
    Answer,
    BadPost,
    Dialect,
    Event,
    Find,
    Hook,
    Post,
    Received,
    Routes,
    texts,
    with_wait,
)
from providers.simulator.segments import segments


class PlainDialect(Dialect):
    """What an account without an adapter of its own may have to do with; the key is a bearer token, or `key`."""

    name: ClassVar[str] = "http_template"
    id_prefix: ClassVar[str] = "h"
    posts: ClassVar[Routes] = (("POST", "/http/{account}/send"), ("GET", "/http/{account}/send"))
    look_ups: ClassVar[Routes] = (("GET", "/http/{account}/messages"),)

    _REFUSALS: Final = {
        "invalid_request": (400, "E10", "A field is missing or wrong"),
        "unauthorized": (401, "E11", "Unknown key"),
        "invalid_number": (400, "E12", "This number cannot receive texts"),
        "opted_out": (403, "E13", "This person does not want texts"),
        "rate_limited": (429, "E14", "Too many texts"),
    }
    _STATUSES: Final = {"sent": "ENROUTE", "delivered": "DELIVRD", "undelivered": "UNDELIV", "failed": "FAILED"}

    def caller(self, given: Received) -> tuple[str, str] | None:
        scheme, _, token = given.headers.get("Authorization", "").partition(" ")
        key = token if scheme.lower() == "bearer" else given.query.get("key", "")
        return (given.path["account"], key) if key else None

    def read(self, account: str, password: str, given: Received) -> list[Post]:
        said = _fields(given)
        needed = texts(said, ("to", "from", "text"))
        reference, callback = (str(said.get(name) or "") for name in ("reference", "callback"))
        to, sender, text = needed["to"], needed["from"], needed["text"]
        return [Post(account, reference, e164(to), e164(sender), text, callback, password, segments(text))]

    def accepted(self, posts: Sequence[Post], ids: Sequence[str]) -> Answer:  # noqa: ARG002 - one shape for all
        return Answer(200, json.dumps({"status": "ok", "id": ids[0]}).encode())

    def refused(self, meaning: str, *, wait: float = 0.0, detail: str = "") -> Answer:
        status, code, words = self._REFUSALS[meaning]
        return Answer(status, _error(code, detail or words), with_wait(wait))

    def broken(self, status: int) -> Answer:
        return Answer(status, _error("E99", "Something is broken here"))

    def looked_up(self, account: str, given: Received, find: Find) -> Answer:
        found = find(account=account, reference=given.query.get("reference", ""))
        listed = [{"id": entry.id, "reference": entry.reference, "to": entry.to} for _, entry in found]
        return Answer(200, json.dumps({"messages": listed}).encode())

    def hook(self, url: str, secret: str, events: Sequence[Event]) -> Hook:
        body = json.dumps(self._event(events[0])).encode()
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return Hook("POST", url, {**JSON_HEADERS, "X-Signature": signature}, body)

    def _event(self, event: Event) -> dict[str, str]:
        if not event.status:
            return {"type": "mo", "id": event.id, "from": event.number, "to": event.sender, "text": event.text}
        said = {"type": "report", "id": event.id, "reference": event.reference}
        return said | {"status": self._STATUSES[event.status], "code": event.code}


def e164(number: str) -> str:
    """Return digits of a full number with their plus."""
    return f"+{number}" if number.isdigit() and len(number) > 7 else number  # noqa: PLR2004 - short codes have fewer


def _fields(given: Received) -> Mapping[str, Any]:
    if given.method == "GET":
        return dict(given.query)
    if given.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(given.body.decode("utf-8", "replace")))
    try:
        said = json.loads(given.body)
    except (ValueError, RecursionError):
        raise BadPost("body: neither JSON nor a form") from None
    if not isinstance(said, dict):
        raise BadPost("body: not an object")
    return said


def _error(code: str, message: str) -> bytes:
    return json.dumps({"status": "error", "error": {"code": code, "message": message}}).encode()
