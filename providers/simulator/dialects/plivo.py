"""Plivo's Message API: JSON in and out; callbacks are forms, signed as V2."""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from providers.simulator.dialects.base import (
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
from providers.simulator.segments import segments

_PATH: Final = "/v1/Account/{auth_id}/Message/"
_PAGE: Final = 20
_MOST_RECIPIENTS: Final = 1_000
_LONGEST: Final = 11  # parts: 1,600 characters of GSM, or 737 of UCS-2
_API_ID: Final = "5a9fcb68-523d-11e1-86da-6ff39efcb949"


class PlivoDialect(Dialect):
    """The account stands in the path, the reference in the callback's query. Reports tell of opt-outs."""

    name: ClassVar[str] = "plivo"
    posts: ClassVar[Routes] = (("POST", _PATH),)
    look_ups: ClassVar[Routes] = (("GET", _PATH),)
    reports_opt_outs: ClassVar[bool] = True

    _REFUSALS: Final = {
        "invalid_number": (400, "dst is not a valid number"),
        "opted_out": (400, "dst has opted out"),  # for completeness: it is the report that says so
        "rate_limited": (429, "too many requests"),
        "unauthorized": (401, "authentication failed"),
        "invalid_request": (400, "a parameter is missing or invalid"),
    }
    _ERRORS: Final = {"unreachable": "80", "lost": "1000", "opted_out": "200"}

    def caller(self, given: Received) -> tuple[str, str] | None:
        user, password = basic(given.headers.get("Authorization", ""))
        return (given.path["auth_id"], password) if user and password else None

    def read(self, account: str, password: str, given: Received) -> list[Post]:
        said = _object(given.body)
        source = "powerpack_uuid" if "powerpack_uuid" in said else "src"
        told = texts(said, [source, "dst", "text"])
        text, numbers = told["text"], told["dst"].split("<")
        callback = said.get("url", "")
        if not isinstance(callback, str) or said.get("method", "POST") != "POST":
            raise BadPost("url, method: not a text, or not POST")
        if len(numbers) > _MOST_RECIPIENTS or not all(number.isdecimal() for number in numbers):
            raise BadPost("dst: too many numbers, or not in digits")
        size = segments(text)
        if size > _LONGEST:
            raise BadPost("text: too long")
        reference = parse_qs(urlsplit(callback).query).get("ref", [""])[0]
        sender = _full(told[source])
        return [Post(account, reference, f"+{to}", sender, text, callback, password, size) for to in numbers]

    def ids(self, posts: Sequence[Post], uniques: Sequence[str]) -> list[str]:  # noqa: ARG002 - as UUIDs
        return [f"{each[:8]}-{each[8:12]}-{each[12:16]}-{each[16:20]}-{each[20:]}" for each in uniques]

    def accepted(self, posts: Sequence[Post], ids: Sequence[str]) -> Answer:  # noqa: ARG002 - one shape for all
        answer = {
            "api_id": _API_ID,
            "message": "message(s) queued",
            "message_uuid": list(ids),
            "invalid_number": [],
        }
        return Answer(202, json.dumps(answer).encode())

    def refused(self, meaning: str, *, wait: float = 0.0, detail: str = "") -> Answer:
        status, words = self._REFUSALS[meaning]
        return Answer(status, _error(detail or words), with_wait(wait))

    def broken(self, status: int) -> Answer:
        return Answer(status, _error("an internal error occurred"))

    def looked_up(self, account: str, given: Received, find: Find) -> Answer:
        """Answer the newest first: neither references nor texts."""
        query = given.query
        try:
            first = _since_epoch(query.get("message_time__gte"), 0.0)
            last = _since_epoch(query.get("message_time__lte"), float("inf"))
            limit, offset = int(query.get("limit", _PAGE)), int(query.get("offset", 0))
        except ValueError as problem:
            return self.refused("invalid_request", detail=str(problem))
        if not 0 < limit <= _PAGE or offset < 0:
            return self.refused("invalid_request", detail="limit, offset: out of range")
        to, sender = query.get("to_number", ""), query.get("from_number", "")
        entries = find(account=account, to=to and f"+{to}", sender=sender and _full(sender))
        fitting = [entry for _, entry in entries if first <= entry.at <= last][::-1]
        page = {
            "api_id": _API_ID,
            "meta": {"limit": limit, "offset": offset, "previous": None, "next": None, "total_count": len(fitting)},
            "objects": [_listed(account, entry) for entry in fitting[offset : offset + limit]],
        }
        return Answer(200, json.dumps(page).encode())

    def inbound_id(self, unique: str) -> str:
        return self.ids((), [unique])[0]

    def hook(self, url: str, secret: str, events: Sequence[Event]) -> Hook:
        nonce = str(int(events[0].at * 1000))
        bare = urlsplit(url)._replace(query="", fragment="").geturl()
        digest = hmac.new(secret.encode(), f"{bare}{nonce}".encode(), hashlib.sha256).digest()
        signature = base64.b64encode(digest).decode("ascii")
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Plivo-Signature-V2": signature,
            "X-Plivo-Signature-Ma-V2": signature,
            "X-Plivo-Signature-V2-Nonce": nonce,
        }
        return Hook("POST", url, headers, urlencode(self._form(events[0])).encode("ascii"))

    def _form(self, event: Event) -> dict[str, str]:
        form = {"MessageUUID": event.id, "Type": "sms", "Units": "1", "TotalRate": "0.0055", "TotalAmount": "0.0055"}
        if not event.status:
            return form | {"From": event.number.lstrip("+"), "To": event.sender.lstrip("+"), "Text": event.text}
        return form | {
            "From": event.sender.lstrip("+"),
            "To": event.number.lstrip("+"),
            "Status": event.status,
            "ErrorCode": self._ERRORS[event.code] if event.code else "000" if event.status == "delivered" else "",
            "ParentMessageUUID": event.id,
            "PartInfo": "1 of 1",
            "Sequence": "1" if event.status == "sent" else "2",
            "MCC": "310",
            "MNC": "260",
        }


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise BadPost("body: not JSON") from None
    if not isinstance(said, dict):
        raise BadPost("body: not an object")
    return said


def _error(words: str) -> bytes:
    return json.dumps({"api_id": _API_ID, "error": words}).encode()


def _full(sender: str) -> str:
    """Return a number as E.164; short codes, names and Powerpacks as they are."""
    return f"+{sender}" if sender.isdecimal() and len(sender) > 7 else sender  # noqa: PLR2004 - a full number


def _since_epoch(text: str | None, default: float) -> float:
    return default if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _listed(account: str, entry: Entry) -> dict[str, Any]:
    return {
        "message_uuid": entry.id,
        "from_number": entry.sender.lstrip("+"),
        "to_number": entry.to.lstrip("+"),
        "message_direction": "outbound",
        "message_state": "sent",
        "message_time": datetime.fromtimestamp(entry.at, UTC).isoformat(sep=" "),
        "message_type": "sms",
        "units": entry.segments,
        "error_code": None,
        "resource_uri": f"/v1/Account/{account}/Message/{entry.id}/",
    }
