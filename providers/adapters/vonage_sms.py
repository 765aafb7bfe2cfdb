"""Vonage's SMS API, the older of its two: form in, JSON out, and everything once per part of a text.

The answer is HTTP 200 whatever happened; each part of the text has a `status` of its own in it. When
some parts are taken and some are not, the message counts as taken: to send it again would send the
taken parts twice. There is no idempotency key. Requests are authorized and not signed, as a signed
one carries its instant and adapters have no clock.

Webhooks must be signed, which Vonage's support has to enable for an account; the dashboard shows the
signature secret and chooses the method, the option `signature_method`. They come as GET query, form
post or JSON post, as the account is set: all three are read.

Source: OpenAPI 1.5.1 of the SMS API, 3.1.4 of the Reports API, "Signing Messages", "Delivery
Receipts"; where a meaning is our own reading, it says so.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

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
    Part,
    Question,
    Receipt,
    ReceiptStatus,
    Result,
    WebhookRequest,
    basic,
    digits,
    e164,
    is_id,
    json_object,
    retry_after,
    same_secret,
    storable,
)
from providers.adapters.base_vonage import API, check_reports_url, records_found, records_url

_PERMANENT = Outcome.REJECTED_PERMANENT
_RETRYABLE = Outcome.REJECTED_RETRYABLE
_PROVIDER = Outcome.REJECTED_PROVIDER

# What the status of a part means. One that is new to us is permanent: it may be a filter or an
# opt-out, and nothing here may try to get round one.
CODES: Final[Mapping[str, Outcome]] = MappingProxyType(
    # Throttled; too many connections at once.
    dict.fromkeys(("1", "10"), _RETRYABLE)
    # Parameters, message, length, network code, callback: our text. 3 is a wrong number as well.
    | dict.fromkeys(("2", "3", "6", "12", "22", "23"), _PERMANENT)
    # This number or text: barred, blocked by the carrier, de-activated.
    | dict.fromkeys(("7", "17", "33"), _PERMANENT)
    # Our account: credentials, barred, credit, not enabled, signature, sender, trial, both secrets.
    | dict.fromkeys(("4", "8", "9", "11", "14", "15", "29", "32"), _PROVIDER)
    # "An error has occurred in the platform whilst processing": nobody says how far it came.
    | {"5": Outcome.UNKNOWN}
)
TAKEN: Final = "0"
# "The number you are trying to send messages to is blacklisted and may not receive them."
BARRED: Final = "7"

STATUSES: Final[Mapping[str, ReceiptStatus]] = MappingProxyType(
    {
        "accepted": ReceiptStatus.SENT,
        "buffered": ReceiptStatus.QUEUED,
        "delivered": ReceiptStatus.DELIVERED,
        "expired": ReceiptStatus.EXPIRED,
        "failed": ReceiptStatus.FAILED,
        "rejected": ReceiptStatus.REJECTED,
        "unknown": ReceiptStatus.UNKNOWN,
    }
)
# The `err-code` of a receipt comes without words; these are Vonage's.
ERRORS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "1": "Unknown",
        "2": "Absent subscriber, for now",
        "3": "Absent subscriber, for good",
        "4": "Barred by the person",
        "5": "Portability error",
        "6": "Rejected as spam",
        "7": "Handset busy",
        "8": "Network error",
        "9": "Illegal number, or the person has texted STOP",
        "10": "Illegal message",
        "11": "Unroutable",
        "12": "Destination unreachable",
        "13": "Age restriction",
        "14": "Blocked by the carrier",
        "15": "Prepaid, without funds",
        "16": "Gateway quota exceeded",
        "50": "Entity filter",
        "51": "Header filter",
        "52": "Content filter",
        "53": "Consent filter",
        "54": "Regulation error",
        "99": "General error",
    }
)
STOPPED: Final = "9"

METHODS: Final = ("md5hash", "md5", "sha1", "sha256", "sha512")

# GSM 7-bit default alphabet and its extension, 3GPP TS 23.038.
_GSM_7: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
    "\f^{}\\[~]|€"
)
_SHORTEST_TTL: Final = 20_000
_LONGEST_TTL: Final = 604_800_000
_LONGEST_CALLBACK: Final = 100
_FIELD_LIMIT: Final = 500
_TEXT_LIMIT: Final = 10_000
_ID_LIMIT: Final = 64

_CODE: Final = re.compile(r"[0-9]{1,4}", re.ASCII)
_WAIT: Final = re.compile(r"wait\W{0,5}([0-9]{1,7})", re.ASCII)  # milliseconds
_COUNT: Final = re.compile(r"[0-9]{1,3}", re.ASCII)
_UNIX: Final = re.compile(r"[0-9]{1,10}", re.ASCII)


@dataclass(frozen=True, slots=True)
class VonageSmsCredentials:
    """The API key and its secret, which send, and the signature secret, which signs webhooks."""

    api_key: str
    api_secret: str = field(repr=False)
    signature_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class VonageSmsOptions:
    """How the account's webhooks are signed, and where Vonage's Reports API is.

    `md5hash` is what the dashboard begins with; `sha256` is better. The Reports API costs money:
    left empty, Vonage is not asked what became of a text. It is only used with Vonage's own address.
    """

    signature_method: str = "md5hash"
    reports_url: str = API

    def __post_init__(self) -> None:
        if self.signature_method not in METHODS:
            raise InvalidOption(
                f"signature_method: {self.signature_method!r} is not a method of Vonage's; give the one "
                f"that its dashboard shows: {', '.join(METHODS)}"
            )
        check_reports_url(self.reports_url)


class VonageSmsAdapter(Adapter):
    """One API key at Vonage whose account is set to the SMS API."""

    slug: ClassVar[str] = "vonage_sms"
    title: ClassVar[str] = "Vonage SMS API"
    default_base_url: ClassVar[str] = "https://rest.nexmo.com"
    # 30 requests a second and key. How many connections are too many (status 10) nobody says.
    limits: ClassVar[Limits] = Limits(segments_per_second=30.0, concurrency=16, timeout=30.0)
    # Only of reports: the same figure in an answer is another code.
    reported_flaws: ClassVar[Mapping[str, NumberFlaw]] = MappingProxyType({"3": NumberFlaw.NOT_IN_SERVICE})
    # Of a US number, before its 10DLC campaign says otherwise.
    sender_rates: ClassVar[Mapping[str, float]] = MappingProxyType({"long_code": 1.0})
    # Its Opt-Out Assist answers those of the number's registration, as a rule these; without it, it answers none.
    words_of_opt_out_service: ClassVar[frozenset[str]] = frozenset(
        {"STOP", "END", "QUIT", "CANCEL", "UNSUBSCRIBE", "START", "UNSTOP", "HELP"}
    )
    Credentials: ClassVar[type[Any]] = VonageSmsCredentials
    Options: ClassVar[type[Any]] = VonageSmsOptions

    credentials: VonageSmsCredentials
    options: VonageSmsOptions

    def call(self, message: Message) -> HttpCall:
        """Return the form post that submits the text."""
        form = {
            "from": digits(message.sender),
            "to": digits(message.to),
            "text": message.text,
            # Vonage does not look: what is not GSM-7 would be lost in a `text`.
            "type": "text" if _GSM_7.issuperset(message.text) else "unicode",
            "client-ref": message.reference,
        }
        callback = _callback(message)
        if callback:
            form["callback"] = callback
        if message.valid_for is not None:
            form["ttl"] = str(max(_SHORTEST_TTL, min(_LONGEST_TTL, message.valid_for * 1000)))
        headers = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"}
        return HttpCall("POST", f"{self.base_url}/sms/json", headers, urlencode(form).encode("ascii"))

    @cached_property
    def _headers(self) -> Mapping[str, str]:
        ours = self.credentials
        return MappingProxyType({"Authorization": basic(ours.api_key, ours.api_secret), "Accept": "application/json"})

    def read(self, message: Message, reply: HttpReply) -> Result:  # noqa: ARG002 - one per request
        """Return what the answer means: taken as soon as one part is."""
        body = json_object(reply.body) or {}
        listed = body.get("messages")
        parts = listed if isinstance(listed, list) else []
        ids = [part["message-id"] for part in parts if _is_taken(part)]
        refusals = [part for part in parts if _is_refusal(part)]
        if ids and 200 <= reply.status < 300:  # noqa: PLR2004 - the success class of HTTP
            return self._taken(ids, refusals, total=len(parts))
        # Refused is only what is refused in full, and in Vonage's words.
        is_whole = len(refusals) == len(parts) > 0 and body.get("message-count") == str(len(parts))
        if not is_whole or _is_broken(reply.status):
            return Result(Outcome.UNKNOWN, detail=f"HTTP {reply.status}, not in Vonage's dialect")
        return self._refused(refusals, reply)

    def _taken(self, ids: Sequence[str], refusals: Sequence[Mapping[str, Any]], *, total: int) -> Result:
        first = refusals[0] if refusals else {}
        reason = f"{len(ids)} of {total} parts taken: {first['error-text']}" if first else ""
        return Result(
            Outcome.ACCEPTED,
            provider_id=ids[0],
            code=first.get("status", ""),
            detail=self.shown(reason),
            parts=len(ids),
        )

    def _refused(self, refusals: Sequence[Mapping[str, Any]], reply: HttpReply) -> Result:
        first = refusals[0]
        meanings = [CODES.get(part["status"], _PERMANENT) for part in refusals]
        outcome = Outcome.UNKNOWN if Outcome.UNKNOWN in meanings else meanings[0]
        wait = _WAIT.search(first["error-text"])
        return Result(
            outcome,
            code=first["status"],
            detail=self.shown(first["error-text"]),
            retry_after=int(wait[1]) / 1000 if wait else retry_after(reply.headers),
            opted_out=outcome is _PERMANENT and first["status"] == BARRED,
        )

    def look_up(self, question: Question) -> HttpCall | None:
        """Return the request for the person's records of those minutes; ours is known by its client_ref."""
        is_vendors_own = self.base_url == self.default_base_url
        host = self.options.reports_url.rstrip("/") if is_vendors_own else self.base_url
        if not host:
            return None
        url = records_url(host, "SMS", self.credentials.api_key, question)
        return HttpCall("GET", url, self._headers, b"")

    def found(self, question: Question, reply: HttpReply) -> list[Finding]:
        """Return the text with our reference; its parts are records of their own, and the first stands for it."""
        return records_found("SMS", question, reply)[:1]

    def check(self) -> HttpCall:
        """Return the request for the account's balance."""
        return HttpCall("GET", f"{self.base_url}/account/get-balance", self._headers, b"")

    def verify(self, request: WebhookRequest) -> bool:
        """Return whether the signature secret signed what the request says.

        How old its `timestamp` is, nobody checks here: adapters have no clock, and a repeated event
        is known by its key.
        """
        try:
            said = _said(request)
        except ValueError:
            return False
        given = said.pop("sig", "")
        secret = self.credentials.signature_secret
        if not given or not secret:
            return False
        return same_secret(given.lower(), _signature(said, secret, self.options.signature_method))

    def parse(self, request: WebhookRequest) -> list[Receipt | Inbound]:
        """Return the one event of a request: the receipt of one part, or a person's text, or a piece of it."""
        try:
            said = {name: storable(value, limit=_TEXT_LIMIT) for name, value in _said(request).items()}
        except ValueError as error:
            raise MalformedEvent(f"webhook: {error}") from None
        message_id = said.get("messageId", "")
        if not is_id(message_id):
            raise MalformedEvent("messageId: missing, or not an id")
        if "type" in said or "text" in said:
            return [_inbound(message_id, said)]
        return [_receipt(message_id, said)]


def _callback(message: Message) -> str:
    """Return where the receipts of this message go, or nothing where it is longer than Vonage takes.

    The reference is left out of it, as the client-ref comes back in each receipt. Where it is too
    long even so, receipts go to the address that is entered at Vonage for the account.
    """
    callback = message.status_url.partition("?")[0]
    return callback if len(callback) <= _LONGEST_CALLBACK else ""


def _is_taken(part: object) -> bool:
    return isinstance(part, dict) and part.get("status") == TAKEN and is_id(part.get("message-id"))


def _is_refusal(part: object) -> bool:
    """Return whether a part says that it is not taken: a status, and why."""
    if not isinstance(part, dict) or not isinstance(part.get("error-text"), str):
        return False
    status = part.get("status")
    return isinstance(status, str) and status != TAKEN and _CODE.fullmatch(status) is not None


def _is_broken(status: int) -> bool:
    """Return whether an HTTP status says that nobody knows: anything but an answer or a 4xx."""
    return not (200 <= status < 300 or 400 <= status < 500)  # noqa: PLR2004 - classes of HTTP


def _said(request: WebhookRequest) -> dict[str, str]:
    """Return what a webhook says, in whichever way it came, as it came; raises ValueError."""
    if request.body.lstrip()[:1] == b"{":
        return _from_json(request.body)
    text = request.body.decode("utf-8", "replace") if request.body else urlsplit(request.url).query
    pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELD_LIMIT)
    return dict(reversed(pairs))  # of a repeated name the first counts


def _from_json(body: bytes) -> dict[str, str]:
    try:
        # A number keeps its spelling: it is signed like that.
        said = json.loads(body, parse_int=str, parse_float=str, parse_constant=str)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return {name: _word(name, value) for name, value in said.items()}


def _word(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        raise ValueError(f"{storable(name, limit=40)}: neither text nor number")  # noqa: TRY004 - it came like that
    return value


def _signature(said: Mapping[str, str], secret: str, method: str) -> str:
    """Return the hex signature of what is said, without its `sig`, as Vonage makes it."""
    marked = (f"&{name}={said[name].replace('&', '_').replace('=', '_')}" for name in sorted(said))
    signed, key = "".join(marked).encode("utf-8", "replace"), secret.encode("utf-8", "replace")
    if method == "md5hash":
        return hashlib.md5(signed + key, usedforsecurity=False).hexdigest()
    return hmac.new(key, signed, method).hexdigest()


def _receipt(message_id: str, said: Mapping[str, str]) -> Receipt:
    word = said.get("status", "")
    if not word:
        raise MalformedEvent("status: missing")
    code = said.get("err-code", "")[:20]
    code = "" if code == TAKEN else code
    return Receipt(
        key=f"{message_id}:{word[:40]}",
        status=STATUSES.get(word, ReceiptStatus.UNKNOWN),
        reference=said.get("client-ref", "")[:_ID_LIMIT],
        provider_id=message_id,
        code=code,
        detail=ERRORS.get(code, "") if word in STATUSES else word[:40],
        occurred_at=_pushed_at(said),
        opted_out=code == STOPPED,
        part=message_id,
    )


def _pushed_at(said: Mapping[str, str]) -> datetime | None:
    """Return when Vonage sent this receipt; `scts`, the carrier's instant, is in a zone nobody states."""
    stamp = said.get("timestamp", "")
    return datetime.fromtimestamp(int(stamp), UTC) if _UNIX.fullmatch(stamp) else None


def _inbound(message_id: str, said: Mapping[str, str]) -> Inbound:
    for name in ("msisdn", "to"):
        if not said.get(name):
            raise MalformedEvent(f"{name}: missing")
    sender, to = e164(said["msisdn"]), e164(said["to"])
    part = _part(sender, to, said)
    return Inbound(
        # Nothing says that each piece has an id of its own.
        key=f"{message_id}:{part.number}" if part else message_id,
        sender=sender,
        to=to,
        text=said.get("text", ""),  # a binary message has none
        provider_id=message_id,
        part=part,
    )


def _part(sender: str, to: str, said: Mapping[str, str]) -> Part | None:
    """Return which piece of a long text this is. Vonage does not put them together; concat-ref soon comes again."""
    if said.get("concat", "").lower() != "true":
        return None
    counts = [said.get(name, "") for name in ("concat-part", "concat-total")]
    if not all(map(_COUNT.fullmatch, counts)):
        return None
    number, total = map(int, counts)
    if not 1 <= number <= total:
        return None
    return Part(f"{sender}:{to}:{said.get('concat-ref', '')[:40]}", number, total)
