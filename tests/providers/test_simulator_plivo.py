"""What only the simulator's Plivo does: several recipients, limits, its list, and its answer's shape."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from providers.adapters.base import Outcome, Question
from tests.providers.simulated import AUTH_ID, PERSON, SENDER, platform, runs


def question(message, since=None):
    return Question(message.reference, message.to, message.sender, message.text, since or datetime.now(UTC))


@runs
async def test_finds_what_was_taken_and_not_told():
    async with platform() as here:
        adapter = here.plivo()
        await here.tell(AUTH_ID, {"faults": [{"fault": "garbled", "next": 1}]})
        lost = here.message(1)
        assert adapter.read(lost, await here.call(adapter.call(lost))).outcome is Outcome.UNKNOWN
        await here.send(adapter, 2, to="+12025550199")
        [entry] = (await here.control("GET", f"/_control/ledger/messages?to=%2B{PERSON[1:]}"))["messages"]
        asked = question(lost)
        [finding] = adapter.found(asked, await here.call(adapter.look_up(asked)))
        assert (finding.provider_id, finding.reference) == (entry["id"], "")
        assert abs(finding.created_at - datetime.now(UTC)) < timedelta(seconds=20)
        earlier = question(lost, datetime.now(UTC) - timedelta(hours=1))
        assert adapter.found(earlier, await here.call(adapter.look_up(earlier))) == []


@runs
async def test_ids_are_uuids_and_numbers_have_no_plus():
    async with platform() as here:
        adapter = here.plivo()
        reply = await here.call(adapter.call(here.message()))
        answer = json.loads(reply.body)
        assert reply.status == 202
        assert set(answer) == {"api_id", "message", "message_uuid", "invalid_number"}
        assert [len(part) for part in answer["message_uuid"][0].split("-")] == [8, 4, 4, 4, 12]
        listed = json.loads((await here.call(adapter.check())).body)
        assert listed["meta"]["total_count"] == 1
        assert [(each["from_number"], each["to_number"]) for each in listed["objects"]] == [(SENDER[1:], PERSON[1:])]


@runs
async def test_takes_several_recipients_of_one_text():
    async with platform() as here:
        call = here.plivo().call(here.message())
        body = json.loads(call.body) | {"dst": "12025550123<12025550124"}
        reply = await here.call(replace(call, body=json.dumps(body).encode()))
        assert len(json.loads(reply.body)["message_uuid"]) == 2
        assert (await here.ledger())["distinct_numbers"] == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dst": "+12025550123"}, "dst"),
        ({"dst": "<".join(["12025550123"] * 1001)}, "dst"),
        ({"text": "x" * 1700}, "text"),
        ({"method": "PUT"}, "method"),
        ({"src": ""}, "src"),
    ],
)
@runs
async def test_refuses_what_plivo_would_not_take(changes, words):
    async with platform() as here:
        call = here.plivo().call(here.message())
        reply = await here.call(replace(call, body=json.dumps(json.loads(call.body) | changes).encode()))
        assert reply.status == 400
        assert words in json.loads(reply.body)["error"]


@pytest.mark.parametrize("query", ["limit=21", "limit=0", "offset=-1", "limit=x", "message_time__gte=today"])
@runs
async def test_refuses_a_question_it_does_not_understand(query):
    async with platform() as here:
        call = here.plivo().check()
        reply = await here.call(replace(call, url=f"{call.url.partition('?')[0]}?{query}"))
        assert reply.status == 400
