"""The provider simulator's own dialect: JSON both ways, as a vendor would design it today.

Every refusal carries `"taken": false`, so a refusal proves itself; anything without it is unknown.
Webhooks hold one or several events and are signed over their instant and body. What the simulator
can be told to do is in docs/simulator.md.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import quote

from providers.adapters.base import (
    Adapter,
    Finding,
    HttpCall,
    HttpReply,
    Inbound,
    Limits,
    MalformedEvent,
    Message,
    NumberFlaw,
    Outcome,
    Question,
    Receipt,
    ReceiptStatus,
    Result,
    Unreadable,
    WebhookAnswer,
    WebhookRequest,
    json_object,
    retry_after,
    storable,
)

CODES: Final[Mapping[str, Outcome]] = MappingProxyType(
    {
        "rate_limited": Outcome.REJECTED_RETRYABLE,
        "overloaded": Outcome.REJECTED_RETRYABLE,
        "unauthorized": Outcome.REJECTED_PROVIDER,
        "unknown_sender": Outcome.REJECTED_PROVIDER,
        "invalid_number": Outcome.REJECTED_PERMANENT,
        "invalid_request": Outcome.REJECTED_PERMANENT,
        "opted_out": Outcome.REJECTED_PERMANENT,
    }
)
_ID_LIMIT: Final = 64
_TEXT_LIMIT: Final = 10_000
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class SimulatorCredentials:
    """The bearer token, which names the account, and the secret that signs webhooks."""

    token: str = field(repr=False)
    webhook_secret: str = field(repr=False)


class SimulatorAdapter(Adapter):
    """One account at the simulator."""

    slug: ClassVar[str] = "simulator"
    title: ClassVar[str] = "Simulator"
    default_base_url: ClassVar[str] = "http://127.0.0.1:8025"
    is_simulated: ClassVar[bool] = True
    limits: ClassVar[Limits] = Limits(segments_per_second=10_000.0, concurrency=128, timeout=30.0)
    answered_flaws: ClassVar[Mapping[str, NumberFlaw]] = MappingProxyType({each.value: each for each in NumberFlaw})
    reported_flaws: ClassVar[Mapping[str, NumberFlaw]] = answered_flaws
    # It stands for a vendor that takes care of the usual words: nothing of ours goes out after a STOP.
    answered_words: ClassVar[frozenset[str]] = frozenset(
        {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "START", "UNSTOP", "HELP", "INFO"}
    )
    Credentials: ClassVar[type[Any]] = SimulatorCredentials

    credentials: SimulatorCredentials

    def call(self, message: Message) -> HttpCall:
        """Return the JSON post that creates the message."""
        body: dict[str, object] = {
            "to": message.to,
            "from": message.sender,
            "text": message.text,
            "reference": message.reference,
        }
        if message.status_url:
            body["status_url"] = message.status_url
        if message.valid_for is not None:
            body["valid_for"] = max(1, message.valid_for)
        return HttpCall("POST", self._url, self._headers, json.dumps(body).encode("ascii"))

    @cached_property
    def _url(self) -> str:
        return f"{self.base_url}/v1/messages"

    @cached_property
    def _headers(self) -> Mapping[str, str]:
        return MappingProxyType(
            {
                "Authorization": f"Bearer {self.credentials.token}",
                "Content-Type": _JSON,
                "Accept": _JSON,
            }
        )

    def read(self, message: Message, reply: HttpReply) -> Result:  # noqa: ARG002 - one per request
        """Return what the answer means."""
        body = json_object(reply.body) or {}
        if 200 <= reply.status < 300:  # noqa: PLR2004 - the success class of HTTP
            given = body.get("id")
            if _is_id(given):
                return Result(Outcome.ACCEPTED, provider_id=str(given))
            return Result(Outcome.UNKNOWN, detail=f"HTTP {reply.status} without a message id")
        error = body.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        if not isinstance(error, dict) or not isinstance(code, str):
            return Result(Outcome.UNKNOWN, detail=f"HTTP {reply.status}, not in the dialect")
        refused = error.get("taken") is False
        return Result(
            CODES.get(code, Outcome.REJECTED_PERMANENT) if refused else Outcome.UNKNOWN,
            code=self.shown(code)[:40],
            detail=self.shown(error.get("message")),
            retry_after=retry_after(reply.headers),
            opted_out=refused and code == "opted_out",
        )

    def look_up(self, question: Question) -> HttpCall:
        """Return the question by our reference, which proves what it finds."""
        return HttpCall("GET", f"{self._url}?reference={quote(question.reference, safe='')}", self._headers, b"")

    def found(self, question: Question, reply: HttpReply) -> list[Finding]:
        """Return the messages with our reference."""
        listed = (json_object(reply.body) or {}).get("messages")
        if not 200 <= reply.status < 300 or not isinstance(listed, list):  # noqa: PLR2004 - the success class of HTTP
            raise Unreadable(f"HTTP {reply.status} without a list of messages")
        return [
            Finding(provider_id=str(each["id"]), reference=question.reference)
            for each in listed
            if isinstance(each, dict) and _is_id(each.get("id")) and each.get("reference") == question.reference
        ]

    def check(self) -> HttpCall:
        """Return a question about nothing, which the token must be right for."""
        return HttpCall("GET", f"{self._url}?reference=0", self._headers, b"")

    def verify(self, request: WebhookRequest) -> bool:
        """Return whether the secret signed the instant and body.

        How old the instant is, nobody checks here: adapters have no clock, and a repeated event
        is known by its key.
        """
        header = request.headers.get("x-simulator-signature", "")
        given = dict(part.partition("=")[::2] for part in header.split(","))
        key = self.credentials.webhook_secret.encode("utf-8", "replace")
        instant = given.get("t", "").encode("utf-8", "replace")
        if not key or not instant:
            return False
        expected = hmac.new(key, instant + b"." + request.body, hashlib.sha256).hexdigest()
        signature = given.get("v1", "").encode("utf-8", "replace")
        return hmac.compare_digest(expected.encode("ascii"), signature)

    def parse(self, request: WebhookRequest) -> list[Receipt | Inbound]:
        """Return the events in the order in which they stand."""
        events = (json_object(request.body) or {}).get("events")
        if not isinstance(events, list) or not events:
            raise MalformedEvent("events: missing, empty, or not a list")
        return [_event(event, f"events[{number}]") for number, event in enumerate(events)]

    def answer(self, request: WebhookRequest) -> WebhookAnswer:  # noqa: ARG002 - one for all
        """Return that all events are stored."""
        return WebhookAnswer(204)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _ID_LIMIT and value.isascii() and value.isalnum()


def _event(event: object, at: str) -> Receipt | Inbound:
    if not isinstance(event, dict):
        raise MalformedEvent(f"{at}: not an object")
    given = event.get("id")
    if not _is_id(given):
        raise MalformedEvent(f"{at}.id: missing, or not an id")
    kind = event.get("type")
    if kind == "report":
        return _report(str(given), event, at)
    if kind == "inbound":
        return _inbound(str(given), event, at)
    raise MalformedEvent(f"{at}.type: neither report nor inbound")


def _report(provider_id: str, event: Mapping[str, Any], at: str) -> Receipt:
    said = event.get("status")
    if not isinstance(said, str) or said not in set(ReceiptStatus):
        raise MalformedEvent(f"{at}.status: not a known status")
    code = storable(event.get("code"), limit=40)
    return Receipt(
        key=f"{provider_id}:{said}",
        status=ReceiptStatus(said),
        reference=storable(event.get("reference"), limit=_ID_LIMIT),
        provider_id=provider_id,
        code=code,
        detail=storable(event.get("detail")),
        occurred_at=_instant(event.get("at"), at),
        opted_out=code == "opted_out",
    )


def _inbound(provider_id: str, event: Mapping[str, Any], at: str) -> Inbound:
    for name in ("from", "to"):
        if not isinstance(event.get(name), str) or not event[name]:
            raise MalformedEvent(f"{at}.{name}: missing, or not text")
    return Inbound(
        key=provider_id,
        sender=storable(event["from"], limit=_ID_LIMIT),
        to=storable(event["to"], limit=_ID_LIMIT),
        text=storable(event.get("text"), limit=_TEXT_LIMIT),
        provider_id=provider_id,
    )


def _instant(value: object, at: str) -> datetime | None:
    if value is None:
        return None
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise MalformedEvent(f"{at}.at: not an instant with its offset")
    return instant
