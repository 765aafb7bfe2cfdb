"""Vonage's Messages API v1, as far as it sends texts: JSON both ways.

Requests are authorized with the account's key and secret; the other way, a JWT signed with RS256, is
beyond the standard library. With them inbound texts go to the address that is entered for the
account, and reports to the address that stands in each message. There is no idempotency key and no
question by id. `failover` is never sent: who sends next when one way fails, the platform decides.

An error is an RFC 7807 object whose `type` is a page of Vonage's list of errors, with the code after
its `#`, and whose `instance` is a trace id. Only such a refusal is one.

Source: OpenAPI 1.20.0 of the Messages API and its list of errors, 3.1.4 of the Reports API, "Signed
Webhooks"; where a meaning is our own reading, it says so.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlsplit

from providers.adapters.base import (
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
    WebhookRequest,
    basic,
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
from providers.adapters.base_vonage import API, check_reports_url, records_found, records_url

_PERMANENT = Outcome.REJECTED_PERMANENT
_RETRYABLE = Outcome.REJECTED_RETRYABLE
_PROVIDER = Outcome.REJECTED_PROVIDER

# What a code means as the answer to a submit. Those not named are permanent, new ones too: a new
# code may be a filter or an opt-out, and nothing here may try to get round one.
CODES: Final[Mapping[str, Outcome]] = MappingProxyType(
    # Rates, and a person, network, route or carrier that is not there just now.
    dict.fromkeys(("1000", "1241", "1180", "1220", "1230", "1250", "1260", "1331", "throttled"), _RETRYABLE)
    # Our account: barred, credit, not enabled, trial, daily limit.
    | dict.fromkeys(("1060", "1070", "1080", "1140", "1160", "1460"), _PROVIDER)
    # Our sender: illegal, number pool, invalid, on the list of numbers that never send.
    | dict.fromkeys(("1120", "1242", "1420", "1476"), _PROVIDER)
    # Our credentials.
    | dict.fromkeys(("unauthorized", "forbidden", "unprovisioned", "account-suspended", "low-balance"), _PROVIDER)
    | dict.fromkeys(("invalid-api-key", "invalid-ip", "multiple-auth-methods", "unavailable-legal"), _PROVIDER)
    # Broken inside, not reached, delivery failed; or taken before, too old by now, parts missing.
    | dict.fromkeys(("1030", "1100", "1330", "1320", "1360", "1490"), Outcome.UNKNOWN)
)
# The HTTP statuses that mean one thing whatever the code.
_BY_STATUS: Final[Mapping[int, Outcome]] = MappingProxyType(
    {
        401: _PROVIDER,
        402: _PROVIDER,
        403: _PROVIDER,
        404: _PROVIDER,
        408: Outcome.UNKNOWN,
        409: Outcome.UNKNOWN,
        429: _RETRYABLE,
    }
)
# "The user has already sent a STOP"; "blacklisted and may not receive messages".
OPTED_OUT: Final = frozenset({"1240", "1050"})

STATUSES: Final[Mapping[str, ReceiptStatus]] = MappingProxyType(
    {
        "submitted": ReceiptStatus.SENT,
        "delivered": ReceiptStatus.DELIVERED,
        "read": ReceiptStatus.DELIVERED,
        "rejected": ReceiptStatus.REJECTED,
        "undeliverable": ReceiptStatus.UNDELIVERED,
    }
)
# What an error makes of a report that says `rejected` or `undeliverable`: our reading of the list.
REASONS: Final[Mapping[str, ReceiptStatus]] = MappingProxyType(
    # Not there now or ever, moved, busy, network, unreachable, age, funds, foreign, device.
    dict.fromkeys(("1180", "1190", "1200", "1220", "1230", "1250", "1260"), ReceiptStatus.UNDELIVERED)
    | dict.fromkeys(("1270", "1290", "1300", "1310", "1331"), ReceiptStatus.UNDELIVERED)
    # Broken inside, not reached, failed in an unknown way.
    | dict.fromkeys(("1030", "1100", "1330"), ReceiptStatus.UNDELIVERED)
    | {
        "1320": ReceiptStatus.ACCEPTED,  # "already sent"
        "1360": ReceiptStatus.EXPIRED,
        "1490": ReceiptStatus.UNKNOWN,  # not every part was reported on in time
    }
)
_BAD_ENDS: Final = frozenset({ReceiptStatus.REJECTED, ReceiptStatus.UNDELIVERED})

REGIONS: Final = ("api", "api-eu", "api-us", "api-ap")
_MEDIA: Final = ("image", "audio", "video", "file", "vcard")

_SHORTEST_TTL: Final = 20
_LONGEST_TTL: Final = 604_800
_ID_LIMIT: Final = 64
_TEXT_LIMIT: Final = 10_000
_URL_LIMIT: Final = 2_000
_MEDIA_LIMIT: Final = 10

_VENDOR: Final = re.compile(r"(?:.+\.)?(?:vonage|nexmo)\.com", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{4}", re.ASCII)


@dataclass(frozen=True, slots=True)
class VonageMessagesCredentials:
    """The API key and its secret, which send, and the signature secret, which signs webhooks."""

    api_key: str
    api_secret: str = field(repr=False)
    signature_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class VonageMessagesOptions:
    """Which of Vonage's regions sends, and where its Reports API is.

    The Reports API costs money: left empty, Vonage is not asked what became of a text. It is only
    used with Vonage's own address.
    """

    region: str = "api"
    reports_url: str = API

    def __post_init__(self) -> None:
        if self.region not in REGIONS:
            raise InvalidOption(f"region: {self.region!r} is none of Vonage's; give one of {', '.join(REGIONS)}")
        check_reports_url(self.reports_url)


class VonageMessagesAdapter(Adapter):
    """One API key at Vonage whose account is set to the Messages API."""

    slug: ClassVar[str] = "vonage_messages"
    title: ClassVar[str] = "Vonage Messages API"
    default_base_url: ClassVar[str] = "https://{region}.nexmo.com"
    # Nothing says how much this API takes; 30 requests a second is the account's figure for texts.
    limits: ClassVar[Limits] = Limits(segments_per_second=30.0, concurrency=16, timeout=30.0)
    answered_flaws: ClassVar[Mapping[str, NumberFlaw]] = MappingProxyType({"1190": NumberFlaw.NOT_IN_SERVICE})
    reported_flaws: ClassVar[Mapping[str, NumberFlaw]] = answered_flaws
    # Of a US number, before its 10DLC campaign says otherwise.
    sender_rates: ClassVar[Mapping[str, float]] = MappingProxyType({"long_code": 1.0})
    # Its Opt-Out Assist answers those of the number's registration, as a rule these; without it, it answers none.
    words_of_opt_out_service: ClassVar[frozenset[str]] = frozenset(
        {"STOP", "END", "QUIT", "CANCEL", "UNSUBSCRIBE", "START", "UNSTOP", "HELP"}
    )
    Credentials: ClassVar[type[Any]] = VonageMessagesCredentials
    Options: ClassVar[type[Any]] = VonageMessagesOptions

    credentials: VonageMessagesCredentials
    options: VonageMessagesOptions

    def call(self, message: Message) -> HttpCall:
        """Return the JSON post that submits the text; the encoding is Vonage's to find."""
        body: dict[str, object] = {
            "message_type": "text",
            "channel": "sms",
            "to": digits(message.to),
            "from": digits(message.sender),
            "text": message.text,
            "client_ref": message.reference,
        }
        if message.status_url:
            # An account may be set to an older form of webhooks.
            body |= {"webhook_url": message.status_url, "webhook_version": "v1"}
        if message.valid_for is not None:
            body["ttl"] = max(_SHORTEST_TTL, min(_LONGEST_TTL, message.valid_for))
        headers = {**self._headers, "Content-Type": "application/json"}
        return HttpCall("POST", f"{self.base_url}/v1/messages", headers, json.dumps(body).encode("ascii"))

    @cached_property
    def _headers(self) -> Mapping[str, str]:
        ours = self.credentials
        return MappingProxyType({"Authorization": basic(ours.api_key, ours.api_secret), "Accept": "application/json"})

    def read(self, message: Message, reply: HttpReply) -> Result:  # noqa: ARG002 - one per request
        """Return what the answer means."""
        body = json_object(reply.body) or {}
        trace = reply.headers.get("x-request-id", "")
        if 200 <= reply.status < 300:  # noqa: PLR2004 - the success class of HTTP
            given = body.get("message_uuid")
            if is_id(given):
                return Result(Outcome.ACCEPTED, provider_id=str(given))
            return Result(Outcome.UNKNOWN, detail=self.shown(f"HTTP {reply.status} without a message id {trace}"))
        if not _is_problem(body):
            words = f"HTTP {reply.status}, not in Vonage's dialect {trace}"
            return Result(Outcome.UNKNOWN, detail=self.shown(words))
        code = _code(body)
        outcome = _meaning(reply.status, code)
        return Result(
            outcome,
            code=self.shown(code)[:40],
            detail=self.shown(_words(body)),
            retry_after=retry_after(reply.headers),
            opted_out=outcome is _PERMANENT and code in OPTED_OUT,
        )

    def look_up(self, question: Question) -> HttpCall | None:
        """Return the request for the person's records of those minutes; ours is known by its client_ref."""
        host = self.options.reports_url.rstrip("/") if self._is_vendors_own else self.base_url
        if not host:
            return None
        url = records_url(host, "MESSAGES", self.credentials.api_key, question)
        return HttpCall("GET", url, self._headers, b"")

    @property
    def _is_vendors_own(self) -> bool:
        return self.base_url == f"https://{self.options.region}.nexmo.com"

    def found(self, question: Question, reply: HttpReply) -> list[Finding]:
        """Return the text with our reference."""
        return records_found("MESSAGES", question, reply)

    def check(self) -> HttpCall:
        """Return the request for the account's secrets: when each was made, not what it is. Regions have no such API."""
        host = API if self._is_vendors_own else self.base_url
        return HttpCall(
            "GET", f"{host}/accounts/{quote(self.credentials.api_key, safe='')}/secrets", self._headers, b""
        )

    def verify(self, request: WebhookRequest) -> bool:
        """Return whether the signature secret signed the token, and the token this very body.

        How old the token's `iat` is, nobody checks here: adapters have no clock, and a repeated event
        is known by its key.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        signed, _, signature = token.strip().rpartition(".")
        secret = self.credentials.signature_secret.encode("utf-8", "replace")
        if scheme.lower() != "bearer" or not secret or signed.count(".") != 1:
            return False
        digest = hmac.new(secret, signed.encode("utf-8", "replace"), hashlib.sha256).digest()
        expected = base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
        if not same_secret(signature, expected):
            return False
        head, claims = (_unpacked(part) for part in signed.split("."))
        payload = claims.get("payload_hash")
        is_ours = isinstance(payload, str) and same_secret(payload.lower(), hashlib.sha256(request.body).hexdigest())
        return head.get("alg") == "HS256" and is_ours

    def parse(self, request: WebhookRequest) -> list[Receipt | Inbound]:
        """Return the one event of a request: a report, or a person's message."""
        said = json_object(request.body)
        if said is None:
            raise MalformedEvent("body: not a JSON object")
        message_id = said.get("message_uuid")
        if not is_id(message_id):
            raise MalformedEvent("message_uuid: missing, or not an id")
        if "status" in said:
            return [_receipt(str(message_id), said, request.url)]
        return [_inbound(str(message_id), said)]


def _is_problem(body: Mapping[str, Any]) -> bool:
    """Return whether a body is an error of Vonage's: the page in its list, a title, a trace id."""
    page = body.get("type")
    if not isinstance(page, str) or not all(isinstance(body.get(name), str) for name in ("title", "instance")):
        return False
    try:
        url = urlsplit(page)
        host = url.hostname or ""
    except ValueError:
        return False
    return _VENDOR.fullmatch(host) is not None and "/api-errors" in url.path


def _code(problem: Mapping[str, Any]) -> str:
    """Return what stands after the `#` of the type, or else a title that is a number."""
    page, title = storable(problem.get("type")), storable(problem.get("title"))
    code = page.rpartition("#")[2].strip() if "#" in page else ""
    return (code or (title if _NUMBER.fullmatch(title) else ""))[:40]


def _words(problem: Mapping[str, Any]) -> str:
    listed = problem.get("invalid_parameters")
    wrong = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    named = "; ".join(f"{storable(each.get('name'))}: {storable(each.get('reason'))}" for each in wrong[:5])
    said = [storable(problem.get("title")), storable(problem.get("detail")), named]
    return f"{'. '.join(filter(None, said))} ({storable(problem.get('instance'))})"


def _meaning(status: int, code: str) -> Outcome:
    if not 400 <= status < 500:  # noqa: PLR2004 - only a 4xx can say "not taken"
        return Outcome.UNKNOWN
    # The examples of the specification give 1060 and 1140 another meaning under 422, of a wrong
    # reference and a wrong message type. We make neither mistake.
    return _BY_STATUS.get(status) or CODES.get(code, _PERMANENT)


def _unpacked(part: str) -> dict[str, Any]:
    """Return the JSON object of one part of a token, empty for anything else."""
    try:
        return json_object(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) or {}
    except ValueError:
        return {}


def _receipt(message_id: str, said: Mapping[str, Any], url: str) -> Receipt:
    word = storable(said.get("status"), limit=40)
    if not word:
        raise MalformedEvent("status: not text, or empty")
    error = said.get("error")
    problem = error if isinstance(error, dict) else {}
    code = _code(problem)[:20]
    status = STATUSES.get(word, ReceiptStatus.UNKNOWN)
    return Receipt(
        key=f"{message_id}:{word}",
        status=REASONS.get(code, status) if status in _BAD_ENDS else status,
        reference=(storable(said.get("client_ref")) or _reference_in(url))[:_ID_LIMIT],
        provider_id=message_id,
        code=code,
        detail=storable(problem.get("detail")) if word in STATUSES else word,
        occurred_at=instant(said.get("timestamp")),
        opted_out=code in OPTED_OUT,
    )


def _reference_in(url: str) -> str:
    try:
        return query_value(url, "ref")
    except ValueError:
        return ""


def _inbound(message_id: str, said: Mapping[str, Any]) -> Inbound:
    for name in ("from", "to"):
        if not storable(said.get(name)):
            raise MalformedEvent(f"{name}: missing, or not text")
    attached = list(_attachments(said))
    texts = [said.get("text"), *(each.get("caption") for each in attached)]
    urls = [storable(each.get("url"), limit=_URL_LIMIT) for each in attached]
    return Inbound(
        key=message_id,
        sender=e164(said["from"]),
        to=e164(said["to"]),
        text=next(filter(None, (storable(text, limit=_TEXT_LIMIT) for text in texts)), ""),
        provider_id=message_id,
        media=tuple(url for url in urls if url)[:_MEDIA_LIMIT],
    )


def _attachments(said: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what came with a message: under the name of its kind, or several in `content`."""
    content = said.get("content")
    several = content if isinstance(content, list) else []
    for each in (*(said.get(kind) for kind in _MEDIA), *several):
        if isinstance(each, dict):
            yield each
