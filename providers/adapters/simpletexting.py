"""SimpleTexting's API v2: one text per request, JSON both ways, US and Canadian numbers only.

It takes no reference of ours and has no validity period: reports find their message by the id that the acceptance named,
and an unknown message can only be found among those sent to the same person (`look_up`).
The dialect of an error is one of two envelopes, both with texts `errorCode`, `code` and `message`: the API's own repeats the
HTTP status by its name and says the `path`; the gateway's has neither, and its `timestamp` is a text.
Nothing documented says what each code means, so the HTTP status decides, within the dialect.

Webhooks are set up once for the account, for all five triggers: every address must end with `?token=…`, the account's
`webhook_token`, as SimpleTexting signs nothing. It posts at most 25 a second to an address.

Source: the vendor's OpenAPI document, version 2.0.0.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from providers.adapters.base import (
    Adapter,
    Event,
    Finding,
    HttpCall,
    HttpReply,
    Inbound,
    InvalidOption,
    Limits,
    MalformedEvent,
    Message,
    OptOut,
    Outcome,
    Question,
    Receipt,
    ReceiptStatus,
    Result,
    Unreadable,
    WebhookRequest,
    digits,
    e164,
    instant,
    is_id,
    json_object,
    query_value,
    retry_after,
    same_secret,
    storable,
)

# What a refusal's status means, with the name by which the error repeats it. Any other proves nothing. The document declares
# 400 and 404, a 401 has been seen; the rest is what HTTP says.
REFUSALS: Final[Mapping[int, tuple[str, Outcome]]] = MappingProxyType(
    {
        400: ("BAD_REQUEST", Outcome.REJECTED_PERMANENT),
        401: ("UNAUTHORIZED", Outcome.REJECTED_PROVIDER),
        402: ("PAYMENT_REQUIRED", Outcome.REJECTED_PROVIDER),
        403: ("FORBIDDEN", Outcome.REJECTED_PROVIDER),
        404: ("NOT_FOUND", Outcome.REJECTED_PROVIDER),
        429: ("TOO_MANY_REQUESTS", Outcome.REJECTED_RETRYABLE),
    }
)
# With these codes the vendor says that it does not know itself what went wrong, under any status.
_NOBODY_KNOWS: Final = frozenset({"INTERNAL_ERROR", "UNKNOWN_ERR"})
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{2,59}", re.ASCII)

STATUSES: Final[Mapping[str, ReceiptStatus]] = MappingProxyType(
    {
        "OUTGOING_MESSAGE": ReceiptStatus.SENT,
        "DELIVERY_REPORT": ReceiptStatus.DELIVERED,
        "NON_DELIVERED_REPORT": ReceiptStatus.UNDELIVERED,  # why, it never says
    }
)
MODES: Final = ("AUTO", "SINGLE_SMS_STRICTLY")

_TEN: Final = re.compile(r"[0-9]{10}", re.ASCII)
_PAGE: Final = 500  # the most that a list shows at once
_SLACK: Final = timedelta(minutes=1)  # their clock and ours may differ
_MEDIA_LIMIT: Final = 10
_TEXT_LIMIT: Final = 10_000
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class SimpleTextingCredentials:
    """The API token, and the token with which the webhook addresses entered at the vendor end."""

    token: str = field(repr=False)
    webhook_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SimpleTextingOptions:
    """`mode`: AUTO sends more than 306 characters as a picture message; SINGLE_SMS_STRICTLY refuses more than one part."""

    mode: str = "AUTO"

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InvalidOption(f"mode: {self.mode!r} is not known; set {' or '.join(MODES)}")


class SimpleTextingAdapter(Adapter):
    """One SimpleTexting account. A sender is one of its numbers, as E.164, or its short code."""

    slug: ClassVar[str] = "simpletexting"
    title: ClassVar[str] = "SimpleTexting"
    default_base_url: ClassVar[str] = "https://api-app2.simpletexting.com/v2"
    # No rate is documented: low, and what 429 teaches.
    limits: ClassVar[Limits] = Limits(segments_per_second=5.0, concurrency=8, timeout=30.0)
    # help.simpletexting.com/en/articles/1177042: a person who texts STOP is told so by them, and taken off their lists.
    answered_words: ClassVar[frozenset[str]] = frozenset({"STOP"})
    Credentials: ClassVar[type[Any]] = SimpleTextingCredentials
    Options: ClassVar[type[Any]] = SimpleTextingOptions

    credentials: SimpleTextingCredentials

    def call(self, message: Message) -> HttpCall:
        """Return the JSON post that creates the message; raises ValueError for a number of another country."""
        body = {
            "contactPhone": _spelled(message.to),
            "accountPhone": _spelled(message.sender),
            "mode": self.options.mode,
            "text": message.text,
        }
        for name in ("contactPhone", "accountPhone"):
            if not body[name]:
                raise ValueError(f"{name}: not a +1 number, and no other can be reached; route it to another provider")
        headers = {**self._headers, "Content-Type": _JSON}
        return HttpCall("POST", f"{self.base_url}/api/messages", headers, json.dumps(body).encode("ascii"))

    @cached_property
    def _headers(self) -> Mapping[str, str]:
        return MappingProxyType({"Authorization": f"Bearer {self.credentials.token}", "Accept": _JSON})

    def read(self, message: Message, reply: HttpReply) -> Result:  # noqa: ARG002 - one per request
        """Return what the answer means."""
        body = json_object(reply.body) or {}
        if 200 <= reply.status < 300:  # noqa: PLR2004 - the success class of HTTP
            if is_id(body.get("id")):
                return Result(Outcome.ACCEPTED, provider_id=str(body["id"]))
            return Result(Outcome.UNKNOWN, detail=f"HTTP {reply.status} without a message id")
        if not _is_error(reply.status, body):
            return Result(Outcome.UNKNOWN, detail=f"HTTP {reply.status}, not in SimpleTexting's dialect")
        return Result(
            _meaning(reply.status, body),
            code=self.shown(body["errorCode"]),
            detail=self.shown(body["message"]),
            retry_after=retry_after(reply.headers),
        )

    def look_up(self, question: Question) -> HttpCall | None:
        """Return the request for what was sent to the person since then; None where `call` refuses to send."""
        person, sender = _spelled(question.to), _spelled(question.sender)
        if not person or not sender:
            return None
        since = (question.since - _SLACK).astimezone(UTC).isoformat(timespec="milliseconds")
        # Without accountPhone the vendor lists those of the primary number.
        query = {"contactPhone": person, "accountPhone": sender, "since": since.replace("+00:00", "Z")}
        query |= {"page": "0", "size": str(_PAGE)}
        return HttpCall("GET", f"{self.base_url}/api/messages?{urlencode(query)}", self._headers, b"")

    def found(self, question: Question, reply: HttpReply) -> list[Finding]:
        """Return the messages to the person with exactly this text.

        A text in which the vendor shortened a link is another text: it is not found.
        """
        body = json_object(reply.body) or {}
        listed = body.get("content")
        if not 200 <= reply.status < 300 or not isinstance(listed, list):  # noqa: PLR2004 - success
            raise Unreadable(f"HTTP {reply.status} without a list of messages")
        if body.get("totalPages") not in (0, 1):
            raise Unreadable("totalPages: not one, so not all candidates are known")
        return [
            Finding(each["id"], created_at=instant(each.get("timestamp")))
            for each in listed
            if isinstance(each, dict) and is_id(each.get("id")) and _is_asked_for(question, each)
        ]

    def check(self) -> HttpCall:
        """Return the request for the account's general information, which is its owner's address."""
        return HttpCall("GET", f"{self.base_url}/api/tenant", self._headers, b"")

    def verify(self, request: WebhookRequest) -> bool:
        """Return whether the address called ends with our token: SimpleTexting signs nothing."""
        try:
            given = query_value(request.url, "token")
        except ValueError:
            return False
        return same_secret(given, self.credentials.webhook_token)

    def parse(self, request: WebhookRequest) -> list[Event]:
        """Return the one event of a request `{reportId, webhookId, type, values}`.

        Two webhooks for one trigger tell each event twice, under two report ids; so messages are known by their own.
        """
        body = json_object(request.body) or {}
        kind, values = body.get("type"), body.get("values")
        if not isinstance(values, dict):
            raise MalformedEvent("values: missing, or not an object")
        if kind == "UNSUBSCRIBE_REPORT":
            return [_opt_out(body, values)]
        if kind == "INCOMING_MESSAGE":
            return [_inbound(values)]
        if isinstance(kind, str) and kind in STATUSES:
            return [_receipt(kind, values)]
        raise MalformedEvent("type: missing, or none of the five triggers")


def _spelled(number: str) -> str:
    """Return a +1 number as ten digits, and a short code as it is; empty for a number of another country.

    Those also have ten digits sometimes, and would be taken for somebody else's.
    """
    if not number.startswith("+"):
        return number
    national = digits(number).removeprefix("1")
    return national if number == f"+1{national}" and _TEN.fullmatch(national) else ""


def _number(spelled: object) -> str:
    """Return the vendor's ten digits as E.164."""
    text = storable(spelled, limit=40).strip()
    return f"+1{text}" if _TEN.fullmatch(text) else e164(text)


def _is_error(status: int, body: Mapping[str, Any]) -> bool:
    """Return whether this is an error in one of the two envelopes, for this very answer."""
    code = body.get("errorCode")
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        return False
    if not isinstance(body.get("code"), str) or not isinstance(body.get("message"), str):
        return False
    if "status" not in body:
        return isinstance(body.get("timestamp"), str)
    is_its_name = status not in REFUSALS or body["status"] == REFUSALS[status][0]
    return is_its_name and isinstance(body["status"], str) and isinstance(body.get("path"), str)


def _meaning(status: int, body: Mapping[str, Any]) -> Outcome:
    if not _NOBODY_KNOWS.isdisjoint((body["errorCode"], body["code"])):
        return Outcome.UNKNOWN
    return REFUSALS[status][1] if status in REFUSALS else Outcome.UNKNOWN


def _is_asked_for(question: Question, listed: Mapping[str, Any]) -> bool:
    return (
        listed.get("directionType") == "MT"
        and listed.get("text") == question.text
        and _number(listed.get("contactPhone")) == question.to
        and _number(listed.get("accountPhone")) == question.sender
    )


def _message_id(values: Mapping[str, Any]) -> str:
    if not is_id(values.get("messageId")):
        raise MalformedEvent("values.messageId: missing, or not an id")
    return str(values["messageId"])


def _receipt(kind: str, values: Mapping[str, Any]) -> Receipt:
    message_id = _message_id(values)
    return Receipt(
        key=f"{message_id}:{kind}",
        status=STATUSES[kind],
        provider_id=message_id,
        detail=storable(values.get("carrier"), limit=100),
        occurred_at=instant(values.get("timestamp")),
    )


def _inbound(values: Mapping[str, Any]) -> Inbound:
    message_id = _message_id(values)
    for name in ("contactPhone", "accountPhone"):
        if not _number(values.get(name)):
            raise MalformedEvent(f"values.{name}: missing, or not text")
    media = values.get("mediaItems")
    items = media[:_MEDIA_LIMIT] if isinstance(media, list) else []
    return Inbound(
        key=message_id,
        sender=_number(values["contactPhone"]),
        to=_number(values["accountPhone"]),
        text=storable(values.get("text"), limit=_TEXT_LIMIT),
        provider_id=message_id,
        # Addresses, or ids of files that the vendor keeps.
        media=tuple(storable(item) for item in items if item and isinstance(item, str)),
    )


def _opt_out(body: Mapping[str, Any], values: Mapping[str, Any]) -> OptOut:
    """Return that somebody texted STOP, or was blocked; which of our numbers they meant is not said."""
    if not is_id(body.get("reportId")):
        raise MalformedEvent("reportId: missing, or not an id")
    number = _number(values.get("phone"))
    if not number:
        raise MalformedEvent("values.phone: missing, or not text")
    return OptOut(key=str(body["reportId"]), number=number)
