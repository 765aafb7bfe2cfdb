"""The SMTP transport against a server that does as told at each step: what is proven, and that one mail leaves."""

import asyncio
import base64
import ssl
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from providers import mail
from providers.adapters.base import MailCall, MailReply, MailStage, Outcome
from providers.adapters.smtp import SmtpAdapter, SmtpCredentials, SmtpOptions
from tests.envelopes import answered, envelope, message, posting
from tests.providers.relay import DROP, RESET, SILENCE, STEPS, relay
from tests.providers.simulated import runs, until

BODY = b"Message-ID: <1@brand.example>\r\nSubject: Hello\r\n\r\nHello\r\n"
every_step = pytest.mark.parametrize("step", STEPS)


def call(url, **changes):
    ours = MailCall(url, "news@brand.example", "ann@people.example", BODY, "relay-user", "relay-password", plain=True)
    return replace(ours, **changes)


async def said(told, *, within=5.0, **changes):
    async with relay(told) as server:
        reply = await mail.transact(call(server.url, **changes), within)
        return reply, server


# -- how far it came -------------------------------------------------------------------------------


@runs
async def test_hands_over_one_mail():
    reply, server = await said({})
    assert reply == MailReply(MailStage.DOT, 250, "2.0.0 Ok: queued as ABC123")
    assert server.heard[1:5] == [
        "AUTH PLAIN " + base64.b64encode(b"\0relay-user\0relay-password").decode(),
        "MAIL FROM:<news@brand.example>",
        "RCPT TO:<ann@people.example>",
        "DATA",
    ]
    assert len(server.mails) == 1


@every_step
@pytest.mark.parametrize("code", [421, 450, 530, 554])
@runs
async def test_tells_who_refused(step, code):
    reply, server = await said({step: b"%d 5.0.0 No" % code})
    assert reply == MailReply(STEPS[step], code, "5.0.0 No")
    assert len(server.mails) == (step == "DOT")
    assert server.heard.count("DATA") == (step in {"DATA", "DOT"})


@every_step
@pytest.mark.parametrize("loss", [DROP, RESET], ids=["drop", "reset"])
@runs
async def test_tells_where_it_was_lost(step, loss):
    reply, server = await said({step: loss})
    assert (reply.stage, reply.code, reply.timed_out) == (STEPS[step], 0, False)
    assert reply.text
    assert len(server.mails) == (step == "DOT")
    assert server.heard.count("DATA") == (step in {"DATA", "DOT"})


@every_step
@runs
async def test_tells_where_time_ran_out(step):
    began = time.monotonic()
    reply, server = await said({step: SILENCE}, within=0.2)
    assert (reply.stage, reply.code, reply.timed_out) == (STEPS[step], 0, True)
    assert time.monotonic() - began < 2
    assert len(server.mails) == (step == "DOT")
    assert server.heard.count("DATA") == (step in {"DATA", "DOT"})


@every_step
@pytest.mark.parametrize(
    "babble", [b"<html>", b"25", b"2x0 ok", b"999 ok", b"-50 ok", b"000 ok", b"", b"\xff\xfe", b"x" * 9000]
)
@runs
async def test_what_is_not_smtp_is_no_answer(step, babble):
    reply, server = await said({step: babble}, within=0.5)
    assert (reply.stage, reply.code) == (STEPS[step], 0)
    assert len(server.mails) == (step == "DOT")


@runs
async def test_the_time_is_for_all_steps_together():
    async with relay() as server:
        answer = server._answer

        async def slowly(step, writer):
            await asyncio.sleep(0.1)
            return await answer(step, writer)

        server._answer = slowly
        reply = await mail.transact(call(server.url), 0.35)
        assert (reply.code, reply.timed_out) == (0, True)
        assert reply.stage in {MailStage.LOGIN, MailStage.SENDER}


@pytest.mark.parametrize(
    "url",
    [
        "smtp://127.0.0.1:1",
        "smtp://no-such-host.invalid",
        "smtp://:25",
        "smtp://127.0.0.1:99999",
        "127.0.0.1",
        "",
        "smtp://[",
    ],
)
@runs
async def test_who_is_not_reached_was_given_nothing(url):
    reply = await mail.transact(call(url), 5)
    assert (reply.stage, reply.code) == (MailStage.CONNECT, 0)
    assert reply.text


@pytest.mark.parametrize(("sender", "stage"), [("a@b>\r\nRCPT TO:<x", MailStage.SENDER), ("ä@b", MailStage.SENDER)])
@runs
async def test_an_address_cannot_end_its_command(sender, stage):
    reply, server = await said({}, sender=sender)
    assert (reply.stage, reply.code) == (stage, 0)
    assert not [line for line in server.heard if line.startswith(("MAIL", "RCPT"))]


@runs
async def test_a_recipient_cannot_end_its_command_either():
    reply, server = await said({}, recipient="a@b>\r\nDATA")
    assert (reply.stage, reply.code) == (MailStage.RECIPIENT, 0)
    assert "DATA" not in server.heard


@runs
async def test_whoever_cancels_it_ends_it():
    async with relay({"MAIL": SILENCE}) as server:
        sending = asyncio.ensure_future(mail.transact(call(server.url), 30))
        await until(lambda: server.heard)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


@runs
async def test_a_servers_words_are_cut_off():
    lines = b"\r\n".join(b"550-" + b"x" * 500 for _ in range(20)) + b"\r\n550 end"
    reply, _ = await said({"RCPT": lines})
    assert reply.code == 550
    assert len(reply.text) == 1000


@pytest.mark.parametrize("last", ["RCPT", "DOT"])
@runs
async def test_says_goodbye(last):
    """Servers note who hangs up on them; nobody waits for the answer, though."""
    async with relay({} if last == "DOT" else {last: b"550 no"}) as server:
        await mail.transact(call(server.url), 5)
        await until(lambda: "QUIT" in server.heard)


# -- what travels ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "wired"),
    [
        (b"A: b\r\n\r\nHello\r\n", b"A: b\r\n\r\nHello\r\n"),
        (b"A: b\r\n\r\nHello", b"A: b\r\n\r\nHello\r\n"),
        (b"A: b\n\nHello\rthere\n", b"A: b\r\n\r\nHello\r\nthere\r\n"),
        (b"A: b\r\n\r\n.\r\n..\r\n", b"A: b\r\n\r\n..\r\n...\r\n"),
        (b"A: b\r\n\r\nx\n.\nQUIT\n", b"A: b\r\n\r\nx\r\n..\r\nQUIT\r\n"),
        (b"A: b\r\n\r\nx\r.\rQUIT\r", b"A: b\r\n\r\nx\r\n..\r\nQUIT\r\n"),
        (b"A: b\r\n\r\n" + b"x" * 300_000, b"A: b\r\n\r\n" + b"x" * 300_000 + b"\r\n"),
    ],
)
@runs
async def test_a_mail_arrives_whole_and_dated(body, wired):
    async with relay() as server:
        reply = await mail.transact(call(server.url, body=body), 5)
    assert reply.code == 250
    [arrived] = server.mails
    date, _, rest = arrived.partition(b"\r\n")
    assert rest == wired
    when = parsedate_to_datetime(date.removeprefix(b"Date: ").decode())
    assert abs(when - datetime.now(UTC)) < timedelta(minutes=1)


@runs
async def test_without_a_user_nobody_logs_in():
    reply, server = await said({}, user="", password="")
    assert reply.code == 250
    assert not [line for line in server.heard if line.startswith("AUTH")]


@pytest.mark.parametrize(
    ("offered", "heard"),
    [
        (b"AUTH LOGIN PLAIN", "AUTH PLAIN"),
        (b"AUTH CRAM-MD5 PLAIN", "AUTH PLAIN"),
        (b"AUTH LOGIN", "AUTH LOGIN"),
        (b"AUTH CRAM-MD5", "AUTH CRAM-MD5"),
    ],
)
@runs
async def test_tries_one_way_to_log_in_once(offered, heard):
    reply, server = await said({"EHLO": b"250-relay.example\r\n250 " + offered, "AUTH": b"535 5.7.8 No"})
    assert reply == MailReply(MailStage.LOGIN, 535, "5.7.8 No")
    [tried] = [line for line in server.heard if line.startswith("AUTH")]
    assert tried.startswith(heard)


@pytest.mark.parametrize("offered", [b"250 relay.example", b"250-relay.example\r\n250 AUTH GSSAPI"])
@runs
async def test_without_a_way_to_log_in_nothing_is_said(offered):
    reply, server = await said({"EHLO": offered})
    assert reply == MailReply(MailStage.LOGIN, 0, "the server offers no way to log in that we know")
    assert len(server.heard) <= 2


# -- TLS -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A private authority that is its own server, 127.0.0.1: the file with key and certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "relay.pem"
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *private) + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def context(certificate):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


@pytest.fixture
def trusted(certificate, monkeypatch):
    """Trust the authority as an operator would have it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    mail._trust.cache_clear()
    yield
    mail._trust.cache_clear()


@runs
async def test_encrypts_before_it_says_anything(trusted, context):
    async with relay(context=context) as server:
        reply = await mail.transact(call(server.url, plain=False), 5)
        assert reply.code == 250, reply
        words = [line.split(" ")[0] for line in server.heard]
        assert words[:6] == ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT"]


@runs
async def test_encrypts_from_the_first_byte(trusted, context):
    async with relay(tls=context) as server:
        reply = await mail.transact(call(server.url.replace("smtp:", "smtps:"), plain=False), 5)
        assert reply.code == 250, reply
        assert server.heard[1].startswith("AUTH")


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@runs
async def test_a_server_that_nobody_vouches_for_hears_nothing(context, scheme):
    mail._trust.cache_clear()
    async with relay(tls=context if scheme == "smtps" else None, context=context) as server:
        reply = await mail.transact(call(server.url.replace("smtp:", f"{scheme}:"), plain=False), 5)
        assert (reply.stage, reply.code) == (MailStage.CONNECT, 0)
        assert "certificate verify failed" in reply.text
        assert not [line for line in server.heard if line.startswith(("AUTH", "MAIL"))]


@runs
async def test_a_server_of_another_name_hears_nothing(trusted, context):
    async with relay(context=context) as server:
        reply = await mail.transact(call(f"smtp://localhost:{server.port}", plain=False), 5)
        assert (reply.stage, reply.code) == (MailStage.CONNECT, 0)
        assert not [line for line in server.heard if line.startswith(("AUTH", "MAIL"))]


@pytest.mark.parametrize(
    ("told", "reply"),
    [
        ({"EHLO": b"250 relay.example"}, (0, "SMTP STARTTLS extension not supported by server.")),
        ({"STARTTLS": b"454 TLS not available"}, (454, "TLS not available")),
    ],
)
@runs
async def test_without_tls_nothing_is_said_in_the_clear(told, reply):
    answer, server = await said(told, plain=False)
    assert answer == MailReply(MailStage.CONNECT, *reply)
    assert not [line for line in server.heard if line.startswith(("AUTH", "MAIL"))]


# -- through the poster ----------------------------------------------------------------------------


def carried(url, *, to="ann@people.example", **by):
    adapter = SmtpAdapter(SmtpCredentials("t", "relay-user", "relay-password"), url, SmtpOptions(security="plain"))
    return envelope(adapter, message(to=to, sender="news@brand.example"), **by)


async def posted(one):
    with posting() as made:
        [answer] = await asyncio.to_thread(answered, made, one)
        return answer


@pytest.mark.parametrize(
    ("told", "outcome", "code", "timed_out"),
    [
        ({}, Outcome.ACCEPTED, "", False),
        ({"RCPT": b"550 no"}, Outcome.REJECTED_PERMANENT, "550", False),
        ({"AUTH": b"535 no"}, Outcome.REJECTED_PROVIDER, "535", False),
        ({"MAIL": b"451 later"}, Outcome.REJECTED_RETRYABLE, "451", False),
        ({"DATA": DROP}, Outcome.REJECTED_RETRYABLE, "connection_lost", False),
        ({"DOT": DROP}, Outcome.UNKNOWN, "connection_lost", False),
        ({"DOT": SILENCE}, Outcome.UNKNOWN, "timeout", True),
        ({"RCPT": SILENCE}, Outcome.REJECTED_RETRYABLE, "timeout", True),
    ],
)
@runs
async def test_the_poster_delivers_mail_once(told, outcome, code, timed_out):
    async with relay(told) as server:
        answer = await posted(carried(server.url, timeout=0.5))
        assert (answer.result.outcome, answer.result.code, answer.timed_out) == (outcome, code, timed_out)
        assert len(server.mails) == ("DOT" in told or not told)


@runs
async def test_the_poster_gives_back_what_it_may_no_longer_post():
    async with relay() as server:
        answer = await posted(carried(server.url, post_by=-0.001))
        assert answer.result.outcome is Outcome.NOT_POSTED
        assert server.heard == []


@runs
async def test_who_has_no_address_is_not_posted_to():
    async with relay() as server:
        answer = await posted(carried(server.url, to="ann@people.example\r\nBcc: eve@evil.example"))
        assert (answer.result.outcome, answer.result.code) == (Outcome.REJECTED_PERMANENT, "not_callable")
        assert server.heard == []
