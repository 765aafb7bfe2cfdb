"""Plivo's Message API: JSON in and out, one recipient per request.

Plivo takes up to 1,000 recipients per request, but tells neither which id is whose nor, later, what
became of a request whose answer was lost; so each message goes by itself. There is no idempotency
key, and our reference comes back only in the query of the callback `url`. The dialect of an error is
a JSON object with `api_id` and `error`; it has words but no number, so the HTTP status tells its kind.

Callbacks are signed as V2 or V3. V2 covers the address without its query, and not the body: who once
saw a signed request could repeat it with another content. What they would have to know is the
address, and its path holds the account's unguessable key, which both signatures cover; so there is
no further token. Where V3 is sent, it decides: it covers everything.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit

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
    Unreadable,
    WebhookRequest,
    basic,
    digits,
    e164,
    form_fields,
    instant,
    is_id,
    json_object,
    query_value,
    retry_after,
    storable,
)

# What an error in Plivo's dialect means, by its HTTP status (Plivo's API reference and its Python
# package). 409 is not explained anywhere, so it proves nothing.
OUTCOMES: Final[Mapping[int, Outcome]] = MappingProxyType(
    {
        400: Outcome.REJECTED_PERMANENT,
        401: Outcome.REJECTED_PROVIDER,
        403: Outcome.REJECTED_PROVIDER,
        404: Outcome.REJECTED_PROVIDER,
        405: Outcome.REJECTED_PERMANENT,
        422: Outcome.REJECTED_PERMANENT,
        429: Outcome.REJECTED_RETRYABLE,
    }
)
# For about two minutes after a report with code 900, the API refuses with such words, whatever the status.
_NO_CREDIT: Final = "insufficient credit"

STATUSES: Final[Mapping[str, ReceiptStatus]] = MappingProxyType(
    {
        "queued": ReceiptStatus.QUEUED,
        "sent": ReceiptStatus.SENT,
        "delivered": ReceiptStatus.DELIVERED,
        "read": ReceiptStatus.DELIVERED,
        "undelivered": ReceiptStatus.UNDELIVERED,
        "failed": ReceiptStatus.FAILED,
        "rejected": ReceiptStatus.REJECTED,
    }
)
# What Plivo's page "SMS error codes" says of the codes in reports.
REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "10": "invalid message",
        "20": "network temporarily unavailable",
        "30": "taken for spam",
        "40": "invalid source number",
        "50": "invalid destination number",
        "60": "loop detected",
        "70": "destination permanently unavailable",
        "80": "destination temporarily unavailable",
        "90": "no route",
        "100": "prohibited by the carrier",
        "110": "message too long",
        "200": "the recipient has opted out",
        "201": "US toll-free to Canada is not supported",
        "300": "could not be dispatched",
        "420": "expired in the queue",
        "450": "the country is barred for this account",
        "900": "out of credit",
        "910": "the account is disabled",
        "1000": "unknown",
    }
)
_DELIVERED: Final = "000"
_OPTED_OUT: Final = "200"
_EXPIRED: Final = "420"
_FAILURES: Final = frozenset({ReceiptStatus.FAILED, ReceiptStatus.UNDELIVERED})

_SHORTEST_EXPIRY: Final = 5
_LONGEST_EXPIRY: Final = 10_799
_MEDIA_LIMIT: Final = 10
_PAGE: Final = 20
# How long before and after its claim a message can have come into being at Plivo: clocks differ, and
# the request waits for its turn.
_BEFORE: Final = timedelta(minutes=1)
_AFTER: Final = timedelta(minutes=10)
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PART: Final = re.compile(r"([0-9]{1,3}) of ([0-9]{1,3})", re.ASCII)
_LOGGED: Final = ("true", "false", "number_only", "content_only")


@dataclass(frozen=True, slots=True)
class PlivoCredentials:
    """The account or subaccount, and its auth token, which also signs callbacks."""

    auth_id: str
    auth_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PlivoOptions:
    """`log`: what Plivo keeps of a message. Without the number, it cannot be asked about lost answers."""

    log: str = "true"

    def __post_init__(self) -> None:
        if self.log not in _LOGGED:
            raise InvalidOption(f"log: {self.log!r} is not known to Plivo; give one of {', '.join(_LOGGED)}")


class PlivoAdapter(Adapter):
    """One Plivo account or subaccount."""

    slug: ClassVar[str] = "plivo"
    title: ClassVar[str] = "Plivo"
    default_base_url: ClassVar[str] = "https://api.plivo.com"
    # A new account sends 5 texts a second from its queue; what waits there for 3 h fails. The API
    # takes 100 requests at a time.
    limits: ClassVar[Limits] = Limits(segments_per_second=5.0, concurrency=50, timeout=30.0)
    answered_flaws: ClassVar[Mapping[str, NumberFlaw]] = MappingProxyType({"invalid_number": NumberFlaw.NOT_IN_SERVICE})
    reported_flaws: ClassVar[Mapping[str, NumberFlaw]] = MappingProxyType(
        dict.fromkeys(("50", "70"), NumberFlaw.NOT_IN_SERVICE)
    )
    # Plivo's page on rates. A long code that is registered has 0.2 to 15, by its brand's score.
    sender_rates: ClassVar[Mapping[str, float]] = MappingProxyType(
        {"long_code": 1.0, "toll_free": 25.0, "short_code": 100.0}
    )
    answered_words: ClassVar[frozenset[str]] = frozenset(
        {"STOP", "END", "QUIT", "CANCEL", "UNSUBSCRIBE", "UNSUB", "STOP ALL", "START", "YES", "RESUME", "RESUME ALL"}
        | {"UNSTOP", "GO", "HELP", "INFO"}
    )
    Credentials: ClassVar[type[Any]] = PlivoCredentials
    Options: ClassVar[type[Any]] = PlivoOptions

    credentials: PlivoCredentials
    options: PlivoOptions

    def call(self, message: Message) -> HttpCall:
        """Return the JSON post that creates the message. A sender that is a UUID is a Powerpack."""
        sender = "powerpack_uuid" if _UUID.fullmatch(message.sender) else "src"
        body: dict[str, object] = {
            sender: digits(message.sender),
            "dst": digits(message.to),
            "text": message.text,
            "type": "sms",
            "log": self.options.log,
        }
        if message.status_url:
            body |= {"url": message.status_url, "method": "POST"}
        # Seconds from 5 to 10,799; Plivo's own are 10,800 (support article "Message Expiry").
        if message.valid_for is not None and message.valid_for <= _LONGEST_EXPIRY:
            body["message_expiry"] = max(_SHORTEST_EXPIRY, message.valid_for)
        return HttpCall("POST", self._url, self._headers, json.dumps(body).encode("ascii"))

    @cached_property
    def _url(self) -> str:
        """Return the address of the account's messages; Plivo wants the slash at its end."""
        return f"{self.base_url}/v1/Account/{quote(self.credentials.auth_id, safe='')}/Message/"

    @cached_property
    def _headers(self) -> Mapping[str, str]:
        ours = self.credentials
        return MappingProxyType(
            {
                "Authorization": basic(ours.auth_id, ours.auth_token),
                "Content-Type": "application/json",
                "Accept": "application/json",
            }
        )

    def read(self, message: Message, reply: HttpReply) -> Result:
        """Return what the answer means."""
        body = json_object(reply.body) or {}
        if 200 <= reply.status < 300:  # noqa: PLR2004 - the success class of HTTP
            return _taken(message, reply, body)
        error = body.get("error")
        if not is_id(body.get("api_id")) or not isinstance(error, str):
            return Result(Outcome.UNKNOWN, detail=f"HTTP {reply.status}, not in Plivo's dialect")
        outcome = OUTCOMES.get(reply.status, Outcome.UNKNOWN)
        if _NO_CREDIT in error.lower() and 400 <= reply.status < 500:  # noqa: PLR2004 - 4xx
            outcome = Outcome.REJECTED_PROVIDER
        return Result(outcome, code=str(reply.status), detail=self.shown(error), retry_after=retry_after(reply.headers))

    def look_up(self, question: Question) -> HttpCall | None:
        """Return the request for the texts to this person around that time; None where Plivo keeps no numbers.

        Plivo answers 20 of these a minute.
        """
        if self.options.log not in {"true", "number_only"}:
            return None
        query = {
            "message_direction": "outbound",
            "to_number": digits(question.to),
            "message_time__gte": _utc(question.since - _BEFORE),
            "message_time__lte": _utc(question.since + _AFTER),
            "limit": str(_PAGE),
        }
        if not _UUID.fullmatch(question.sender):
            query["from_number"] = digits(question.sender)
        return HttpCall("GET", f"{self._url}?{urlencode(query)}", self._headers, b"")

    def found(self, question: Question, reply: HttpReply) -> list[Finding]:
        """Return the texts to this person. The list has neither references nor texts: all are candidates."""
        body = json_object(reply.body) or {}
        listed = body.get("objects")
        in_dialect = is_id(body.get("api_id")) and isinstance(listed, list)
        if not 200 <= reply.status < 300 or not in_dialect:  # noqa: PLR2004 - the success class of HTTP
            raise Unreadable(f"HTTP {reply.status}: {self.shown(body.get('error')) or 'no list of messages'}")
        return [_finding(each) for each in listed or () if _is_theirs(question, each)]

    def check(self) -> HttpCall:
        """Return the request for one message of the list."""
        return HttpCall("GET", f"{self._url}?limit=1", self._headers, b"")

    def verify(self, request: WebhookRequest) -> bool:
        """Return whether the auth token signed this request, by V3 if it has that, else by V2.

        `Ma` is the main account's signature where a subaccount sends; it counts for whoever has that
        token. Vectors and rules: Plivo's Python package, `utils` and `utils/signature_v3`.
        """
        key = self.credentials.auth_token.encode("utf-8", "replace")
        for version, signed in (("v3", _signed_v3), ("v2", _signed_v2)):
            given = _signatures(request, version)
            if given:
                nonce = request.headers.get(f"x-plivo-signature-{version}-nonce", "")
                try:
                    text = signed(request, nonce)
                except ValueError:
                    return False
                return bool(key) and _is_signed(key, text, given)
        return False

    def parse(self, request: WebhookRequest) -> list[Receipt | Inbound]:
        """Return the one event of a request, form or query: a status callback or a person's message."""
        try:
            reference = query_value(request.url, "ref")
            fields = form_fields(request)
        except ValueError as error:
            raise MalformedEvent(f"form: {error}") from None
        if not is_id(fields.get("MessageUUID")):
            raise MalformedEvent("MessageUUID: missing, or not an id")
        return [_receipt(fields, reference) if fields.get("Status") else _inbound(fields)]


def _taken(message: Message, reply: HttpReply, body: Mapping[str, Any]) -> Result:
    """Read {"api_id", "message", "message_uuid": [id], "invalid_number": [number]}."""
    ids, invalid = body.get("message_uuid"), body.get("invalid_number")
    if isinstance(ids, list) and ids and is_id(ids[0]):
        return Result(Outcome.ACCEPTED, provider_id=ids[0])
    is_ours = isinstance(invalid, list) and [e164(each) for each in invalid] == [message.to]
    if ids == [] and is_ours and is_id(body.get("api_id")):
        return Result(Outcome.REJECTED_PERMANENT, code="invalid_number", detail="Plivo calls the number invalid")
    return Result(Outcome.UNKNOWN, detail=f"HTTP {reply.status} without a message id")


def _utc(at: datetime) -> str:
    """Return an instant as Plivo's filters want it: YYYY-MM-DD HH:MM:SS, UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _is_theirs(question: Question, listed: object) -> bool:
    return (
        isinstance(listed, dict)
        and is_id(listed.get("message_uuid"))
        and e164(listed.get("to_number")) == question.to
        and listed.get("message_direction", "outbound") == "outbound"
        and (bool(_UUID.fullmatch(question.sender)) or e164(listed.get("from_number")) == e164(question.sender))
    )


def _finding(listed: Mapping[str, Any]) -> Finding:
    return Finding(listed["message_uuid"], created_at=instant(listed.get("message_time")))


def _signatures(request: WebhookRequest, version: str) -> list[str]:
    """Return the signatures of a version; V3 headers may hold several, with commas."""
    named = (request.headers.get(f"x-plivo-signature{kind}-{version}", "") for kind in ("", "-ma"))
    return [each.strip() for header in named for each in header.split(",") if each.strip()]


def _is_signed(key: bytes, text: str, given: list[str]) -> bool:
    expected = base64.b64encode(hmac.new(key, text.encode("utf-8", "replace"), hashlib.sha256).digest())
    return any(hmac.compare_digest(expected, each.encode("utf-8", "replace")) for each in given)


def _signed_v2(request: WebhookRequest, nonce: str) -> str:
    return urlsplit(request.url)._replace(query="", fragment="").geturl() + nonce


def _signed_v3(request: WebhookRequest, nonce: str) -> str:
    """Return `url`, `url?query`, `url?query.form` or `url?form`, and the nonce after a dot.

    Query and form are sorted by name and value, and not escaped.
    """
    parts = urlsplit(request.url)
    query = _several(parts.query)
    form = _several(request.body.decode("utf-8", "replace")) if request.method == "POST" else {}
    said = "&".join(f"{name}={value}" for name in sorted(query) for value in sorted(query[name]))
    tail = "".join(name + value for name in sorted(form) for value in sorted(form[name]))
    mark, dot = "?" if said or form else "", "." if said and form else ""
    return f"{parts._replace(query='', fragment='').geturl()}{mark}{said}{dot}{tail}.{nonce}"


def _several(text: str) -> dict[str, list[str]]:
    return parse_qs(text, keep_blank_values=True, max_num_fields=500)


def _receipt(fields: Mapping[str, str], reference: str) -> Receipt:
    """Read a status callback.

    Long texts once had a report for each part: `PartInfo` "1 of 2", and the first part's id as
    `ParentMessageUUID`, which is the id that we were given. Today Plivo calls both reserved, and
    reports once for all `Units`. The times have no zone, so the event has no instant.
    """
    own, parent = fields["MessageUUID"], fields.get("ParentMessageUUID", "")
    said = fields["Status"].lower()[:40]
    code = fields.get("ErrorCode", "")[:20]
    status = STATUSES.get(said, ReceiptStatus.UNKNOWN)
    if status in _FAILURES:
        status = {_OPTED_OUT: ReceiptStatus.REJECTED, _EXPIRED: ReceiptStatus.EXPIRED}.get(code, status)
    found = _PART.fullmatch(fields.get("PartInfo", "").strip())
    part = found[1] if found and found[2] != "1" else ""
    return Receipt(
        key=f"{own}:{said}:{part}".rstrip(":"),
        status=status,
        reference=reference[:64],
        provider_id=parent if is_id(parent) else own,
        code="" if code == _DELIVERED else code,
        detail=said if said not in STATUSES else REASONS.get(code, ""),
        opted_out=code == _OPTED_OUT and status is ReceiptStatus.REJECTED,
        part=part,
    )


def _inbound(fields: Mapping[str, str]) -> Inbound:
    for name in ("From", "To"):
        if not fields.get(name):
            raise MalformedEvent(f"{name}: missing")
    if "Text" not in fields and "Type" not in fields:
        raise MalformedEvent("Status: missing, and neither Text nor Type of a person's message")
    media = (storable(fields.get(f"Media{number}", "")) for number in range(_MEDIA_LIMIT))
    return Inbound(
        key=fields["MessageUUID"],
        sender=e164(fields["From"]),
        to=e164(fields["To"]),
        text=fields.get("Text", ""),
        provider_id=fields["MessageUUID"],
        media=tuple(url for url in media if url),
    )
