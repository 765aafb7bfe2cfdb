"""P6: the webhook stores the suppression before it answers, and from then on nothing is handed to a provider."""

import time

import pytest

from campaigns import notifications, pipeline, receipts, replies, sending, settling
from campaigns.models import Attempt, Dispatch, RawEvent, Reply
from campaigns.states import State
from compliance import suppression
from compliance.models import Permit, Suppression
from compliance.policy import Category
from providers import delivery
from providers.adapters.base import Outcome
from smsplatform.common import database
from tests import world
from tests.promises import hooks, sound
from tests.promises.aftermath import Abandoned, run_until_settled
from tests.promises.conftest import TOKEN
from tests.promises.together import Gate, Job, elsewhere, gated, together

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = [stage.name for stage in world.PIPELINE]


def texted(simulator):
    return {entry["to"] for entry in simulator.ask("GET", "/_control/ledger/messages?limit=1000")["messages"]}


def test_is_stored_before_the_webhook_answers(acme):
    person = acme.recipient()
    assert hooks.call(acme, hooks.inbound(acme, person.number)) == 204
    stored = Suppression.objects.get()
    assert (stored.number, stored.brand_id, stored.scope) == (person.number, acme.brand.pk, "brand")
    assert stored.evidence
    assert Reply.objects.get().is_opt_out


@pytest.mark.parametrize("name", NAMES[:5])
def test_wins_before_any_stage_of_a_running_chain(acme, simulator, name):
    people = acme.recipients(6)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE:
        if stage.name == name:
            hooks.stop(acme, people[2].number)
        stage.run(batch.pk, lease)
    assert world.states(run) == {State.ACCEPTED: 5, State.BLOCKED: 1}
    assert texted(simulator) == {person.number for person in people} - {people[2].number}
    assert Dispatch.objects.get(state="blocked").reason == "suppressed_brand@1"
    sound.check()


def test_wins_between_the_check_and_the_claim_of_the_next_slice(acme, simulator, monkeypatch):
    monkeypatch.setattr(sending, "SLICE", 2)
    acme.account.concurrency = 2
    acme.account.save()
    people = sorted(acme.recipients(8), key=lambda person: person.pk)
    run = acme.run()
    gate = Gate()
    gated(monkeypatch, settling, "settle", gate)  # the first slice is out
    chain = Job(world.work)
    gate.wait()
    hooks.stop(acme, people[-1].number)
    gate.open()
    chain.result()
    assert world.states(run) == {State.ACCEPTED: 7, State.BLOCKED: 1}
    assert people[-1].number not in texted(simulator)
    sound.check()


def test_wins_over_tokens_already_taken(acme, simulator, monkeypatch):
    """STOP arrives after the throttle has granted the row and before it is claimed."""
    people = acme.recipients(5)
    run = acme.run()
    gate = Gate()
    gated(monkeypatch, sending.throttle, "take", gate, after=True)
    chain = Job(world.work)
    gate.wait()
    hooks.stop(acme, people[0].number)
    gate.open()
    chain.result()
    assert world.states(run) == {State.ACCEPTED: 4, State.BLOCKED: 1}
    assert people[0].number not in texted(simulator)


def test_wins_over_a_worker_that_froze_between_claim_and_post(acme, simulator, monkeypatch):
    """Swap, a moved machine, SIGSTOP: past `post_by` the rows are given back, and then STOP blocks them (R1)."""
    people = acme.recipients(4)
    run = acme.run()
    monkeypatch.setattr(delivery, "clock", Frozen(delivery.clock))
    wakes = Gate()
    post = delivery.Poster.post

    def freeze(poster, *slices):
        wakes()
        post(poster, *slices)

    monkeypatch.setattr(delivery.Poster, "post", freeze)
    chain = Job(world.work)
    wakes.wait()
    assert world.states(run) == {State.SENDING: 4}
    hooks.stop(acme, people[0].number)
    delivery.clock.sleep(60)
    wakes.open()
    chain.result()
    assert simulator.ledger()["posts"] == 0
    assert world.states(run) == {State.READY: 4}
    sound.check()
    monkeypatch.undo()
    run_until_settled(run)
    assert world.states(run) == {State.ACCEPTED: 3, State.BLOCKED: 1}
    assert people[0].number not in texted(simulator)


class Frozen:
    """A boot clock that can be put forward: it goes on while the process stands still."""

    def __init__(self, clock):
        self.clock = clock
        self.slept = 0.0

    def __call__(self):
        return self.clock() + self.slept

    def sleep(self, seconds):
        self.slept += seconds


def test_wins_after_recovery_called_the_frozen_workers_row_unknown(acme, simulator, monkeypatch):
    abandoned = Abandoned(acme, monkeypatch, count=2)
    abandoned.look_after()
    assert world.states(abandoned.run) == {State.UNKNOWN: 2}
    first = Dispatch.objects.order_by("id").first()
    hooks.stop(acme, first.number)
    replies.tidy_stops(database.now())
    abandoned.late(Outcome.NOT_POSTED)
    assert world.states(abandoned.run) == {State.HELD: 2}
    acme.account.timeout = 5
    acme.account.save()
    run_until_settled(abandoned.run)
    assert world.states(abandoned.run) == {State.ACCEPTED: 1, State.BLOCKED: 1}
    assert first.number not in texted(simulator)
    sound.check()


def test_wins_over_a_retry(acme, simulator):
    [person] = acme.recipients(1)
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "rate_limited", "next": 1}])
    run = acme.run()
    world.work()
    hooks.stop(acme, person.number)
    run_until_settled(run)
    assert world.states(run) == {State.BLOCKED: 1}
    assert simulator.ledger()["accepted"] == 0


def test_wins_over_the_next_account(acme, simulator, monkeypatch):
    """The first account refused; before the second is asked, STOP arrives."""
    simulator.script("token-second", receipts=None)
    second = world.ProviderAccount(tenant=acme.tenant, name="second", provider="simulator", base_url=simulator.url)
    second.set_credentials({"token": "token-second", "webhook_secret": "secret"})
    second.save()
    world.Sender.objects.create(
        tenant=acme.tenant, brand=acme.brand, account=second, address="+18885559999", position=1
    )
    [person] = acme.recipients(1)
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "rate_limited"}])
    run = acme.run()
    gate = Gate()
    gated(monkeypatch, settling, "settle", gate)
    chain = Job(world.work)
    gate.wait()
    hooks.stop(acme, person.number)
    gate.open()
    chain.result()
    assert world.states(run) == {State.BLOCKED: 1}
    assert simulator.ledger()["accepted"] == 0


def test_does_not_wait_for_a_claim_or_a_stage_that_holds_its_rows(acme):
    """The suppression is one small row: nothing of a running batch stands in its way (R38)."""
    [person] = acme.recipients(1)
    acme.run()
    with elsewhere("SELECT 1 FROM campaigns_dispatch d, campaigns_batch b FOR UPDATE"):
        started = time.monotonic()
        hooks.stop(acme, person.number)
        assert time.monotonic() - started < 2
    assert Suppression.objects.count() == 1


def test_does_not_wait_for_redis(acme, monkeypatch, settings):
    from campaigns import tasks

    def down(*_, **__):
        raise ConnectionError

    monkeypatch.setattr(tasks.apply_events, "apply_async", down)
    person = acme.recipient()
    hooks.stop(acme, person.number)
    assert Suppression.objects.get().number == person.number


def test_is_repeated_by_the_vendor_when_our_store_is_down(acme, monkeypatch):
    from django.db import OperationalError

    from campaigns import webhooks

    person = acme.recipient()
    event = hooks.inbound(acme, person.number)

    def down(*_):
        raise OperationalError("away")

    with monkeypatch.context() as patch:
        patch.setattr(webhooks.replies, "take_in", down)
        assert hooks.call(acme, event) == 503
    assert RawEvent.objects.count() == 0
    assert hooks.call(acme, event) == 204
    assert Suppression.objects.get().number == person.number


def test_stops_single_messages_too(acme, simulator):
    number = "+12125550100"
    notifications.send(brand=acme.brand, number=number, text="Hi", now=database.now(), category=Category.TRANSACTIONAL)
    hooks.stop(acme, number)
    replies.tidy_stops(database.now())
    notifications.collect(database.now())
    world.work("urgent")
    assert Dispatch.objects.get().state == "blocked"
    assert simulator.ledger()["posts"] == 0
    sound.check()


def test_stops_mail_however_its_addresses_are_written(acme):
    acme.sender.address = "News@Brand.example"
    acme.sender.save()
    notifications.send(brand=acme.brand, number="Ana@Example.com", text="Hi", now=database.now())
    assert hooks.call(acme, hooks.inbound(acme, "ana@example.com", to="news@brand.example")) == 204
    notifications.collect(database.now())
    world.work("urgent")
    assert Dispatch.objects.get().reason == "suppressed_brand@1"


def test_holds_for_one_brand_only(acme, simulator):
    simulator.script("token-rival", receipts=None)
    rival = world.make("rival", base_url=simulator.url)
    person = acme.recipient()
    hooks.stop(rival, person.number)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 1}


def test_holds_for_all_brands_where_the_platform_says_so(acme, simulator):
    person = acme.recipient()
    suppression.suppress_everywhere(number=person.number, reason="complaint", source="test", now=database.now())
    run = acme.run()
    world.work()
    assert world.states(run) == {State.BLOCKED: 1}
    assert Dispatch.objects.get().reason == "suppressed_platform@1"


def test_an_odd_number_beside_it_does_not_spoil_a_stop(acme):
    """One request with two STOPs, one of them from an address that is no phone number."""
    person = acme.recipient()
    status = hooks.call(acme, hooks.inbound(acme, "somebody@mail.example"), hooks.inbound(acme, person.number))
    assert status == 204
    assert Suppression.objects.filter(number=person.number).exists()


def test_holds_although_the_sender_is_no_longer_used(acme, simulator):
    """People answer to the number they know, weeks after we stopped to text from it."""
    person = acme.recipient()
    acme.sender.is_active = False
    acme.sender.save()
    hooks.stop(acme, person.number)
    assert Suppression.objects.get().number == person.number


@pytest.mark.parametrize("name", NAMES[:5])
def test_tidying_beside_a_running_stage_leaks_nothing(acme, simulator, name):
    """STOPs of many people are tidied while the stage moves the same rows: no lock, permit or row is left over."""
    people = acme.recipients(20)
    acme.brand.daily_cap = 1000
    acme.brand.save()
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE:
        if stage.name == name:
            for person in people[::2]:
                hooks.stop(acme, person.number)
            together(lambda: stage.run(batch.pk, lease), _tidy)  # noqa: B023 - run before the next round
        else:
            stage.run(batch.pk, lease)
        sound.check()
    run_until_settled(run)
    assert world.states(run) == {State.ACCEPTED: 10, State.BLOCKED: 10}
    assert texted(simulator) == {person.number for person in people[1::2]}
    assert Permit.objects.count() == 10
    sound.check()


def _tidy():
    from django.db import OperationalError

    try:
        replies.tidy_stops(database.now())
    except OperationalError:  # lost a deadlock; beat comes again
        replies.tidy_stops(database.now())


def test_tidying_closes_batches_that_wait_for_days(acme):
    acme.brand.daily_cap = 1
    acme.brand.save()
    people = acme.recipients(2)
    run = acme.run()
    world.work()
    [held] = Dispatch.objects.filter(state="held")
    hooks.stop(acme, held.number)
    replies.tidy_stops(database.now())
    assert world.states(run) == {State.ACCEPTED: 1, State.BLOCKED: 1}
    world.work()
    assert world.only_batch(run).phase == "closed"
    assert len(people) == 2


def test_tidies_each_stop_once(acme):
    acme.recipients(1)
    acme.run()
    hooks.stop(acme, Dispatch.objects.get().number)
    assert replies.tidy_stops(database.now()) == 1
    assert replies.tidy_stops(database.now()) == 0
    assert not Reply.objects.filter(tidied_at=None).exists()


def test_a_stop_that_is_stored_while_the_claim_commits_stops_everything_after_it(acme, simulator, monkeypatch):
    """STOP against running claims, from another session, again and again: never a text after the webhook answered."""
    monkeypatch.setattr(sending, "SLICE", 3)
    acme.account.concurrency = 3
    acme.account.save()
    people = acme.recipients(30)
    run = acme.run()
    stopped = {}

    def stops():
        for person in people[::-2]:
            hooks.stop(acme, person.number)
            stopped[person.number] = time.time()

    together(world.work, stops)
    run_until_settled(run)
    sent_at = {
        entry["to"]: entry["at"] for entry in simulator.ask("GET", "/_control/ledger/messages?limit=1000")["messages"]
    }
    # At most the slice being posted that instant: its claim was committed before the webhook answered.
    claimed_after = [number for number, at in stopped.items() if number in sent_at and _claimed_at(run, number) > at]
    assert claimed_after == []
    assert sum(world.states(run).values()) == 30
    sound.check()


def _claimed_at(run, number):
    dispatch = Dispatch.objects.of_run(run.pk).get(number=number)
    return Attempt.objects.filter(dispatch_id=dispatch.pk).latest("flight").claimed_at.timestamp()


def test_the_gate_is_asked_for_each_account_and_slice(acme, monkeypatch):
    """Everything is asked again right before each claim, in the claim's own transaction."""
    monkeypatch.setattr(sending, "SLICE", 4)
    acme.account.concurrency = 4
    acme.account.save()
    acme.recipients(12)
    acme.run()
    asked = []
    judge = pipeline.judge_ready

    def counting(batch):
        of_this_turn = judge(batch)

        def ask(account_id, now):
            asked.append(database.connection.in_atomic_block)
            return of_this_turn(account_id, now)

        return ask

    monkeypatch.setattr(pipeline, "judge_ready", counting)
    world.work()
    claims = Attempt.objects.values("claim").distinct().count()
    assert claims >= 3
    assert asked == [True] * claims


def test_events_wait_in_postgres_for_whoever_applies_them(acme):
    acme.recipients(1)
    acme.run()
    hooks.stop(acme, Dispatch.objects.get().number)
    assert RawEvent.objects.filter(applied_at=None).count() == 1
    assert receipts.apply_events() == 1
    assert receipts.apply_events() == 0


@pytest.mark.parametrize("told", ["by the answer", "by a report"])
def test_an_opt_out_that_only_the_provider_knows_is_one(acme, simulator, told):
    """The person told the provider, which says so when we try: no other account or sender of the brand may try again."""
    person = acme.recipient()
    simulator.script(TOKEN, receipts=None, **({"opted_out": [person.number]} if told == "by the answer" else {}))
    first = acme.run()
    world.work()
    if told == "by a report":
        dispatch = Dispatch.objects.of_run(first.pk).get()
        hooks.call(acme, hooks.report(dispatch.pk, status="undelivered", code="opted_out"))
        receipts.apply_events()
    stored = Suppression.objects.get()
    assert (stored.brand_id, stored.number, stored.reason) == (acme.brand.pk, person.number, "provider_blocked")
    simulator.script(TOKEN, receipts=None)
    second = acme.run(key="2")
    world.work()
    assert world.states(second) == {State.BLOCKED: 1}
    sound.check()
