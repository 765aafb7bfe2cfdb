"""The simulator over real SMTP: each fault strikes at its place, and the ledger knows the truth."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from providers import mail
from providers.adapters.base import Inbound, MailReply, MailStage, Message, Outcome, Receipt, ReceiptStatus
from providers.adapters.smtp import SmtpAdapter, SmtpCredentials, SmtpOptions
from providers.simulator import mail as mail_server
from providers.simulator.app import SIMULATOR, build
from tests.providers.simulated import Platform, runs, serving, until

ROOT = Path(__file__).resolve().parents[2]
PERSON, SENDER = "ann@people.example", "news@brand.example"
ACCOUNT, DOMAIN = "relay-user", "brand.example"


class Post(Platform):
    """A client of the simulator that sends mail."""

    def smtp(self, **options):
        credentials = SmtpCredentials("hook-token", ACCOUNT, "relay-password")
        return SmtpAdapter(credentials, self.door, SmtpOptions(security="plain", **options))

    async def transact(self, number=1, *, to=PERSON, flight=1, text="Hello\nyou", patience=10.0, **options):
        message = Message(f"{number:032x}{flight:08x}", to, SENDER, text, 1, "", subject="Grüße")
        adapter = self.smtp(**options)
        reply = await mail.transact(adapter.call(message), patience)
        return reply, adapter.read(message, reply)

    async def send(self, *args, **more):
        return (await self.transact(*args, **more))[1]


@asynccontextmanager
async def post_office(**options):
    app = build(**options)
    async with serving(app) as root, aiohttp.ClientSession() as session:
        server = await mail_server.serve(app[SIMULATOR], "127.0.0.1", 0)
        here = Post(session, root)
        here.door = mail_server.address(server)
        receiver = web.Application()
        receiver.router.add_post("/{tail:.*}", here.receive)
        async with serving(receiver) as here.hooks:
            yield here
        server.close()


# -- taking and refusing ---------------------------------------------------------------------------


@pytest.mark.parametrize(("login", "account"), [("yes", ACCOUNT), ("no", DOMAIN)])
@runs
async def test_takes_a_mail(login, account):
    async with post_office() as here:
        result = await here.send(login=login)
        assert result.outcome is Outcome.ACCEPTED
        ledger = await here.ledger()
        assert (ledger["posts"], ledger["accepted"], ledger["segments"]) == (1, 1, 1)
        [entry] = (await here.control("GET", f"/_control/ledger/messages?account={account}"))["messages"]
        assert (entry["id"], entry["to"], entry["sender"]) == (result.provider_id, PERSON, SENDER)
        assert (entry["reference"], entry["text"]) == (f"{1:032x}{1:08x}", "Hello\nyou")
        assert ledger["accounts"] == {account: {"posts": 1, "accepted": 1, "refused": {}, "faults": {}}}


@pytest.mark.parametrize("text", ["Hello", "", ".", "a\n.\nb", "Grüße, 你好\n\nx", "x" * 3000])
@runs
async def test_enters_the_very_text(text):
    async with post_office() as here:
        assert (await here.send(text=text)).outcome is Outcome.ACCEPTED
        [entry] = (await here.control("GET", "/_control/ledger/messages"))["messages"]
        assert entry["text"] == text


@runs
async def test_the_return_path_names_the_account_of_who_does_not_log_in():
    async with post_office() as here:
        await here.send(login="no", bounce_domain="bounces.brand.example")
        [entry] = (await here.control("GET", "/_control/ledger/messages"))["messages"]
        assert (entry["account"], entry["sender"]) == ("bounces.brand.example", SENDER)


def fault(name, **more):
    return {"faults": [{"fault": name, **more}]}


@pytest.mark.parametrize(
    ("script", "login", "stage", "code", "outcome"),
    [
        ({"reject": [PERSON]}, "yes", MailStage.RECIPIENT, 550, Outcome.REJECTED_PERMANENT),
        ({"reject": ["*@people.example"]}, "yes", MailStage.RECIPIENT, 550, Outcome.REJECTED_PERMANENT),
        ({"opted_out": [PERSON]}, "yes", MailStage.RECIPIENT, 550, Outcome.REJECTED_PERMANENT),
        ({"password": "another"}, "yes", MailStage.LOGIN, 535, Outcome.REJECTED_PROVIDER),
        ({"password": "another"}, "no", MailStage.RECIPIENT, 530, Outcome.REJECTED_PROVIDER),
        (fault("unauthorized"), "yes", MailStage.LOGIN, 535, Outcome.REJECTED_PROVIDER),
        (fault("unauthorized"), "no", MailStage.SENDER, 530, Outcome.REJECTED_PROVIDER),
        (fault("unauthorized", to=[PERSON]), "yes", MailStage.RECIPIENT, 530, Outcome.REJECTED_PROVIDER),
        (fault("rate_limited"), "yes", MailStage.RECIPIENT, 450, Outcome.REJECTED_RETRYABLE),
        (fault("redirect"), "yes", MailStage.RECIPIENT, 551, Outcome.REJECTED_PERMANENT),
        (fault("reset_before_read"), "yes", MailStage.SENDER, 0, Outcome.REJECTED_RETRYABLE),
        (fault("reset_after_read"), "yes", MailStage.DOT, 0, Outcome.UNKNOWN),
        (fault("error"), "yes", MailStage.DOT, 451, Outcome.REJECTED_RETRYABLE),
        (fault("error", status=500), "yes", MailStage.DOT, 554, Outcome.REJECTED_PERMANENT),
        (fault("html"), "yes", MailStage.DOT, 0, Outcome.UNKNOWN),
    ],
)
@runs
async def test_refuses_as_told_and_takes_nothing(script, login, stage, code, outcome):
    async with post_office() as here:
        account = ACCOUNT if login == "yes" else DOMAIN
        await here.tell(account, script)
        reply, result = await here.transact(login=login)
        assert (reply.stage, reply.code, result.outcome) == (stage, code, outcome)
        ledger = await here.ledger()
        assert (ledger["posts"], ledger["accepted"]) == (1, 0)
        assert ledger["in_doubt"] == (outcome is Outcome.UNKNOWN)
        told = ledger["accounts"][account]
        assert sum(told["faults"].values()) + sum(told["refused"].values()) == 1
        if "faults" in script:
            assert told["faults"] == {script["faults"][0]["fault"]: 1}


@pytest.mark.parametrize(
    ("script", "reply"),
    [
        (fault("accept_then_drop"), MailReply(MailStage.DOT, 0, "Connection lost")),
        (fault("garbled"), None),
        (fault("html", taken=True), None),
        (fault("error", taken=True), MailReply(MailStage.DOT, 421, "4.3.0 Closing down")),
    ],
)
@runs
async def test_takes_a_mail_and_does_not_say_so(script, reply):
    async with post_office() as here:
        await here.tell(ACCOUNT, script)
        given, result = await here.transact()
        assert result.outcome is Outcome.UNKNOWN
        assert given.stage is MailStage.DOT
        assert given == (reply or given)
        ledger = await here.ledger()
        assert (ledger["accepted"], ledger["in_doubt"]) == (1, 1)
        assert ledger["accounts"][ACCOUNT]["faults"] == {script["faults"][0]["fault"]: 1}


@runs
async def test_a_slow_answer_comes_after_the_mail_was_taken():
    async with post_office() as here:
        await here.tell(ACCOUNT, fault("slow", seconds=30))
        sending = asyncio.ensure_future(here.send(patience=1.5))
        while not (await here.ledger())["accepted"]:
            assert not sending.done()
        assert (await here.ledger())["in_doubt"] == 0
        assert (await sending).code == "timeout"
        await here.ledger_when(lambda ledger: ledger["in_doubt"] == 1)


@pytest.mark.parametrize("script", [{"latency_ms": 200}, fault("slow", seconds=0.2)])
@runs
async def test_a_late_answer_is_an_answer(script):
    async with post_office() as here:
        await here.tell(ACCOUNT, script)
        began = time.monotonic()
        assert (await here.send()).outcome is Outcome.ACCEPTED
        assert time.monotonic() - began >= 0.2
        assert (await here.ledger())["in_doubt"] == 0


@pytest.mark.parametrize(
    ("rules", "pattern"),
    [
        ([{"fault": "error", "every": 3}], "aa-aa-"),
        ([{"fault": "rate_limited", "next": 2}], "--aaaa"),
        ([{"fault": "unauthorized", "every": 2}], "a-a-a-"),
        ([{"fault": "reset_before_read", "next": 1}, {"fault": "html", "next": 1}], "--aaaa"),
        ([{"fault": "error", "to": ["bob@people.example"]}], "aaaaaa"),
    ],
)
@runs
async def test_a_fault_strikes_when_its_conditions_hold(rules, pattern):
    async with post_office() as here:
        await here.tell(ACCOUNT, {"faults": rules})
        results = [await here.send(number) for number in range(6)]
        assert "".join("a" if each.outcome is Outcome.ACCEPTED else "-" for each in results) == pattern


@runs
async def test_limits_the_rate():
    async with post_office() as here:
        await here.tell(ACCOUNT, {"rate_limit": {"per_second": 0.01, "burst": 2}})
        results = [await here.send(number) for number in range(4)]
        assert [each.code for each in results] == ["", "", "450", "450"]
        assert (await here.ledger())["accounts"][ACCOUNT]["refused"] == {"rate_limited": 2}


@runs
async def test_a_right_password_is_taken():
    async with post_office() as here:
        await here.tell(ACCOUNT, {"password": "relay-password"})
        assert (await here.send()).outcome is Outcome.ACCEPTED


# -- the ledger ------------------------------------------------------------------------------------


@runs
async def test_tells_what_was_taken_twice_and_sent_again_in_doubt():
    async with post_office() as here:
        await here.tell(ACCOUNT, fault("accept_then_drop", next=1))
        await here.send(1, flight=1)
        await here.send(1, flight=2)
        ledger = await here.ledger()
        assert (ledger["accepted"], ledger["accepted_twice"]) == (2, 1)
        assert [each["reference"] for each in ledger["resent_after_doubt"]] == [f"{1:032x}{2:08x}"]


@runs
async def test_mails_and_texts_share_the_ledger():
    async with post_office() as here:
        await here.send(1)
        await Platform.send(here, here.own(), 2)
        assert sorted((await here.ledger())["accounts"]) == [ACCOUNT, "token1"]


# -- what anybody may say --------------------------------------------------------------------------


ENVELOPE = ["MAIL FROM:<a@b.example>", "RCPT TO:<x@y.example>"]
MAIL = [*ENVELOPE, "DATA"]


@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        ([*ENVELOPE, "RCPT TO:<z@y.example>"], "250 250 452"),
        (["RCPT TO:<x@y.example>"], "503"),
        ([*MAIL, "Subject: x\r\n\r\nx\r\n."], "250 250 354 554"),
        ([*MAIL, "\r\n."], "250 250 354 554"),
        ([*MAIL, "From: a@b.example\r\nContent-Type: image/png\r\n\r\nx\r\n."], "250 250 354 554"),
        ([*MAIL, "From: a@b.example\r\n\r\nx\r\n."], "250 250 354 250"),
    ],
)
@runs
async def test_answers_other_programs_too(lines, codes):
    async with post_office() as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(here.door.rpartition(":")[2]))
        heard = [await reader.readline()]
        for line in ["HELO me", *lines]:
            writer.write(line.encode() + b"\r\n")
            heard.append(await reader.readline())
        writer.close()
        assert b" ".join(each[:3] for each in heard).decode() == f"220 250 {codes}"
        assert (await here.ledger())["accepted"] == codes.endswith("354 250")


# -- what follows ----------------------------------------------------------------------------------


@runs
async def test_by_default_nothing_follows():
    async with post_office() as here:
        await here.send()
        assert (await here.ledger())["webhooks"]["events"] == 0


@pytest.mark.parametrize(
    ("receipts", "status", "code"),
    [
        ({"delivered": 1}, ReceiptStatus.DELIVERED, "2.0.0"),
        ({"delivered": 0, "undelivered": 1}, ReceiptStatus.UNDELIVERED, "5.1.1"),
        ({"delivered": 0}, ReceiptStatus.UNDELIVERED, "4.4.7"),
    ],
)
@runs
async def test_reports_by_bounces_where_it_is_told_to(receipts, status, code):
    async with post_office() as here:
        hook = f"{here.hooks}/mail?token=hook-token"
        await here.tell(ACCOUNT, {"status_url": hook, "receipts": {**receipts, "delay_ms": 10}})
        await here.send(7)
        [receipt] = await here.events(here.smtp(), 1)
        assert isinstance(receipt, Receipt)
        assert (receipt.reference, receipt.status, receipt.code) == (f"{7:032x}{1:08x}", status, code)
        assert len(here.received) == 1


@runs
async def test_a_person_answers_stop():
    async with post_office() as here:
        hook = f"{here.hooks}/mail?token=hook-token"
        stops = {"numbers": [PERSON], "delay_ms": 0}
        await here.tell(ACCOUNT, {"inbound_url": hook, "stops": stops})
        await here.send()
        [event] = await here.events(here.smtp(), 1)
        assert isinstance(event, Inbound)
        assert (event.sender, event.to, event.text) == (PERSON, SENDER, "STOP")
        await until(lambda: here.received)
        ledger = await here.ledger_when(lambda each: each["stops_answered"] == 1)
        assert ledger["stops"] == 1


@runs
async def test_a_person_writes_first():
    async with post_office() as here:
        hook = f"{here.hooks}/mail?token=hook-token"
        await here.tell(ACCOUNT, {"inbound_url": hook, "dialect": "smtp", "secret": "unused"})
        said = {"account": ACCOUNT, "from": PERSON, "to": SENDER, "text": "Grüße"}
        await here.control("POST", "/_control/inbound", said, expect=202)
        [event] = await here.events(here.smtp(), 1)
        assert (event.sender, event.to, event.text) == (PERSON, SENDER, "Grüße")


# -- the process -----------------------------------------------------------------------------------


def start():
    return subprocess.Popen(
        [sys.executable, "-m", "providers.simulator", "--port", "0", "--smtp-port", "0"],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@runs
async def test_the_process_takes_mail_beside_texts():
    process = start()
    try:
        root = re.fullmatch(r"Simulator at (http://127\.0\.0\.1:\d+)\n", process.stdout.readline())[1]
        async with aiohttp.ClientSession() as session:
            here = Post(session, root)
            here.door = re.fullmatch(r"Mail at (smtp://127\.0\.0\.1:\d+)\n", process.stdout.readline())[1]
            assert (await here.send(1)).outcome is Outcome.ACCEPTED
            for rule in (
                "unauthorized",
                "reset_before_read",
                "reset_after_read",
                "accept_then_drop",
                "garbled",
                "html",
            ):
                await here.tell(ACCOUNT, fault(rule))
                assert (await here.send(2)).outcome is not Outcome.ACCEPTED
            await here.tell(ACCOUNT, fault("slow", seconds=30))
            assert (await here.send(3, patience=0.5)).outcome is Outcome.UNKNOWN
            assert (await here.ledger())["accepted"] == 4
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stdout.read() == ""  # a fault as told is no error of the server
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
