"""SimpleTexting's API v2: JSON both ways; the bearer token names the account.

Nothing it sends is signed and nothing of the poster's is echoed. Webhooks are told the account once (`status_url`,
`inbound_url`); the script's `secret` is the token with which these addresses end.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, ClassVar, Final

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
    with_token,
    with_wait,
)
from providers.simulator.segments import segments

_PROBLEM: Final = {"Content-Type": "application/problem+json;charset=utf-8"}
_PAGE: Final = 50
_MOST: Final = 500
_LONGEST_SMS: Final = 160  # of the vendor's categories
_LONGEST_EXTENDED: Final = 306
_STOP_WORDS: Final = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"})


class SimpleTextingDialect(Dialect):
    """Numbers have ten digits here; `accountPhone` may be a short code."""

    name: ClassVar[str] = "simpletexting"
    id_prefix: ClassVar[str] = ""
    posts: ClassVar[Routes] = (("POST", "/v2/api/messages"),)
    look_ups: ClassVar[Routes] = (("GET", "/v2/api/messages"), ("GET", "/v2/api/tenant"))

    # Only the code of a missing token has ever been seen; the others are made up in its manner.
    _REFUSALS: Final = {
        "invalid_number": (400, "BAD_REQUEST", "ERR_INVALID_PHONE", "Invalid phone number"),
        "opted_out": (400, "BAD_REQUEST", "ERR_CONTACT_UNSUBSCRIBED", "The contact is unsubscribed"),
        "rate_limited": (429, "TOO_MANY_REQUESTS", "ERR_TOO_MANY_REQUESTS", "Too many requests"),
        "unauthorized": (401, "UNAUTHORIZED", "ERR_AUTH_TOKEN_MISSING", "Auth token is missing"),
        "invalid_request": (400, "BAD_REQUEST", "ERR_VALIDATION", "The request is not valid"),
    }
    _TRIGGERS: Final = {
        "sent": "OUTGOING_MESSAGE",
        "delivered": "DELIVERY_REPORT",
        "undelivered": "NON_DELIVERED_REPORT",
        "failed": "NON_DELIVERED_REPORT",
    }

    def caller(self, given: Received) -> tuple[str, str] | None:
        scheme, _, token = given.headers.get("Authorization", "").partition(" ")
        return (token, token) if scheme.lower() == "bearer" and token else None

    def read(self, account: str, password: str, given: Received) -> list[Post]:
        try:
            said = json.loads(given.body)
        except (ValueError, RecursionError):
            raise BadPost("body: not JSON") from None
        if not isinstance(said, dict):
            raise BadPost("body: not an object")
        # The vendor takes a post without accountPhone for the primary number; here no account has one.
        found = texts(said, ("contactPhone", "accountPhone", "mode", "text"))
        if not _is_ten_digits(found["contactPhone"]):
            raise BadPost("contactPhone: not ten digits")
        if found["mode"] not in {"AUTO", "SINGLE_SMS_STRICTLY", "MMS_PREFERRED"}:
            raise BadPost("mode: not known")
        text = found["text"]
        count = segments(text)
        if found["mode"] == "SINGLE_SMS_STRICTLY" and count > 1:
            raise BadPost("text: too long for a single SMS")
        sender = _full(found["accountPhone"])
        return [Post(account, "", _full(found["contactPhone"]), sender, text, "", password, count)]

    def accepted(self, posts: Sequence[Post], ids: Sequence[str]) -> Answer:
        credit = {"SMS": 1, "EXTENDED_SMS": 2, "MMS": 3}[_category(posts[0].text)]
        return Answer(201, json.dumps({"id": ids[0], "credits": credit}).encode())

    def refused(self, meaning: str, *, wait: float = 0.0, detail: str = "") -> Answer:
        status, name, code, words = self._REFUSALS[meaning]
        said = {"status": name, "errorCode": code, "code": code, "message": detail or words}
        error = {**said, "errorDetails": [], "path": "/v2/api/messages", "timestamp": time.time()}
        return Answer(status, json.dumps(error).encode(), with_wait(wait, _PROBLEM))

    def broken(self, status: int) -> Answer:
        error = {"code": "INTERNAL_ERROR", "errorCode": "UNKNOWN_ERR", "timestamp": _iso(time.time())}
        return Answer(status, json.dumps({**error, "message": "Something broke here"}).encode())

    def looked_up(self, account: str, given: Received, find: Find) -> Answer:
        if given.url.path.endswith("/tenant"):
            return Answer(200, b'{"email":"owner@example.com"}')
        asked = given.query
        try:
            since = datetime.fromisoformat(asked.get("since", "1970-01-01T00:00:00Z")).timestamp()
            page, size = int(asked.get("page", "0")), int(asked.get("size", str(_PAGE)))
        except ValueError:
            return self.refused("invalid_request", detail="since, page or size: not readable")
        if not 0 < size <= _MOST or page < 0:
            return self.refused("invalid_request", detail="page or size: out of range")
        person, sender = _full(asked.get("contactPhone", "")), _full(asked.get("accountPhone", ""))
        entries = [entry for _, entry in find(account=account, to=person, sender=sender) if entry.at >= since]
        shown = [
            {
                "id": entry.id,
                "text": entry.text,
                "contactPhone": _short(entry.to),
                "accountPhone": _short(entry.sender),
                "directionType": "MT",
                "timestamp": _iso(entry.at),
                "referenceType": "API_SEND",
                "category": _category(entry.text),
            }
            for entry in entries[page * size : (page + 1) * size]
        ]
        pages = -(-len(entries) // size)
        return Answer(200, json.dumps({"content": shown, "totalPages": pages, "totalElements": len(entries)}).encode())

    def inbound_id(self, unique: str) -> str:
        return unique[:24]

    def replies(self, event: Event) -> Sequence[Event]:
        if event.text.strip().upper() in _STOP_WORDS:
            return event, replace(event, code="opted_out")
        return (event,)

    def hook(self, url: str, secret: str, events: Sequence[Event]) -> Hook:
        [event] = events
        trigger = self._trigger(event)
        # The same for every try of the same report.
        report = {"reportId": _hex(f"{event.id}:{trigger}"), "webhookId": _hex(url), "type": trigger}
        body = json.dumps({**report, "values": self._values(event, trigger)}).encode()
        return Hook("POST", with_token(url, secret), JSON_HEADERS, body)

    def _trigger(self, event: Event) -> str:
        if event.status:
            return self._TRIGGERS[event.status]
        return "UNSUBSCRIBE_REPORT" if event.code else "INCOMING_MESSAGE"

    def _values(self, event: Event, trigger: str) -> dict[str, Any]:
        if trigger == "UNSUBSCRIBE_REPORT":
            return {"contactId": _hex(event.number), "phone": _short(event.number)}
        values = {
            "messageId": event.id,
            "accountPhone": _short(event.sender),
            "contactPhone": _short(event.number),
            "category": "SMS",
        }
        if trigger == "INCOMING_MESSAGE":
            return {**values, "text": event.text, "subject": None, "mediaItems": [], "timestamp": _iso(event.at)}
        if trigger == "OUTGOING_MESSAGE":
            return {**values, "referenceType": "API", "timestamp": _iso(event.at)}
        return {**values, "referenceType": "API", "carrier": "Verizon"}


def _is_ten_digits(number: str) -> bool:
    return len(number) == 10 and number.isascii() and number.isdigit()  # noqa: PLR2004 - of the North American plan


def _full(number: str) -> str:
    return f"+1{number}" if _is_ten_digits(number) else number


def _short(number: str) -> str:
    return number.removeprefix("+1")


def _category(text: str) -> str:
    if len(text) <= _LONGEST_SMS:
        return "SMS"
    return "EXTENDED_SMS" if len(text) <= _LONGEST_EXTENDED else "MMS"


def _hex(name: str) -> str:
    return sha256(name.encode()).hexdigest()[:24]


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
