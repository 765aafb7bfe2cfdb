"""E-mail by SMTP: one person per transaction; bounces and replies come back as mail posted to the webhook.

SMTP is exact about whom a message belongs to (RFC 5321, 4.2.5 and 6.1): until the answer to the final
dot, nothing is taken; with a 250 it is; with any other answer it is not. Only a conversation that ends
between the dot and its answer leaves a doubt. 421 after the dot is one too: the server breaks off.

Our reference travels twice: in the Message-ID, which is the same however often the mail is looked at, and
in the return path (VERP), if a `bounce_domain` is set whose mail comes to us. Relays have no webhooks, so
whoever runs the relay has it post the raw mail to the account's webhook address, with `?token=…` at its
end: bounces (RFC 3464), and what people answer. In Postfix's master.cf, for example:

    sms-hook unix - n n - 4 pipe flags=OR user=nobody argv=/bin/sh -c {
      head -c 60000 | curl -sf --data-binary @- 'https://…/webhooks/smtp/<key>/mail?token=…' || exit 75 }

Only the beginning of a mail is wanted (WEBHOOK_MAX_BYTES), and 75 has Postfix come again if we are away.

There is no validity period here (Deliver-By, RFC 2852, is hardly spoken), and no look-up.
"""

import hashlib
import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import Header, decode_header, make_header
from email.message import EmailMessage
from email.message import Message as Mail
from email.policy import SMTP
from email.utils import getaddresses, parsedate_to_datetime
from email.utils import quote as escaped
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import quote

from providers.adapters.base import (
    Adapter,
    Inbound,
    InvalidOption,
    Limits,
    MailCall,
    MailReply,
    MailStage,
    MalformedEvent,
    Message,
    Outcome,
    Receipt,
    ReceiptStatus,
    Result,
    WebhookRequest,
    is_id,
    query_value,
    same_secret,
    storable,
)

_WIRE: Final = SMTP.clone(cte_type="7bit")  # for servers without 8BITMIME
# What mailboxes are made of, but for the rare quoted ones. None of it can end a command or a header.
_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}(@[A-Za-z0-9.-]{1,190})?")
_DOMAIN: Final = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_UNSUBSCRIBE: Final = re.compile(r"(mailto:|https://)[!#-;=?-Z_a-z~{}%]{3,400}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LONGEST_SUBJECT: Final = 250
_LONGEST_NAME: Final = 80
_LONGEST_BODY: Final = 100_000
_LONGEST_TEXT: Final = 10_000

# The login is missing or wrong, wherever a server thinks of it (RFC 4954, 6).
_OURS: Final = frozenset({530, 534, 535, 538})
_BREAKS_OFF: Final = 421
_BEFORE_THE_MESSAGE: Final = frozenset({MailStage.CONNECT, MailStage.LOGIN, MailStage.SENDER})
# How servers name what they took: Postfix, SendGrid; Exim; Amazon; Sendmail, OpenSMTPD.
_QUEUE_ID: Final = re.compile(
    r"queued as <?([\w.-]{4,64})|\bid=([\w.-]{4,64})|\bok:? ([0-9a-f-]{20,64})$|\b(\w{8,64}) message accepted",
    re.IGNORECASE | re.ASCII,
)

# RFC 3464, 2.3.3. `delayed` is no news: it is still being tried.
ACTIONS: Final[Mapping[str, ReceiptStatus]] = MappingProxyType(
    {
        "failed": ReceiptStatus.UNDELIVERED,
        "delivered": ReceiptStatus.DELIVERED,
        "relayed": ReceiptStatus.SENT,
        "expanded": ReceiptStatus.SENT,
    }
)
# Where a bounce has our reference: in the address it was sent to, or in the headers that it returns.
_RETURNED: Final = re.compile(rb"(?:\bbounce\+|^message-id:\s*<)([0-9a-f]{40})@", re.IGNORECASE | re.MULTILINE)
_MOST_BOUNDARIES: Final = 100  # mails have a handful; each costs the reader a look at every line
_STATUS: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}", re.ASCII)
_ANSWER: Final = re.compile(r"\s*(re|aw|antw|sv|vs|odp|res|rv|r|回复|答复)\s*(\[\d+\])?\s*[:：]", re.IGNORECASE)  # noqa: RUF001
_QUOTED_BELOW: Final = re.compile(r"-- ?|_{10,}|-{3,}\s*\w[\w ]*-{3,}")  # a signature, Outlook, an original message
_HTML_BODY: Final = re.compile(r"<body[^<>]*>", re.IGNORECASE)
_HTML_QUOTE: Final = re.compile(r"<blockquote|<div class=.?gmail_quote", re.IGNORECASE)
_HTML_LINE: Final = re.compile(r"<(?:br|/p|/div)[^<>]*>", re.IGNORECASE)
_HTML_TAG: Final = re.compile(r"<[^<>]*>")


@dataclass(frozen=True, slots=True)
class SmtpCredentials:
    """The token at the end of our webhook address, and the login at the relay, if it wants one."""

    webhook_token: str = field(repr=False)
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SmtpOptions:
    """How to talk to the relay, and what every mail says.

    security: "starttls", "tls" (from the first byte, port 465) or "plain", for a relay on this machine.
    login: "no" for a relay that knows us by our address.
    from_name: what people see instead of the sender's address.
    reply_to: where answers go instead of to the sender. To count as answers to a brand (STOP!) it must be
    one of the brand's senders as well.
    bounce_domain: bounces go to bounce+<reference>@ this domain; empty: to the sender.
    list_unsubscribe: mailto: or https://, with {reference} and {to} filled in; an https address must take
    the one-click POST of RFC 8058. Empty: the platform's own opt-out page, where people reach it by https, and
    a mail that says STOP, to where answers go.
    """

    security: str = "starttls"
    login: str = "yes"
    from_name: str = ""
    reply_to: str = ""
    bounce_domain: str = ""
    list_unsubscribe: str = ""

    def __post_init__(self) -> None:
        if self.security not in {"starttls", "tls", "plain"}:
            raise InvalidOption(f"security: {self.security!r} is not known; set it to starttls, tls or plain")
        if self.login not in {"yes", "no"}:
            raise InvalidOption(f"login: {self.login!r} is not known; set it to yes or no")
        if _CONTROL.search(self.from_name) or len(self.from_name) > _LONGEST_NAME:
            raise InvalidOption(f"from_name: not one line of at most {_LONGEST_NAME} characters; shorten it")
        if self.reply_to and not (_ADDRESS.fullmatch(self.reply_to) and "@" in self.reply_to):
            raise InvalidOption(f"reply_to: {self.reply_to!r} is no address; enter one like news@example.com")
        if self.bounce_domain and not _DOMAIN.fullmatch(self.bounce_domain):
            raise InvalidOption(f"bounce_domain: {self.bounce_domain!r} is no domain; enter one like b.example.com")
        if self.list_unsubscribe and not _UNSUBSCRIBE.fullmatch(self.list_unsubscribe):
            raise InvalidOption("list_unsubscribe: neither a mailto: nor an https:// address; enter one of these")


class SmtpAdapter(Adapter):
    """One account at a relay, or a server of our own."""

    slug: ClassVar[str] = "smtp"
    title: ClassVar[str] = "E-mail (SMTP)"
    default_base_url: ClassVar[str] = "smtp://127.0.0.1:587"  # every account has a server of its own
    # No relay states a rate; this is modest. A message is one segment. Servers may ponder over what follows
    # the dot for minutes; no process of ours waits that long when it stops.
    limits: ClassVar[Limits] = Limits(segments_per_second=10.0, concurrency=20, timeout=45.0)
    sender_rates: ClassVar[Mapping[str, float]] = MappingProxyType({"email": 10.0})
    channel: ClassVar[str] = "email"
    Credentials: ClassVar[type[Any]] = SmtpCredentials
    Options: ClassVar[type[Any]] = SmtpOptions

    credentials: SmtpCredentials
    options: SmtpOptions

    def __post_init__(self) -> None:
        super().__post_init__()
        if self._logs_in and not (self.credentials.user and self.credentials.password):
            raise InvalidOption("login: user or password is missing; enter both, or set login to no")

    def call(self, message: Message) -> MailCall:
        """Return the transaction; raises ValueError for an address that SMTP cannot carry."""
        sender, to = _address(message.sender), _address(message.to)
        content = EmailMessage(policy=_WIRE)
        content.set_content(storable(message.text, limit=_LONGEST_BODY), charset="utf-8")
        tag, domain = quote(message.reference, safe=""), self.options.bounce_domain
        return MailCall(
            url=self._url,
            sender=f"bounce+{tag}@{domain}" if domain else sender,
            recipient=to,
            body=self._head(message, sender, to) + content.as_bytes(),
            user=self.credentials.user if self._logs_in else "",
            password=self.credentials.password if self._logs_in else "",
            plain=self.options.security == "plain",
        )

    @cached_property
    def _url(self) -> str:
        if self.options.security == "tls":
            return f"smtps://{self.base_url.partition('://')[2]}"
        return self.base_url

    @property
    def _logs_in(self) -> bool:
        return self.options.login == "yes"

    def _head(self, message: Message, sender: str, to: str) -> bytes:
        """Return the headers but those of the content. Ids and addresses are not folded: some read them wrongly then."""
        ours, tag = self.options, quote(message.reference, safe="")
        subject = _words(_line(message.subject)[:_LONGEST_SUBJECT], "Subject")
        ways = [ours.list_unsubscribe or f"mailto:{quote(ours.reply_to or sender, safe='@')}?subject=STOP"]
        if not ours.list_unsubscribe and _UNSUBSCRIBE.fullmatch(message.opt_out_url):
            ways.insert(0, message.opt_out_url)
        ways = [way.replace("{reference}", tag).replace("{to}", quote(to, safe="@")) for way in ways]
        headers = {
            "From": f"{_phrase(ours.from_name)} <{sender}>" if ours.from_name else sender,
            "To": to,
            "Reply-To": ours.reply_to,
            "Subject": subject,
            "Message-ID": f"<{_message_id(message)}>",
            "Auto-Submitted": "auto-generated",  # RFC 3834: vacation programs keep quiet
            "List-Unsubscribe": ", ".join(f"<{way}>" for way in ways),
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click" if ways[0].startswith("https:") else "",
        }
        return "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value).encode("ascii")

    def read(self, message: Message, reply: MailReply) -> Result:
        """Return what the answer means."""
        outcome, words = _meaning(reply), self.shown(reply.text)
        if outcome is Outcome.ACCEPTED:
            return Result(outcome, provider_id=_queue_id(words) or _message_id(message)[:64], detail=words)
        return Result(outcome, code=_code(reply), detail=f"{reply.stage}: {words}"[:500])

    def verify(self, request: WebhookRequest) -> bool:
        """Return whether the address was called with our token."""
        try:
            token = query_value(request.url, "token")
        except ValueError:
            return False
        return same_secret(token, self.credentials.webhook_token)

    def parse(self, request: WebhookRequest) -> list[Receipt | Inbound]:
        """Return what a mail tells: reports of a bounce, a person's words, or nothing of ours."""
        if request.body.lower().count(b"boundary") > _MOST_BOUNDARIES:
            raise MalformedEvent("body: nested too deeply")
        try:
            mail = message_from_bytes(request.body)
            parts = list(mail.walk())
        except RecursionError:
            raise MalformedEvent("body: nested too deeply") from None
        if not mail.keys():
            raise MalformedEvent("body: no mail, as it has no headers")
        reports = [part for part in parts if part.get_content_type() == "message/delivery-status"]
        if reports:
            return list(self._receipts(request.body, reports, _instant(_header(mail, "Date"))))
        if _is_automatic(mail):
            return []
        return [_inbound(mail, parts, request.body)]

    def _receipts(self, body: bytes, reports: Sequence[Mail], at: datetime | None) -> Iterator[Receipt]:
        """Yield a receipt for each different fate in a bounce of ours."""
        ours = _RETURNED.search(body)
        if ours is None:
            return
        reference = ours[1].decode("ascii").lower()
        seen = set()
        for block in _blocks(reports):
            action = _header(block, "Action").strip().lower()
            code = _STATUS.search(_header(block, "Status"))
            key = f"{reference}:{action}:{code[0] if code else ''}"
            if action not in ACTIONS or key in seen:
                continue
            seen.add(key)
            yield Receipt(
                key=key,
                status=ACTIONS[action],
                reference=reference,
                code=code[0] if code else "",
                detail=self.shown(_line(_header(block, "Diagnostic-Code"))),
                occurred_at=_instant(_header(block, "Last-Attempt-Date")) or at,
            )


# -- out -----------------------------------------------------------------------------------------


def _address(text: str) -> str:
    """Return an address as SMTP carries it; raises ValueError for anything that could be more than one."""
    local, at, domain = text.rpartition("@")
    if not domain.isascii():
        domain = domain.encode("idna").decode("ascii")
    address = f"{local}{at}{domain}"
    if not _ADDRESS.fullmatch(address):
        raise ValueError("address: empty, too long, or with characters that no mailbox has")
    return address


def _line(text: str) -> str:
    """Return a text as one line, so that it cannot begin a header of its own."""
    return " ".join(_CONTROL.sub(" ", storable(text, limit=4000)).split())


def _words(text: str, header: str) -> str:
    """Return a line as the words of a header: encoded (RFC 2047) where it must be, or would look as if it were."""
    if text.isascii() and "=?" not in text:
        return text
    return Header(text, "utf-8", header_name=header).encode(linesep="\r\n")


def _phrase(name: str) -> str:
    """Return the name in front of an address."""
    words = _words(name, "From")
    return f'"{escaped(name)}"' if words == name else words


def _message_id(message: Message) -> str:
    return f"{quote(message.reference, safe='')}@{_address(message.sender).rpartition('@')[2]}"


# -- the answer ----------------------------------------------------------------------------------


def _meaning(reply: MailReply) -> Outcome:
    kind = reply.code // 100
    if reply.stage is MailStage.DOT:
        if kind == 2:  # noqa: PLR2004 - classes of SMTP codes, here and below
            return Outcome.ACCEPTED
        if kind not in {4, 5} or reply.code == _BREAKS_OFF:
            return Outcome.UNKNOWN
    if kind != 5:  # noqa: PLR2004
        return Outcome.REJECTED_RETRYABLE
    if reply.stage in _BEFORE_THE_MESSAGE or reply.code in _OURS:
        return Outcome.REJECTED_PROVIDER
    return Outcome.REJECTED_PERMANENT


def _code(reply: MailReply) -> str:
    if reply.code:
        return str(reply.code)
    if reply.timed_out:
        return "timeout"
    return "no_connection" if reply.stage is MailStage.CONNECT else "connection_lost"


def _queue_id(words: str) -> str:
    found = _QUEUE_ID.search(words)
    return next(filter(None, found.groups()), "").strip(".") if found else ""


# -- in ------------------------------------------------------------------------------------------


def _header(mail: Mail, name: str) -> str:
    """Return a header as text, decoded where it is encoded (RFC 2047)."""
    raw = storable(str(mail.get(name, "")), limit=4000)
    try:
        return storable(str(make_header(decode_header(raw))), limit=4000)
    except (HeaderParseError, LookupError, ValueError):
        return raw


def _blocks(reports: Sequence[Mail]) -> Iterator[Mail]:
    """Yield the groups of fields of delivery statuses; the one about the whole message has no Action."""
    for report in reports:
        groups: Any = report.get_payload()
        if isinstance(groups, list):
            yield from groups


def _instant(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return found if found.tzinfo is not None else None


def _is_automatic(mail: Mail) -> bool:
    """Return whether a program wrote it in answer: nobody may be answered, let alone opted out, by that."""
    return (
        mail.get_content_type() == "multipart/report"
        or _header(mail, "Auto-Submitted").lower().startswith("auto-replied")
        or _header(mail, "Precedence").strip().lower() in {"bulk", "junk", "list", "auto_reply"}
        or _header(mail, "Return-Path").strip() == "<>"
        or any(address.startswith("bounce+") for address in _addresses(mail, "X-Original-To", "To"))
    )


def _addresses(mail: Mail, *names: str) -> list[str]:
    """Return the addresses in these headers, in lower case, as people write them in any."""
    headers = [storable(str(mail.get(name, "")), limit=1000) for name in names]
    found = [address.lower() for _, address in getaddresses(headers)]
    return [address for address in found if "@" in address and _ADDRESS.fullmatch(address)]


def _inbound(mail: Mail, parts: Sequence[Mail], body: bytes) -> Inbound:
    sender, to = _addresses(mail, "From"), _addresses(mail, "X-Original-To", "Envelope-To", "To")
    if not sender:
        raise MalformedEvent("From: missing, or no address")
    if not to:
        raise MalformedEvent("To: missing, or no address")
    given = _header(mail, "Message-ID").strip()
    return Inbound(
        key=given or hashlib.sha256(body).hexdigest(),
        sender=sender[0],
        to=to[0],
        text=_said(mail, parts)[:_LONGEST_TEXT],
        provider_id=given if is_id(given) else "",
    )


def _said(mail: Mail, parts: Sequence[Mail]) -> str:
    """Return a person's own words. A mail that answers none begins with its subject, which may be the STOP."""
    subject, words = _line(_header(mail, "Subject")), _own_words(_text(parts))
    answers = "In-Reply-To" in mail or _ANSWER.match(subject)
    if answers and words:
        return words
    return f"{subject}\n{words}".strip()


def _text(parts: Sequence[Mail]) -> str:
    """Return the first text; one in HTML without its tags and what it quotes."""
    shown = [part for part in parts if part.get_content_disposition() != "attachment"]
    for kind in ("text/plain", "text/html"):
        for part in shown:
            if part.get_content_type() == kind and not part.is_multipart():
                text = _decoded(part)
                return text if kind == "text/plain" else _without_tags(text)
    return ""


def _decoded(part: Mail) -> str:
    payload = part.get_payload(decode=True)
    raw = payload if isinstance(payload, bytes) else b""
    try:
        text = raw.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):
        text = raw.decode("utf-8", "replace")
    return storable(text, limit=_LONGEST_BODY)


def _without_tags(text: str) -> str:
    own = _HTML_QUOTE.split(_HTML_BODY.split(text)[-1])[0]
    return html.unescape(_HTML_TAG.sub("", _HTML_LINE.sub("\n", own)))


def _own_words(text: str) -> str:
    """Return a text without what it quotes, the line that announces the quote, and the signature."""
    kept: list[str] = []
    for line in text.splitlines():
        if _QUOTED_BELOW.fullmatch(line.strip("\r")):
            break
        if not line.startswith(">"):
            kept.append(line)
            continue
        while kept and not kept[-1].strip():
            kept.pop()
        if kept and kept[-1].rstrip().endswith(":"):
            kept.pop()
    return "\n".join(kept).strip()
