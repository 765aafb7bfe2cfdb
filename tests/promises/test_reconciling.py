"""P4: what is unknown is settled by asking the provider, where a positive hit is proof, and by nothing less."""

from datetime import timedelta

import pytest

from campaigns import reconciling
from campaigns.models import Attempt, Dispatch, ProviderMessage, Trouble
from campaigns.states import State
from providers import reconcile
from providers.adapters.base import Unreadable
from providers.models import ProviderAccount
from smsplatform.common import database
from tests import world
from tests.promises import sound
from tests.promises.conftest import TOKEN

pytestmark = pytest.mark.django_db(transaction=True)
SID = "AC" + "1" * 32


@pytest.fixture
def later():
    """An instant at which the first question is due."""
    return database.now() + timedelta(minutes=2)


def lose(acme, simulator, fault, number=1, **script):
    """Send messages of which nobody knows what became of them."""
    token = SID if acme.account.provider == "twilio" else TOKEN
    simulator.script(token, receipts=None, faults=[{"fault": fault}], **script)
    acme.recipients(number)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.UNKNOWN: number}
    simulator.script(token, receipts=None)
    return run


def test_what_was_taken_is_found_by_our_reference(acme, simulator, later):
    run = lose(acme, simulator, "accept_then_drop", 3)
    assert reconciling.ask_providers(later) == 3
    assert world.states(run) == {State.ACCEPTED: 3}
    assert set(Attempt.objects.values_list("proof", "outcome")) == {("look-up", "accepted")}
    assert set(Dispatch.objects.values_list("detail", flat=True)) == {"found at the provider"}
    assert ProviderMessage.objects.count() == 3
    assert not Trouble.objects.exists()
    sound.check()


def test_an_empty_answer_proves_nothing(acme, simulator, later):
    run = lose(acme, simulator, "reset_after_read")
    assert reconciling.ask_providers(later) == 0
    assert world.states(run) == {State.UNKNOWN: 1}


def test_asks_seldom_and_ever_more_seldom(acme, simulator, monkeypatch):
    lose(acme, simulator, "reset_after_read")
    asked = []
    monkeypatch.setattr(reconcile, "ask", lambda *_: asked.append(now) or [])
    began = Trouble.objects.get().since
    for second in range(0, 4000, 10):
        now = began + timedelta(seconds=second)
        reconciling.ask_providers(now)
    assert [(at - began).total_seconds() for at in asked] == [60, 180, 420, 900, 1860, 3780]


def test_is_not_asked_any_more_past_its_deadline(acme, simulator):
    lose(acme, simulator, "accept_then_drop")
    past = Trouble.objects.get().due_at + timedelta(seconds=1)
    assert reconciling.ask_providers(past) == 0


def test_an_unreadable_answer_changes_nothing_and_stops_nobody(acme, simulator, later, monkeypatch):
    run = lose(acme, simulator, "accept_then_drop", 2)
    ask, failures = reconcile.ask, iter([Unreadable("HTTP 500")])

    def sometimes(adapter, question):
        for error in failures:
            raise error
        return ask(adapter, question)

    monkeypatch.setattr(reconcile, "ask", sometimes)
    assert reconciling.ask_providers(later) == 1
    assert world.states(run) == {State.UNKNOWN: 1, State.ACCEPTED: 1}


def test_who_cannot_be_asked_is_not_asked_again(acme, simulator, later, monkeypatch):
    lose(acme, simulator, "accept_then_drop")
    monkeypatch.setattr(reconcile, "ask", lambda *_: None)
    reconciling.ask_providers(later)
    trouble = Trouble.objects.get()
    assert trouble.ask_at == trouble.due_at


@pytest.fixture
def listing(simulator, small):
    """A tenant at a provider that lists messages without any reference of ours."""
    made = world.make(
        base_url=simulator.url, provider="twilio", credentials={"account_sid": SID, "auth_token": "secret"}
    )
    ProviderAccount.objects.update(timeout=5)
    return made


def test_the_only_message_of_that_text_to_that_person_is_proof(listing, simulator, later):
    run = lose(listing, simulator, "accept_then_drop", 2)
    assert reconciling.ask_providers(later) == 2
    assert world.states(run) == {State.ACCEPTED: 2}
    sound.check()


def test_one_that_is_another_flights_is_not(listing, simulator, later):
    listing.recipients(1)
    simulator.script(SID, receipts=None)
    listing.run(key="before")
    world.work()
    run = listing.run(key="after")
    simulator.script(SID, receipts=None, faults=[{"fault": "reset_after_read"}])
    world.work()
    assert world.states(run) == {State.UNKNOWN: 1}
    assert reconciling.ask_providers(later) == 0
    assert world.states(run) == {State.UNKNOWN: 1}


def test_two_doubts_about_the_same_text_are_not_told_apart_without_a_reference(listing, simulator, later):
    """One of them was taken and the other not: the one message in the list can be either's."""
    listing.recipients(1)
    campaign = listing.campaign()
    simulator.script(
        SID, receipts=None, faults=[{"fault": "reset_after_read", "next": 1}, {"fault": "accept_then_drop"}]
    )
    runs = [listing.run(campaign, key=key) for key in "ab"]
    while world.work():
        pass
    assert [world.states(run) for run in runs] == [{State.UNKNOWN: 1}] * 2
    assert reconciling.ask_providers(later) == 0
    assert [world.states(run) for run in runs] == [{State.UNKNOWN: 1}] * 2
