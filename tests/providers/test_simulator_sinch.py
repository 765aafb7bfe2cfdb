"""What only the simulator's Sinch does: batches with each person's own words, and their look-up."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from providers.adapters.base import SPLIT, Outcome, Question, ReceiptStatus
from tests.providers.simulated import PLAN, platform, runs

SCRIPT = {"secret": "hush", "receipts": {"sent": 0, "delay_ms": 1}}
NUMBERS = ("+12025550121", "+12025550122", "+12025550123")


def question(message):
    return Question(message.reference, message.to, message.sender, message.text, datetime.now(UTC))


def three(here):
    return [here.message(number, to=to, text=f"Hi {number}") for number, to in enumerate(NUMBERS, 1)]


@runs
async def test_a_batch_is_a_message_to_each_with_a_reference_of_its_own():
    async with platform(hooks=True) as here:
        adapter, messages = here.sinch(batch_size="10"), three(here)
        await here.tell(PLAN, SCRIPT)
        results = adapter.read_batch(messages, await here.call(adapter.call_batch(messages)))
        assert [each.outcome for each in results] == [Outcome.ACCEPTED] * 3
        ledger = await here.ledger()
        assert (ledger["posts"], ledger["accepted"], ledger["distinct_references"]) == (1, 3, 3)
        entries = (await here.control("GET", "/_control/ledger/messages"))["messages"]
        assert [(each["id"], each["reference"], each["to"], each["text"]) for each in entries] == [
            (result.provider_id, message.reference, message.to, message.text)
            for result, message in zip(results, messages, strict=True)
        ]
        told = await here.events(adapter, 3)
        assert {each.provider_id for each in told} == {each.provider_id for each in results}
        assert {(each.status, each.reference) for each in told} == {(ReceiptStatus.DELIVERED, "")}
        assert all("?" not in hook.url for hook in here.received)


@runs
async def test_one_bad_number_refuses_all_of_a_batch():
    async with platform() as here:
        adapter, messages = here.sinch(batch_size="10"), three(here)
        await here.tell(PLAN, {"reject": [NUMBERS[1]]})
        assert adapter.read_batch(messages, await here.call(adapter.call_batch(messages))) is SPLIT
        assert (await here.ledger())["accepted"] == 0


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ({"password": "another"}, Outcome.REJECTED_PROVIDER),
        ({"faults": [{"fault": "rate_limited"}]}, Outcome.REJECTED_RETRYABLE),
        ({"faults": [{"fault": "error"}]}, Outcome.UNKNOWN),
        ({"faults": [{"fault": "html", "status": 400}]}, Outcome.UNKNOWN),
    ],
)
@runs
async def test_what_befalls_a_batch_befalls_each(script, outcome):
    async with platform() as here:
        adapter, messages = here.sinch(batch_size="10"), three(here)
        await here.tell(PLAN, script)
        results = adapter.read_batch(messages, await here.call(adapter.call_batch(messages)))
        assert [each.outcome for each in results] == [outcome] * 3


@runs
async def test_finds_each_of_a_batch_that_was_taken_and_not_told():
    async with platform() as here:
        adapter, messages = here.sinch(batch_size="10"), three(here)
        await here.tell(PLAN, {"faults": [{"fault": "garbled", "next": 1}]})
        lost = await here.call(adapter.call_batch(messages))
        assert {each.outcome for each in adapter.read_batch(messages, lost)} == {Outcome.UNKNOWN}
        ledger = await here.ledger()
        assert (ledger["accepted"], ledger["in_doubt"]) == (3, 3)
        entries = (await here.control("GET", "/_control/ledger/messages"))["messages"]
        for message, entry in zip(messages, entries, strict=True):
            asked = question(message)
            [finding] = adapter.found(asked, await here.call(adapter.look_up(asked)))
            assert (finding.provider_id, finding.reference) == (entry["id"], message.reference)
        never_sent = question(here.message(9, to=NUMBERS[0], text="Hi 1"))
        assert adapter.found(never_sent, await here.call(adapter.look_up(never_sent))) == []


@pytest.mark.parametrize("options", [{}, {"batch_size": "10"}])
@runs
async def test_finds_one_that_went_by_itself(options):
    async with platform() as here:
        adapter = here.sinch(**options)
        result = await here.send(adapter, 1)
        await here.send(adapter, 2)
        asked = question(here.message(1))
        [finding] = adapter.found(asked, await here.call(adapter.look_up(asked)))
        assert (finding.provider_id, finding.reference) == (result.provider_id, asked.reference)
        assert abs(finding.created_at - datetime.now(UTC)) < timedelta(seconds=20)


@runs
async def test_a_batch_does_not_answer_to_the_reference_of_its_first_message():
    async with platform() as here:
        adapter, messages = here.sinch(batch_size="10"), three(here)
        await here.call(adapter.call_batch(messages))
        asked = question(messages[0])
        reply = await here.call(here.sinch().look_up(asked))
        assert json.loads(reply.body)["batches"] == []


@runs
async def test_a_text_that_looks_like_a_parameter_arrives_as_it_is():
    async with platform() as here:
        await here.send(here.sinch(), text="Save ${5} or $5 or ${name}")
        [entry] = (await here.control("GET", "/_control/ledger/messages"))["messages"]
        assert entry["text"] == "Save ${5} or $5 or ${name}"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"to": []}, "to"),
        ({"to": ["12025550123", "+12025550123"]}, "to"),
        ({"to": ["x"]}, "to"),
        ({"to": "12025550123"}, "to"),
        ({"body": "x" * 2001}, "body"),
        ({"type": "mt_binary"}, "type"),
        ({"client_reference": "x" * 129}, "client_reference"),
        ({"body": "${text}"}, "parameters.text"),
        ({"parameters": {"x" * 17: {}}}, "parameters"),
        ({"parameters": {"text": {"default": "x" * 161}}}, "parameters.text"),
        ({"parameters": []}, "parameters"),
    ],
)
@runs
async def test_refuses_what_sinch_would_not_take(changes, words):
    async with platform() as here:
        call = here.sinch().call(here.message())
        reply = await here.call(replace(call, body=json.dumps(json.loads(call.body) | changes).encode()))
        assert reply.status == 400
        assert json.loads(reply.body)["text"].startswith(words)


@pytest.mark.parametrize("query", ["page_size=101", "page_size=0", "page=-1", "page=x", "start_date=today"])
@runs
async def test_refuses_a_question_it_does_not_understand(query):
    async with platform() as here:
        call = here.sinch().check()
        reply = await here.call(replace(call, url=f"{call.url.partition('?')[0]}?{query}"))
        assert reply.status == 400
