"""SMTP as tables: a message and its transaction, an answer and its meaning, a mail and its events."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.adapters.base import (
    Inbound,
    InvalidOption,
    MailReply,
    MailStage,
    MalformedEvent,
    Message,
    Outcome,
    Receipt,
    ReceiptStatus,
    WebhookRequest,
)
from providers.adapters.smtp import SmtpAdapter, SmtpCredentials, SmtpOptions

REFERENCE = "0198c0de" * 4 + "00000001"
SENDER, PERSON = "news@brand.example", "ann@people.example"
MESSAGE = Message(
    reference=REFERENCE,
    to=PERSON,
    sender=SENDER,
    text="Grüße & 100%\n.dot",
    segments=1,
    status_url=f"https://sms.example/webhooks/smtp/k/status?ref={REFERENCE}",
    valid_for=3600,
    subject="Your order — today",
)
CREDENTIALS = {"webhook_token": "hook-token", "user": "relay-user", "password": "relay-password"}
SIMULATED = {
    "account": "relay-user",
    "credentials": CREDENTIALS,
    "options": {"security": "plain"},
    "base_path": "",
    "sender": SENDER,
    "script": {},
    "transport": "smtp",
    "reports": "by account",
}


def smtp(base_url="smtp://relay.example:587", **options):
    return SmtpAdapter(SmtpCredentials(**CREDENTIALS), base_url, SmtpOptions(**options))


def mail_of(call):
    return message_from_bytes(call.body, policy=default)


# -- call --------------------------------------------------------------------------------------


def test_makes_one_transaction_of_a_message():
    call = smtp().call(MESSAGE)
    assert (call.url, call.sender, call.recipient) == ("smtp://relay.example:587", SENDER, PERSON)
    assert (call.user, call.password, call.plain) == ("relay-user", "relay-password", False)
    mail = mail_of(call)
    assert dict(mail.items()) == {
        "From": SENDER,
        "To": PERSON,
        "Subject": "Your order — today",
        "Message-ID": f"<{REFERENCE}@brand.example>",
        "Auto-Submitted": "auto-generated",
        "List-Unsubscribe": f"<mailto:{SENDER}?subject=STOP>",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "quoted-printable",
        "MIME-Version": "1.0",
    }
    assert mail.get_content() == "Grüße & 100%\r\n.dot\r\n"


def test_the_same_message_is_the_same_bytes():
    """There is no clock in it; the transport adds the Date."""
    assert smtp().call(MESSAGE) == smtp().call(MESSAGE)


@pytest.mark.parametrize(
    ("base_url", "security", "url", "plain"),
    [
        ("smtp://r.example:587", "starttls", "smtp://r.example:587", False),
        ("smtp://r.example:465", "tls", "smtps://r.example:465", False),
        ("smtps://r.example", "tls", "smtps://r.example", False),
        ("smtps://r.example", "starttls", "smtps://r.example", False),
        ("smtp://127.0.0.1:25", "plain", "smtp://127.0.0.1:25", True),
    ],
)
def test_is_as_secret_as_told(base_url, security, url, plain):
    call = smtp(base_url, security=security).call(MESSAGE)
    assert (call.url, call.plain) == (url, plain)


def test_does_not_log_in_where_the_relay_knows_us():
    call = smtp(login="no").call(MESSAGE)
    assert (call.user, call.password) == ("", "")
    bare = SmtpAdapter(SmtpCredentials("hook-token"), "", SmtpOptions(login="no"))
    assert bare.call(MESSAGE).user == ""


@pytest.mark.parametrize("login", [{}, {"user": "u"}, {"password": "p"}])
def test_a_login_needs_a_user_and_a_password(login):
    with pytest.raises(InvalidOption, match=r"^login: user or password is missing; enter both"):
        SmtpAdapter(SmtpCredentials("hook-token", **login))


@pytest.mark.parametrize(
    ("options", "header", "value"),
    [
        ({"from_name": "Brand"}, "From", f"Brand <{SENDER}>"),
        ({"from_name": 'Brand, "Inc."'}, "From", f'"Brand, \\"Inc.\\"" <{SENDER}>'),
        ({"from_name": "Größe"}, "From", f"Größe <{SENDER}>"),
        ({"reply_to": "ask@brand.example"}, "Reply-To", "ask@brand.example"),
        ({"reply_to": "ask@brand.example"}, "List-Unsubscribe", "<mailto:ask@brand.example?subject=STOP>"),
        ({"reply_to": "a+b&c@brand.example"}, "List-Unsubscribe", "<mailto:a%2Bb%26c@brand.example?subject=STOP>"),
        ({"list_unsubscribe": "mailto:out@b.example"}, "List-Unsubscribe", "<mailto:out@b.example>"),
        ({"list_unsubscribe": "mailto:out@b.example"}, "List-Unsubscribe-Post", None),
        (
            {"list_unsubscribe": "https://b.example/out?r={reference}&to={to}"},
            "List-Unsubscribe",
            f"<https://b.example/out?r={REFERENCE}&to={PERSON}>",
        ),
        (
            {"list_unsubscribe": "https://b.example/out"},
            "List-Unsubscribe-Post",
            "List-Unsubscribe=One-Click",  # RFC 8058
        ),
    ],
)
def test_says_what_the_account_wants_to_be_said(options, header, value):
    assert mail_of(smtp(**options).call(MESSAGE))[header] == value


@pytest.mark.parametrize(
    ("url", "options", "ways", "is_one_click"),
    [
        (
            "https://go.acme.example/o/x-1_Y",
            {},
            f"<https://go.acme.example/o/x-1_Y>, <mailto:{SENDER}?subject=STOP>",
            True,
        ),
        ("http://127.0.0.1:8000/o/x-1_Y", {}, f"<mailto:{SENDER}?subject=STOP>", False),  # RFC 8058 wants https
        ("", {}, f"<mailto:{SENDER}?subject=STOP>", False),
        ("https://go.acme.example/o/x>\r\nBcc: y@z.example", {}, f"<mailto:{SENDER}?subject=STOP>", False),
        ("https://go.acme.example/o/x", {"list_unsubscribe": "mailto:o@b.example"}, "<mailto:o@b.example>", False),
        ("https://go.acme.example/o/x", {"list_unsubscribe": "https://b.example"}, "<https://b.example>", True),
    ],
)
def test_carries_the_platforms_opt_out_page_unless_the_account_has_its_own(url, options, ways, is_one_click):
    mail = mail_of(smtp(**options).call(replace(MESSAGE, opt_out_url=url)))
    assert mail["List-Unsubscribe"] == ways
    assert mail["List-Unsubscribe-Post"] == ("List-Unsubscribe=One-Click" if is_one_click else None)


def test_a_long_address_to_unsubscribe_stays_one_line():
    way = "https://brand.example/" + "u" * 300
    assert f"\r\nList-Unsubscribe: <{way}>\r\n".encode() in smtp(list_unsubscribe=way).call(MESSAGE).body


def test_bounces_come_to_an_address_with_the_reference():
    call = smtp(bounce_domain="bounces.brand.example").call(MESSAGE)
    assert call.sender == f"bounce+{REFERENCE}@bounces.brand.example"
    assert mail_of(call)["From"] == SENDER


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"security": "ssl"}, "^security: 'ssl' is not known; set it to starttls, tls or plain$"),
        ({"login": "maybe"}, "^login: 'maybe' is not known; set it to yes or no$"),
        ({"from_name": "Brand\r\nBcc: x@y.example"}, "^from_name: .*; shorten it$"),
        ({"from_name": "x" * 81}, "^from_name: "),
        ({"reply_to": "brand"}, "^reply_to: 'brand' is no address; enter one"),
        ({"reply_to": "a@b.example\r\nBcc: x@y.example"}, "^reply_to: "),
        ({"bounce_domain": "b.example>"}, "^bounce_domain: 'b.example>' is no domain"),
        ({"bounce_domain": "localhost"}, "^bounce_domain: "),
        ({"list_unsubscribe": "http://b.example"}, "^list_unsubscribe: neither a mailto: nor an https:// address"),
        ({"list_unsubscribe": "https://b.example/\r\nBcc: x"}, "^list_unsubscribe: "),
        ({"list_unsubscribe": "https://b.example/>, <mailto:x"}, "^list_unsubscribe: "),
    ],
)
def test_refuses_an_option_by_name(options, words):
    with pytest.raises(InvalidOption, match=words):
        SmtpOptions(**options)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "@people.example",
        "ann@people.example\r\nBcc: eve@evil.example",
        "ann@people.example>\r\nRCPT TO:<eve@evil.example",
        "ann@people.example, eve@evil.example",
        "ann@people.example eve",
        "ann@pe\x00ple.example",
        "<ann@people.example>",
        "ann@people@example.com",
        "änn@people.example",  # needs SMTPUTF8, which few relays have
        "x" * 65 + "@people.example",
        "ann@" + "ü" * 80 + ".example",
    ],
)
def test_an_address_that_smtp_cannot_carry_is_not_sent_to(address):
    with pytest.raises(ValueError):  # noqa: PT011 - two kinds; whoever posts catches all
        smtp().call(replace(MESSAGE, to=address))
    with pytest.raises(ValueError):  # noqa: PT011
        smtp().call(replace(MESSAGE, sender=address))


def test_a_domain_in_any_script_is_written_as_the_wire_wants_it():
    call = smtp().call(replace(MESSAGE, to="ann@bücher.example"))
    assert call.recipient == "ann@xn--bcher-kva.example"


def test_without_a_subject_there_is_none():
    assert "Subject" not in mail_of(smtp().call(replace(MESSAGE, subject=" \r\n ")))


KNOWN = {
    *("message-id", "auto-submitted", "list-unsubscribe", "from", "to", "subject"),
    *("content-type", "content-transfer-encoding", "mime-version"),
}
hostile = st.text(max_size=60) | st.lists(
    st.sampled_from(
        ["\r\n", "\n", "\r", "\0", "\x85", "\u2028", "Bcc: eve@evil.example", ".", "\ud800", " ", "=?utf-8?q?="]
    )
).map("".join)


@given(subject=hostile, text=hostile)
def test_no_text_becomes_a_header_or_ends_the_mail(subject, text):
    call = smtp(from_name="Brand").call(replace(MESSAGE, subject=subject, text=text))
    head = call.body.partition(b"\r\n\r\n")[0]
    assert {line.partition(b":")[0].decode().lower() for line in head.split(b"\r\n") if line[:1] not in b" \t"} <= KNOWN
    assert b"\r" not in call.body.replace(b"\r\n", b"")
    assert b"\n" not in call.body.replace(b"\r\n", b"")
    call.body.decode("ascii")
    assert max(map(len, call.body.split(b"\r\n"))) <= 998
    assert mail_of(call)["From"] == f"Brand <{SENDER}>"
    assert (mail_of(call)["Subject"] or "") == " ".join(
        re.sub("[\0\ud800]", "\ufffd", subject).translate(BREAKS).split()
    )
    assert _lines(mail_of(call).get_content()) == _lines(re.sub("[\0\ud800]", "\ufffd", text))


BREAKS = dict.fromkeys([*range(1, 32), *range(127, 160), 0x2028, 0x2029], " ")


def _lines(text):
    return re.split(r"\r\n|\r|\n", text.rstrip("\r\n"))


@given(name=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=60))
def test_every_name_arrives_and_stays_a_name(name):
    [sender] = [
        value for key, value in message_from_bytes(smtp(from_name=name).call(MESSAGE).body).items() if key == "From"
    ]
    parsed = mail_of(smtp(from_name=name).call(MESSAGE))["From"]
    assert [each.addr_spec for each in parsed.addresses] == [SENDER]
    assert (
        str(make_header(decode_header(sender)))
        .replace("\\", "")
        .replace('"', "")
        .startswith(name.replace("\\", "").replace('"', ""))
    )


# -- read --------------------------------------------------------------------------------------

EARLY = (MailStage.CONNECT, MailStage.LOGIN, MailStage.SENDER, MailStage.RECIPIENT, MailStage.DATA)


def read(stage, code, text="", **more):
    return smtp().read(MESSAGE, MailReply(stage, code, text, **more))


@pytest.mark.parametrize(
    ("stage", "code", "outcome"),
    [
        (MailStage.DOT, 250, Outcome.ACCEPTED),
        *[(stage, 0, Outcome.REJECTED_RETRYABLE) for stage in EARLY],
        *[(stage, 421, Outcome.REJECTED_RETRYABLE) for stage in EARLY],
        *[(stage, 450, Outcome.REJECTED_RETRYABLE) for stage in EARLY],
        (MailStage.LOGIN, 454, Outcome.REJECTED_RETRYABLE),
        (MailStage.DOT, 451, Outcome.REJECTED_RETRYABLE),
        (MailStage.DOT, 452, Outcome.REJECTED_RETRYABLE),
        (MailStage.CONNECT, 554, Outcome.REJECTED_PROVIDER),
        (MailStage.LOGIN, 535, Outcome.REJECTED_PROVIDER),
        (MailStage.SENDER, 530, Outcome.REJECTED_PROVIDER),
        (MailStage.SENDER, 550, Outcome.REJECTED_PROVIDER),
        (MailStage.RECIPIENT, 550, Outcome.REJECTED_PERMANENT),
        (MailStage.RECIPIENT, 551, Outcome.REJECTED_PERMANENT),
        (MailStage.RECIPIENT, 552, Outcome.REJECTED_PERMANENT),
        (MailStage.RECIPIENT, 553, Outcome.REJECTED_PERMANENT),
        (MailStage.RECIPIENT, 530, Outcome.REJECTED_PROVIDER),
        (MailStage.RECIPIENT, 535, Outcome.REJECTED_PROVIDER),
        (MailStage.DATA, 554, Outcome.REJECTED_PERMANENT),
        (MailStage.DATA, 530, Outcome.REJECTED_PROVIDER),
        (MailStage.DOT, 550, Outcome.REJECTED_PERMANENT),
        (MailStage.DOT, 554, Outcome.REJECTED_PERMANENT),
        (MailStage.DOT, 0, Outcome.UNKNOWN),
        # The server breaks off; what it does with what it has, it does not say.
        (MailStage.DOT, 421, Outcome.UNKNOWN),
        (MailStage.DOT, 354, Outcome.UNKNOWN),
        # A nonsense answer before the dot: whatever it means, nothing was handed over.
        (MailStage.DATA, 250, Outcome.REJECTED_RETRYABLE),
        (MailStage.RECIPIENT, 334, Outcome.REJECTED_RETRYABLE),
    ],
)
def test_reads_an_answer_by_its_place(stage, code, outcome):
    result = read(stage, code, "Words")
    assert result.outcome is outcome
    if outcome is not Outcome.ACCEPTED:
        assert result.provider_id == ""
        assert result.detail == f"{stage}: Words"


@pytest.mark.parametrize(
    ("stage", "reply", "code"),
    [
        (MailStage.RECIPIENT, {"code": 550}, "550"),
        (MailStage.CONNECT, {"code": 0}, "no_connection"),
        (MailStage.DATA, {"code": 0}, "connection_lost"),
        (MailStage.DOT, {"code": 0}, "connection_lost"),
        (MailStage.DOT, {"code": 0, "timed_out": True}, "timeout"),
    ],
)
def test_names_what_happened(stage, reply, code):
    assert read(stage, **reply).code == code


@pytest.mark.parametrize(
    ("text", "provider_id"),
    [
        ("2.0.0 Ok: queued as 4bXyZ12ABC", "4bXyZ12ABC"),  # Postfix
        ("Ok: queued as 4bXyZ12ABC.", "4bXyZ12ABC"),
        ("OK id=1rAbCd-0001Xy-2k", "1rAbCd-0001Xy-2k"),  # Exim
        ("2.0.0 3AL9sXk3012345 Message accepted for delivery", "3AL9sXk3012345"),  # Sendmail
        ("2.0.0 8c1d2e3f Message accepted for delivery", "8c1d2e3f"),  # OpenSMTPD
        ("Ok 0102018c0ffee000-1a2b3c4d-0000", "0102018c0ffee000-1a2b3c4d-0000"),  # Amazon
        ("2.0.0 OK", f"{REFERENCE}@brand.example"),
        ("", f"{REFERENCE}@brand.example"),
        ("queued as \x00", f"{REFERENCE}@brand.example"),
    ],
)
def test_an_acceptance_has_the_queues_id_or_ours(text, provider_id):
    assert read(MailStage.DOT, 250, text).provider_id == provider_id


def test_a_detail_holds_neither_our_password_nor_what_cannot_be_stored():
    result = read(MailStage.LOGIN, 535, "no relay-password for \x00 \ud800 relay-user")
    assert result.detail == "login: no *** for � � relay-user"


# -- verify ------------------------------------------------------------------------------------


def webhook(body, query="?token=hook-token"):
    raw = body if isinstance(body, bytes) else body.replace("\n", "\r\n").encode()
    url = f"https://sms.example/webhooks/smtp/key/mail{query}"
    return WebhookRequest("POST", url, {"content-type": "message/rfc822"}, raw)


@pytest.mark.parametrize(
    ("query", "is_ours"),
    [
        ("?token=hook-token", True),
        ("?a=1&token=hook-token", True),
        ("?token=hook-tokem", False),
        ("?token=", False),
        ("", False),
        ("?" + "&".join("a=1" for _ in range(600)) + "&token=hook-token", False),
    ],
)
def test_only_who_knows_the_token_is_the_relay(query, is_ours):
    assert smtp().verify(webhook("", query)) is is_ours


def test_nothing_verifies_without_a_token():
    adapter = SmtpAdapter(SmtpCredentials("", "u", "p"))
    assert not adapter.verify(webhook("", "?token="))


# -- bounces -----------------------------------------------------------------------------------

# After RFC 3464, appendix E, example 2, with our return path and headers.
BOUNCE = """\
Date: Thu, 7 Jul 1994 17:16:05 -0400
From: Mail Delivery Subsystem <MAILER-DAEMON@CS.UTK.EDU>
Message-Id: <199407072116.RAA14128@CS.UTK.EDU>
Subject: Returned mail: Cannot send message for 5 days
To: {to}
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
      boundary="RAA14128.773615765/CS.UTK.EDU"

--RAA14128.773615765/CS.UTK.EDU

The original message was received at Sat, 2 Jul 1994 17:10:28 -0400
from root@localhost

   ----- The following addresses had delivery problems -----
<louisl@larry.slip.umd.edu>  (unrecoverable error)

--RAA14128.773615765/CS.UTK.EDU
content-type: message/delivery-status

Reporting-MTA: dns; cs.utk.edu

{blocks}
--RAA14128.773615765/CS.UTK.EDU
content-type: {kind}

{headers}
--RAA14128.773615765/CS.UTK.EDU--
"""
BLOCK = """\
Original-Recipient: rfc822;louisl@larry.slip.umd.edu
Final-Recipient: rfc822;louisl@larry.slip.umd.edu
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 426 connection timed out
Last-Attempt-Date: Thu, 7 Jul 1994 17:15:49 -0400
"""
VERP = f"bounce+{REFERENCE}@bounces.brand.example"


def bounce(*fates, to=VERP, headers="Subject: Hello", kind="message/rfc822"):
    blocks = "\n".join(BLOCK.format(action=action, status=status) for action, status in fates)
    return webhook(BOUNCE.format(to=to, blocks=blocks, headers=headers + "\n", kind=kind))


@pytest.mark.parametrize(
    ("action", "said", "status", "code"),
    [
        ("failed", "4.0.0", ReceiptStatus.UNDELIVERED, "4.0.0"),
        ("failed", "5.1.1", ReceiptStatus.UNDELIVERED, "5.1.1"),
        ("Failed ", "5.1.1 (bad mailbox)", ReceiptStatus.UNDELIVERED, "5.1.1"),
        ("failed", "none", ReceiptStatus.UNDELIVERED, ""),
        ("delivered", "2.0.0", ReceiptStatus.DELIVERED, "2.0.0"),
        ("relayed", "2.0.0", ReceiptStatus.SENT, "2.0.0"),
        ("expanded", "2.0.0", ReceiptStatus.SENT, "2.0.0"),
    ],
)
def test_normalises_a_bounce(action, said, status, code):
    assert smtp().parse(bounce((action, said))) == [
        Receipt(
            key=f"{REFERENCE}:{action.strip().lower()}:{code}",
            status=status,
            reference=REFERENCE,
            code=code,
            detail="smtp; 426 connection timed out",
            occurred_at=datetime(1994, 7, 7, 21, 15, 49, tzinfo=UTC),
        )
    ]


@pytest.mark.parametrize("action", ["delayed", "invented", ""])
def test_that_it_still_tries_is_no_news(action):
    assert smtp().parse(bounce((action, "4.4.1"))) == []


@pytest.mark.parametrize(
    ("to", "headers", "kind", "is_ours"),
    [
        (VERP, "Subject: Hello", "message/rfc822", True),
        (VERP.upper(), "Subject: Hello", "message/rfc822", True),
        (SENDER, f"Message-ID: <{REFERENCE}@brand.example>", "message/rfc822", True),
        (SENDER, f"Message-ID: <{REFERENCE}@brand.example>", "text/rfc822-headers", True),
        (SENDER, f"MESSAGE-ID:\n <{REFERENCE}@brand.example>", "text/rfc822-headers", True),
        (SENDER, f"Return-Path: <{VERP}>", "message/rfc822", True),
        (SENDER, "Subject: Hello", "message/rfc822", False),
        # Somebody's answer to a mail of ours could not be delivered: not our mail.
        (SENDER, f"Message-ID: <1@x>\nIn-Reply-To: <{REFERENCE}@brand.example>", "message/rfc822", False),
        (SENDER, f"References: <{REFERENCE}@brand.example>", "text/rfc822-headers", False),
    ],
)
def test_knows_its_own_bounces(to, headers, kind, is_ours):
    events = smtp().parse(bounce(("failed", "5.1.1"), to=to, headers=headers, kind=kind))
    assert [event.reference for event in events] == [REFERENCE] * is_ours


def test_each_fate_in_a_bounce_counts_once():
    """An address that stands for several people is a fate each."""
    fates = [
        ("failed", "5.1.1"),
        ("failed", "5.1.1"),
        ("delayed", "4.4.1"),
        ("failed", "5.2.2"),
        ("delivered", "2.0.0"),
    ]
    keys = [event.key for event in smtp().parse(bounce(*fates))]
    assert keys == [f"{REFERENCE}:failed:5.1.1", f"{REFERENCE}:failed:5.2.2", f"{REFERENCE}:delivered:2.0.0"]


def test_a_bounce_without_dates_has_none():
    raw = bounce(("failed", "5.1.1")).body.replace(b" Jul 1994", b" Someday")
    assert smtp().parse(webhook(raw))[0].occurred_at is None


def test_a_bounce_repeats_no_secret():
    raw = bounce(("failed", "5.1.1")).body.replace(b"426 connection", b"426 relay-password")
    assert smtp().parse(webhook(raw))[0].detail == "smtp; 426 *** timed out"


# -- people ------------------------------------------------------------------------------------

REPLY = {
    "From": f"Ann <{PERSON}>",
    "To": f"Brand <{SENDER}>",
    "Subject": "Re: Your order",
    "Message-ID": "<abc@people.example>",
    "In-Reply-To": f"<{REFERENCE}@brand.example>",
}


def reply(text, kind="text/plain; charset=utf-8", **changes):
    headers = {name: value for name, value in (REPLY | changes).items() if value is not None}
    head = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items())
    return webhook(f"{head}MIME-Version: 1.0\nContent-Type: {kind}\n\n{text}")


def test_reads_a_persons_answer():
    assert smtp().parse(reply("STOP\n")) == [
        Inbound(
            key="<abc@people.example>",
            sender=PERSON,
            to=SENDER,
            text="STOP",
            provider_id="<abc@people.example>",
        )
    ]


GMAIL = f"Stop\n\nOn Fri, Nov 20, 2026 at 9:00 AM Brand <{SENDER}> wrote:\n\n> Your order\n> is here\n"
MIXED = (
    "--b\nContent-Type: text/html\n\n<p>no</p>\n--b\nContent-Type: text/plain; charset=iso-8859-1\n"
    "Content-Transfer-Encoding: quoted-printable\n\nGr=FC=DFe\n--b--\n"
)


@pytest.mark.parametrize(
    ("text", "changes", "said"),
    [
        ("Stop\n", {}, "Stop"),
        (GMAIL, {}, "Stop"),
        (f"> Your order\n\nOn Friday, Brand <{SENDER}> wrote:\n> x\n\nSTOP\n", {}, "STOP"),
        ("No, thanks.\n\n-- \nAnn\nACME\n", {}, "No, thanks."),
        ("STOP\n\n-----Original Message-----\nFrom: Brand\n", {}, "STOP"),
        ("STOP\n________________________________\nFrom: Brand\n", {}, "STOP"),
        # Who writes a mail of their own may say it in the subject; programs that unsubscribe do.
        (
            "This message was automatically generated.\n",
            {"Subject": "STOP", "In-Reply-To": None},
            "STOP\nThis message was",
        ),
        ("", {"Subject": "STOP", "In-Reply-To": None}, "STOP"),
        ("", {"Subject": "unsubscribe"}, "unsubscribe"),
        ("Hello\n", {"Subject": "Question", "In-Reply-To": None}, "Question\nHello"),
        ("STOP\n", {"Subject": "AW: Your order", "In-Reply-To": None}, "STOP"),
        ("STOP\n", {"Subject": "Your order"}, "STOP"),
        ("STOP\n", {"Subject": "=?utf-8?q?Re=3A_Gr=C3=BC=C3=9Fe?=", "In-Reply-To": None}, "STOP"),
        ("U1RPUA==\n", {"Content-Transfer-Encoding": "base64"}, "STOP"),
        ("<p>ST&Oslash;P</p><blockquote>Your order</blockquote>", {"kind": "text/html"}, "STØP"),
        (
            "<html><head><style>p{}</style></head><body dir=auto><div>STOP</div>x</body>",
            {"kind": "text/html"},
            "STOP\nx",
        ),
        (MIXED, {"kind": "multipart/alternative; boundary=b"}, "Grüße"),
        ("caf\n", {"kind": "text/plain; charset=no-such"}, "caf"),
        ("caf\n", {"kind": "text/plain; charset=base64"}, "caf"),
        ("", {"Subject": ""}, ""),
    ],
)
def test_takes_a_persons_own_words(text, changes, said):
    kind = changes.pop("kind", "text/plain; charset=utf-8")
    [event] = smtp().parse(reply(text, kind, **changes))
    assert event.text.startswith(said)
    assert event.text == said or said.endswith("was")


@pytest.mark.parametrize(
    ("changes", "sender", "to"),
    [
        ({"From": "ANN@People.Example"}, PERSON, SENDER),
        ({"From": f'"Doe, Ann" <{PERSON}>'}, PERSON, SENDER),
        ({"To": f"bob@people.example, {SENDER}", "X-Original-To": SENDER}, PERSON, SENDER),
        ({"To": "undisclosed-recipients:;", "Envelope-To": SENDER}, PERSON, SENDER),
    ],
)
def test_finds_both_addresses(changes, sender, to):
    [event] = smtp().parse(reply("Hi", **changes))
    assert (event.sender, event.to) == (sender, to)


@pytest.mark.parametrize(
    "changes",
    [
        {"Auto-Submitted": "auto-replied"},
        {"Auto-Submitted": "Auto-Replied (vacation)"},
        {"Precedence": "bulk"},
        {"Return-Path": "<>"},
        {"To": VERP},
        {"kind": "multipart/report; report-type=disposition-notification; boundary=b"},
    ],
)
def test_no_program_speaks_for_a_person(changes):
    changes = {"kind": "text/plain"} | changes
    assert smtp().parse(reply("I am on holiday. STOP", **changes)) == []


def test_a_mail_that_a_program_wrote_of_itself_may_be_an_opt_out():
    """Mail programs that unsubscribe for a person say `auto-generated`, and they do speak for them."""
    assert len(smtp().parse(reply("STOP", **{"Auto-Submitted": "auto-generated"}))) == 1


def test_a_mail_without_an_id_is_known_by_its_content():
    one, same, other = (smtp().parse(reply(text, **{"Message-ID": None}))[0] for text in ("a", "a", "b"))
    assert one.key == same.key != other.key
    assert one.provider_id == ""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "body: no mail"),
        ("{}", "body: no mail"),
        (reply("x", From=None).body, "From: missing"),
        (reply("x", From="Ann").body, "From: missing"),
        (reply("x", To=None).body, "To: missing"),
    ],
)
def test_refuses_what_is_no_mail(body, words):
    with pytest.raises(MalformedEvent, match=f"^{words}"):
        smtp().parse(webhook(body))


@pytest.mark.parametrize(
    "header", ["Content-Type: multipart/mixed; Boundary=b{n}\n\n--b{n}\n", "Content-Type: message/rfc822\n\n"]
)
def test_a_mail_in_a_mail_in_a_mail_is_refused(header):
    with pytest.raises(MalformedEvent, match=r"^body: nested too deeply$"):
        smtp().parse(webhook("".join(header.format(n=n) for n in range(2000))))


lines = st.sampled_from(
    [
        *("From: a@b.example", "From: =?utf-8?b?/////?= <a@b>", "From: \xff", "To: news@brand.example", f"To: {VERP}"),
        *("Content-Type: message/delivery-status", "Content-Type: multipart/report; boundary=b", "Content-Type: \xff"),
        *(
            "Content-Type: text/html; charset=idna",
            "Content-Transfer-Encoding: base64",
            "Content-Transfer-Encoding: x-uu",
        ),
        *(
            "Date: Thu, 99 Foo 9999999999 99:99:99 +9999999",
            "Subject: =?x?q?=?=",
            "Subject: =?utf-8?b?a?=",
            "--b",
            "--b--",
        ),
        *(
            "Action: failed",
            "Status: 5.1.1",
            "Action: =?utf-8?q?failed?=",
            "",
            "",
            "> quoted",
            "x:",
            "\x00",
            "begin 644 x",
        ),
        *(
            "Message-ID: <>",
            "Message-ID: =?utf-8?q?=00?=",
            "Content-Type: message/rfc822",
            "Content-Type: text/plain;charset*=x'y'z",
        ),
    ]
)


@given(st.lists(lines | st.text(max_size=30), max_size=30))
def test_no_mail_breaks_the_reader(text):
    body = "\r\n".join(text).encode("utf-8", "replace")
    try:
        events = smtp().parse(webhook(body))
    except MalformedEvent:
        return
    for event in events:
        assert event.key
        assert "\x00" not in repr(event)
        repr(event).encode()
