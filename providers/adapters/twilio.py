"""Twilio's classic Messages API: one message per request, form in, JSON out.

Twilio has no idempotency key and cannot be asked for our reference, so whatever is not an answer in
its own dialect stays unknown. The dialect of an error is a JSON object with a five-digit `code`, a
`message` (or `title`, in the newer shape) and a `status` equal to the HTTP status; a proxy's page,
a redirect or another server's JSON proves nothing. Codes are those of Twilio's error dictionary.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

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
    basic,
    json_object,
    retry_after,
    storable,
)

_PERMANENT = Outcome.REJECTED_PERMANENT
_RETRYABLE = Outcome.REJECTED_RETRYABLE
_PROVIDER = Outcome.REJECTED_PROVIDER

CODES: Final[Mapping[int, Outcome]] = MappingProxyType(
    # Our account, sender, registration or route.
    dict.fromkeys((20003, 20004, 20005, 20006, 20404, 30002), _PROVIDER)
    | dict.fromkeys((21212, 21408, 21603, 21606, 21608, 21659, 21660), _PROVIDER)
    | dict.fromkeys((21701, 21702, 21703, 21704, 21705), _PROVIDER)
    | dict.fromkeys((30018, 30024, 30032, 30034), _PROVIDER)
    # Full queues and rates: the same text may be taken later. 21611 is raised before creation.
    | dict.fromkeys((20429, 21611, 30001, 30017, 30022, 30023, 30027, 63017), _RETRYABLE)
    # This number: invalid, not a mobile, out of reach, blocked, or opted out (21610).
    | dict.fromkeys((21211, 21214, 21217, 21604, 21610, 21612, 21614), _PERMANENT)
    | dict.fromkeys((30003, 30004, 30005, 30006), _PERMANENT)
    # This text: body, callback, media, validity, filter, price cap, loop guard.
    | dict.fromkeys((21602, 21609, 21617, 21618, 21620, 21623, 21624), _PERMANENT)
    | dict.fromkeys((14107, 30007, 30010, 30011, 30012, 30013, 30014, 30019), _PERMANENT)
    # Twilio itself warns that a repeat can duplicate (20500), or timed out inside.
    | dict.fromkeys((20500, 20503, 30008, 30410), Outcome.UNKNOWN)
)
OPTED_OUT: Final = 21610

# What a code says about the number itself, in answers and in reports alike.
NUMBER_FLAWS: Final[Mapping[str, NumberFlaw]] = MappingProxyType(
    dict.fromkeys(("21614", "30006"), NumberFlaw.LANDLINE)
    | dict.fromkeys(("21211", "21217", "30005"), NumberFlaw.NOT_IN_SERVICE)
    | {"21214": NumberFlaw.UNREACHABLE}
)

# A code that is new to us, by what its HTTP status says. 400 and the rest are permanent: a new code
# may be a filter or an opt-out, and nothing here may try to get round one.
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

STATUSES: Final[Mapping[str, ReceiptStatus]] = MappingProxyType(
    {
        "accepted": ReceiptStatus.ACCEPTED,
        "scheduled": ReceiptStatus.ACCEPTED,
        "queued": ReceiptStatus.QUEUED,
        "sending": ReceiptStatus.QUEUED,
        "sent": ReceiptStatus.SENT,
        "delivered": ReceiptStatus.DELIVERED,
        "read": ReceiptStatus.DELIVERED,
        "partially_delivered": ReceiptStatus.DELIVERED,
        "undelivered": ReceiptStatus.UNDELIVERED,
        "failed": ReceiptStatus.FAILED,
        "canceled": ReceiptStatus.FAILED,
    }
)
# `failed` for one of these means refused: by an opt-out, a filter or a missing registration.
_REFUSALS: Final = frozenset({"21610", "30007", "30018", "30024", "30032", "30034"})

_LONGEST_VALIDITY: Final = 36_000
_CODE_DIGITS: Final = 5
_ID_LIMIT: Final = 64
_MEDIA_LIMIT: Final = 10
_FIELD_LIMIT: Final = 500
_TEXT_LIMIT: Final = 10_000
# Twilio repeats a failed webhook once, and only if it could not connect; this asks for five
# repeats on any failure. The fragment never travels: it is an instruction to Twilio.
_INSISTENCE: Final = "#rc=5&rp=all"
_INBOUND_STATUSES: Final = frozenset({"receiving", "received"})
_HASHES: Final = MappingProxyType({"HMAC_SHA1": hashlib.sha1, "HMAC_SHA256": hashlib.sha256})
_DEFAULT_PORTS: Final = MappingProxyType({"https": 443, "http": 80})


@dataclass(frozen=True, slots=True)
class TwilioCredentials:
    """The account, its auth token (which signs webhooks), and an API key to send with, if any."""

    account_sid: str
    auth_token: str = field(repr=False)
    api_key_sid: str = ""
    api_key_secret: str = field(default="", repr=False)


class TwilioAdapter(Adapter):
    """One Twilio account or subaccount."""

    slug: ClassVar[str] = "twilio"
    title: ClassVar[str] = "Twilio"
    default_base_url: ClassVar[str] = "https://api.twilio.com"
    # Twilio gives up inside at about 26 s; waiting longer than that turns unknowns into answers.
    limits: ClassVar[Limits] = Limits(segments_per_second=100.0, concurrency=64, timeout=32.0)
    answered_flaws: ClassVar[Mapping[str, NumberFlaw]] = NUMBER_FLAWS
    reported_flaws: ClassVar[Mapping[str, NumberFlaw]] = NUMBER_FLAWS
    Credentials: ClassVar[type[Any]] = TwilioCredentials
    # Alone in the message, on long codes and in Messaging Services.
    answered_words: ClassVar[frozenset[str]] = frozenset(
        {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "START", "YES", "UNSTOP"}
        | {"HELP", "INFO"}
    )

    credentials: TwilioCredentials

    def call(self, message: Message) -> HttpCall:
        """Return the form post that creates the message."""
        sender = "MessagingServiceSid" if message.sender.startswith("MG") else "From"
        form = {"To": message.to, sender: message.sender, "Body": message.text}
        if message.status_url:
            fragment = "" if "#" in message.status_url else _INSISTENCE
            form["StatusCallback"] = message.status_url + fragment
        if message.valid_for is not None:
            form["ValidityPeriod"] = str(max(1, min(_LONGEST_VALIDITY, message.valid_for)))
        return HttpCall("POST", self._url, self._headers, urlencode(form).encode("ascii"))

    @cached_property
    def _url(self) -> str:
        account = quote(self.credentials.account_sid, safe="")
        return f"{self.base_url}/2010-04-01/Accounts/{account}/Messages.json"

    @cached_property
    def _headers(self) -> Mapping[str, str]:
        ours = self.credentials
        user, password = ours.account_sid, ours.auth_token
        if ours.api_key_sid:
            user, password = ours.api_key_sid, ours.api_key_secret
        return MappingProxyType(
            {
                "Authorization": basic(user, password),
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
            }
        )

    def read(self, message: Message, reply: HttpReply) -> Result:  # noqa: ARG002 - one per request
        """Return what the answer means."""
        body = json_object(reply.body)
        if 200 <= reply.status < 300:  # noqa: PLR2004 - the success class of HTTP
            return self._taken(reply, body)
        code = _error_code(reply, body)
        if body is None or code is None:
            # A redirect too: it is not followed, and who sent it is not known.
            return Result(Outcome.UNKNOWN, detail=f"HTTP {reply.status}, not in Twilio's dialect")
        return Result(
            _meaning(reply.status, code),
            code=str(code),
            detail=self.shown(body.get("message") or body.get("detail") or body.get("title")),
            retry_after=retry_after(reply.headers),
            opted_out=code == OPTED_OUT and _is_rejection(reply.status),
        )

    def _taken(self, reply: HttpReply, body: dict[str, Any] | None) -> Result:
        sid = body.get("sid") if body else None
        if body is None or not _is_id(sid):
            detail = f"HTTP {reply.status} without a message id"
            return Result(Outcome.UNKNOWN, detail=detail)
        code = body.get("error_code")
        return Result(
            Outcome.ACCEPTED,
            provider_id=str(sid),
            code=str(code) if isinstance(code, int) else "",
            detail=self.shown(body.get("error_message")),
        )

    def look_up(self, question: Question) -> HttpCall:
        """Return the question for what went to this person from this sender, newest first.

        Not by date: DateSent is empty while a message is queued, and such rows would be missing.
        """
        asked = {"To": question.to, "PageSize": "100"}
        if not question.sender.startswith("MG"):
            asked["From"] = question.sender
        return HttpCall("GET", f"{self._url}?{urlencode(asked)}", self._headers, b"")

    def found(self, question: Question, reply: HttpReply) -> list[Finding]:
        """Return the messages of this text; the list does not give our reference back."""
        listed = (json_object(reply.body) or {}).get("messages")
        if not 200 <= reply.status < 300 or not isinstance(listed, list):  # noqa: PLR2004 - the success class of HTTP
            raise Unreadable(f"HTTP {reply.status} without a list of messages")
        return [
            Finding(provider_id=str(each["sid"]), created_at=_created(each.get("date_created")))
            for each in listed
            if isinstance(each, dict)
            and _is_id(each.get("sid"))
            and (each.get("to"), each.get("body")) == (question.to, question.text)
            and str(each.get("direction", "outbound-api")).startswith("outbound")
        ]

    def check(self) -> HttpCall:
        """Return the question for the account itself."""
        account = quote(self.credentials.account_sid, safe="")
        return HttpCall("GET", f"{self.base_url}/2010-04-01/Accounts/{account}.json", self._headers, b"")

    def verify(self, request: WebhookRequest) -> bool:
        """Return whether the auth token signed this request.

        The URL is tried with and without its port, as Twilio itself is not consistent, and with the
        fragment of the status callback, as nothing published says that the signature leaves it out.
        """
        given = request.headers.get("x-twilio-signature", "").encode("utf-8", "replace")
        hashed = _algorithm(request.headers.get("x-twilio-webhooks-signature-settings", ""))
        key = self.credentials.auth_token.encode("utf-8", "replace")
        if not given or not key or hashed is None:
            return False
        try:
            parts = urlsplit(request.url)
            urls = list(_spellings(parts))
            form = _form(request)
        except ValueError:
            return False
        body_hash = dict(parse_qsl(parts.query)).get("bodySHA256")
        if body_hash is not None:
            actual = hashlib.sha256(request.body).hexdigest().encode("ascii")
            if not hmac.compare_digest(actual, body_hash.encode("utf-8", "replace")):
                return False
            form = {}
        signed = "".join(name + value for name in sorted(form) for value in sorted(form[name]))
        matched = False
        for url in urls:
            text = (url + signed).encode("utf-8", "replace")
            expected = base64.b64encode(hmac.new(key, text, hashed).digest())
            matched |= hmac.compare_digest(expected, given)
        return matched

    def parse(self, request: WebhookRequest) -> list[Receipt | Inbound]:
        """Return the one event of a request: a status callback or a person's message."""
        try:
            query = dict(parse_qsl(urlsplit(request.url).query))
            fields = _fields(request)
        except ValueError as error:
            raise MalformedEvent(f"form: {error}") from None
        sid = fields.get("MessageSid") or fields.get("SmsSid") or ""
        if not _is_id(sid):
            raise MalformedEvent("MessageSid: missing, or not an id")
        if _is_inbound(fields):
            return [_inbound(sid, fields)]
        return [_receipt(sid, fields, storable(query.get("ref", "")))]

    def answer(self, request: WebhookRequest) -> WebhookAnswer:
        """Return empty TwiML for a person's message; any other text could be sent back to them."""
        try:
            inbound = _is_inbound(_fields(request))
        except ValueError:
            inbound = False
        if inbound:
            return WebhookAnswer(200, "text/xml", b"<Response/>")
        return WebhookAnswer(204)


def _created(value: object) -> datetime | None:
    """Return the instant of an RFC 2822 date."""
    try:
        return parsedate_to_datetime(value) if isinstance(value, str) else None
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _ID_LIMIT and value.isascii() and value.isalnum()


def _is_rejection(status: int) -> bool:
    """Return whether an HTTP status can say "not taken": a redirect or 4xx, never a 5xx."""
    return 300 <= status < 500  # noqa: PLR2004 - classes of HTTP


def _error_code(reply: HttpReply, body: dict[str, Any] | None) -> int | None:
    """Return Twilio's code if the body is an error in Twilio's dialect, for this very answer."""
    if body is None:
        return None
    code, status = body.get("code"), body.get("status")
    if not isinstance(code, int) or isinstance(code, bool) or len(str(code)) != _CODE_DIGITS:
        return None
    if not isinstance(status, int) or status != reply.status:
        return None
    return code if isinstance(body.get("message") or body.get("title"), str) else None


def _meaning(status: int, code: int) -> Outcome:
    if not _is_rejection(status):
        return Outcome.UNKNOWN
    if code in CODES:
        return CODES[code]
    if status < 400:  # noqa: PLR2004 - Twilio itself points elsewhere: our base URL is wrong
        return Outcome.REJECTED_PROVIDER
    return _BY_STATUS.get(status, Outcome.REJECTED_PERMANENT)


def _form(request: WebhookRequest) -> dict[str, list[str]]:
    """Return the form's names, each with its distinct values; raises ValueError past the limit."""
    if request.headers.get("content-type", "").lower().startswith("application/json"):
        return {}
    form: dict[str, list[str]] = {}
    text = request.body.decode("utf-8", "replace")
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELD_LIMIT):
        values = form.setdefault(name, [])
        if value not in values:
            values.append(value)
    return form


def _fields(request: WebhookRequest) -> dict[str, str]:
    """Return what the event says; where the webhook is set to GET, the query says it."""
    form = {name: values[0] for name, values in _form(request).items()}
    said = form or dict(parse_qsl(urlsplit(request.url).query, max_num_fields=_FIELD_LIMIT))
    return {name: storable(value, limit=_TEXT_LIMIT) for name, value in said.items()}


def _algorithm(settings: str) -> Any | None:
    """Return the hash named in `key=…,algorithm=…`; without a name SHA-1; unknown: None."""
    named = dict(part.strip().partition("=")[::2] for part in settings.split(","))
    return _HASHES.get((named.get("algorithm") or "HMAC_SHA1").strip().upper())


def _spellings(parts: SplitResult) -> Iterator[str]:
    bare = parts._replace(fragment="")
    host = bare.netloc.rpartition(":")[0] if bare.port else bare.netloc
    port = bare.port or _DEFAULT_PORTS.get(bare.scheme, 80)
    for netloc in (host, f"{host}:{port}"):
        url = bare._replace(netloc=netloc).geturl()
        yield url
        yield url + _INSISTENCE


def _is_inbound(fields: Mapping[str, str]) -> bool:
    status = fields.get("MessageStatus") or fields.get("SmsStatus") or ""
    return "Body" in fields if not status else status in _INBOUND_STATUSES


def _receipt(sid: str, fields: Mapping[str, str], reference: str) -> Receipt:
    said = fields.get("MessageStatus") or fields.get("SmsStatus") or ""
    if not said:
        raise MalformedEvent("MessageStatus: missing")
    code = fields.get("ErrorCode", "")[:20]
    status = STATUSES.get(said, ReceiptStatus.UNKNOWN)
    if status is ReceiptStatus.FAILED and code in _REFUSALS:
        status = ReceiptStatus.REJECTED
    # RawDlrDoneDate is the carrier's, in a zone nobody states, so the event has no instant.
    return Receipt(
        key=f"{sid}:{said[:40]}",
        status=status,
        reference=reference[:_ID_LIMIT],
        provider_id=sid,
        code=code,
        detail=said[:40] if said not in STATUSES else fields.get("ErrorMessage", "")[:500],
        opted_out=code == str(OPTED_OUT),
    )


def _inbound(sid: str, fields: Mapping[str, str]) -> Inbound:
    for name in ("From", "To"):
        if not fields.get(name):
            raise MalformedEvent(f"{name}: missing")
    count = fields.get("NumMedia", "0")
    media = int(count) if count in map(str, range(_MEDIA_LIMIT + 1)) else 0
    urls = (fields.get(f"MediaUrl{number}", "") for number in range(media))
    return Inbound(
        key=sid,
        sender=fields["From"][:_ID_LIMIT],
        to=fields["To"][:_ID_LIMIT],
        text=fields.get("Body", ""),
        provider_id=sid,
        media=tuple(url for url in urls if url),
        answered_as=fields.get("OptOutType", "").lower()[:10],
    )
