"""P1: a dispatch is accepted by providers at most once, whatever races, replays or crashes."""

import pytest
from django.db import IntegrityError, transaction

from campaigns import audits, launch, pipeline, receipts, sending, settling, tasks
from campaigns.models import Attempt, Batch, Dispatch
from campaigns.states import State
from providers import delivery
from providers.adapters.base import Outcome, Result
from providers.delivery import Poster
from smsplatform.common import database
from tests import world
from tests.promises import hooks, sound
from tests.promises.aftermath import Abandoned, again, run_until_settled
from tests.promises.conftest import TOKEN
from tests.promises.together import Gate, Job, gated, together

pytestmark = pytest.mark.django_db(transaction=True)


def whole_chain(batch_id, lease):
    """One worker's chain: it ends quietly when it is stale."""
    for stage in world.PIPELINE:
        try:
            stage.run(batch_id, lease)
        except pipeline.leases.LeaseLost:
            return


def once_each(simulator, count):
    ledger = simulator.ledger()
    assert (ledger["posts"], ledger["accepted_twice"], ledger["numbers_twice"]) == (count, 0, 0)


def test_two_chains_with_the_same_lease_send_once(acme, simulator, monkeypatch):
    """A redelivered message makes a second chain that carries the same number."""
    monkeypatch.setattr(sending, "SLICE", 5)
    acme.recipients(40)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    together(*[lambda: whole_chain(batch.pk, lease)] * 3)
    run_until_settled(run)
    assert world.states(run) == {State.ACCEPTED: 40}
    once_each(simulator, 40)
    sound.check()


def test_two_chains_with_different_leases_send_once(acme, simulator, monkeypatch):
    """The lease ran out while the first chain still worked; recovery started another one."""
    monkeypatch.setattr(sending, "SLICE", 5)
    acme.recipients(40)
    run = acme.run()
    batch = world.only_batch(run)
    old = world.start(batch)
    gate = Gate()
    gated(monkeypatch, sending.throttle, "take", gate, after=True)
    first = Job(lambda: whole_chain(batch.pk, old))
    gate.wait()  # it has read the ready rows and holds tokens for the first of them
    again(batch)
    [new] = world.hand_out()
    second = Job(lambda: whole_chain(new.batch_id, new.lease))
    second.result()
    gate.open()
    first.result()
    assert world.states(run) == {State.ACCEPTED: 40}
    once_each(simulator, 40)
    sound.check()


def test_a_stale_chain_claims_nothing_even_while_rows_are_ready(acme, simulator, monkeypatch):
    acme.recipients(5)
    run = acme.run()
    batch = world.only_batch(run)
    old = world.start(batch)
    for stage in world.PIPELINE[:4]:
        stage.run(batch.pk, old)
    gate = Gate()
    gated(monkeypatch, sending.throttle, "take", gate, after=True)
    first = Job(lambda: sending.take_turn(batch.pk, old, judging=pipeline.judge_ready))
    gate.wait()
    again(batch)
    world.hand_out()
    gate.open()
    first.result()
    assert world.states(run) == {State.READY: 5}
    assert simulator.ledger()["posts"] == 0


def test_thirty_threads_lease_each_batch_once(acme, settings):
    settings.BATCH_SIZE = 1
    settings.LANE_IN_FLIGHT = {"bulk": 100, "urgent": 8}
    settings.TENANT_IN_FLIGHT = settings.ACCOUNT_IN_FLIGHT = 100
    settings.CLAIM_BATCHES = 3
    acme.account.segments_per_second = 10_000
    acme.account.save()
    acme.recipients(60)
    acme.run()
    leased = [batch.batch_id for found in together(*[world.hand_out] * 30) for batch in found]
    assert len(leased) == len(set(leased)) == 60
    assert set(Batch.objects.values_list("lease", flat=True)) == {1}


def test_two_beats_hand_each_batch_out_once(acme, settings, monkeypatch):
    settings.BATCH_SIZE = 2
    acme.recipients(16)
    acme.run()
    started = []
    monkeypatch.setattr(tasks, "_start", started.append)
    together(*[lambda: tasks.hand_out("bulk")] * 2)
    assert len(started) == len({batch.batch_id for batch in started}) == 8


def test_never_has_more_in_flight_than_the_lane_allows(acme, settings):
    settings.BATCH_SIZE = 1
    settings.LANE_IN_FLIGHT = {"bulk": 7, "urgent": 1}
    settings.CLAIM_BATCHES = 4
    acme.recipients(30)
    acme.run()
    together(*[world.hand_out] * 10)
    assert Batch.objects.filter(phase="leased").count() == 7


def test_the_ledger_refuses_a_second_live_attempt(acme):
    acme.recipients(1)
    acme.run()
    world.work()
    first = Attempt.objects.get()
    values = {f.name: getattr(first, f.name) for f in Attempt._meta.concrete_fields}
    for outcome in (Attempt.OPEN, "accepted", "unknown"):
        with pytest.raises(IntegrityError), transaction.atomic():
            Attempt.objects.create(**{**values, "flight": 2, "outcome": outcome})
    for outcome in ("open", "accepted", "unknown"):
        Attempt.objects.update(outcome=outcome)
        with pytest.raises(IntegrityError), transaction.atomic():
            Attempt.objects.create(**{**values, "flight": 2, "outcome": "open"})


def test_posts_nothing_for_a_row_that_has_a_live_attempt(acme, simulator):
    """A row that is ready against the ledger's word becomes unknown, and nobody posts it (R3)."""
    acme.recipients(3)
    run = acme.run()
    world.work()
    victim = Dispatch.objects.first()
    Dispatch.objects.filter(pk=victim.pk).update(state="ready", settled_at=None)
    batch = world.only_batch(run)
    Batch.objects.filter(pk=batch.pk).update(phase="waiting", due_at=database.now())
    world.work()
    victim.refresh_from_db()
    assert (victim.state, victim.reason) == ("unknown", "live_attempt_in_ledger")
    once_each(simulator, 3)


def test_send_refuses_to_run_inside_a_transaction(acme, simulator):
    acme.recipients(1)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:4]:
        stage.run(batch.pk, lease)
    with transaction.atomic(), pytest.raises(RuntimeError, match="inside a transaction"):
        world.stage_named("send").run(batch.pk, lease)
    assert simulator.ledger()["posts"] == 0


@pytest.mark.parametrize("name", [stage.name for stage in world.PIPELINE if stage.name != "send"])
def test_stages_are_durable(acme, name):
    acme.recipients(1)
    batch = world.only_batch(acme.run())
    lease = world.start(batch)
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        world.stage_named(name).run(batch.pk, lease)


def test_the_claim_is_committed_before_the_first_byte_leaves(acme, simulator, monkeypatch):
    """Seen from another session at the moment of posting."""
    acme.recipients(4)
    run = acme.run()
    seen = []
    post = Poster.post

    def look(poster, *slices):
        seen.append(Job(lambda: (world.states(run), Attempt.objects.filter(outcome="open").count())).result())
        post(poster, *slices)

    monkeypatch.setattr(Poster, "post", look)
    world.work()
    assert seen == [({State.SENDING: 4}, 4)]


def test_the_claim_commits_synchronously(acme, monkeypatch):
    """Whatever else may be lost with the machine's power: not the intent of a post."""
    acme.recipients(2)
    acme.run()
    told = []
    claim = sending.Dispatch.objects.none().__class__.claim

    def look(*arguments, **options):
        told.append(database.rows("SHOW synchronous_commit")[0][0])
        return claim(*arguments, **options)

    monkeypatch.setattr(sending.Dispatch.objects.none().__class__, "claim", look)
    world.work()
    assert told
    assert "off" not in told


# -- evidence -------------------------------------------------------------------------------------------------------


def refused_once(acme, simulator):
    """One message whose first flight was refused for the moment; the second is to come."""
    acme.recipients(1)
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "rate_limited", "next": 1}])
    run = acme.run()
    world.work()
    assert world.states(run) == {State.HELD: 1}
    return run, Dispatch.objects.get()


@pytest.mark.parametrize("status", ["sent", "delivered", "undelivered"])
def test_a_receipt_for_a_refused_flight_stops_the_next_one(acme, simulator, status):
    """The 429 was a proxy's lie: the vendor has it (R19)."""
    run, dispatch = refused_once(acme, simulator)
    posts = simulator.ledger()["posts"]
    hooks.call(acme, hooks.report(dispatch.pk, 1, status))
    receipts.apply_events()
    run_until_settled(run)
    expected = {"sent": State.ACCEPTED, "delivered": State.DELIVERED, "undelivered": State.UNDELIVERED}[status]
    assert world.states(run) == {expected: 1}
    assert simulator.ledger()["posts"] == posts
    sound.check()


def test_two_flights_proven_taken_raise_the_alarm(acme, simulator):
    run, dispatch = refused_once(acme, simulator)
    run_until_settled(run)
    assert world.states(run) == {State.ACCEPTED: 1}
    assert audits.everything().is_clean
    hooks.call(acme, hooks.report(dispatch.pk, 1))
    receipts.apply_events()
    assert audits.everything().accepted_twice == [str(dispatch.pk)]
    assert world.states(run) == {State.DELIVERED: 1}


def test_a_receipt_for_flight_one_while_flight_two_is_in_the_air(acme, simulator, monkeypatch):
    run, dispatch = refused_once(acme, simulator)
    gate = Gate()
    gated(monkeypatch, settling, "settle", gate)
    Batch.objects.update(due_at=database.now())
    chain = Job(world.work)
    gate.wait()
    assert world.states(run) == {State.SENDING: 1}
    hooks.call(acme, hooks.report(dispatch.pk, 1))
    receipts.apply_events()
    assert world.states(run) == {State.DELIVERED: 1}
    gate.open()
    chain.result()
    assert world.states(run) == {State.DELIVERED: 1}
    assert audits.everything().accepted_twice == [str(dispatch.pk)]
    assert audits.everything().wrong_permits == []


@pytest.mark.parametrize("status", ["sent", "delivered"])
def test_a_receipt_before_the_accept_is_stored(acme, simulator, monkeypatch, status):
    acme.recipients(2)
    acme.run()
    gate = Gate()
    gated(monkeypatch, settling, "settle", gate)
    chain = Job(world.work)
    gate.wait()
    first = Dispatch.objects.order_by("id").first()
    hooks.call(acme, hooks.report(first.pk, 1, status))
    receipts.apply_events()
    gate.open()
    chain.result()
    expected = State.ACCEPTED if status == "sent" else State.DELIVERED
    first.refresh_from_db()
    assert first.state == expected
    assert set(Attempt.objects.values_list("outcome", flat=True)) == {"accepted"}
    assert all(Attempt.objects.values_list("provider_id", flat=True))
    once_each(simulator, 2)
    sound.check()


def test_receipts_go_up_and_never_down_in_any_order(acme):
    acme.recipients(1)
    run = acme.run()
    world.work()
    dispatch = Dispatch.objects.get()
    seen = []
    for status in ("undelivered", "sent", "delivered", "failed", "queued"):
        hooks.call(acme, hooks.report(dispatch.pk, 1, status, id_="m1"))
        receipts.apply_events()
        seen.append(next(iter(world.states(run))))
        sound.check()
    assert seen == [State.UNDELIVERED, State.UNDELIVERED, State.DELIVERED, State.DELIVERED, State.DELIVERED]


def test_a_receipt_for_a_row_that_recovery_gave_up_and_an_operator_would_resend(acme, simulator, monkeypatch):
    abandoned = Abandoned(acme, monkeypatch, count=2)
    abandoned.look_after()
    assert world.states(abandoned.run) == {State.UNKNOWN: 2}
    for _ in range(3):
        again(abandoned.batch)
        Batch.objects.update(phase="waiting", due_at=database.now())
        world.work()
    assert simulator.ledger()["posts"] == 0


def test_a_person_is_texted_once_per_run_however_many_lists_they_are_on(acme, simulator):
    people = acme.recipients(3)
    campaign = acme.campaign()
    other = world.RecipientList.objects.create(tenant=acme.tenant, name="again")
    for person in people:
        world.ListMember.objects.create(tenant=acme.tenant, list=other, recipient=person)
    campaign.lists.add(other)
    acme.run(campaign)
    world.work()
    once_each(simulator, 3)


def test_the_same_person_cannot_be_in_a_run_twice(acme):
    acme.recipients(1)
    run = acme.run()
    [person] = Dispatch.objects.values_list("recipient_id", flat=True)
    columns = "id, tenant_id, brand_id, run_id, batch_id, recipient_id, number, state, due_at, expires_at"
    with pytest.raises(IntegrityError), transaction.atomic():
        database.rows(f"INSERT INTO campaigns_dispatch ({columns}) SELECT {columns} FROM campaigns_dispatch")
    assert Dispatch.objects.get().pk == database.key(run.pk, person)


def test_settling_twice_changes_nothing(acme, monkeypatch):
    """The settlement's commit was lost to us, so it is repeated."""
    acme.recipients(4)
    run = acme.run()
    settle = settling.settle
    monkeypatch.setattr(settling, "settle", lambda settlements: [settle(settlements) for _ in range(3)])
    world.work()
    assert world.states(run) == {State.ACCEPTED: 4}
    assert set(Dispatch.objects.values_list("posts", flat=True)) == {Dispatch.objects.first().posts}
    sound.check()


def test_an_answer_of_an_old_flight_does_not_touch_the_present_one(acme, simulator, monkeypatch):
    run, dispatch = refused_once(acme, simulator)
    gate = Gate()
    gated(monkeypatch, settling, "settle", gate)
    Batch.objects.update(due_at=database.now())
    chain = Job(world.work)
    gate.wait()
    stale = delivery.Answer(
        dispatch.pk, 1, acme.account.pk, Result(Outcome.REJECTED_PERMANENT, code="late"), database.now()
    )
    with transaction.atomic():
        Attempt.objects.settle([settling.verdict(stale, posts=0, has_next=False)], database.now())
    assert world.states(run) == {State.SENDING: 1}
    gate.open()
    chain.result()
    assert world.states(run) == {State.ACCEPTED: 1}
    assert hooks.flights(dispatch.pk) == ["rejected_retryable", "accepted"]


def test_launch_key_makes_one_run(acme):
    acme.recipients(1)
    campaign = acme.campaign()
    first = launch.launch(campaign=campaign, occurrence="key", now=database.now(), actor="a")
    assert launch.launch(campaign=campaign, occurrence="key", now=database.now(), actor="b").pk == first.pk


def test_a_forked_child_posts_through_a_loop_of_its_own():
    import os

    ours = delivery.poster()
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, b"1" if delivery.poster() is not ours else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 1) == b"1"
