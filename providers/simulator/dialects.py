"""The dialects the simulator speaks: how a post is read, answered and reported on.

This is the vendor's side, written from the vendors' pages and not from our adapters, so that each
checks the other. An answer is a status, headers and a body.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urldefrag, urlencode, urlsplit

from providers.simulator.segments import segments

JSON_HEADERS: Final = {"Content-Type": "application/json"}


@dataclass(slots=True)
class Post:
    """One message that somebody wants to send."""

    account: str
    reference: str
    to: str
    sender: str
    text: str
    status_url: str
    secret: str = field(default="", repr=False)  # what signs the account's webhooks by default
    segments: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_HEADERS)


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell the customer: a report (`status`) or a person's text (`inbound`)."""

    id: str
    account: str
    number: str
    sender: str
    at: float
    status: str = ""
    code: str = ""
    reference: str = ""
    text: str = ""


class BadPost(ValueError):
    """The post is not in the dialect; `str()` names the field."""


class Dialect(Protocol):
    """One vendor's way of speaking."""

    name: str
    id_prefix: str

    def read(self, account: str, password: str, body: bytes) -> Post:
        """Return the post; raises BadPost."""

    def accepted(self, post: Post, message_id: str) -> Answer:
        """Return the answer to a message taken."""

    def refused(self, meaning: str, *, wait: float = 0.0, detail: str = "") -> Answer:
        """Return the answer to a message provably not taken."""

    def broken(self, status: int) -> Answer:
        """Return an answer that says that something is wrong inside, and nothing more."""

    def webhook(self, url: str, secret: str, events: Sequence[Event]) -> tuple[Mapping[str, str], bytes]:
        """Return the headers and body that tell of the events."""


class OwnDialect:
    """JSON both ways; the bearer token names the account."""

    name = "simulator"
    id_prefix = "m"

    _REFUSALS: Final = {
        "invalid_number": (422, "This number cannot receive texts"),
        "opted_out": (403, "This person has opted out"),
        "rate_limited": (429, "Too many messages"),
        "unauthorized": (401, "Unknown token"),
        "invalid_request": (400, "The request is not understood"),
    }

    def read(self, account: str, password: str, body: bytes) -> Post:
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            raise BadPost("body: not JSON") from None
        if not isinstance(given, dict):
            raise BadPost("body: not an object")
        texts: dict[str, str] = {}
        for name in ("to", "from", "text", "reference", "status_url"):
            value = given.get(name, "")
            if not isinstance(value, str) or (not value and name in {"to", "from", "text"}):
                raise BadPost(f"{name}: missing, or not text")
            texts[name] = value
        text = texts["text"]
        return Post(
            account,
            texts["reference"],
            texts["to"],
            texts["from"],
            text,
            texts["status_url"],
            password,
            segments(text),
        )

    def accepted(self, post: Post, message_id: str) -> Answer:  # noqa: ARG002 - one shape for all
        return Answer(201, b'{"id":"%s","status":"accepted"}' % message_id.encode("ascii"))

    def refused(self, meaning: str, *, wait: float = 0.0, detail: str = "") -> Answer:
        status, words = self._REFUSALS[meaning]
        error = {"code": meaning, "message": detail or words, "taken": False}
        return Answer(status, json.dumps({"error": error}).encode(), _headers(wait))

    def broken(self, status: int) -> Answer:
        error = {"code": "internal", "message": "Something broke here"}
        return Answer(status, json.dumps({"error": error}).encode())

    def webhook(
        self,
        url: str,  # noqa: ARG002 - this signature does not cover it
        secret: str,
        events: Sequence[Event],
    ) -> tuple[Mapping[str, str], bytes]:
        body = json.dumps({"events": [self._event(event) for event in events]}).encode()
        instant = str(int(events[-1].at))
        signed = hmac.new(secret.encode(), f"{instant}.".encode() + body, hashlib.sha256)
        signature = f"t={instant},v1={signed.hexdigest()}"
        return {**JSON_HEADERS, "X-Simulator-Signature": signature}, body

    def _event(self, event: Event) -> dict[str, Any]:
        at = datetime.fromtimestamp(event.at, UTC).isoformat()
        if event.status:
            return {
                "type": "report",
                "id": event.id,
                "reference": event.reference,
                "status": event.status,
                "code": event.code,
                "at": at,
            }
        return {
            "type": "inbound",
            "id": event.id,
            "from": event.number,
            "to": event.sender,
            "text": event.text,
            "at": at,
        }


class TwilioDialect:
    """Form in, JSON out; the account stands in the path, the reference in the callback's query."""

    name = "twilio"
    id_prefix = "SM"

    _REFUSALS: Final = {
        "invalid_number": (400, 21211, "The 'To' number is not a valid phone number."),
        "opted_out": (400, 21610, "Attempt to send to unsubscribed recipient"),
        "rate_limited": (429, 20429, "Too Many Requests"),
        "unauthorized": (401, 20003, "Authenticate"),
        "invalid_request": (400, 21602, "A parameter is missing or wrong."),
    }
    _BROKEN: Final = {500: 20500, 503: 20503, 504: 30410}
    _ERRORS: Final = {"invalid_number": "30005", "unreachable": "30003", "lost": "30008"}

    def read(self, account: str, password: str, body: bytes) -> Post:
        form = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        sender = form.get("From") or form.get("MessagingServiceSid") or ""
        for name, value in (("To", form.get("To")), ("From", sender), ("Body", form.get("Body"))):
            if not value:
                raise BadPost(f"{name}: missing")
        # The fragment tells Twilio how to insist; it is not part of what is called or signed.
        callback = urldefrag(form.get("StatusCallback", "")).url
        reference = parse_qs(urlsplit(callback).query).get("ref", [""])[0] if callback else ""
        text = form["Body"]
        return Post(account, reference, form["To"], sender, text, callback, password, segments(text))

    def accepted(self, post: Post, message_id: str) -> Answer:
        message = {
            "sid": message_id,
            "status": "queued",
            "account_sid": post.account,
            "to": post.to,
            "from": post.sender,
            "body": post.text,
            "direction": "outbound-api",
            "num_segments": str(post.segments),
            "error_code": None,
            "error_message": None,
            "uri": f"/2010-04-01/Accounts/{post.account}/Messages/{message_id}.json",
        }
        return Answer(201, json.dumps(message).encode("ascii"))

    def refused(self, meaning: str, *, wait: float = 0.0, detail: str = "") -> Answer:
        status, code, words = self._REFUSALS[meaning]
        return Answer(status, self._error(status, code, detail or words), _headers(wait))

    def broken(self, status: int) -> Answer:
        code = self._BROKEN.get(status, 20500)
        return Answer(status, self._error(status, code, "Internal Server Error"))

    def _error(self, status: int, code: int, message: str) -> bytes:
        more = f"https://www.twilio.com/docs/errors/{code}"
        error = {"code": code, "message": message, "more_info": more, "status": status}
        return json.dumps(error).encode()

    def webhook(self, url: str, secret: str, events: Sequence[Event]) -> tuple[Mapping[str, str], bytes]:
        form = self._form(events[0])
        signed = url + "".join(name + form[name] for name in sorted(form))
        digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha1).digest()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": base64.b64encode(digest).decode("ascii"),
        }
        return headers, urlencode(form).encode("ascii")

    def _form(self, event: Event) -> dict[str, str]:
        form = {
            "MessageSid": event.id,
            "SmsSid": event.id,
            "AccountSid": event.account,
            "ApiVersion": "2010-04-01",
        }
        if not event.status:
            inbound = {"From": event.number, "To": event.sender, "Body": event.text}
            return form | inbound | {"NumMedia": "0", "NumSegments": "1", "SmsStatus": "received"}
        side = "MessagingServiceSid" if event.sender.startswith("MG") else "From"
        form |= {"MessageStatus": event.status, "SmsStatus": event.status}
        form |= {"To": event.number, side: event.sender}
        return form | ({"ErrorCode": self._ERRORS[event.code]} if event.code else {})


def _headers(wait: float) -> Mapping[str, str]:
    if not wait:
        return JSON_HEADERS
    return {**JSON_HEADERS, "Retry-After": str(max(1, -int(-wait // 1)))}


OWN: Final = OwnDialect()
TWILIO: Final = TwilioDialect()
BY_NAME: Final[Mapping[str, Dialect]] = {OWN.name: OWN, TWILIO.name: TWILIO}
