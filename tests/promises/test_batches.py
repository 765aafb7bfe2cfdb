"""Several messages in one request: each keeps its own flight, outcome and receipt; what is refused is split, never resent."""

from datetime import UTC, datetime, timedelta

import pytest

from campaigns import receipts, reconciling
from campaigns.models import Attempt, Dispatch, ProviderMessage
from campaigns.states import State
from providers import delivery
from providers.adapters import get
from providers.adapters.base import Message
from providers.delivery import Envelope
from smsplatform.common import database
from tests import world
from tests.promises import sound

pytestmark = pytest.mark.django_db(transaction=True)
PLAN = "plan-acme"
VENDOR = "sinch"


@pytest.fixture
def acme(simulator, small):
    """A tenant at a provider that takes batches, of at most eight here."""
    simulator.script(PLAN, receipts=None)
    credentials = {"service_plan_id": PLAN, "api_token": "token", "webhook_secret": "secret"}
    made = world.make(base_url=simulator.url, provider=VENDOR, credentials=credentials)
    made.account.options = {"batch_size": "8"}
    made.account.timeout = 5
    made.account.segments_per_second = 1000
    made.account.save()
    return made


def posts(simulator):
    """Requests, and what they were taken for."""
    told = simulator.ledger()["accounts"][PLAN]
    return told["posts"], told["accepted"]


def test_share_requests_and_keep_their_own_flights(acme, simulator):
    acme.recipients(20)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 20}
    assert posts(simulator) == (3, 20)
    named = set(ProviderMessage.objects.values_list("provider_id", flat=True))
    assert len(named) == 20
    assert len({name.partition(":")[0] for name in named}) == 3
    assert simulator.ledger()["accepted_twice"] == 0
    sound.check()


def test_texts_are_each_persons_own(acme, simulator):
    for name in ("Ana", "Ben", "Cleo"):
        acme.recipient(first_name=name)
    acme.run()
    world.work()
    messages = simulator.ask("GET", "/_control/ledger/messages")["messages"]
    assert sorted(each["text"] for each in messages) == ["Hello Ana", "Hello Ben", "Hello Cleo"]


def test_a_batch_with_a_number_that_is_refused_is_split_until_the_others_are_through(acme, simulator):
    people = acme.recipients(8)
    simulator.script(PLAN, receipts=None, reject=[people[3].number])
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 7, State.REJECTED: 1}
    assert Dispatch.objects.of_run(run.pk).get(state=State.REJECTED).number == people[3].number
    # 8, then 4 + 4, 2 + 2, 1 + 1
    assert posts(simulator) == (7, 7)
    assert simulator.ledger()["accepted_twice"] == 0
    sound.check()


@pytest.mark.parametrize("fault", ["accept_then_drop", "reset_after_read", "garbled", "html"])
def test_without_a_clear_answer_all_of_it_is_in_doubt_and_none_is_resent(acme, simulator, fault):
    simulator.script(PLAN, receipts=None, faults=[{"fault": fault, "next": 1}])
    acme.recipients(8)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.UNKNOWN: 8}
    assert simulator.ledger()["resent_after_doubt"] == []
    assert posts(simulator)[0] == 1
    sound.check()


def test_a_batch_whose_answer_was_lost_is_found_by_the_look_up(acme, simulator):
    simulator.script(PLAN, receipts=None, faults=[{"fault": "accept_then_drop", "next": 1}])
    acme.recipients(5)
    run = acme.run()
    world.work()
    simulator.script(PLAN, receipts=None)
    assert reconciling.ask_providers(database.now() + timedelta(minutes=2)) == 5
    assert world.states(run) == {State.ACCEPTED: 5}
    sound.check()


@pytest.mark.parametrize("fault", ["rate_limited", "unauthorized"])
def test_a_refusal_of_the_account_is_one_for_each(acme, simulator, fault):
    simulator.script(PLAN, receipts=None, faults=[{"fault": fault, "next": 1}])
    acme.recipients(8)
    run = acme.run()
    world.work()
    assert world.states(run)[State.HELD] == 8
    assert Attempt.objects.count() == 8
    sound.check()


# -- what may share a request ----------------------------------------------------------------------------------------


def envelope(number, text="Hello"):
    kind = get(VENDOR)
    adapter = kind(kind.Credentials(PLAN, "token", "secret"), "", kind.Options(batch_size="3"))
    now = datetime.now(UTC)
    message = Message(f"{number:040d}", f"+1202555{number:04d}", "+12025550100", text, 1, "", 60)
    return Envelope(None, 1, 1, adapter, message, now, 0.0, 0.0, 0.0, 0.0, 5.0)


@pytest.mark.parametrize(
    ("numbers", "sizes"),
    [((), []), ((1,), [1]), ((1, 2, 3), [3]), ((1, 2, 3, 4), [3, 1]), ((1, 1, 2), [1, 2]), ((1, 2, 1, 2), [2, 2])],
    ids=["none", "one", "as many as may", "one more", "a person twice", "two persons twice"],
)
def test_each_person_stands_in_a_request_once(numbers, sizes):
    assert [len(parcel) for parcel in delivery._parcels([envelope(number) for number in numbers])] == sizes


def test_what_does_not_fit_goes_alone_and_in_its_turn():
    texts = ["Hello", "x" * 161, "Hello", "Hello"]
    parcels = delivery._parcels([envelope(number, text) for number, text in enumerate(texts)])
    assert [[each.message.text[0] for each in parcel] for parcel in parcels] == [["H"], ["x"], ["H", "H"]]


def test_receipts_find_each_message_of_a_batch(acme, simulator, live_server, settings):
    settings.PUBLIC_URL = live_server.url
    simulator.script(PLAN, receipts={"delivered": 1, "sent": 0})
    acme.recipients(8)
    run = acme.run()
    world.work()
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    while world.states(run) != {State.DELIVERED: 8}:
        receipts.apply_events()
        assert datetime.now(UTC) < deadline, world.states(run)
    sound.check()
