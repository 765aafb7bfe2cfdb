"""The simulator over real HTTP: each fault does what it says, and the ledger knows the truth."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from providers.adapters.base import Outcome, ReceiptStatus
from providers.delivery import SecondTry
from tests.providers.simulated import (
    DIALECTS,
    LATE,
    PERSON,
    SECRETS,
    SENDER,
    SID,
    SILENT,
    VAGUE,
    Platform,
    every,
    named,
    platform,
    runs,
)

ROOT = Path(__file__).resolve().parents[2]


# -- taking and refusing ---------------------------------------------------------------------------


@named
@runs
async def test_takes_a_message(dialect, account):
    async with platform() as here:
        result = await here.send(getattr(here, dialect)())
        assert result.outcome is Outcome.ACCEPTED
        ledger = await here.ledger()
        assert (ledger["posts"], ledger["accepted"], ledger["segments"]) == (1, 1, 1)
        page = await here.control("GET", f"/_control/ledger/messages?account={account}")
        [entry] = page["messages"]
        assert (entry["id"], entry["to"], entry["sender"]) == (result.provider_id, PERSON, SENDER)
        assert page["next"] is None


@every
@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ({"reject": [PERSON]}, Outcome.REJECTED_PERMANENT),
        ({"reject": ["*0123"]}, Outcome.REJECTED_PERMANENT),
        ({"password": "another"}, Outcome.REJECTED_PROVIDER),
        ({"faults": [{"fault": "unauthorized"}]}, Outcome.REJECTED_PROVIDER),
        ({"faults": [{"fault": "rate_limited"}]}, Outcome.REJECTED_RETRYABLE),
        ({"faults": [{"fault": "error", "status": 500}]}, Outcome.UNKNOWN),
        ({"faults": [{"fault": "error", "status": 503}]}, Outcome.UNKNOWN),
        ({"faults": [{"fault": "html"}]}, Outcome.UNKNOWN),
        ({"faults": [{"fault": "html", "status": 429}]}, Outcome.UNKNOWN),
        ({"faults": [{"fault": "redirect"}]}, Outcome.UNKNOWN),
    ],
)
@runs
async def test_refuses_as_told_and_takes_nothing(dialect, account, script, outcome):
    async with platform() as here:
        await here.tell(account, script)
        result = await here.send(getattr(here, dialect)())
        assert (result.outcome, result.opted_out) == (outcome, False)
        assert (await here.ledger())["accepted"] == 0


@pytest.mark.parametrize(("dialect", "account"), [each for each in DIALECTS + SILENT if each[0] not in LATE])
@runs
async def test_refuses_who_has_opted_out(dialect, account):
    async with platform() as here:
        await here.tell(account, {"opted_out": [PERSON]})
        result = await here.send(getattr(here, dialect)())
        assert (result.outcome, result.opted_out) == (Outcome.REJECTED_PERMANENT, dialect not in VAGUE)
        assert (await here.ledger())["accepted"] == 0


@pytest.mark.parametrize(("dialect", "account"), [each for each in DIALECTS if each[0] in LATE])
@runs
async def test_reports_who_has_opted_out(dialect, account):
    async with platform(hooks=True) as here:
        adapter = getattr(here, dialect)()
        await here.tell(account, {"secret": SECRETS.get(dialect, ""), "opted_out": [PERSON]})
        assert (await here.send(adapter)).outcome is Outcome.ACCEPTED
        [report] = await here.events(adapter, 1)
        assert (report.status, report.opted_out) == (ReceiptStatus.REJECTED, True)


@every
@pytest.mark.parametrize(
    "rule",
    [
        {"fault": "garbled"},
        {"fault": "error", "taken": True},
        {"fault": "html", "status": 504, "taken": True},
    ],
)
@runs
async def test_takes_a_message_and_does_not_say_so(dialect, account, rule):
    async with platform() as here:
        await here.tell(account, {"faults": [rule]})
        result = await here.send(getattr(here, dialect)())
        assert result.outcome is Outcome.UNKNOWN
        assert (await here.ledger())["accepted"] == 1


@every
@pytest.mark.parametrize(
    ("fault", "taken"),
    [("reset_before_read", 0), ("reset_after_read", 0), ("accept_then_drop", 1)],
)
@runs
async def test_cuts_the_connection(dialect, account, fault, taken):
    async with platform() as here:
        await here.tell(account, {"faults": [{"fault": fault, "next": 1}]})
        with pytest.raises((aiohttp.ClientError, ConnectionResetError, SecondTry)):
            await here.send(getattr(here, dialect)())
        ledger = await here.ledger()
        assert (ledger["posts"], ledger["accepted"]) == (1, taken)
        assert ledger["accounts"][account]["faults"] == {fault: 1}
        assert (await here.send(getattr(here, dialect)(), 2)).outcome is Outcome.ACCEPTED


@runs
async def test_a_reset_before_reading_does_not_wait_for_the_body():
    async with platform() as here:
        await here.tell("token1", {"faults": [{"fault": "reset_before_read"}]})
        port = int(here.root.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token1\r\nContent-Length: 1000\r\n\r\n"
        )
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


@runs
async def test_a_slow_answer_comes_after_the_message_was_taken():
    async with platform() as here:
        await here.tell("token1", {"faults": [{"fault": "slow", "seconds": 30, "next": 1}]})
        sending = asyncio.ensure_future(here.send(here.own()))
        while not (await here.ledger())["accepted"]:
            assert not sending.done()
        assert (await here.ledger())["in_doubt"] == 0
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await here.ledger_when(lambda ledger: ledger["in_doubt"] == 1)


@runs
async def test_a_slow_answer_is_an_answer():
    async with platform() as here:
        await here.tell("token1", {"faults": [{"fault": "slow", "seconds": 0.2}]})
        began = time.monotonic()
        assert (await here.send(here.own())).outcome is Outcome.ACCEPTED
        assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("latency", [150, {"uniform": [150, 200]}, {"lognormal": {"median": 150, "p99": 150.001}}])
@runs
async def test_answers_after_its_latency(latency):
    async with platform() as here:
        await here.tell("token1", {"latency_ms": latency})
        began = time.monotonic()
        await here.send(here.own())
        assert time.monotonic() - began >= 0.149


# -- when faults strike ----------------------------------------------------------------------------


async def outcomes(here, count, **more):
    results = [await here.send(here.own(), number, **more) for number in range(count)]
    return "".join("a" if each.outcome is Outcome.ACCEPTED else "-" for each in results)


@pytest.mark.parametrize(
    ("rule", "pattern"),
    [
        ({"every": 3}, "aa-aa-aa"),
        ({"next": 2}, "--aaaaaa"),
        ({"every": 2, "next": 2}, "a-a-aaaa"),
        ({"probability": 0.0}, "aaaaaaaa"),
        ({"probability": 1.0}, "--------"),
        ({"between": [0, 1000]}, "--------"),
        ({"between": [1000, 2000]}, "aaaaaaaa"),
        ({"to": [PERSON]}, "--------"),
        ({"to": ["+1999"]}, "aaaaaaaa"),
    ],
)
@runs
async def test_a_fault_strikes_when_its_conditions_hold(rule, pattern):
    async with platform() as here:
        await here.tell("token1", {"faults": [{"fault": "error", **rule}]})
        assert await outcomes(here, 8) == pattern


@runs
async def test_the_first_rule_that_strikes_wins():
    rules = [{"fault": "html", "next": 1}, {"fault": "rate_limited", "next": 1}]
    async with platform() as here:
        await here.tell("token1", {"faults": rules})
        results = [await here.send(here.own(), number) for number in range(3)]
        assert [each.outcome for each in results] == [
            Outcome.UNKNOWN,
            Outcome.REJECTED_RETRYABLE,
            Outcome.ACCEPTED,
        ]


@runs
async def test_a_seed_repeats_its_chances():
    patterns = []
    for seed in (7, 7, 8):
        async with platform(seed=seed) as here:
            await here.tell("token1", {"faults": [{"fault": "error", "probability": 0.5}]})
            patterns.append(await outcomes(here, 40))
    assert patterns[0] == patterns[1] != patterns[2]


@pytest.mark.parametrize(
    ("limit", "text", "taken"),
    [
        ({"per_second": 0.01, "burst": 3}, "x", 3),
        ({"per_second": 0.01, "burst": 4}, "x" * 200, 2),
        ({"per_second": 0.01, "burst": 4, "unit": "messages"}, "x" * 200, 4),
        ({"per_second": 0.01, "burst": 2, "per": "sender"}, "x", 2),
    ],
)
@runs
async def test_limits_the_rate(limit, text, taken):
    async with platform() as here:
        await here.tell("token1", {"rate_limit": limit})
        results = [await here.send(here.own(), n, text=text) for n in range(6)]
        refused = [each for each in results if each.outcome is Outcome.REJECTED_RETRYABLE]
        assert len(results) - len(refused) == taken
        assert all(each.retry_after >= 1 for each in refused)
        counts = (await here.ledger())["accounts"]["token1"]
        assert counts["refused"] == {"rate_limited": 6 - taken}


# -- the ledger ------------------------------------------------------------------------------------


@runs
async def test_tells_who_was_accepted_twice():
    async with platform() as here:
        first = await here.send(here.own(), 1, flight=1)
        second = await here.send(here.twilio(), 1, flight=2)  # no callback: no reference
        third = await here.send(here.own(), 1, flight=2)
        await here.send(here.own(), 2, to="+12025550999")
        ledger = await here.ledger()
        assert ledger["accepted"] == 4
        assert (ledger["distinct_references"], ledger["accepted_twice"]) == (2, 1)
        assert ledger["accepted_twice_references"] == [
            {"key": f"{1:032x}", "count": 2, "ids": [first.provider_id, third.provider_id]}
        ]
        ids = [first.provider_id, second.provider_id, third.provider_id]
        assert ledger["accepted_twice_numbers"] == [{"key": PERSON, "count": 3, "ids": ids}]
        found = await here.control("GET", f"/_control/ledger/messages?reference={1:032x}")
        assert [entry["id"] for entry in found["messages"]] == [ids[0], ids[2]]


@pytest.mark.parametrize(
    ("rule", "resent"),
    [
        ({"fault": "html"}, 1),
        ({"fault": "garbled"}, 1),
        ({"fault": "rate_limited"}, 0),
    ],
)
@runs
async def test_tells_what_was_sent_again_while_in_doubt(rule, resent):
    async with platform() as here:
        await here.tell("token1", {"faults": [{**rule, "next": 1}]})
        await here.send(here.own(), 1, flight=1)
        await here.send(here.own(), 1, flight=2)
        assert len((await here.ledger())["resent_after_doubt"]) == resent


@runs
async def test_pages_through_the_messages():
    async with platform() as here:
        for number in range(5):
            await here.send(here.own(), number)
        seen, after = [], 0
        while after is not None:
            page = await here.control("GET", f"/_control/ledger/messages?limit=2&after={after}")
            seen += [int(entry["reference"][:32], 16) for entry in page["messages"]]
            after = page["next"]
        assert seen == [0, 1, 2, 3, 4]


@runs
async def test_counts_segments_per_second():
    async with platform() as here:
        for number in range(3):
            await here.send(here.own(), number, text="x" * 161)
        report = await here.control("GET", "/_control/rates?account=token1")
        rate = report["accounts"]["token1"]
        totals = [sum(column) for column in zip(*rate["seconds"], strict=True)][1:]
        assert totals == [3, 3, 6]
        assert rate["peak"]["segments"] in {2, 4, 6}
        assert [each["sender"] for each in report["senders"]] == [SENDER]


@runs
async def test_looks_up_by_reference_as_a_vendor():
    async with platform() as here:
        result = await here.send(here.own(), 9)
        own = {"Authorization": "Bearer token1"}
        url = f"{here.root}/v1/messages?reference={9:032x}"
        async with here.session.get(url, headers=own) as answer:
            assert [m["id"] for m in (await answer.json())["messages"]] == [result.provider_id]
        other = {"Authorization": "Bearer token2"}
        async with here.session.get(url, headers=other) as answer:
            assert (await answer.json())["messages"] == []


@runs
async def test_a_reset_ledger_is_empty():
    async with platform() as here:
        await here.send(here.own())
        await here.control("DELETE", "/_control/ledger", expect=204)
        ledger = await here.ledger()
        assert (ledger["posts"], ledger["accepted"], ledger["accounts"]) == (0, 0, {})


@runs
async def test_a_ledger_file_outlives_the_simulator(tmp_path):
    file = tmp_path / "ledger.jsonl"
    async with platform(ledger=file) as here:
        await here.send(here.own(), 1)
        await here.tell("token1", {"faults": [{"fault": "html"}]})
        await here.send(here.own(), 2)
    with file.open("ab") as torn:
        torn.write(b'["cut short')
    async with platform(ledger=file) as here:
        await here.send(here.own(), 1, flight=2)
        await here.send(here.own(), 2, flight=2)
        ledger = await here.ledger()
        assert (ledger["accepted"], ledger["accepted_twice"]) == (3, 1)
        assert len(ledger["resent_after_doubt"]) == 1
    async with platform(ledger=file) as here:
        assert (await here.ledger())["accepted"] == 3


# -- control ---------------------------------------------------------------------------------------


@runs
async def test_scripts_are_set_shown_and_forgotten():
    async with platform() as here:
        path = "/_control/accounts/token1"
        await here.control("GET", path, expect=404)
        refusal = await here.control("PUT", path, {"latency_ms": "x"}, expect=400)
        assert refusal["error"]["field"] == "latency_ms"
        async with here.session.put(here.root + path, data=b"{") as answer:
            assert answer.status == 400
            assert "not JSON" in (await answer.json())["error"]["problem"]
        await here.control("PUT", path, {"reject": ["*"]}, expect=400)
        await here.tell("token1", {"reject": [PERSON]})
        assert (await here.control("GET", path))["script"] == {"reject": [PERSON]}
        assert (await here.send(here.own())).outcome is Outcome.REJECTED_PERMANENT
        await here.control("DELETE", path, expect=204)
        assert (await here.send(here.own())).outcome is Outcome.ACCEPTED


@runs
async def test_a_script_for_everybody_else():
    async with platform() as here:
        assert (await here.send(here.own())).outcome is Outcome.ACCEPTED
        await here.tell(SID, {})
        await here.tell("*", {"reject": [PERSON]})
        assert (await here.send(here.own())).outcome is Outcome.REJECTED_PERMANENT
        assert (await here.send(here.twilio())).outcome is Outcome.ACCEPTED
        await here.control("DELETE", "/_control/accounts/*", expect=204)
        assert (await here.send(here.own())).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"account": "token1", "from": PERSON}, "to"),
        ({"account": "token1", "from": PERSON, "to": SENDER, "text": "x"}, "account"),
        ({"account": "token1", "form": PERSON}, "form"),
    ],
)
@runs
async def test_a_wrong_inbound_is_refused(body, field):
    async with platform() as here:
        refusal = await here.control("POST", "/_control/inbound", body, expect=400)
        assert refusal["error"]["field"] == field


@runs
async def test_a_page_shows_the_accounts_but_no_secret():
    async with platform() as here:
        await here.tell("<token>", {"secret": "hush-hush", "reject": [PERSON]})
        html = await here.control("GET", "/")
        assert "&lt;token&gt;" in html
        assert PERSON in html
        assert "hush-hush" not in html
        assert (await here.control("GET", "/_control/healthz"))["ok"] is True


@every
@runs
async def test_a_bad_post_is_refused_in_the_dialect(dialect, account):
    async with platform() as here:
        result = await here.send(getattr(here, dialect)(), text="")
        assert result.outcome is Outcome.REJECTED_PERMANENT
        assert (await here.ledger())["accepted"] == 0


# -- the process -----------------------------------------------------------------------------------


def start(*arguments):
    process = subprocess.Popen(
        [sys.executable, "-m", "providers.simulator", "--port", "0", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return process, process.stdout.readline()


@runs
async def test_the_process_serves_scripts_survives_a_kill_and_stops_politely(tmp_path):
    scripts, ledger = tmp_path / "scripts.json", tmp_path / "ledger.jsonl"
    scripts.write_text(json.dumps({"token1": {"reject": ["*9"], "receipts": None}}))
    arguments = ["--scripts", str(scripts), "--ledger", str(ledger)]
    for number, end, code in [(1, signal.SIGKILL, -9), (2, signal.SIGTERM, 0)]:
        process, line = start(*arguments)
        try:
            root = re.fullmatch(r"Simulator at (http://127\.0\.0\.1:\d+)\n", line)[1]
            async with aiohttp.ClientSession() as session:
                here = Platform(session, root)
                assert (await here.send(here.own(), number)).outcome is Outcome.ACCEPTED
                refused = await here.send(here.own(), number, to="+9")
                assert refused.outcome is Outcome.REJECTED_PERMANENT
                assert (await here.ledger())["accepted"] == number
                for fault in ("reset_before_read", "reset_after_read"):
                    await here.tell("token1", {"faults": [{"fault": fault}]})
                    with pytest.raises((aiohttp.ClientError, ConnectionResetError)):
                        await here.send(here.own())
            process.send_signal(end)
            assert process.wait(10) == code
            assert process.stdout.read() == ""  # a fault as told is no error of the server
        finally:
            process.kill()
            process.wait(10)
            process.stdout.close()


def test_the_process_refuses_a_wrong_file(tmp_path):
    scripts = tmp_path / "scripts.json"
    scripts.write_text('{"token1": {"latency_ms": "x"}}')
    process, line = start("--scripts", str(scripts))
    assert process.wait(10) == 1
    assert line.startswith("scripts: token1: latency_ms: must be a number")
    process.stdout.close()
