"""What follows an acceptance: the simulator's reports and people, as its customer hears them."""

import pytest

from providers.adapters.base import Outcome, ReceiptStatus
from tests.providers.simulated import OTHER_WORDS, PERSON, SECRETS, SENDER, SID, both, platform, runs, until

# -- reports --------------------------------------------------------------------------------------


@both
@runs
async def test_reports_are_signed_and_name_the_reference(dialect, account):
    async with platform(hooks=True) as here:
        adapter = getattr(here, dialect)()
        await here.tell(account, {"secret": SECRETS.get(dialect, "")})
        result = await here.send(adapter, 5)
        events = await here.events(adapter, 2)
        assert [event.status for event in events] == [ReceiptStatus.SENT, ReceiptStatus.DELIVERED]
        assert {event.provider_id for event in events} == {result.provider_id}
        assert {event.reference for event in events} == {f"{5:032x}00000001"}


@both
@pytest.mark.parametrize(
    ("receipts", "statuses"),
    [
        ({"delivered": 1, "sent": 0}, ["delivered"]),
        ({"delivered": 0, "undelivered": 1, "sent": 0}, ["undelivered"]),
        ({"delivered": 0, "sent": 0}, ["failed"]),
        ({"out_of_order": 1}, ["delivered", "sent"]),
        ({"duplicated": 1, "sent": 0}, ["delivered", "delivered"]),
    ],
)
@runs
async def test_reports_as_told(dialect, account, receipts, statuses):
    async with platform(hooks=True) as here:
        adapter = getattr(here, dialect)()
        script = {"secret": SECRETS.get(dialect, "")}
        await here.tell(account, {**script, "receipts": {"delay_ms": 1, **receipts}})
        await here.send(adapter)
        events = await here.events(adapter, len(statuses))
        assert [event.status.value for event in events] == [OTHER_WORDS.get((dialect, said), said) for said in statuses]
        assert len({event.key for event in events}) == len(set(statuses))


@pytest.mark.parametrize("receipts", [None, {"lost": 1}])
@runs
async def test_lost_reports_never_come(receipts):
    async with platform(hooks=True) as here:
        adapter = here.own()
        await here.tell("token1", {"secret": "hush", "receipts": receipts})
        for number in range(20):
            await here.send(adapter, number)
        assert (await here.ledger())["webhooks"]["events"] == 0
        await here.tell("token1", {"secret": "hush", "receipts": {"sent": 0, "delay_ms": 0}})
        await here.send(adapter, 99)
        [event] = await here.events(adapter, 1)
        assert event.reference == f"{99:032x}00000001"


@runs
async def test_a_webhook_is_repeated_until_it_is_answered():
    async with platform(hooks=True) as here:
        adapter = here.own()
        here.answers = [500, 302]
        await here.tell("token1", {"secret": "hush", "receipts": {"sent": 0, "delay_ms": 0}})
        await here.send(adapter)
        first, second, third = await here.events(adapter, 3)
        assert first == second == third
        await until(lambda: not here.answers)
        webhooks = (await here.ledger())["webhooks"]
        assert (webhooks["retried"], webhooks["answered"]) == (2, 1)


@runs
async def test_a_webhook_nobody_takes_is_given_up():
    async with platform(hooks=True) as here:
        here.answers = [500] * 50
        habits = {"retry_for_seconds": 0.3}
        script = {"receipts": {"sent": 0, "delay_ms": 0}, "webhooks": habits}
        await here.tell("token1", script)
        await here.send(here.own())
        ledger = await here.ledger_when(lambda ledger: ledger["webhooks"]["given_up"])
        assert ledger["webhooks"]["given_up"] == 1
        assert len(here.received) == 2


@runs
async def test_several_events_share_a_request():
    async with platform(hooks=True) as here:
        adapter = here.own()
        script = {"secret": "hush", "receipts": {"sent": 0, "delay_ms": 0}}
        habits = {"batch": 3, "linger_ms": 300}
        await here.tell("token1", {**script, "webhooks": habits})
        for number in range(7):
            await here.send(adapter, number)
        events = await here.events(adapter, 7)
        assert len(here.received) == 3
        references = [int(event.reference[:32], 16) for event in events]
        assert sorted(references) == list(range(7))


# -- people ----------------------------------------------------------------------------------------


@both
@runs
async def test_people_answer_stop_and_the_ledger_watches(dialect, account):
    async with platform(hooks=True) as here:
        adapter = getattr(here, dialect)()
        stops = {"share": 1, "delay_ms": 0}
        script = {"receipts": None, "stops": stops, "inbound_url": here.address(adapter, "inbound")}
        await here.tell(account, script | {"secret": SECRETS.get(dialect, "")})
        await here.send(adapter, 1)
        [inbound] = await here.events(adapter, 1)
        assert (inbound.sender, inbound.to, inbound.text) == (PERSON, SENDER, "STOP")
        ledger = await here.ledger_when(lambda ledger: ledger["stops_answered"])
        assert ledger["accepted_after_stop"] == []
        await here.send(adapter, 2, text="Still here")
        [late] = (await here.ledger())["accepted_after_stop"]
        assert (late["to"], late["text"], late["same_sender"]) == (PERSON, "Still here", True)
        [stop] = (await here.control("GET", "/_control/ledger/stops"))["stops"]
        assert stop["sent_at"] <= stop["answered_at"] <= late["at"]


@both
@runs
async def test_a_person_texts_on_command(dialect, account):
    async with platform(hooks=True) as here:
        adapter = getattr(here, dialect)()
        script = {
            "inbound_url": here.address(adapter, "inbound?x=1"),
            "secret": SECRETS.get(dialect, "auth-token"),
            "dialect": {"own": "simulator"}.get(dialect, dialect),
        }
        await here.tell(account, script)
        body = {"account": account, "from": PERSON, "to": SENDER, "text": "Grüße & more?"}
        given = await here.control("POST", "/_control/inbound", body, expect=202)
        [inbound] = await here.events(adapter, 1)
        assert (inbound.key, inbound.text) == (given["id"], "Grüße & more?")
        assert (await here.ledger())["stops"] == 0


@runs
async def test_a_blocking_account_refuses_whoever_stopped_until_they_start():
    async with platform(hooks=True) as here:
        script = {"inbound_url": f"{here.hooks}/in", "stops": {"block": True}, "secret": "hush"}
        await here.tell("token1", script)
        body = {"account": "token1", "from": PERSON, "to": SENDER}
        await here.control("POST", "/_control/inbound", {**body, "text": " stop "}, expect=202)
        assert (await here.send(here.own(), 1)).opted_out
        await here.control("POST", "/_control/inbound", {**body, "text": "START"}, expect=202)
        assert (await here.send(here.own(), 2)).outcome is Outcome.ACCEPTED


@runs
async def test_of_several_stops_the_first_counts():
    async with platform(hooks=True) as here:
        await here.tell("token1", {"inbound_url": f"{here.hooks}/in", "secret": "hush"})
        body = {"account": "token1", "from": PERSON, "to": SENDER, "text": "Stop"}
        await here.control("POST", "/_control/inbound", body, expect=202)
        first = await here.ledger_when(lambda ledger: ledger["stops_answered"])
        [before] = (await here.control("GET", "/_control/ledger/stops"))["stops"]
        await here.control("POST", "/_control/inbound", body, expect=202)
        await here.events(here.own(), 2)
        assert (await here.control("GET", "/_control/ledger/stops"))["stops"] == [before]
        assert first["stops"] == 1


@runs
async def test_a_stop_answered_after_a_reset_leaves_a_readable_file(tmp_path):
    file = tmp_path / "ledger.jsonl"
    async with platform(hooks=True, ledger=file) as here:
        await here.tell("token1", {"inbound_url": f"{here.hooks}/in", "secret": "hush"})
        here.answers = [500]
        body = {"account": "token1", "from": PERSON, "to": SENDER, "text": "STOP"}
        await here.control("POST", "/_control/inbound", body, expect=202)
        await until(lambda: not here.answers)
        await here.control("DELETE", "/_control/ledger", expect=204)
        await here.ledger_when(lambda ledger: ledger["webhooks"]["answered"])
    async with platform(ledger=file) as here:
        assert (await here.ledger())["stops"] == 0


@runs
async def test_an_account_signs_with_what_its_posts_were_authorized_with():
    async with platform(hooks=True) as here:
        await here.send(here.twilio())
        await here.tell(SID, {"inbound_url": f"{here.hooks}/in", "receipts": None})
        body = {"account": SID, "from": PERSON, "to": SENDER, "text": "Hi"}
        here.received.clear()
        await here.control("POST", "/_control/inbound", body, expect=202)
        await until(lambda: any("/in" in hook.url for hook in here.received))
        assert all(here.twilio().verify(hook) for hook in here.received)
