"""Sinch's SMS REST API (XMS): JSON both ways, a batch per request, nearly always of one message.

A message has no id of its own: it is a recipient of a batch. So its id here is `batch:number`, with
the number as Sinch spells it, in digits; answer, report and look-up all make the same one.

Sinch keeps `client_reference` and gives it back in reports and in its list of batches, by which it
can be asked. No idempotency key. The dialect of an error is a JSON object with `code` and `text`; the
guide promises it for 400 and 403. A 500 "was not processed", says the page; that is no proof, and
the look-up settles it.

Batches (off, unless the option `batch_size` is above 1) send the body `${text}`, and each person's
own words as the parameter `text`. A second parameter, `ref`, stands nowhere in the body; it keeps each
message's reference in the list of batches, where the one `client_reference` of a batch cannot. (The
guide limits parameters and does not ask that all be used: inferred.) Reports of a batch carry only
its id, so a batch whose answer was lost is found by the look-up. Sinch takes all of a batch or
nothing, so a refusal because of one number means: smaller ones.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlencode

from providers.adapters.base import (
    SPLIT,
    Adapter,
    Finding,
    HttpCall,
    HttpReply,
    Inbound,
    InvalidOption,
    Limits,
    MalformedEvent,
    Message,
    NumberFlaw,
    Outcome,
    Question,
    Receipt,
    ReceiptStatus,
    Result,
    Split,
    Unreadable,
    WebhookRequest,
    digits,
    e164,
    instant,
    is_id,
    json_object,
    retry_after,
    same_secret,
    storable,
)

# What an error means: by its code, else by the HTTP status (Sinch's SMS guide and status codes).
CODES: Final[Mapping[str, Outcome]] = MappingProxyType(
    {
        "syntax_invalid_json": Outcome.REJECTED_PERMANENT,
        "syntax_invalid_parameter_format": Outcome.REJECTED_PERMANENT,
        "syntax_constraint_violation": Outcome.REJECTED_PERMANENT,
        "unknown_group": Outcome.REJECTED_PROVIDER,
        "missing_callback_url": Outcome.REJECTED_PROVIDER,
        "illegal_number_type": Outcome.REJECTED_PROVIDER,
        "blocked_account": Outcome.REJECTED_PROVIDER,
    }
)
OUTCOMES: Final[Mapping[int, Outcome]] = MappingProxyType(
    {
        400: Outcome.REJECTED_PERMANENT,
        401: Outcome.REJECTED_PROVIDER,
        403: Outcome.REJECTED_PROVIDER,
        404: Outcome.REJECTED_PROVIDER,
        405: Outcome.REJECTED_PROVIDER,
        415: Outcome.REJECTED_PROVIDER,
        429: Outcome.REJECTED_RETRYABLE,
    }
)
_ILLEGAL_NUMBER: Final = "llegal_number_type"  # the guide of 2021 has lost the first letter

STATUSES: Final[Mapping[str, ReceiptStatus]] = MappingProxyType(
    {
        "queued": ReceiptStatus.QUEUED,
        "dispatched": ReceiptStatus.SENT,
        "delivered": ReceiptStatus.DELIVERED,
        "failed": ReceiptStatus.UNDELIVERED,
        "expired": ReceiptStatus.EXPIRED,
        "unknown": ReceiptStatus.UNKNOWN,
        "aborted": ReceiptStatus.REJECTED,
        "rejected": ReceiptStatus.REJECTED,
        "cancelled": ReceiptStatus.FAILED,
        "deleted": ReceiptStatus.FAILED,
    }
)
# Codes that say more than the status: what never left for Sinch's own reasons is all "Aborted".
_BY_CODE: Final[Mapping[str, ReceiptStatus]] = MappingProxyType(
    {"61": ReceiptStatus.REJECTED, "406": ReceiptStatus.EXPIRED, "407": ReceiptStatus.FAILED}
)
_OPTED_OUT: Final = "61"
# Sinch's list of report codes, with those of its SMPP error list.
REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "60": "the sender is blocked",
        "61": "the recipient has opted out",
        "62": "a keyword is blocked",
        "64": "over the quota",
        "150": "unknown subscriber",
        "151": "the subscriber is barred",
        "153": "the subscriber is absent",
        "402": "unroutable",
        "403": "internal error at Sinch",
        "404": "temporary failure",
        "405": "a parameter is missing for this recipient",
        "406": "expired before it was dispatched",
        "407": "cancelled",
        "408": "rejected by Sinch",
        "410": "no sender for this recipient",
        "411": "more parts than allowed",
        "412": "the region is not provisioned",
        "413": "the account is blocked or out of credit",
    }
    | dict.fromkeys(("414", "415", "416", "417", "418"), "about MMS")
)

REGIONS: Final = ("us", "eu", "au", "br", "ca")
_REPORTS: Final = ("per_recipient", "per_recipient_final")
_MOST_TOGETHER: Final = 100
_PARAMETER_LIMIT: Final = 160
_BATCH_ID_LIMIT: Final = 60  # with a number, the whole id stays below 80
_NUMBER_LIMIT: Final = 16
_LONGEST_VALIDITY: Final = 3 * 24 * 3600
_PAGE: Final = 100
# How long before and after its claim a message can have come into being at Sinch: clocks differ, and
# the request waits for its turn.
_BEFORE: Final = timedelta(minutes=1)
_AFTER: Final = timedelta(minutes=2)
_TEXT: Final = "${text}"
_MEDIA_LIMIT: Final = 10
_JSON: Final = "application/json"
_BATCH_SIZE: Final = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SinchCredentials:
    """The service plan and its API token; and what callbacks prove themselves by.

    That is an HMAC secret (set at the service plan), or else a user and a password for Basic
    authentication (set by Sinch for the callback URL). One of the two is needed.
    """

    service_plan_id: str
    api_token: str = field(repr=False)
    webhook_secret: str = field(default="", repr=False)
    webhook_user: str = ""
    webhook_password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.webhook_secret and not (self.webhook_user and self.webhook_password):
            raise TypeError("give webhook_secret, or webhook_user and webhook_password: callbacks must be provable")


@dataclass(frozen=True, slots=True)
class SinchOptions:
    """The region of the service plan, how many messages may share a request, and which reports come.

    `delivery_report` is per_recipient, or per_recipient_final for final states alone.
    """

    region: str = "us"
    batch_size: str = "1"
    delivery_report: str = "per_recipient"

    def __post_init__(self) -> None:
        if self.region not in REGIONS:
            raise InvalidOption(f"region: {self.region!r} is none of Sinch's; give one of {', '.join(REGIONS)}")
        if not _BATCH_SIZE.fullmatch(self.batch_size) or int(self.batch_size) > _MOST_TOGETHER:
            raise InvalidOption(f"batch_size: {self.batch_size!r} is not a number from 1 to {_MOST_TOGETHER}; give one")
        if self.delivery_report not in _REPORTS:
            raise InvalidOption(
                f"delivery_report: {self.delivery_report!r} tells nothing of each person; give {' or '.join(_REPORTS)}"
            )


class SinchAdapter(Adapter):
    """One service plan at Sinch."""

    slug: ClassVar[str] = "sinch"
    title: ClassVar[str] = "Sinch"
    default_base_url: ClassVar[str] = "https://{region}.sms.api.sinch.com"
    # Each service plan has a rate of its own, in messages a second; this is a cautious one.
    limits: ClassVar[Limits] = Limits(segments_per_second=10.0, concurrency=32, timeout=30.0)
    reported_flaws: ClassVar[Mapping[str, NumberFlaw]] = MappingProxyType(
        {"150": NumberFlaw.NOT_IN_SERVICE, "151": NumberFlaw.UNREACHABLE}
    )
    Credentials: ClassVar[type[Any]] = SinchCredentials
    Options: ClassVar[type[Any]] = SinchOptions

    credentials: SinchCredentials
    options: SinchOptions

    # -- one message -------------------------------------------------------------------------------

    def call(self, message: Message) -> HttpCall:
        """Return the JSON post that creates a batch of this message."""
        body = self._batch([message], message.status_url) | _plain(message.text)
        return self._post(body | {"client_reference": message.reference})

    def _batch(self, messages: Sequence[Message], callback_url: str) -> dict[str, object]:
        """Return what all batches have. A batch has one end: the earliest of its messages'."""
        body: dict[str, object] = {
            "to": [digits(message.to) for message in messages],
            "from": digits(messages[0].sender),
            "type": "mt_text",
            "delivery_report": self.options.delivery_report,
        }
        if callback_url:
            body["callback_url"] = callback_url
        ends = [message.expires_at for message in messages if message.expires_at is not None and _is_short(message)]
        if ends:
            body["expire_at"] = _utc(min(ends))
        return body

    def _post(self, body: Mapping[str, object]) -> HttpCall:
        return HttpCall("POST", self._url, self._headers, json.dumps(body).encode("ascii"))

    @cached_property
    def _url(self) -> str:
        return f"{self.base_url}/xms/v1/{quote(self.credentials.service_plan_id, safe='')}/batches"

    @cached_property
    def _headers(self) -> Mapping[str, str]:
        return MappingProxyType(
            {
                "Authorization": f"Bearer {self.credentials.api_token}",
                "Content-Type": _JSON,
                "Accept": _JSON,
            }
        )

    def read(self, message: Message, reply: HttpReply) -> Result:
        """Return what the answer means."""
        body = json_object(reply.body) or {}
        if 200 <= reply.status < 300:  # noqa: PLR2004 - the success class of HTTP
            if is_id(body.get("id"), limit=_BATCH_ID_LIMIT):
                return Result(Outcome.ACCEPTED, provider_id=_id(body["id"], message.to))
            return Result(Outcome.UNKNOWN, detail=f"HTTP {reply.status} without a batch id")
        code, text = body.get("code"), body.get("text")
        if not isinstance(code, str) or not code or not isinstance(text, str):
            return Result(Outcome.UNKNOWN, detail=f"HTTP {reply.status}, not in Sinch's dialect")
        return Result(
            _meaning(reply.status, code),
            code=self.shown(code)[:40],
            detail=self.shown(text),
            retry_after=retry_after(reply.headers),
        )

    # -- several messages --------------------------------------------------------------------------

    @property
    def batch_size(self) -> int:
        """Return how many messages may share a request; 1: none do."""
        return int(self.options.batch_size)

    def fits_batch(self, message: Message) -> bool:
        """Return whether the text can be a parameter's value: short, and no pattern itself."""
        units = len(message.text.encode("utf-16-le", "surrogatepass")) // 2
        return self.batch_size > 1 and units <= _PARAMETER_LIMIT and "${" not in message.text

    def call_batch(self, messages: Sequence[Message]) -> HttpCall:
        """Return the post of several messages of one sender, each to another person.

        A person can stand in a batch only once: parameters are by number. The address for reports is
        that of the account, without any one message's `ref`.
        """
        callback_url = messages[0].status_url.partition("?")[0]
        own = {"text": {digits(m.to): m.text for m in messages}, "ref": {digits(m.to): m.reference for m in messages}}
        body = self._batch(messages, callback_url) | {"body": _TEXT, "parameters": own}
        return self._post(body | {"client_reference": f"{messages[0].reference}+{len(messages) - 1}"})

    def read_batch(self, messages: Sequence[Message], reply: HttpReply) -> Sequence[Result] | Split:
        """Return each message's result; SPLIT where the refusal is about some of the numbers or texts."""
        results = [self.read(message, reply) for message in messages]
        first = results[0]
        is_about_some = first.outcome is Outcome.REJECTED_PERMANENT or _is_illegal_number(first.code)
        is_refused = first.outcome not in {Outcome.ACCEPTED, Outcome.UNKNOWN}
        return SPLIT if is_refused and is_about_some and len(messages) > 1 else results

    # -- questions ---------------------------------------------------------------------------------

    def look_up(self, question: Question) -> HttpCall:
        """Return the request for the batch with this reference; or, as its batch has another, for all of that time.

        Sinch lists by default only the last 24 hours, and at most 35 days. With batches on, the list
        has the sender's latest hundred of some minutes; a message may be among those not shown.
        """
        query = {"start_date": _utc(question.since - _BEFORE), "page_size": str(_PAGE)}
        if self.batch_size > 1:
            query |= {"from": digits(question.sender), "end_date": _utc(question.since + _AFTER)}
        else:
            query["client_reference"] = question.reference
        return HttpCall("GET", f"{self._url}?{urlencode(query)}", self._headers, b"")

    def found(self, question: Question, reply: HttpReply) -> list[Finding]:
        """Return the batches with this message, known by its reference; or, where they have none, that fit."""
        body = json_object(reply.body) or {}
        listed = body.get("batches")
        if not 200 <= reply.status < 300 or not isinstance(listed, list) or "count" not in body:  # noqa: PLR2004
            raise Unreadable(f"HTTP {reply.status}: {self.shown(body.get('text')) or 'no list of batches'}")
        return [found for each in listed if (found := _finding(question, each)) is not None]

    def check(self) -> HttpCall:
        """Return the request for one batch of the list."""
        return HttpCall("GET", f"{self._url}?page_size=1", self._headers, b"")

    # -- callbacks ---------------------------------------------------------------------------------

    def verify(self, request: WebhookRequest) -> bool:
        """Return whether the secret signed body, nonce and timestamp; without a secret, whether the password is right.

        How old the timestamp is, nobody checks here: adapters have no clock, and a repeated event is
        known by its key.
        """
        ours = self.credentials
        if not ours.webhook_secret:
            user, password = _basic(request.headers.get("authorization", ""))
            return same_secret(user, ours.webhook_user) & same_secret(password, ours.webhook_password)
        name = "x-sinch-webhook-signature"
        nonce, timestamp = (request.headers.get(f"{name}-{each}", "") for each in ("nonce", "timestamp"))
        signed = request.body + f".{nonce}.{timestamp}".encode("utf-8", "replace")
        key = ours.webhook_secret.encode("utf-8", "replace")
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode("ascii")
        return bool(nonce and timestamp) and same_secret(request.headers.get(name, ""), expected)

    def parse(self, request: WebhookRequest) -> list[Receipt | Inbound]:
        """Return the events of a report (one, or one per person) or a person's message.

        What is of another type is none of ours. A refusal would be answered by silence: Sinch
        drops for good what it gets a 4xx for.
        """
        body = json_object(request.body)
        kind = body.get("type") if body else None
        if body is None or not isinstance(kind, str):
            raise MalformedEvent("type: missing, or not text")
        if kind.startswith("recipient_delivery_report"):
            return [_receipt(body, body.get("recipient"), body)]
        if kind.startswith("delivery_report"):
            return _summary(body)
        return [_inbound(kind, body)] if kind.startswith("mo_") else []


def _id(batch_id: str, number: str) -> str:
    return f"{batch_id}:{digits(number)}"


def _plain(text: str) -> dict[str, object]:
    """Return the body that says just this text. `${` begins a parameter there, so its dollar is made one."""
    if "${" not in text:
        return {"body": text}
    return {"body": text.replace("${", "${dollar}{"), "parameters": {"dollar": {"default": "$"}}}


def _is_short(message: Message) -> bool:
    """Return whether the message ends before Sinch's own end, which is also the latest: 3 days."""
    return message.valid_for is None or message.valid_for < _LONGEST_VALIDITY


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_illegal_number(code: str) -> bool:
    return code.lower().endswith(_ILLEGAL_NUMBER)


def _meaning(status: int, code: str) -> Outcome:
    """Return what an error in the dialect means; only 4xx can say "not taken"."""
    if not 400 <= status < 500:  # noqa: PLR2004 - 4xx
        return Outcome.UNKNOWN
    named = CODES.get("illegal_number_type" if _is_illegal_number(code) else code.lower())
    return named or OUTCOMES.get(status, Outcome.UNKNOWN)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _finding(question: Question, batch: object) -> Finding | None:
    """Return the batch as a finding, if it may hold the message asked for.

    Our reference stands in the parameter `ref`, or, for a batch of one, in `client_reference`.
    Another reference there is another message. Where there is none, person and text decide.
    """
    listed, number = _mapping(batch), digits(question.to)
    recipients = listed.get("to")
    numbers = [digits(storable(each)) for each in recipients] if isinstance(recipients, list) else []
    if not is_id(listed.get("id"), limit=_BATCH_ID_LIMIT) or number not in numbers:
        return None
    own = _mapping(listed.get("parameters"))
    reference = storable(_mapping(own.get("ref")).get(number)) or _single(listed.get("client_reference"))
    text = storable(_mapping(own.get("text")).get(number) or listed.get("body"), limit=10_000)
    fits = reference == question.reference if reference else text in {"", _TEXT, question.text}
    return Finding(_id(listed["id"], number), reference, instant(listed.get("created_at"))) if fits else None


def _single(reference: object) -> str:
    """Return a message's own reference; a batch's is its first message's, a plus, and how many more."""
    text = storable(reference, limit=128)
    return "" if "+" in text else text


def _basic(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return (user, password) if scheme.lower() == "basic" else ("", "")


def _receipt(report: Mapping[str, Any], recipient: object, state: Mapping[str, Any]) -> Receipt:
    """Read one person's state: of a report of their own, or of a whole batch's."""
    batch_id, code = report.get("batch_id"), state.get("code")
    number = digits(storable(recipient, limit=_NUMBER_LIMIT))
    said = storable(state.get("status"), limit=40).lower()
    named = {"batch_id": is_id(batch_id, limit=_BATCH_ID_LIMIT), "recipient": is_id(number), "status": bool(said)}
    for name in [name for name, is_there in named.items() if not is_there]:
        raise MalformedEvent(f"{name}: missing, or not what it should be")
    code = storable(str(code), limit=20) if isinstance(code, int | str) else ""
    status = STATUSES.get(said, ReceiptStatus.UNKNOWN)
    if status is not ReceiptStatus.DELIVERED:
        status = _BY_CODE.get(code, status)
    return Receipt(
        key=f"{batch_id}:{number}:{said}:{code}",
        status=status,
        reference=_single(report.get("client_reference"))[:64],
        provider_id=f"{batch_id}:{number}",
        code="" if code == "0" else code,
        detail=said if said not in STATUSES else REASONS.get(code, ""),
        occurred_at=instant(state.get("at")),
        opted_out=code == _OPTED_OUT and status is ReceiptStatus.REJECTED,
    )


def _summary(report: Mapping[str, Any]) -> list[Receipt | Inbound]:
    """Read a report of a whole batch: `full` names the people, `summary` only counts them, so tells nothing of ours.

    Neither is asked for here; a service plan can be set to send them.
    """
    states = report.get("statuses")
    if not isinstance(states, list):
        raise MalformedEvent("statuses: missing, or not a list")
    found: list[Receipt | Inbound] = []
    for state in map(_mapping, states):
        recipients = state.get("recipients")
        if isinstance(recipients, list):
            found += [_receipt(report, recipient, state) for recipient in recipients]
    return found


def _inbound(kind: str, body: Mapping[str, Any]) -> Inbound:
    """Read a person's message. What a binary one says is not text, and is left out."""
    for name in ("id", "from", "to"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise MalformedEvent(f"{name}: missing, or not text")
    if not is_id(body["id"]):
        raise MalformedEvent("id: not an id")
    said = body.get("body")
    media = _mapping(said)
    text = media.get("message") or media.get("subject") if media else said
    files = media.get("media")
    urls = (storable(_mapping(each).get("url")) for each in files[:_MEDIA_LIMIT]) if isinstance(files, list) else ()
    return Inbound(
        key=body["id"],
        sender=e164(body["from"]),
        to=e164(body["to"]),
        text="" if kind == "mo_binary" else storable(text, limit=10_000),
        provider_id=body["id"],
        media=tuple(url for url in urls if url),
    )
