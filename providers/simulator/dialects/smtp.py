"""E-mail: posts come by SMTP (`providers/simulator/mail.py`); a relay tells of what follows by posting mail.

A final report is a bounce (RFC 3464), a person's text a mail to the sender.
"""

from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from typing import ClassVar, Final

from providers.simulator.dialects.base import Dialect, Event, Hook, Routes

_HEADERS: Final = {"Content-Type": "message/rfc822"}
_FATES: Final = {"delivered": ("delivered", "2.0.0"), "undelivered": ("failed", "5.1.1"), "failed": ("failed", "4.4.7")}
_BOUNCE: Final = """\
Return-Path: <>
From: MAILER-DAEMON@relay.example
To: {sender}
Subject: Delivery report
Message-ID: <{id}.{action}@relay.example>
Date: {date}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type="delivery-status"; boundary="=_report"

--=_report
Content-Type: text/plain

Your mail to {number}: {action}.

--=_report
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.example

Final-Recipient: rfc822; {number}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {code}
Last-Attempt-Date: {date}

--=_report
Content-Type: text/rfc822-headers

From: {sender}
To: {number}
Message-ID: <{reference}@{domain}>

--=_report--
"""


class SmtpDialect(Dialect):
    """The webhooks of a relay. What proves that they are the relay's stands in their address."""

    name: ClassVar[str] = "smtp"
    posts: ClassVar[Routes] = ()

    def events(self, event: Event, segments: int) -> Sequence[Event]:  # noqa: ARG002 - a mail is one
        """Return the event; nobody is told that a mail is under way."""
        return () if event.status == "sent" else (event,)

    def hook(self, url: str, secret: str, events: Sequence[Event]) -> Hook:  # noqa: ARG002 - nothing is signed
        [event] = events
        return Hook("POST", url, _HEADERS, _bounce(event) if event.status else _answer(event))


def _bounce(event: Event) -> bytes:
    action, status = _FATES[event.status]
    said = {
        "id": event.id,
        "sender": event.sender,
        "domain": event.sender.rpartition("@")[2],
        "number": event.number,
        "reference": event.reference,
        "date": formatdate(event.at),
        "action": action,
        "status": status,
        "code": event.code or "250 OK",
    }
    return _BOUNCE.format_map(said).replace("\n", "\r\n").encode()


def _answer(event: Event) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = event.number, event.sender, "Re: your mail"
    mail["Message-ID"], mail["Date"] = f"<{event.id}@people.example>", formatdate(event.at)
    mail.set_content(event.text)
    return mail.as_bytes()
