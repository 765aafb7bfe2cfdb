"""What the simulator does in Vonage's two dialects and in no other: parts, lost characters, look-ups."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from providers.adapters.base import HttpCall, Outcome, Part, Question, ReceiptStatus, Unreadable
from tests.providers.simulated import KEY, PERSON, SENDER, platform, runs

LONG = "x" * 153 + "y" * 153 + "z"
PROMPT = {"delay_ms": 1, "sent": 0}
vonages = pytest.mark.parametrize("dialect", ["vonage_sms", "vonage_messages"])


def question(message):
    return Question(message.reference, message.to, message.sender, message.text, datetime.now(UTC))


@runs
async def test_each_part_of_a_text_is_answered_and_reported_on():
    async with platform(hooks=True) as here:
        adapter = here.vonage_sms()
        await here.tell(KEY, {"receipts": PROMPT})
        result = await here.send(adapter, 5, text=LONG)
        assert (result.outcome, result.parts) == (Outcome.ACCEPTED, 3)
        events = await here.events(adapter, 3)
        assert {event.status for event in events} == {ReceiptStatus.DELIVERED}
        assert {event.reference for event in events} == {f"{5:032x}00000001"}
        assert len({event.part for event in events}) == len({event.key for event in events}) == 3
        assert result.provider_id in {event.part for event in events}
        assert (await here.ledger())["segments"] == 3


@runs
async def test_the_newer_of_the_two_reports_on_a_text_as_a_whole():
    async with platform(hooks=True) as here:
        adapter = here.vonage_messages()
        await here.tell(KEY, {"receipts": PROMPT})
        result = await here.send(adapter, 5, text=LONG)
        assert (result.outcome, result.parts) == (Outcome.ACCEPTED, 1)
        [event] = await here.events(adapter, 1)
        assert (event.provider_id, event.part) == (result.provider_id, "")


@runs
async def test_a_long_message_of_a_person_comes_in_pieces():
    async with platform(hooks=True) as here:
        adapter = here.vonage_sms()
        script = {"inbound_url": f"{here.hooks}/in", "secret": "auth-token", "dialect": "vonage_sms"}
        await here.tell(KEY, script)
        body = {"account": KEY, "from": PERSON, "to": SENDER, "text": LONG}
        await here.control("POST", "/_control/inbound", body, expect=202)
        events = sorted(await here.events(adapter, 3), key=lambda event: event.part.number)
        assert "".join(event.text for event in events) == LONG
        assert {event.part.whole for event in events} == {events[0].part.whole}
        assert events[0].part == Part(events[0].part.whole, 1, 3)
        assert len({event.key for event in events}) == 3


@runs
async def test_the_newer_of_the_two_puts_the_pieces_together():
    async with platform(hooks=True) as here:
        adapter = here.vonage_messages()
        script = {"inbound_url": f"{here.hooks}/in", "secret": "auth-token", "dialect": "vonage_messages"}
        await here.tell(KEY, script)
        body = {"account": KEY, "from": PERSON, "to": SENDER, "text": LONG}
        await here.control("POST", "/_control/inbound", body, expect=202)
        [event] = await here.events(adapter, 1)
        assert (event.text, event.part) == (LONG, None)


@runs
async def test_characters_survive_as_the_adapter_says_unicode():
    async with platform() as here:
        adapter = here.vonage_sms()
        await here.send(adapter, 1, text="“Привет” 👋 €5")
        call = adapter.call(here.message(2, text="“Привет” 👋 €5"))
        careless = HttpCall(call.method, call.url, call.headers, call.body.replace(b"type=unicode", b"type=text"))
        await here.call(careless)
        page = await here.control("GET", "/_control/ledger/messages")
        assert [entry["text"] for entry in page["messages"]] == ["“Привет” 👋 €5", "???????? ? €5"]


@runs
async def test_says_how_many_milliseconds_to_wait():
    async with platform() as here:
        await here.tell(KEY, {"rate_limit": {"per_second": 4, "burst": 1}})
        await here.send(here.vonage_sms())
        refused = await here.send(here.vonage_sms())
        assert refused.outcome is Outcome.REJECTED_RETRYABLE
        assert 0 < refused.retry_after <= 0.25


@vonages
@pytest.mark.parametrize(
    ("name", "value"),
    [("to", "+12025550123"), ("to", "12345"), ("from", ""), ("ttl", 19), ("ttl", 604_800_001)],
)
@runs
async def test_takes_nothing_that_is_not_as_documented(dialect, name, value):
    async with platform() as here:
        adapter = getattr(here, dialect)()
        message = here.message()
        call = adapter.call(message)
        if dialect == "vonage_messages":
            body = json.dumps(json.loads(call.body) | {name: value}).encode()
        else:
            body = call.body + f"&{name}={value}".replace("+", "%2B").encode()
        reply = await here.call(HttpCall(call.method, call.url, call.headers, body))
        assert adapter.read(message, reply).outcome is Outcome.REJECTED_PERMANENT
        assert (await here.ledger())["accepted"] == 0


@vonages
@runs
async def test_looks_up_what_nobody_knows_of(dialect):
    async with platform() as here:
        adapter = getattr(here, dialect)()
        await here.send(adapter, 1)
        await here.tell(KEY, {"faults": [{"fault": "garbled", "next": 1}]})
        unknown = await here.send(adapter, 2, text=LONG)
        assert unknown.outcome is Outcome.UNKNOWN
        await here.send(adapter, 3)
        lost = here.message(2, text=LONG)
        reply = await here.call(adapter.look_up(question(lost)))
        [finding] = adapter.found(question(lost), reply)
        page = await here.control("GET", f"/_control/ledger/messages?reference={lost.reference}")
        assert [finding.provider_id] == [entry["id"] for entry in page["messages"]]
        assert finding.reference == lost.reference
        assert abs((finding.created_at - datetime.now(UTC)).total_seconds()) < 30
        never = here.message(4)
        assert adapter.found(question(never), await here.call(adapter.look_up(question(never)))) == []


@vonages
@runs
async def test_tells_a_stranger_nothing(dialect):
    async with platform() as here:
        adapter = getattr(here, dialect)()
        await here.send(adapter, 1)
        call = adapter.look_up(question(here.message(1)))
        for url, headers in ((call.url, {}), (call.url.replace(KEY, "another"), call.headers)):
            reply = await here.call(HttpCall("GET", url, headers, b""))
            with pytest.raises(Unreadable):
                adapter.found(question(here.message(1)), reply)


@runs
async def test_the_two_are_told_apart_by_their_paths():
    async with platform() as here:
        results = await asyncio.gather(
            *(here.send(each(), n) for n, each in enumerate([here.own, here.vonage_messages]))
        )
        assert [each.outcome for each in results] == [Outcome.ACCEPTED] * 2
        assert set((await here.ledger())["accounts"]) == {"token1", KEY}
