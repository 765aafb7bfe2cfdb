"""Sinch's SMS REST API (XMS): batches, with parameters for each recipient; callbacks signed by HMAC."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

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
    texts,
    with_wait,
)
from providers.simulator.segments import segments

_PATH: Final = "/xms/v1/{plan}/batches"
_LIMITS: Final = {"body": 2_000, "callback_url": 2_048, "client_reference": 128}
_MOST_RECIPIENTS: Final = 1_000
_LONGEST_VALUE: Final = 160
_PAGE: Final = 30
_LARGEST_PAGE: Final = 100
_DAY: Final = 24 * 3600.0
_KEY: Final = re.compile(r"[A-Za-z0-9._-]{1,16}")
_PLACE: Final = re.compile(r"\$\{([A-Za-z0-9._-]{1,16})\}")
_NUMBER: Final = re.compile(r"(?:\+|00)?([1-9][0-9]{6,14})")
# The ids of batches of one, and of several: the list of batches is told from the ledger, which has
# only messages.
_ONE, _SEVERAL = "01a", "01b"
_Values = Mapping[str, Mapping[str, str]]


class SinchDialect(Dialect):
    """A message is a recipient of a batch: `batch:number`, number in digits. Reports tell of opt-outs.

    A recipient's reference is its value of the parameter `ref`, if the customer sends such a one, so
    that the ledger can tell the messages of a batch apart; else it is the batch's `client_reference`.
    """

    name: ClassVar[str] = "sinch"
    posts: ClassVar[Routes] = (("POST", _PATH),)
    look_ups: ClassVar[Routes] = (("GET", _PATH),)
    reports_opt_outs: ClassVar[bool] = True

    _REFUSALS: Final = {
        "invalid_number": (400, "syntax_invalid_parameter_format", "The number is not a valid MSISDN"),
        "opted_out": (403, "blocked_recipient", "Opted out"),  # for completeness: it is the report that says so
        "rate_limited": (429, "too_many_requests", "Too many outstanding requests"),
        "unauthorized": (401, "unauthorized", "The token is invalid for this service plan"),
        "invalid_request": (400, "syntax_constraint_violation", "A constraint is not met"),
    }
    _STATES: Final = {
        "sent": (401, "Dispatched"),
        "delivered": (0, "Delivered"),
        "undelivered": (153, "Failed"),
        "failed": (407, "Cancelled"),
    }
    _OPTED_OUT: Final = (61, "Rejected")

    def caller(self, given: Received) -> tuple[str, str] | None:
        scheme, _, token = given.headers.get("Authorization", "").partition(" ")
        return (given.path["plan"], token) if scheme.lower() == "bearer" and token else None

    def read(self, account: str, password: str, given: Received) -> list[Post]:
        said = _object(given.body)
        told = texts(said, ["from", "body"]) | {
            name: _text(said, name) for name in ("callback_url", "client_reference")
        }
        for name, most in _LIMITS.items():
            if len(told[name]) > most:
                raise BadPost(f"{name}: longer than {most}")
        if said.get("type", "mt_text") != "mt_text":
            raise BadPost("type: only mt_text here")
        numbers, values = _numbers(said.get("to")), _values(said.get("parameters", {}))
        callback = told["callback_url"] if said.get("delivery_report", "none") != "none" else ""
        posts = []
        for number in numbers:
            text = _filled(told["body"], values, number)
            reference = values.get("ref", {}).get(number, told["client_reference"])
            sender, size, echoed = _full(told["from"]), segments(text), told["client_reference"]
            posts.append(Post(account, reference, f"+{number}", sender, text, callback, password, size, echoed))
        return posts

    def ids(self, posts: Sequence[Post], uniques: Sequence[str]) -> list[str]:
        batch_id = (_SEVERAL if len(posts) > 1 else _ONE) + uniques[0]
        return [f"{batch_id}:{post.to.lstrip('+')}" for post in posts]

    def accepted(self, posts: Sequence[Post], ids: Sequence[str]) -> Answer:
        now = _instant(datetime.now(UTC).timestamp())
        batch = {
            "id": ids[0].partition(":")[0],
            "to": [post.to.lstrip("+") for post in posts],
            "from": posts[0].sender.lstrip("+"),
            "canceled": False,
            "type": "mt_text",
            "created_at": now,
            "modified_at": now,
            "client_reference": posts[0].echoed,
        }
        return Answer(201, json.dumps(batch).encode())

    def refused(self, meaning: str, *, wait: float = 0.0, detail: str = "") -> Answer:
        status, code, words = self._REFUSALS[meaning]
        return Answer(status, json.dumps({"code": code, "text": detail or words}).encode(), with_wait(wait))

    def broken(self, status: int) -> Answer:
        return Answer(status, json.dumps({"code": "internal_error", "text": "Something went wrong"}).encode())

    def looked_up(self, account: str, given: Received, find: Find) -> Answer:
        """Answer the newest batches first, with all that was posted."""
        query = given.query
        try:
            first = _since_epoch(query.get("start_date"), datetime.now(UTC).timestamp() - _DAY)
            last = _since_epoch(query.get("end_date"), float("inf"))
            size, page = int(query.get("page_size", _PAGE)), int(query.get("page", 0))
        except ValueError as problem:
            return self.refused("invalid_request", detail=str(problem))
        if not 0 < size <= _LARGEST_PAGE or page < 0:
            return self.refused("invalid_request", detail="page, page_size: out of range")
        reference = query.get("client_reference", "")
        entries = find(account=account, reference=reference, sender=_full(query.get("from", "")))
        batches = _batches(entry for _, entry in entries if first <= entry.at < last)[::-1]
        if reference:
            batches = [batch for batch in batches if batch["client_reference"] == reference]
        shown = batches[page * size : (page + 1) * size]
        answer = {"count": len(batches), "page": page, "page_size": len(shown), "batches": shown}
        return Answer(200, json.dumps(answer).encode())

    def inbound_id(self, unique: str) -> str:
        return f"01c{unique}"

    def hook(self, url: str, secret: str, events: Sequence[Event]) -> Hook:
        event = events[0]
        body = json.dumps(self._report(event) if event.status else _inbound(event)).encode()
        nonce, timestamp = f"01D{event.id[-20:]}", str(int(event.at))
        signed = hmac.new(secret.encode(), body + f".{nonce}.{timestamp}".encode(), hashlib.sha256).digest()
        headers = {
            **JSON_HEADERS,
            "X-Sinch-Webhook-Signature": base64.b64encode(signed).decode("ascii"),
            "X-Sinch-Webhook-Signature-Nonce": nonce,
            "X-Sinch-Webhook-Signature-Timestamp": timestamp,
            "X-Sinch-Webhook-Signature-Algorithm": "HmacSHA256",
        }
        return Hook("POST", url, headers, body)

    def _report(self, event: Event) -> dict[str, Any]:
        code, status = self._OPTED_OUT if event.code == "opted_out" else self._STATES[event.status]
        batch_id, _, recipient = event.id.partition(":")
        return {
            "type": "recipient_delivery_report_sms",
            "batch_id": batch_id,
            "recipient": recipient,
            "code": code,
            "status": status,
            "at": _instant(event.at),
            "operator_status_at": _instant(event.at),
            "client_reference": event.reference,
        }


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise BadPost("body: not JSON") from None
    if not isinstance(said, dict):
        raise BadPost("body: not an object")
    return said


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name, "")
    if not isinstance(value, str):
        raise BadPost(f"{name}: not text")
    return value


def _numbers(value: object) -> list[str]:
    """Return the recipients in digits, as all answers and reports spell them."""
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_RECIPIENTS:
        raise BadPost("to: not a list of 1 to 1,000")
    found = [_NUMBER.fullmatch(each) if isinstance(each, str) else None for each in value]
    numbers = [each[1] for each in found if each is not None]
    if len(numbers) != len(value) or len(set(numbers)) != len(numbers):
        raise BadPost("to: not a number, or a number twice")
    return numbers


def _values(value: object) -> _Values:
    if not isinstance(value, dict):
        raise BadPost("parameters: not an object")
    for key, own in value.items():
        if not _KEY.fullmatch(key) or not isinstance(own, dict):
            raise BadPost(f"parameters.{key}: no key of 1 to 16 letters, or not an object")
        if not all(isinstance(each, str) and len(each) <= _LONGEST_VALUE for each in own.values()):
            raise BadPost(f"parameters.{key}: a value is not text, or longer than {_LONGEST_VALUE}")
    return value


def _filled(body: str, values: _Values, number: str) -> str:
    """Return a recipient's text.

    Where a value is missing, Sinch takes the batch and reports code 405 for that recipient; here
    it is refused, as nobody should come to that.
    """

    def fill(place: re.Match[str]) -> str:
        own = values.get(place[1], {})
        value = own.get(number, own.get("default"))
        if value is None:
            raise BadPost(f"parameters.{place[1]}: no value for {number}")
        return value

    return _PLACE.sub(fill, body)


def _full(sender: str) -> str:
    """Return a number as E.164; short codes and names as they are."""
    bare = sender.lstrip("+")
    return f"+{bare}" if bare.isdecimal() and len(bare) > 7 else sender  # noqa: PLR2004 - a full number


def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _since_epoch(text: str | None, default: float) -> float:
    """Return an ISO 8601 instant; without an offset it is UTC."""
    if text is None:
        return default
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _batches(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return the batches of these messages, as they were posted."""
    together: dict[str, list[Entry]] = {}
    for entry in entries:
        together.setdefault(entry.id.partition(":")[0], []).append(entry)
    return [_batch(batch_id, members) for batch_id, members in together.items()]


def _batch(batch_id: str, members: Sequence[Entry]) -> dict[str, Any]:
    first = members[0]
    batch: dict[str, Any] = {
        "id": batch_id,
        "to": [entry.to.lstrip("+") for entry in members],
        "from": first.sender.lstrip("+"),
        "canceled": False,
        "type": "mt_text",
        "created_at": _instant(first.at),
        "modified_at": _instant(first.at),
    }
    if batch_id.startswith(_ONE):
        return batch | {"body": first.text, "client_reference": first.reference}
    own = {
        "text": {entry.to.lstrip("+"): entry.text for entry in members},
        "ref": {entry.to.lstrip("+"): entry.reference for entry in members},
    }
    several = f"{first.reference}+{len(members) - 1}"
    return batch | {"body": "${text}", "parameters": own, "client_reference": several}


def _inbound(event: Event) -> dict[str, Any]:
    return {
        "type": "mo_text",
        "id": event.id,
        "from": event.number.lstrip("+"),
        "to": event.sender.lstrip("+"),
        "body": event.text,
        "operator_id": "310260",
        "received_at": _instant(event.at),
    }
