"""Vonage's SMS API: form in, JSON out with HTTP 200 whatever happened, and all of it part by part."""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl
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
)
from providers.simulator.segments import is_gsm, pieces, segments

_LIMITS: Final = {"client-ref": 100, "callback": 100}
_SHORTEST_TTL: Final = 20_000
_LONGEST_TTL: Final = 604_800_000
_FULL_NUMBER: Final = 8
_MARKS: Final = str.maketrans("&=", "__")  # what a signature puts for them in values


class VonageSmsDialect(Dialect):
    """The account is the API key. Webhooks are posted as JSON and signed with HMAC-SHA256."""

    name: ClassVar[str] = "vonage_sms"
    id_prefix: ClassVar[str] = "0A"
    posts: ClassVar[Routes] = (("POST", "/vonage_sms/sms/json"),)
    look_ups: ClassVar[Routes] = (("GET", "/vonage_sms/v2/reports/records"),)

    _REFUSALS: Final = {
        "invalid_number": ("3", "Invalid value for parameter: to"),
        "opted_out": ("7", "Number barred"),
        "rate_limited": ("1", "Throughput Rate Exceeded - please wait [ {ms} ] and retry"),
        "unauthorized": ("4", "Bad Credentials"),
        "invalid_request": ("2", "Missing parameters"),
    }
    # Vonage knows no "undelivered": what does not arrive has failed, and err-code says why.
    _STATUSES: Final = {"sent": "accepted", "delivered": "delivered", "undelivered": "failed", "failed": "failed"}
    _ERRORS: Final = {"": "0", "lost": "1", "unreachable": "12"}

    def caller(self, given: Received) -> tuple[str, str] | None:
        key, secret = basic(given.headers.get("Authorization", ""))
        return (key, secret) if key and secret else None

    def read(self, account: str, password: str, given: Received) -> list[Post]:
        form = dict(parse_qsl(given.body.decode("utf-8", "replace"), keep_blank_values=True))
        said = texts(form, ("from", "to", "text"))
        number = said["to"]
        if not (number.isascii() and number.isdigit() and 7 <= len(number) <= 15):  # noqa: PLR2004 - as documented
            raise BadPost("to: must be 7 to 15 digits, without a plus")
        for name, limit in _LIMITS.items():
            if len(form.get(name, "")) > limit:
                raise BadPost(f"{name}: more than {limit} characters")
        ttl = form.get("ttl", "")
        if ttl and not (ttl.isdigit() and _SHORTEST_TTL <= int(ttl) <= _LONGEST_TTL):
            raise BadPost("ttl: not within 20000 and 604800000")
        text = _as_sent(said["text"], form.get("type", "text"))
        reference, callback = form.get("client-ref", ""), form.get("callback", "")
        sender = _number(said["from"])
        return [Post(account, reference, f"+{number}", sender, text, callback, password, segments(text))]

    def accepted(self, posts: Sequence[Post], ids: Sequence[str]) -> Answer:
        [post], [message_id] = posts, ids
        return _answer(
            [
                {
                    "to": post.to.removeprefix("+"),
                    "message-id": part,
                    "status": "0",
                    "remaining-balance": "3.14159265",
                    "message-price": "0.03330000",
                    "network": "12345",
                    "client-ref": post.reference,
                }
                for part in _part_ids(message_id, post.segments)
            ]
        )

    def refused(self, meaning: str, *, wait: float = 0.0, detail: str = "") -> Answer:
        status, words = self._REFUSALS[meaning]
        text = detail or words.format(ms=int(wait * 1000) or 1000)
        return _answer([{"status": status, "error-text": text}])

    def broken(self, status: int) -> Answer:
        return replace(_answer([{"status": "5", "error-text": "Internal Error"}]), status=status)

    def looked_up(self, account: str, given: Received, find: Find) -> Answer:
        asked = given.query
        if asked.get("product") != "SMS" or asked.get("account_id") != account or asked.get("direction") != "outbound":
            return _problem(422, "invalid-params", "product, account_id or direction: missing, or not allowed")
        try:
            since, until = (datetime.fromisoformat(asked[name]).timestamp() for name in ("date_start", "date_end"))
        except (KeyError, ValueError):
            return _problem(422, "invalid-params", "date_start, date_end: not instants")
        to = f"+{asked['to']}" if "to" in asked else ""
        entries = [entry for _, entry in find(account=account, to=to) if since <= entry.at < until]
        records = [_record(entry, part) for entry in entries for part in _part_ids(entry.id, entry.segments)]
        told = {"request_status": "SUCCESS", "product": "SMS", "items_count": len(records), "records": records}
        return Answer(200, json.dumps(told).encode())

    def events(self, event: Event, segments: int) -> Sequence[Event]:
        return [
            replace(event, id=part, part=(number, segments))
            for number, part in enumerate(_part_ids(event.id, segments), start=1)
        ]

    def replies(self, event: Event) -> Sequence[Event]:
        split = pieces(event.text)
        ids = _part_ids(event.id, len(split))
        told = enumerate(zip(ids, split, strict=True), start=1)
        return [replace(event, id=part, text=text, part=(number, len(split))) for number, (part, text) in told]

    def inbound_id(self, unique: str) -> str:
        return f"0B{unique}"

    def hook(self, url: str, secret: str, events: Sequence[Event]) -> Hook:
        [event] = events
        said = self._receipt(event) if event.status else _inbound(event)
        now = time.time()
        said |= {
            "message-timestamp": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now)),
            "timestamp": str(int(now)),
            "nonce": str(uuid4()),
        }
        marked = "".join(f"&{name}={said[name].translate(_MARKS)}" for name in sorted(said))
        said["sig"] = hmac.new(secret.encode(), marked.encode(), hashlib.sha256).hexdigest()
        return Hook("POST", url, JSON_HEADERS, json.dumps(said).encode())

    def _receipt(self, event: Event) -> dict[str, str]:
        return {
            "msisdn": event.number.removeprefix("+"),
            "to": event.sender.removeprefix("+"),
            "network-code": "12345",
            "messageId": event.id,
            "price": "0.03330000",
            "status": self._STATUSES[event.status],
            "scts": time.strftime("%y%m%d%H%M", time.gmtime(event.at)),
            "err-code": self._ERRORS[event.code],
            "api-key": event.account,
            "client-ref": event.reference,
        }


def _as_sent(text: str, kind: str) -> str:
    """Return what arrives: a character that is not GSM-7 is lost, unless the sender says unicode."""
    if kind == "unicode":
        return text
    if kind != "text":
        raise BadPost("type: must be text or unicode")
    return "".join(char if is_gsm(char) else "?" for char in text)


def _part_ids(message_id: str, count: int) -> list[str]:
    return [message_id, *(f"{message_id}{number:02X}" for number in range(2, count + 1))]


def _number(spelled: str) -> str:
    return f"+{spelled}" if spelled.isdigit() and len(spelled) >= _FULL_NUMBER else spelled


def _answer(messages: Sequence[Mapping[str, str]]) -> Answer:
    return Answer(200, json.dumps({"message-count": str(len(messages)), "messages": messages}).encode())


def _problem(status: int, code: str, detail: str) -> Answer:
    page = f"https://developer.vonage.com/api-errors#{code}"
    problem = {"type": page, "title": code, "detail": detail, "instance": uuid4().hex}
    return Answer(status, json.dumps(problem).encode(), {"Content-Type": "application/problem+json"})


def _record(entry: Entry, message_id: str) -> dict[str, Any]:
    return {
        "account_id": entry.account,
        "message_id": message_id,
        "client_ref": entry.reference,
        "direction": "outbound",
        "from": entry.sender.removeprefix("+"),
        "to": entry.to.removeprefix("+"),
        "date_received": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(entry.at)),
        "status": "accepted",
        "error_code": "0",
        "id": str(uuid4()),
    }


def _inbound(event: Event) -> dict[str, str]:
    number, total = event.part
    said = {
        "msisdn": event.number.removeprefix("+"),
        "to": event.sender.removeprefix("+"),
        "messageId": event.id,
        "text": event.text,
        "type": "text" if is_gsm(event.text) else "unicode",
        "keyword": (event.text.split() or [""])[0].upper(),
        "api-key": event.account,
    }
    if total == 1:
        return said
    reference = str(int(event.at * 1000) % 256)  # the pieces of a text have their instant in common
    return said | {"concat": "true", "concat-ref": reference, "concat-total": str(total), "concat-part": str(number)}
