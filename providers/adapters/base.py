"""What an adapter is: frozen values in, frozen values out, no I/O.

An adapter is one file in this folder with one `Adapter` subclass; being in the folder is being
registered. Outcomes are by *meaning* (docs/adding-a-provider.md), so nothing outside an adapter
knows a vendor's codes. At the end stand the few functions with which every adapter reads foreign
bytes: they never raise, and what they return can be stored in Postgres.
"""

import base64
import enum
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, urlsplit


class Outcome(enum.StrEnum):
    """What one submit call meant. Only an answer in the vendor's own dialect proves "not taken"."""

    ACCEPTED = "accepted"  # the provider returned an id
    REJECTED_PERMANENT = "rejected_permanent"  # this text to this person can never succeed
    REJECTED_RETRYABLE = "rejected_retryable"  # provably not taken; may be tried again later
    REJECTED_PROVIDER = "rejected_provider"  # provably not taken; our account, sender or route
    UNKNOWN = "unknown"  # may or may not have been taken; never resent
    NOT_POSTED = "not_posted"  # we did not start the request; costs no try


class NumberFlaw(enum.StrEnum):
    """Why no text reaches a number, as a vendor's code says it."""

    LANDLINE = "landline"
    NOT_IN_SERVICE = "not_in_service"  # nobody has it, or nobody any more
    UNREACHABLE = "unreachable"  # for now


@dataclass(frozen=True, slots=True)
class Message:
    """One text to hand over. `reference` is 40 characters, dispatch and flight.

    `to` is E.164, or an address where the channel is e-mail; only there `subject` counts.
    """

    reference: str
    to: str
    sender: str
    text: str
    segments: int
    status_url: str
    valid_for: int | None = None  # seconds the provider may keep trying
    expires_at: datetime | None = None  # when they end, for vendors that want an instant
    subject: str = ""  # of e-mail only
    opt_out_url: str = ""  # of e-mail only: a POST to it ends what this person gets from the brand (RFC 8058)


@dataclass(frozen=True, slots=True)
class HttpCall:
    """The one HTTP request that submits a message."""

    method: str
    url: str = field(repr=False)  # any of the three may carry the credentials
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What the vendor's server answered. Ask for headers by their lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class MailStage(enum.StrEnum):
    """How far an SMTP conversation came; what was refused or lost is this step."""

    CONNECT = "connect"  # to the server's greeting, with TLS
    LOGIN = "login"
    SENDER = "sender"
    RECIPIENT = "recipient"
    DATA = "data"  # up to the message's final dot: nothing is taken yet
    DOT = "dot"  # after it: only the server's answer tells


@dataclass(frozen=True, slots=True)
class MailCall:
    """The one SMTP transaction that submits a message. `url` is smtp://host:port or smtps://host:port.

    On smtp:// the connection is encrypted by STARTTLS before anything is said, unless `plain`.
    """

    url: str
    sender: str
    recipient: str
    body: bytes = field(repr=False)  # RFC 5322 but for its Date, which whoever sends it adds
    user: str = ""
    password: str = field(default="", repr=False)
    plain: bool = False


@dataclass(frozen=True, slots=True)
class MailReply:
    """The server's last answer; `code` 0: there was none, the connection was lost or time ran out."""

    stage: MailStage
    code: int
    text: str
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """A submit call's meaning. `retry_after` in seconds, where the vendor names one."""

    outcome: Outcome
    provider_id: str = ""
    code: str = ""
    detail: str = ""
    retry_after: float | None = None
    opted_out: bool = False  # the vendor says that this person has opted out from this sender
    parts: int = 1  # how many delivery reports this message will have: one per part, at some vendors


@dataclass(frozen=True, slots=True)
class Question:
    """A flight of which nobody knows whether it was taken. `since` is the instant of its claim."""

    reference: str
    to: str
    sender: str
    text: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """A message that the vendor has, and that may be the one asked for.

    Proof is a `reference` of ours. Without one, it is a candidate: same person, same text.
    """

    provider_id: str
    reference: str = ""
    created_at: datetime | None = None


class ReceiptStatus(enum.StrEnum):
    """A delivery report's meaning; which of two reports is later news is decided by rank."""

    ACCEPTED = "accepted"
    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A normalised delivery report. `key` is equal for the vendor's repeats of one report."""

    key: str
    status: ReceiptStatus
    reference: str = ""  # ours, where the vendor echoes it
    provider_id: str = ""
    code: str = ""
    detail: str = ""
    occurred_at: datetime | None = None
    opted_out: bool = False  # the vendor says that this person has opted out from this sender
    part: str = ""  # which part of a long text this is about, where the vendor reports on each


@dataclass(frozen=True, slots=True)
class Part:
    """One of the pieces in which a long message comes in, counted from 1. `whole` is equal for all of them."""

    whole: str
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class Inbound:
    """A normalised message from a person. `sender` is theirs, `to` is our number; both as E.164, or addresses in lower case."""

    key: str
    sender: str
    to: str
    text: str
    provider_id: str = ""
    media: Sequence[str] = ()
    answered_as: str = ""  # "stop", "start" or "help" where the vendor itself has answered it
    part: Part | None = None


@dataclass(frozen=True, slots=True)
class OptOut:
    """The vendor says that a person has opted out: from our number `sender`, or from the whole account."""

    key: str
    number: str
    sender: str = ""


Event = Receipt | Inbound | OptOut


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A vendor's call to us. Header names are lower-case.

    `url` is the configured public URL with the query as received.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class WebhookAnswer:
    """What the vendor expects to hear when its event is stored."""

    status: int = 200
    content_type: str = "text/plain"
    body: bytes = b""


class MalformedEvent(ValueError):
    """The webhook is not in the vendor's dialect; `str()` names the field and the problem."""


class Unreadable(ValueError):
    """The answer to a look-up is not in the vendor's dialect, or an error; `str()` says so."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A vendor's defaults for an account.

    Segments per second, requests in the air, and seconds to wait for an answer.
    """

    segments_per_second: float
    concurrency: int
    timeout: float


@dataclass(frozen=True, slots=True)
class NoOptions:
    """Options of an adapter that has none."""


class InvalidOption(ValueError):
    """An account's option cannot be used; `str()` names it, the problem and the remedy."""


class Split(enum.Enum):
    """What a batch's answer can mean besides results: all of it is proven not taken, because of some of it."""

    SPLIT = enum.auto()


SPLIT: Final = Split.SPLIT


@dataclass(frozen=True)
class Adapter:
    """One provider account's dialect. Subclasses set the class variables and override the methods.

    `credentials` is an instance of the subclass's `Credentials`: a frozen dataclass of text fields,
    whose secrets are the fields with `repr=False`; form, API schema, encryption and log redaction
    derive from it. `options` is the same for what is no secret: texts with defaults, which an account
    may set otherwise; a wrong one raises InvalidOption from `__post_init__`. `base_url` left empty
    means the vendor's own; `{name}` in it stands for an option.
    """

    slug: ClassVar[str]
    title: ClassVar[str]
    default_base_url: ClassVar[str]
    limits: ClassVar[Limits]
    Credentials: ClassVar[type[Any]]
    Options: ClassVar[type[Any]] = NoOptions
    # Segments per second of a sender of each kind, as the vendor states them for a new account.
    sender_rates: ClassVar[Mapping[str, float]] = MappingProxyType({})
    # For forms, where there are many options: titles, by the option that each begins with.
    option_groups: ClassVar[Mapping[str, str]] = MappingProxyType({})
    # Keywords that the vendor itself answers, unless it is told not to; those that its opt-out service answers besides,
    # where a customer has that switched on; and whether it compares them with the beginning of a text only.
    answered_words: ClassVar[frozenset[str]] = frozenset()
    words_of_opt_out_service: ClassVar[frozenset[str]] = frozenset()
    answers_beginnings: ClassVar[bool] = False
    # "sms" or "email": what the platform may use it for. One never stands in for the other.
    channel: ClassVar[str] = "sms"
    # Whether it stands for a vendor and reaches nobody: what carriers ask for does not matter there.
    is_simulated: ClassVar[bool] = False
    # What codes of answers, and of delivery reports, say about the number itself: such a number is not texted again.
    answered_flaws: ClassVar[Mapping[str, NumberFlaw]] = MappingProxyType({})
    reported_flaws: ClassVar[Mapping[str, NumberFlaw]] = MappingProxyType({})

    credentials: Any = field(repr=False)
    base_url: str = ""
    options: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.credentials, self.Credentials):
            raise TypeError(f"{type(self).__qualname__} needs its own Credentials")
        # The dataclass is frozen for its users; this is still its birth.
        object.__setattr__(self, "options", self.Options() if self.options is None else self.options)
        if not isinstance(self.options, self.Options):
            raise TypeError(f"{type(self).__qualname__} needs its own Options")
        address = self.base_url or self.default_base_url
        for each in fields(self.options):
            address = address.replace(f"{{{each.name}}}", getattr(self.options, each.name))
        object.__setattr__(self, "base_url", address.rstrip("/"))

    @property
    def batch_size(self) -> int:
        """Return how many messages may share a request; 1: none do."""
        return 1

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """Return the values that must never be shown, longest first."""
        values = {getattr(self.credentials, each.name) for each in fields(self.credentials) if not each.repr}
        return tuple(sorted((v for v in values if v), key=len, reverse=True))

    def shown(self, text: object) -> str:
        """Return a vendor's words as they may be stored and shown: without our secrets."""
        words = storable(text, limit=4000)
        for secret in self.secrets:
            words = words.replace(secret, "***")
        return words[:500]

    def call(self, message: Message) -> HttpCall | MailCall:
        """Return the request that submits the message."""
        raise NotImplementedError

    def read(self, message: Message, reply: Any) -> Result:
        """Return what the answer means; never raises, whatever the body.

        The reply is an HttpReply, or a MailReply where `call` made a MailCall.
        """
        raise NotImplementedError

    def fits_batch(self, message: Message) -> bool:  # noqa: ARG002 - some look at it
        """Return whether the message may share a request; `call_batch` is asked only for such."""
        return False

    def call_batch(self, messages: Sequence[Message]) -> HttpCall:
        """Return the request that submits up to `batch_size` messages of one sender, each to another person."""
        raise NotImplementedError

    def read_batch(self, messages: Sequence[Message], reply: HttpReply) -> Sequence[Result] | Split:
        """Return what the answer means for each message; SPLIT: none was taken, smaller batches may be."""
        raise NotImplementedError

    def look_up(self, question: Question) -> HttpCall | None:  # noqa: ARG002 - some can
        """Return the request that asks whether the vendor has a message; None: it cannot be asked."""
        return None

    def found(self, question: Question, reply: HttpReply) -> list[Finding]:
        """Return the messages that may be the one asked for; raises Unreadable where the answer is none.

        An empty list proves nothing: vendors list late.
        """
        raise NotImplementedError

    def check(self) -> HttpCall | None:
        """Return a request that shows whether the credentials work, and sends nothing; None: there is none."""
        return None

    def verify(self, request: WebhookRequest) -> bool:
        """Return whether the request really comes from the vendor."""
        raise NotImplementedError

    def parse(self, request: WebhookRequest) -> Sequence[Event]:
        """Return the events of a verified request, none where it tells nothing of ours; raises MalformedEvent."""
        raise NotImplementedError

    def answer(self, request: WebhookRequest) -> WebhookAnswer:  # noqa: ARG002 - some need it
        """Return what the vendor expects to hear."""
        return WebhookAnswer()


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)
_ID = re.compile(r"[!-~]+")
_SHORTEST_NUMBER: Final = 8  # digits of a full number; short codes have fewer


def storable(text: object, *, limit: int = 500) -> str:
    """Return foreign text without what Postgres refuses (NUL, lone surrogates); not text: empty."""
    return _UNSTORABLE.sub("\ufffd", text)[:limit] if isinstance(text, str) else ""


def json_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in a body, or None for anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a Retry-After header asks for (RFC 9110, 10.2.3).

    A date is measured against the answer's own Date header, as adapters have no clock.
    """
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return max(0.0, wait.total_seconds())


def digits(number: str) -> str:
    """Return an E.164 number as vendors spell it that want no plus."""
    return number.removeprefix("+")


def e164(number: object) -> str:
    """Return a vendor's spelling of a full number as E.164; what is no number (a short code, a name) as it is."""
    text = storable(number, limit=40).strip()
    bare = text.removeprefix("+")
    is_full = bare.isascii() and bare.isdigit() and len(bare) >= _SHORTEST_NUMBER
    return f"+{bare}" if is_full else text


def is_id(value: object, *, limit: int = 64) -> bool:
    """Return whether a value can be a vendor's id of a message: short, printable, without spaces."""
    return isinstance(value, str) and 0 < len(value) <= limit and value.isascii() and _ID.fullmatch(value) is not None


def query_value(url: str, name: str) -> str:
    """Return a parameter of a webhook's URL, like the `ref` that our status URLs carry; raises ValueError."""
    return storable(dict(parse_qsl(urlsplit(url).query, max_num_fields=500)).get(name, ""))


def form_fields(request: WebhookRequest) -> dict[str, str]:
    """Return the first value of each field of a form post, or of the query where there is no body.

    Raises ValueError for what is no form.
    """
    text = request.body.decode("utf-8", "replace") if request.body else urlsplit(request.url).query
    found: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=500):
        found.setdefault(name, storable(value, limit=10_000))
    return found


def instant(value: object) -> datetime | None:
    """Return an ISO 8601 instant with its offset, or None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def basic(user: str, password: str) -> str:
    """Return the Authorization header of HTTP's Basic scheme (RFC 7617), in UTF-8."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode('utf-8', 'replace')).decode('ascii')}"


def same_secret(given: str, expected: str) -> bool:
    """Return whether a secret that came is ours; takes as long for a wrong one. An empty one is never right."""
    ours = expected.encode("utf-8", "replace")
    return bool(ours) and hmac.compare_digest(given.encode("utf-8", "replace"), ours)
