"""What an adapter is: frozen values in, frozen values out, no I/O.

An adapter is one file in this folder with one `Adapter` subclass; being in the folder is being
registered. Outcomes are by *meaning* (docs/adding-a-provider.md), so nothing outside an adapter
knows a vendor's codes. At the end stand the few functions with which every adapter reads foreign
bytes: they never raise, and what they return can be stored in Postgres.
"""

import enum
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, ClassVar


class Outcome(enum.StrEnum):
    """What one submit call meant. Only an answer in the vendor's own dialect proves "not taken"."""

    ACCEPTED = "accepted"  # the provider returned an id
    REJECTED_PERMANENT = "rejected_permanent"  # this text to this person can never succeed
    REJECTED_RETRYABLE = "rejected_retryable"  # provably not taken; may be tried again later
    REJECTED_PROVIDER = "rejected_provider"  # provably not taken; our account, sender or route
    UNKNOWN = "unknown"  # may or may not have been taken; never resent
    NOT_POSTED = "not_posted"  # we did not start the request; costs no try


@dataclass(frozen=True, slots=True)
class Message:
    """One text to hand over. `reference` is 40 characters, dispatch and flight; `to` is E.164."""

    reference: str
    to: str
    sender: str
    text: str
    segments: int
    status_url: str
    valid_for: int | None = None  # seconds the provider may keep trying


@dataclass(frozen=True, slots=True)
class HttpCall:
    """The one HTTP request that submits a message."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)  # they carry the credentials
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What the vendor's server answered. Ask for headers by their lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """A submit call's meaning. `retry_after` in seconds, where the vendor names one."""

    outcome: Outcome
    provider_id: str = ""
    code: str = ""
    detail: str = ""
    retry_after: float | None = None
    opted_out: bool = False  # the vendor says that this person has opted out from this sender


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


@dataclass(frozen=True, slots=True)
class Inbound:
    """A normalised message from a person. `sender` is theirs, `to` is our number; both as E.164."""

    key: str
    sender: str
    to: str
    text: str
    provider_id: str = ""
    media: Sequence[str] = ()
    answered_as: str = ""  # "stop", "start" or "help" where the vendor itself has answered it


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


@dataclass(frozen=True, slots=True)
class Limits:
    """A vendor's defaults for an account.

    Segments per second, requests in the air, and seconds to wait for an answer.
    """

    segments_per_second: float
    concurrency: int
    timeout: float


@dataclass(frozen=True)
class Adapter:
    """One provider account's dialect. Subclasses set the class variables and override the methods.

    `credentials` is an instance of the subclass's `Credentials`: a frozen dataclass of text fields,
    whose secrets are the fields with `repr=False`; form, API schema, encryption and log redaction
    derive from it. `base_url` left empty means the vendor's own.
    """

    slug: ClassVar[str]
    title: ClassVar[str]
    default_base_url: ClassVar[str]
    limits: ClassVar[Limits]
    Credentials: ClassVar[type[Any]]

    credentials: Any = field(repr=False)
    base_url: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.credentials, self.Credentials):
            raise TypeError(f"{type(self).__qualname__} needs its own Credentials")
        # The dataclass is frozen for its users; this is still its birth.
        object.__setattr__(self, "base_url", (self.base_url or self.default_base_url).rstrip("/"))

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

    def call(self, message: Message) -> HttpCall:
        """Return the request that submits the message."""
        raise NotImplementedError

    def read(self, message: Message, reply: HttpReply) -> Result:
        """Return what the answer means; never raises, whatever the body."""
        raise NotImplementedError

    def verify(self, request: WebhookRequest) -> bool:
        """Return whether the request really comes from the vendor."""
        raise NotImplementedError

    def parse(self, request: WebhookRequest) -> list[Receipt | Inbound]:
        """Return the events of a verified request; raises MalformedEvent."""
        raise NotImplementedError

    def answer(self, request: WebhookRequest) -> WebhookAnswer:  # noqa: ARG002 - some need it
        """Return what the vendor expects to hear."""
        return WebhookAnswer()


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


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
