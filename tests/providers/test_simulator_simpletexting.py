"""The simulator as SimpleTexting: reports without a reference, opt-outs told apart, and a list to look things up in."""

from datetime import UTC, datetime, timedelta

import pytest

from providers.adapters.base import Inbound, OptOut, Outcome, Question, ReceiptStatus, Unreadable
from providers.adapters.simpletexting import SimpleTextingAdapter, SimpleTextingCredentials, SimpleTextingOptions
from tests.providers.simulated import PERSON, SENDER, platform, runs, until

ACCOUNT = "st-token"


def script(here, **more):
    """What the vendor has been told once: where webhooks go, and the token with which these addresses end."""
    told = {"secret": "hush", "status_url": f"{here.hooks}/status", "inbound_url": f"{here.hooks}/inbound"}
    return told | {"receipts": {"delay_ms": 0}} | more


def question(text="Hello", *, to=PERSON, since=None):
    return Question("", to, SENDER, text, since or datetime.now(UTC))


@runs
async def test_takes_a_message_without_its_reference():
    async with platform() as here:
        result = await here.send(here.simpletexting())
        assert result.outcome is Outcome.ACCEPTED
        page = await here.control("GET", f"/_control/ledger/messages?account={ACCOUNT}")
        [entry] = page["messages"]
        assert (entry["id"], entry["reference"]) == (result.provider_id, "")
        assert (entry["to"], entry["sender"], entry["text"]) == (PERSON, SENDER, "Hello")


@pytest.mark.parametrize(
    ("receipts", "statuses"),
    [
        ({"sent": 1}, ["sent", "delivered"]),
        ({"sent": 0, "delivered": 0, "undelivered": 1}, ["undelivered"]),
        ({"sent": 0, "delivered": 0}, ["undelivered"]),
        ({"sent": 0, "duplicated": 1}, ["delivered", "delivered"]),
        ({"out_of_order": 1}, ["delivered", "sent"]),
    ],
)
@runs
async def test_reports_by_its_own_id(receipts, statuses):
    async with platform(hooks=True) as here:
        adapter = here.simpletexting()
        await here.tell(ACCOUNT, script(here, receipts={"delay_ms": 1, **receipts}))
        result = await here.send(adapter)
        events = await here.events(adapter, len(statuses))
        assert [event.status for event in events] == [ReceiptStatus(status) for status in statuses]
        assert {(event.provider_id, event.reference) for event in events} == {(result.provider_id, "")}
        assert len({event.key for event in events}) == len(set(statuses))
        assert all(hook.url.endswith("/status?token=hush") for hook in here.received)


@runs
async def test_a_wrong_token_is_noticed():
    async with platform(hooks=True) as here:
        await here.tell(ACCOUNT, script(here, secret="another"))
        await here.send(here.simpletexting())
        await until(lambda: here.received)
        assert not here.simpletexting().verify(here.received[0])


@runs
async def test_a_person_texts_on_command():
    async with platform(hooks=True) as here:
        await here.tell(ACCOUNT, script(here, dialect="simpletexting", inbound_url=f"{here.hooks}/in?x=1"))
        body = {"account": ACCOUNT, "from": PERSON, "to": SENDER, "text": "Grüße & more?"}
        given = await here.control("POST", "/_control/inbound", body, expect=202)
        [inbound] = await here.events(here.simpletexting(), 1)
        assert inbound == Inbound(given["id"], PERSON, SENDER, "Grüße & more?", provider_id=given["id"])


@runs
async def test_a_stop_is_told_as_a_message_and_as_an_opt_out():
    async with platform(hooks=True) as here:
        adapter = here.simpletexting()
        await here.tell(ACCOUNT, script(here, receipts=None, stops={"share": 1, "delay_ms": 0}))
        await here.send(adapter)
        events = await here.events(adapter, 2)
        [inbound] = [event for event in events if isinstance(event, Inbound)]
        [opt_out] = [event for event in events if isinstance(event, OptOut)]
        assert (inbound.sender, inbound.to, inbound.text) == (PERSON, SENDER, "STOP")
        assert (opt_out.number, opt_out.sender) == (PERSON, "")
        await here.ledger_when(lambda ledger: ledger["stops_answered"] == 1)


@runs
async def test_a_repeated_webhook_is_the_same_event():
    async with platform(hooks=True) as here:
        here.answers = [500, 500]
        await here.tell(ACCOUNT, script(here, dialect="simpletexting"))
        body = {"account": ACCOUNT, "from": PERSON, "to": SENDER, "text": "STOP"}
        await here.control("POST", "/_control/inbound", body, expect=202)
        events = await here.events(here.simpletexting(), 4)
        assert len({event.key for event in events}) == 2


@runs
async def test_finds_what_it_took():
    async with platform() as here:
        adapter = here.simpletexting()
        taken = [(await here.send(adapter, number)).provider_id for number in range(2)]
        await here.send(adapter, text="Something else")
        await here.send(adapter, to="+12025550999")
        reply = await here.call(adapter.look_up(question()))
        assert [finding.provider_id for finding in adapter.found(question(), reply)] == taken
        later = question(since=datetime.now(UTC) + timedelta(hours=1))
        assert adapter.found(later, await here.call(adapter.look_up(later))) == []


@runs
async def test_finds_what_it_took_and_did_not_say():
    async with platform() as here:
        adapter = here.simpletexting()
        await here.tell(ACCOUNT, {"faults": [{"fault": "garbled"}]})
        assert (await here.send(adapter)).outcome is Outcome.UNKNOWN
        [finding] = adapter.found(question(), await here.call(adapter.look_up(question())))
        assert abs(finding.created_at - datetime.now(UTC)) < timedelta(minutes=1)


@runs
async def test_a_token_can_be_checked():
    async with platform() as here:
        assert (await here.call(here.simpletexting().check())).status == 200
        stranger = SimpleTextingAdapter(SimpleTextingCredentials("", "hush"), f"{here.root}/v2")
        assert (await here.call(stranger.check())).status == 401
        with pytest.raises(Unreadable):
            stranger.found(question(), await here.call(stranger.look_up(question())))


@pytest.mark.parametrize(
    ("mode", "text", "outcome"),
    [
        ("SINGLE_SMS_STRICTLY", "x" * 160, Outcome.ACCEPTED),
        ("SINGLE_SMS_STRICTLY", "x" * 161, Outcome.REJECTED_PERMANENT),
        ("AUTO", "x" * 161, Outcome.ACCEPTED),
    ],
)
@runs
async def test_a_single_sms_is_one(mode, text, outcome):
    async with platform() as here:
        credentials = SimpleTextingCredentials(ACCOUNT, "hush")
        adapter = SimpleTextingAdapter(credentials, f"{here.root}/v2", SimpleTextingOptions(mode))
        assert (await here.send(adapter, text=text)).outcome is outcome
