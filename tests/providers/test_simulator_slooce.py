"""The simulator as Slooce: keywords instead of numbers, commands instead of words, and no reports."""

import pytest

from providers.adapters.base import Inbound, Outcome
from tests.providers.simulated import PERSON, SENDER, platform, runs

ACCOUNT = "partner1"


def script(here, **more):
    told = {"secret": "hush", "inbound_url": f"{here.hooks}/inbound", "dialect": "slooce"}
    return told | {"receipts": {"delay_ms": 0}} | more


@runs
async def test_takes_a_message_under_our_own_id():
    async with platform() as here:
        result = await here.send(here.slooce(), 5, text="Grüße & <more>")
        assert (result.outcome, result.provider_id) == (Outcome.ACCEPTED, f"{5:032x}00000001")
        page = await here.control("GET", f"/_control/ledger/messages?account={ACCOUNT}")
        [entry] = page["messages"]
        assert (entry["to"], entry["sender"], entry["text"]) == (PERSON, SENDER, "Grüße & <more>")
        assert entry["reference"] == result.provider_id


@runs
async def test_never_reports():
    """Not even where it is told an address: the person's message is the first and only thing heard."""
    async with platform(hooks=True) as here:
        adapter = here.slooce()
        await here.tell(ACCOUNT, script(here, status_url=f"{here.hooks}/status", receipts={"delay_ms": 0, "sent": 0}))
        for number in range(5):
            assert (await here.send(adapter, number)).outcome is Outcome.ACCEPTED
        await here.control("POST", "/_control/inbound", text("Hello"), expect=202)
        [inbound] = await here.events(adapter, 1)
        assert inbound.text == "Hello"
        assert (await here.ledger())["webhooks"]["events"] == 1


def text(words):
    return {"account": ACCOUNT, "from": PERSON, "to": SENDER, "text": words}


@pytest.mark.parametrize(
    ("words", "heard", "answered_as"),
    [
        ("Grüße & <more>?", "Grüße & <more>?", ""),
        ("STOP", "STOP", "stop"),
        (" quit ", "STOP", "stop"),
        ("help", "HELP", "help"),
        ("Please stop", "Please stop", ""),
    ],
)
@runs
async def test_a_person_texts_on_command(words, heard, answered_as):
    async with platform(hooks=True) as here:
        adapter = here.slooce()
        await here.tell(ACCOUNT, script(here))
        given = await here.control("POST", "/_control/inbound", text(words), expect=202)
        [inbound] = await here.events(adapter, 1)
        assert inbound == Inbound(given["id"], PERSON, SENDER, heard, provider_id=given["id"], answered_as=answered_as)


@runs
async def test_people_answer_stop():
    async with platform(hooks=True) as here:
        adapter = here.slooce()
        await here.tell(ACCOUNT, script(here, stops={"share": 1, "delay_ms": 0, "block": True}))
        await here.send(adapter, 1)
        [inbound] = await here.events(adapter, 1)
        assert (inbound.sender, inbound.to, inbound.answered_as) == (PERSON, SENDER, "stop")
        await here.ledger_when(lambda ledger: ledger["stops_answered"] == 1)
        assert (await here.send(adapter, 2)).outcome is Outcome.REJECTED_PERMANENT


@runs
async def test_tells_who_was_accepted_twice():
    async with platform() as here:
        for flight in (1, 2):
            await here.send(here.slooce(), 1, flight=flight)
        assert (await here.ledger())["accepted_twice"] == 1
