"""A vendor to whom one sends by GET: exactly one request leaves, and it tells only what it was told to tell."""

import asyncio

import aiohttp
import pytest

from providers.adapters.base import Message, Outcome, ReceiptStatus
from providers.adapters.textback import TextBackAdapter
from tests import envelopes
from tests.envelopes import posting
from tests.providers.simulated import PERSON, SENDER, platform, runs

ACCOUNT = "tb-key"


@pytest.fixture
def poster():
    with posting() as made:
        yield made


async def posted(poster, adapter, number=1):
    """Post as the platform does, and return the meaning."""
    message = Message(f"{number:032x}00000001", PERSON, SENDER, "Hi", 1, "")
    [result] = await asyncio.to_thread(envelopes.posted, poster, envelopes.envelope(adapter, message, timeout=10.0))
    return result


@pytest.mark.parametrize(
    ("fault", "taken"), [("reset_before_read", 0), ("reset_after_read", 0), ("accept_then_drop", 1)]
)
@pytest.mark.parametrize("before", [0, 1], ids=["fresh", "reused"])
@runs
async def test_exactly_one_get_leaves_when_the_connection_is_dropped(poster, before, fault, taken):
    async with platform() as here:
        adapter = here.textback()
        for number in range(before):  # leaves a connection open
            assert (await posted(poster, adapter, number)).outcome is Outcome.ACCEPTED
        await here.tell(ACCOUNT, {"faults": [{"fault": fault}]})
        assert (await posted(poster, adapter, 7)).outcome is Outcome.UNKNOWN
        await here.tell(ACCOUNT, {})
        # A second try would have come at once, so it would be counted by now.
        assert (await posted(poster, adapter, 8)).outcome is Outcome.ACCEPTED
        ledger = await here.ledger()
        assert (ledger["posts"], ledger["accepted"]) == (before + 2, before + 1 + taken)
        assert ledger["accounts"][ACCOUNT]["faults"] == {fault: 1}


@runs
async def test_a_client_left_to_itself_would_send_it_twice():
    """Why the test above is there: it would fail with a plain client."""
    async with platform() as here:
        await here.tell(ACCOUNT, {"faults": [{"fault": "accept_then_drop", "next": 1}]})
        url = here.textback().call(Message("r", PERSON, SENDER, "Hi", 1, "")).url
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert answer.status == 200
        ledger = await here.ledger()
        assert (ledger["posts"], ledger["accepted"]) == (2, 2)


@pytest.mark.parametrize(
    "script",
    [
        {"reject": [PERSON]},
        {"opted_out": [PERSON]},
        {"password": "another"},
        {"faults": [{"fault": "rate_limited"}]},
        {"faults": [{"fault": "error"}]},
    ],
)
@runs
async def test_no_refusal_is_believed_unless_the_account_knows_it(script):
    async with platform() as here:
        await here.tell(ACCOUNT, script)
        knowing = here.textback()
        result = await here.send(TextBackAdapter(knowing.credentials, knowing.base_url))
        assert (result.outcome, result.opted_out) == (Outcome.UNKNOWN, False)
        assert (await here.ledger())["accepted"] == 0


@runs
async def test_reports_go_where_the_account_says_and_name_the_vendors_id():
    async with platform(hooks=True) as here:
        adapter = here.textback()
        await here.send(adapter, 1)
        assert (await here.ledger())["webhooks"]["events"] == 0
        await here.tell(ACCOUNT, {"status_url": here.address(adapter, "status")})
        result = await here.send(adapter, 2)
        events = await here.events(adapter, 2)
        assert [event.status for event in events] == [ReceiptStatus.SENT, ReceiptStatus.DELIVERED]
        assert {(event.provider_id, event.reference) for event in events} == {(result.provider_id, "")}


@runs
async def test_people_answer():
    async with platform(hooks=True) as here:
        adapter = here.textback()
        stops = {"share": 1, "delay_ms": 0}
        await here.tell(ACCOUNT, {"stops": stops, "inbound_url": here.address(adapter, "inbound")})
        await here.send(adapter, 1)
        [inbound] = await here.events(adapter, 1)
        assert (inbound.sender, inbound.to, inbound.text) == (PERSON, SENDER, "STOP")
