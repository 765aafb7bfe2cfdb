"""What a dialect is: how posts are read and answered, and how their fate is told.

This is the vendor's side, written from the vendors' pages and not from our adapters, so that each
checks the other. A dialect is one file in this folder with one `Dialect` subclass.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple, Protocol
from urllib.parse import quote

from yarl import URL

JSON_HEADERS: Final = {"Content-Type": "application/json"}
Routes = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Post:
    """One message that somebody wants to send. Numbers are E.164, whatever the dialect's spelling."""

    account: str
    reference: str
    to: str
    sender: str
    text: str
    status_url: str
    secret: str = field(default="", repr=False)  # what signs the account's webhooks by default
    segments: int = 1
    echoed: str | None = None  # what reports say instead of the reference, where that is the request's


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came. `path` has the named parts of the route; headers are found in any case."""

    method: str
    url: URL
    path: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def query(self) -> Mapping[str, str]:
        """Return the first value of each parameter."""
        return self.url.query


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_HEADERS)


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell the customer: a report (`status`) or a person's text (`inbound`).

    `part` is (number, total) where the vendor tells of each part of a long text by itself.
    """

    id: str
    account: str
    number: str
    sender: str
    at: float
    status: str = ""
    code: str = ""
    reference: str = ""
    text: str = ""
    part: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True)
class Hook:
    """The request that tells the customer of events."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


class Entry(NamedTuple):
    """One acceptance."""

    at: float
    account: str
    id: str
    reference: str
    to: str
    sender: str
    segments: int
    text: str = ""


class BadPost(ValueError):
    """The post is not in the dialect; `str()` names the field."""


class Find(Protocol):
    """The ledger's search for acceptances."""

    def __call__(
        self, *, account: str = "", reference: str = "", to: str = "", sender: str = ""
    ) -> Iterable[tuple[int, Entry]]: ...


class Dialect:
    """One vendor's way of speaking. Meanings of refusals: see `MEANINGS`."""

    name: ClassVar[str]
    id_prefix: ClassVar[str] = "m"
    # (method, path) of the requests that post messages, and of those that ask what became of them.
    posts: ClassVar[Routes]
    look_ups: ClassVar[Routes] = ()
    # Whether several events may share a webhook.
    gathers: ClassVar[bool] = False
    # Whether a message to somebody who has opted out is taken like any other, and its report says so.
    reports_opt_outs: ClassVar[bool] = False

    def caller(self, given: Received) -> tuple[str, str] | None:
        """Return account and password from path, query and headers; None: unauthorized. The body is not read yet.

        Where the password stands in the body it is empty here, and `read` finds it.
        """
        raise NotImplementedError

    def read(self, account: str, password: str, given: Received) -> list[Post]:
        """Return the posts of a request, nearly always one; raises BadPost."""
        raise NotImplementedError

    def ids(self, posts: Sequence[Post], uniques: Sequence[str]) -> list[str]:  # noqa: ARG002 - some need them
        """Return the messages' ids, made of texts that never repeat (lower-case hexadecimal)."""
        return [f"{self.id_prefix}{unique}" for unique in uniques]

    def accepted(self, posts: Sequence[Post], ids: Sequence[str]) -> Answer:
        """Return the answer to messages taken."""
        raise NotImplementedError

    def refused(self, meaning: str, *, wait: float = 0.0, detail: str = "") -> Answer:
        """Return the answer to a request of which nothing was taken."""
        raise NotImplementedError

    def broken(self, status: int) -> Answer:
        """Return an answer that says that something is wrong inside, and nothing more."""
        raise NotImplementedError

    def looked_up(self, account: str, given: Received, find: Find) -> Answer:
        """Answer what became of messages."""
        raise NotImplementedError

    def events(self, event: Event, segments: int) -> Sequence[Event]:  # noqa: ARG002 - some need it
        """Return what is told of one message: a report of each part, where the vendor does so."""
        return (event,)

    def replies(self, event: Event) -> Sequence[Event]:
        """Return what is told of a person's text: each piece of a long one, or that they opted out, where the vendor does so."""
        return (event,)

    def inbound_id(self, unique: str) -> str:
        """Return the id of a person's message."""
        return f"i{unique}"

    def hook(self, url: str, secret: str, events: Sequence[Event]) -> Hook:
        """Return the request that tells of the events."""
        raise NotImplementedError


# Why a post can be refused; each dialect has words for all of them.
MEANINGS: Final = ("invalid_number", "opted_out", "rate_limited", "unauthorized", "invalid_request")


def basic(header: str) -> tuple[str, str]:
    """Return user and password of an Authorization header, or empty texts."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return user, password


def with_wait(wait: float, headers: Mapping[str, str] = JSON_HEADERS) -> Mapping[str, str]:
    """Return the headers, with Retry-After where there is a wait in seconds."""
    return {**headers, "Retry-After": str(max(1, -int(-wait // 1)))} if wait else headers


def with_token(url: str, token: str) -> str:
    """Return a webhook address as it was entered at a vendor who signs nothing: it ends with the customer's token."""
    if "token" in URL(url, encoded=True).query:
        return url
    return f"{url}{'&' if '?' in url else '?'}token={quote(token, safe='')}"


def texts(given: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """Return the fields that must be texts and not empty; raises BadPost."""
    found = {}
    for name in names:
        value = given.get(name)
        if not isinstance(value, str) or not value:
            raise BadPost(f"{name}: missing, or not text")
        found[name] = value
    return found
