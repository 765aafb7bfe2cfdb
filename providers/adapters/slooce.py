"""Slooce's partner interface: one text per request, XML both ways, for short codes that many companies share.

A sender's address is a keyword, as registered at Slooce: it stands in the path of each request, and a person's message
names the keyword and no number, so that only this leads back to the brand. A person must have started the keyword, else
Slooce answers "invalid mt request". Rates and an API to ask are not known, and there are no delivery reports at all:
an accepted message stays accepted, and an unknown one unknown.

The dialect of an answer is an element `response` with the attributes `id` (the message's, which is ours) and `result`.
A text has at most 160 characters of ISO-8859-1; `call` refuses others. Operators may still drop accents, [], {} and ~^|.

The partner's password stands in each request, so the address must be https, except on this machine. Slooce signs
nothing: the address for messages from people must end with `?token=…`, the account's `webhook_token`.

Sources, as the vendor publishes nothing: acquia/mc-cs-plugin-slooce and stephen-moyer/Slooce.NET on GitHub.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlsplit
from xml.etree.ElementTree import Element, ParseError, SubElement, fromstring, tostring
from xml.parsers import expat

from providers.adapters.base import (
    Adapter,
    HttpCall,
    HttpReply,
    Inbound,
    InvalidOption,
    Limits,
    MalformedEvent,
    Message,
    NumberFlaw,
    Outcome,
    Result,
    WebhookRequest,
    digits,
    e164,
    is_id,
    query_value,
    retry_after,
    same_secret,
    storable,
)

REFUSALS: Final[Mapping[str, Outcome]] = MappingProxyType(
    {
        "invalid mt request": Outcome.REJECTED_PERMANENT,  # wrong keyword, or the person has not started it
        "unsupported operator": Outcome.REJECTED_PERMANENT,
        "invalid phonenumber": Outcome.REJECTED_PERMANENT,
        "empty mt request": Outcome.REJECTED_PERMANENT,
        "invalid keyword": Outcome.REJECTED_PROVIDER,
        "service deactivated": Outcome.REJECTED_PROVIDER,
        "unknown error": Outcome.UNKNOWN,
    }
)
# An answer in the dialect without a result that is known; 401 and 429 are what HTTP says.
_BY_STATUS: Final[Mapping[int, Outcome]] = MappingProxyType(
    {
        401: Outcome.REJECTED_PROVIDER,
        403: Outcome.REJECTED_PERMANENT,
        429: Outcome.REJECTED_RETRYABLE,
    }
)
# Said of those who opted out, and of invalid recipients (§7 of the facts). Where the words do not say that the number is
# meant, it is taken for an opt-out: a number too many that is never tried again does no harm, a person too few does.
_NOT_WANTED: Final = 403
_ABOUT_NUMBERS: Final = frozenset({"invalid phonenumber", "unsupported operator"})
# What a person's command says, as they would have written it; Slooce itself has answered it.
COMMANDS: Final[Mapping[str, str]] = MappingProxyType({"Q": "STOP", "H": "HELP"})

_SAYABLE: Final = re.compile("[\n\r -~\xa0-\xff]*")
_LONGEST_TEXT: Final = 160
_TEXT_LIMIT: Final = 10_000
_MOST_BYTES: Final = 64 * 1024
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?", re.ASCII)
_XML: Final = "application/xml"


@dataclass(frozen=True, slots=True)
class SlooceCredentials:
    """The partner and its password, and the token with which the webhook address entered at the vendor ends."""

    partner_id: str
    partner_password: str = field(repr=False)
    webhook_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SlooceOptions:
    """`host`: Slooce gives each customer one of its own. Until it is set nothing is reached, and messages wait."""

    host: str = "customer.invalid"

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host):
            raise InvalidOption(
                f"host: {self.host!r} is no host name; set what Slooce gave you, like acme.cloud.sloocetech.net"
            )


class SlooceAdapter(Adapter):
    """One partner at Slooce."""

    slug: ClassVar[str] = "slooce"
    title: ClassVar[str] = "Slooce"
    default_base_url: ClassVar[str] = "https://{host}/slooce_apps/spi"
    # No rate is documented: low, and to be agreed with the vendor.
    limits: ClassVar[Limits] = Limits(segments_per_second=5.0, concurrency=8, timeout=30.0)
    answered_flaws: ClassVar[Mapping[str, NumberFlaw]] = MappingProxyType(
        {"invalid phonenumber": NumberFlaw.NOT_IN_SERVICE}
    )
    Credentials: ClassVar[type[Any]] = SlooceCredentials
    Options: ClassVar[type[Any]] = SlooceOptions

    credentials: SlooceCredentials

    def __post_init__(self) -> None:
        """Refuse an address that would carry the password unencrypted to another machine."""
        super().__post_init__()
        if not _is_private(self.base_url):
            raise InvalidOption(
                "base_url: the partner's password would travel unencrypted; use https:// (http:// only to this machine)"
            )

    def call(self, message: Message) -> HttpCall:
        """Return the XML post of a mobile-terminated message; raises ValueError for a text that Slooce cannot carry."""
        if len(message.text) > _LONGEST_TEXT:
            raise ValueError(f"text: {len(message.text)} characters; Slooce takes {_LONGEST_TEXT}, so shorten it")
        if not _SAYABLE.fullmatch(message.text):
            raise ValueError("text: a character that ISO-8859-1 has not; replace curly quotes, emoji and the like")
        root = Element("message", {"id": message.reference})
        SubElement(root, "partnerpassword").text = self.credentials.partner_password
        SubElement(root, "content").text = message.text
        partner, keyword = quote(self.credentials.partner_id, safe=""), quote(message.sender, safe="")
        url = f"{self.base_url}/{partner}/{quote(digits(message.to), safe='')}/{keyword}/messages/mt"
        # ASCII, with references for the rest: right whichever encoding the vendor expects.
        return HttpCall("POST", url, self._headers, tostring(root, encoding="us-ascii"))

    @cached_property
    def _headers(self) -> Mapping[str, str]:
        return MappingProxyType({"Content-Type": _XML, "Accept": _XML})

    def read(self, message: Message, reply: HttpReply) -> Result:
        """Return what the answer means. The message's id is our reference: Slooce has none of its own."""
        root = _element(reply.body)
        if root is None or root.tag != "response" or not root.attrib.keys() & {"id", "result"}:
            return Result(Outcome.UNKNOWN, detail=f"HTTP {reply.status}, not in Slooce's dialect")
        result = " ".join(self.shown(root.get("result")).split())
        outcome = _meaning(reply.status, result.lower())
        if outcome is Outcome.ACCEPTED:
            return Result(outcome, provider_id=message.reference)
        return Result(
            outcome,
            code=result[:60] or f"http {reply.status}",
            detail=self.shown((root.text or "").strip()),
            retry_after=retry_after(reply.headers),
            opted_out=outcome is Outcome.REJECTED_PERMANENT
            and reply.status == _NOT_WANTED
            and result.lower() not in _ABOUT_NUMBERS,
        )

    def verify(self, request: WebhookRequest) -> bool:
        """Return whether the address called ends with our token: Slooce signs nothing."""
        try:
            given = query_value(request.url, "token")
        except ValueError:
            return False
        return same_secret(given, self.credentials.webhook_token)

    def parse(self, request: WebhookRequest) -> list[Inbound]:
        """Return a person's message or command; nothing where they have just started a keyword."""
        root = _element(request.body)
        if root is None or root.tag != "message":
            raise MalformedEvent("body: not an XML element `message`, or one with a document type")
        given, user, keyword = root.get("id"), _text(root, "user"), _text(root, "keyword")
        if not is_id(given):
            raise MalformedEvent("id: missing, or not an id")
        for name, value in (("user", user), ("keyword", keyword)):
            if not value:
                raise MalformedEvent(f"{name}: missing")
        command = _text(root, "command")
        meant = COMMANDS.get(command.upper(), "")
        text = meant or command or root.findtext("content")
        if not text:
            return []
        return [
            Inbound(
                key=str(given),
                sender=e164(user),
                to=storable(keyword, limit=40),
                text=storable(text, limit=_TEXT_LIMIT),
                provider_id=str(given),
                answered_as=meant.lower(),
            )
        ]


def _is_private(url: str) -> bool:
    """Return whether nobody but the server at the address can read what is sent to it."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" or parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _meaning(status: int, result: str) -> Outcome:
    """Return the meaning of an answer in the dialect: success is 202, and an error that says "ok" contradicts itself."""
    is_success = 200 <= status < 300  # noqa: PLR2004 - classes of HTTP
    is_refusal = 400 <= status < 500  # noqa: PLR2004
    if result == "ok" and is_success:
        return Outcome.ACCEPTED
    if result == "ok" or not (is_success or is_refusal):
        return Outcome.UNKNOWN
    return REFUSALS.get(result) or _BY_STATUS.get(status, Outcome.UNKNOWN)


def _element(body: bytes) -> Element | None:
    """Return the root of an XML document, or None for anything else.

    A document type is refused before anything in it is read; without one there are no entities but XML's own five.
    """
    if len(body) > _MOST_BYTES:
        return None
    guard = expat.ParserCreate()
    guard.StartDoctypeDeclHandler = _refuse
    try:
        guard.Parse(body, True)
        return fromstring(body)  # noqa: S314 - what it is feared for has just been refused
    except (expat.ExpatError, ParseError, ValueError, LookupError):  # the last: of encodings that nobody knows
        return None


def _refuse(*_: object) -> None:
    raise ValueError("a document type")


def _text(root: Element, name: str) -> str:
    """Return the text of the root's first child of the name; empty where there is none."""
    return (root.findtext(name) or "").strip()
