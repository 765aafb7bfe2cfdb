"""P4: what is unknown is settled by asking the provider, where a positive hit is proof, and by nothing less."""

import uuid
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import transaction

from campaigns import receipts, reconciling
from campaigns.models import Attempt, Dispatch, ProviderMessage, RawEvent, Trouble
from campaigns.states import State
from providers import reconcile
from providers.adapters.base import Receipt, ReceiptStatus, Unreadable
from providers.models import ProviderAccount, Sender
from providers.reconcile import NoAnswer
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


def lose_another(listing, simulator, fault):
    """The same text to the same person again, of which nobody knows what became of it either."""
    simulator.script(SID, receipts=None, faults=[{"fault": fault}])
    run = listing.run(key="another")
    world.work()
    simulator.script(SID, receipts=None)
    return run


def test_one_whose_answer_was_lost_and_whose_report_came_is_known_by_its_name(listing, simulator, later):
    run = lose(listing, simulator, "reset_after_read")
    other = lose_another(listing, simulator, "accept_then_drop")
    [taken] = simulator.ask("GET", "/_control/ledger/messages")["messages"]
    raw = RawEvent.objects.create(tenant=listing.tenant, account=listing.account, method="POST", url="/", body=b"")
    flight = (Dispatch.objects.of_run(other.pk).get().pk, 1)
    report = receipts.Report(raw, 0, Receipt("r1", ReceiptStatus.SENT, provider_id=taken["id"]), flight)
    with transaction.atomic():
        receipts._prove([report], database.now())
    assert world.states(other) == {State.ACCEPTED: 1}
    assert reconciling.ask_providers(later) == 0
    assert world.states(run) == {State.UNKNOWN: 1}


def test_one_of_another_account_of_ours_at_the_same_vendor_is_not(listing, simulator, later):
    """Two accounts of ours may be one at the vendor, whose list shows what went through either."""
    run = lose(listing, simulator, "reset_after_read")
    first = listing.account
    second = ProviderAccount(tenant=listing.tenant, name="second", provider="twilio", base_url=first.base_url)
    second.set_credentials({"account_sid": SID, "auth_token": "secret"})
    second.save()
    Sender.objects.update(account=second)
    listing.run(key="another")
    world.work()
    assert ProviderMessage.objects.get().account_id == second.pk
    assert reconciling.ask_providers(later) == 0
    assert world.states(run) == {State.UNKNOWN: 1}


def test_one_that_becomes_another_flights_meanwhile_is_not(listing, simulator, later, monkeypatch):
    run = lose(listing, simulator, "accept_then_drop")
    dispatch = Dispatch.objects.of_run(run.pk).get()
    proof = reconcile.proof

    def late(question, findings, claimed, **given):
        found = proof(question, findings, claimed, **given)
        ProviderMessage.objects.create(
            account=listing.account,
            tenant=listing.tenant,
            provider_id=found.provider_id,
            dispatch_id=uuid.uuid4(),
            flight=1,
        )
        return found

    monkeypatch.setattr(reconcile, "proof", late)
    assert reconciling.ask_providers(later) == 0
    assert Attempt.objects.get(dispatch_id=dispatch.pk).proof == ""
    assert world.states(run) == {State.UNKNOWN: 1}


def test_one_just_made_is_nobodys_until_its_poster_can_have_answered(listing, simulator, later):
    run = lose(listing, simulator, "accept_then_drop")
    made = Attempt.objects.get().claimed_at
    Trouble.objects.update(since=made - timedelta(minutes=2))
    assert reconciling.ask_providers(made + timedelta(seconds=30)) == 0
    assert world.states(run) == {State.UNKNOWN: 1}
    assert reconciling.ask_providers(later + timedelta(minutes=2)) == 1


@pytest.fixture
def asked(monkeypatch):
    """Whom we asked; every question takes long, and the account named `dead` does not answer."""
    names = []
    clock = [0.0]
    ends = SimpleNamespace(monotonic=lambda: clock[0])

    def ask(adapter, _question):
        names.append(adapter.base_url)
        clock[0] += 15
        if adapter.base_url == "http://dead.invalid":
            raise NoAnswer("no answer: ConnectTimeout")
        return []

    monkeypatch.setattr(reconciling, "time", ends)
    monkeypatch.setattr(reconcile, "ask", ask)
    return names


def test_a_vendor_that_does_not_answer_is_asked_once_a_round(acme, simulator, later, asked):
    lose(acme, simulator, "reset_after_read", 3)
    ProviderAccount.objects.update(base_url="http://dead.invalid")
    reconciling.ask_providers(later)
    assert asked == ["http://dead.invalid"]


def test_no_round_lasts_and_who_was_not_asked_is_asked_next(acme, simulator, later, asked):
    lose(acme, simulator, "reset_after_read", 5)
    reconciling.ask_providers(later)
    assert len(asked) == 3
    assert sorted(Trouble.objects.values_list("asked", flat=True)) == [0, 0, 1, 1, 1]
    reconciling.ask_providers(later)
    assert len(asked) == 5


def test_an_account_that_cannot_be_used_stops_nobody(acme, simulator, later):
    run = lose(acme, simulator, "accept_then_drop", 2)
    unusable = ProviderAccount.objects.create(tenant=acme.tenant, name="unusable", provider="simulator", secret="?")
    first = Attempt.objects.order_by("claimed_at", "dispatch_id").first()
    Attempt.objects.filter(dispatch_id=first.dispatch_id).update(account_id=unusable.pk)
    assert reconciling.ask_providers(later) == 1
    assert world.states(run) == {State.UNKNOWN: 1, State.ACCEPTED: 1}
