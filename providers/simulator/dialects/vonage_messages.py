"""Vonage's Messages API v1: JSON both ways, errors as RFC 7807, webhooks with a token."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import uuid4

from providers.simulator.dialects.base import (
    JSON_HEADERS,
    Answer,
    BadPost,
    Dialect,
    Entry,
    Event,
    Find,
    Hook,
    Post,
    Received,
    Routes,
    basic,
    texts,
    with_wait,
)
from providers.simulator.segments import pieces, segments

_PROBLEM: Final = {"Content-Type": "application/problem+json"}
_PAGE: Final = "https://developer.vonage.com/api-errors"
_LONGEST_TEXT: Final = 3_200
_LONGEST_REFERENCE: Final = 100
_SHORTEST_TTL: Final = 20
_LONGEST_TTL: Final = 604_800
_FULL_NUMBER: Final = 8


class VonageMessagesDialect(Dialect):
    """The account is the API key."""

    name: ClassVar[str] = "vonage_messages"
    id_prefix: ClassVar[str] = "aaaaaaaa-bbbb-4ccc-8ddd-"
    posts: ClassVar[Routes] = (("POST", "/vonage_messages/v1/messages"),)
    look_ups: ClassVar[Routes] = (("GET", "/vonage_messages/v2/reports/records"),)

    _REFUSALS: Final = {
        "invalid_number": (422, "/messages#1170", "Invalid recipient", "The `to` parameter is invalid."),
        "opted_out": (422, "/messages#1240", "Illegal Number", "The user has already sent a STOP opt-out message."),
        "rate_limited": (429, "#throttled", "Rate Limit Hit", "Please wait, then retry your request"),
        "unauthorized": (401, "#unauthorized", "You did not provide correct credentials.", "Check them."),
        "invalid_request": (422, "/messages#1150", "Invalid params", "The value of one or more parameters is invalid."),
    }
    # What does not arrive is undeliverable; what is lost on the way, Vonage calls rejected.
    _STATUSES: Final = {
        "sent": "submitted",
        "delivered": "delivered",
        "undelivered": "undeliverable",
        "failed": "rejected",
    }
    _ERRORS: Final = {
        "unreachable": ("1260", "Destination unreachable - The message could not be delivered to the phone number."),
        "lost": ("1282", "Message rejected by provider - The provider blocked the message."),
    }

    def caller(self, given: Received) -> tuple[str, str] | None:
        key, secret = basic(given.headers.get("Authorization", ""))
        return (key, secret) if key and secret else None

    def read(self, account: str, password: str, given: Received) -> list[Post]:
        try:
            said = json.loads(given.body)
        except (ValueError, RecursionError):
            raise BadPost("body: not JSON") from None
        if not isinstance(said, dict):
            raise BadPost("body: not an object")
        found = texts(said, ("to", "from", "text", "channel", "message_type"))
        if (found["channel"], found["message_type"]) != ("sms", "text"):
            raise BadPost("channel, message_type: only texts are understood here")
        number, text = found["to"], found["text"]
        if not (number.isascii() and number.isdigit() and 7 <= len(number) <= 15):  # noqa: PLR2004 - as documented
            raise BadPost("to: must be 7 to 15 digits, without a plus")
        if len(text) > _LONGEST_TEXT:
            raise BadPost(f"text: more than {_LONGEST_TEXT} characters")
        ttl = said.get("ttl", _LONGEST_TTL)
        if not isinstance(ttl, int) or not _SHORTEST_TTL <= ttl <= _LONGEST_TTL:
            raise BadPost("ttl: not within 20 and 604800")
        optional = {name: str(said.get(name, "")) for name in ("client_ref", "webhook_url")}
        if len(optional["client_ref"]) > _LONGEST_REFERENCE:
            raise BadPost(f"client_ref: more than {_LONGEST_REFERENCE} characters")
        return [
            Post(
                account,
                optional["client_ref"],
                f"+{number}",
                _number(found["from"]),
                text,
                optional["webhook_url"],
                password,
                segments(text),
            )
        ]

    def accepted(self, posts: Sequence[Post], ids: Sequence[str]) -> Answer:  # noqa: ARG002 - one shape for all
        [message_id] = ids
        headers = {**JSON_HEADERS, "X-Request-Id": str(uuid4())}
        return Answer(202, json.dumps({"message_uuid": message_id}).encode(), headers)

    def refused(self, meaning: str, *, wait: float = 0.0, detail: str = "") -> Answer:
        status, place, title, words = self._REFUSALS[meaning]
        name, _, reason = detail.partition(": ")
        wrong = {"invalid_parameters": [{"name": name, "reason": reason}]} if detail else {}
        return _problem(status, place, title, words, wait=wait, **wrong)

    def broken(self, status: int) -> Answer:
        return _problem(status, "#internal-error", "Internal error", "Something went wrong.")

    def looked_up(self, account: str, given: Received, find: Find) -> Answer:
        asked = given.query
        expected = {"product": "MESSAGES", "account_id": account, "direction": "outbound"}
        if any(asked.get(name) != value for name, value in expected.items()):
            return _problem(422, "#invalid-params", "Invalid params", "product, account_id or direction is wrong.")
        try:
            since, until = (datetime.fromisoformat(asked[name]).timestamp() for name in ("date_start", "date_end"))
        except (KeyError, ValueError):
            return _problem(422, "#invalid-params", "Invalid params", "date_start and date_end are no instants.")
        to = f"+{asked['to']}" if "to" in asked else ""
        records = [_record(entry) for _, entry in find(account=account, to=to) if since <= entry.at < until]
        told = {"request_status": "SUCCESS", "product": "MESSAGES", "items_count": len(records), "records": records}
        return Answer(200, json.dumps(told).encode())

    def inbound_id(self, unique: str) -> str:
        return f"bbbbbbbb-bbbb-4ccc-8ddd-{unique}"

    def hook(self, url: str, secret: str, events: Sequence[Event]) -> Hook:
        [event] = events
        body = json.dumps(self._status(event) if event.status else _inbound(event)).encode()
        claims = {
            "iat": int(time.time()),
            "jti": str(uuid4()),
            "iss": "Vonage",
            "payload_hash": hashlib.sha256(body).hexdigest(),
            "api_key": event.account,
            "application_id": "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab",
        }
        signed = f"{_packed({'alg': 'HS256', 'typ': 'JWT'})}.{_packed(claims)}"
        signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
        headers = {**JSON_HEADERS, "Authorization": f"Bearer {signed}.{_encoded(signature)}"}
        return Hook("POST", url, headers, body)

    def _status(self, event: Event) -> dict[str, Any]:
        said = {
            "message_uuid": event.id,
            "to": event.number.removeprefix("+"),
            "from": event.sender.removeprefix("+"),
            "timestamp": _zulu(event.at),
            "status": self._STATUSES[event.status],
            "channel": "sms",
            "client_ref": event.reference,
            "destination": {"network_code": "12345"},
        }
        if event.status == "sent":
            said["usage"] = {"currency": "EUR", "price": "0.0333"}
        if event.code:
            code, words = self._ERRORS[event.code]
            said["error"] = {
                "type": f"{_PAGE}/messages#{code}",
                "title": code,
                "detail": words,
                "instance": uuid4().hex,
            }
        return said


def _number(spelled: str) -> str:
    return f"+{spelled}" if spelled.isdigit() and len(spelled) >= _FULL_NUMBER else spelled


def _zulu(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def _packed(value: object) -> str:
    return _encoded(json.dumps(value, separators=(",", ":")).encode())


def _problem(status: int, place: str, title: str, detail: str, *, wait: float = 0.0, **more: object) -> Answer:
    trace = uuid4().hex
    problem = {"type": f"{_PAGE}{place}", "title": title, "detail": detail, "instance": trace, **more}
    return Answer(status, json.dumps(problem).encode(), with_wait(wait, {**_PROBLEM, "X-Request-Id": trace}))


def _record(entry: Entry) -> dict[str, Any]:
    return {
        "account_id": entry.account,
        "message_id": entry.id,
        "client_ref": entry.reference,
        "direction": "outbound",
        "from": entry.sender.removeprefix("+"),
        "to": entry.to.removeprefix("+"),
        "provider": "sms",
        "date_received": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(entry.at)),
        "status": "submitted",
        "id": str(uuid4()),
    }


def _inbound(event: Event) -> dict[str, Any]:
    keyword = (event.text.split() or [""])[0].upper()
    return {
        "message_uuid": event.id,
        "to": event.sender.removeprefix("+"),
        "from": event.number.removeprefix("+"),
        "timestamp": _zulu(event.at),
        "channel": "sms",
        "message_type": "text",
        "text": event.text,
        "sms": {"num_messages": str(len(pieces(event.text))), "keyword": keyword},
        "usage": {"currency": "EUR", "price": "0.0333"},
        "origin": {"network_code": "12345"},
    }
