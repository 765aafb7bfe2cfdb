"""P2 and P3: whatever is lost in between, every recipient comes to an end, by Postgres alone."""

import itertools
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction

from campaigns import pipeline, replies, scheduling, sending, tasks
from campaigns.models import Attempt, Batch, Dispatch
from campaigns.moves import IllegalMove
from campaigns.states import OPEN, State
from smsplatform.common import database
from tests import world
from tests.promises import hooks, sound
from tests.promises.aftermath import Abandoned, again, run_until_settled
from tests.promises.conftest import TOKEN
from tests.promises.together import Gate, Job, together

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = [stage.name for stage in world.PIPELINE]


@pytest.mark.parametrize("last", NAMES)
def test_goes_on_after_the_chain_was_lost_behind_each_stage(acme, simulator, last):
    acme.recipients(8)
    run = acme.run(text="Look: https://example.com/{{ first_name | default: 'x' }}")
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[: NAMES.index(last) + 1]:
        stage.run(batch.pk, lease)
    sound.check()
    run_until_settled(run)
    assert world.states(run) == {State.ACCEPTED: 8}
    assert simulator.ledger()["posts"] == 8
    sound.check()


@pytest.mark.parametrize("name", NAMES)
def test_changes_nothing_when_a_stage_dies_before_its_commit(acme, simulator, monkeypatch, name):
    acme.recipients(8)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    stages = world.PIPELINE[: NAMES.index(name)]
    for stage in stages:
        stage.run(batch.pk, lease)
    before = world.states(run)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.leases, "note_progress", _dies)
        patch.setattr(pipeline.scheduling, "end_turn", _dies)
        patch.setattr(sending._Turn, "_claim", _dies)
        with pytest.raises(OperationalError):
            world.stage_named(name).run(batch.pk, lease)
    connection.close()
    assert world.states(run) == before
    sound.check()
    run_until_settled(run)
    assert world.states(run) == {State.ACCEPTED: 8}
    assert simulator.ledger()["posts"] == 8


def _dies(*_, **__):
    database.rows("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest.mark.parametrize("name", NAMES)
def test_moves_nothing_when_a_stage_is_run_again(acme, simulator, name):
    acme.recipients(8)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[: NAMES.index(name) + 1]:
        stage.run(batch.pk, lease)
    before = list(Dispatch.objects.order_by("id").values())
    if name == "record_results":
        with pytest.raises(pipeline.leases.LeaseLost):
            world.stage_named(name).run(batch.pk, lease)
    else:
        world.stage_named(name).run(batch.pk, lease)
    assert list(Dispatch.objects.order_by("id").values()) == before
    sound.check()


@pytest.mark.parametrize("name", NAMES)
def test_moves_each_row_once_when_a_stage_runs_twice_at_once(acme, simulator, name):
    acme.recipients(8)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[: NAMES.index(name)]:
        stage.run(batch.pk, lease)
    run_stage = world.stage_named(name).run
    together(*[lambda: _quietly(run_stage, batch.pk, lease)] * 3)
    sound.check()
    run_until_settled(run)
    assert world.states(run) == {State.ACCEPTED: 8}
    assert simulator.ledger()["posts"] == 8


def _quietly(run_stage, *arguments):
    try:
        run_stage(*arguments)
    except pipeline.leases.LeaseLost:
        return False
    return True


def test_ends_a_chain_whose_lease_number_is_old(acme):
    acme.recipients(3)
    run = acme.run()
    batch = world.only_batch(run)
    old = world.start(batch)
    again(batch)
    [new] = world.hand_out()
    assert new.lease > old
    for stage in world.PIPELINE:
        with pytest.raises(pipeline.leases.LeaseLost):
            stage.run(batch.pk, old)
    assert world.states(run) == {State.QUEUED: 3}


def test_isolates_a_poison_row_by_halving(acme, simulator, monkeypatch, settings):
    people = acme.recipients(9)
    poison = people[4].number
    run = acme.run()
    render = pipeline.rendering_stage.render

    def explode(batch, windows, now):
        if batch.dispatches.in_state(State.QUEUED).filter(number=poison).exists():
            raise RuntimeError("this row kills its stage")
        return render(batch, windows, now)

    monkeypatch.setattr(pipeline.rendering_stage, "render", explode)
    for _ in range(60):
        Batch.objects.filter(phase="waiting").update(due_at=database.now())
        with transaction.atomic():
            leased = scheduling.claim_due_batches("bulk", database.now())
        for batch in leased:
            for stage in world.PIPELINE:
                try:
                    if not tasks._run(stage, batch.batch_id, batch.lease):
                        break
                except RuntimeError:
                    break
        sound.check()
        if not Dispatch.objects.in_state(*OPEN).exists():
            break
    assert world.states(run) == {State.ACCEPTED: 8, State.DEAD: 1}
    dead = Dispatch.objects.get(state="dead")
    assert (dead.number, dead.reason) == (poison, "stage_error")
    assert dead.detail == "check_compliance: RuntimeError"
    assert simulator.ledger()["posts"] == 8
    Batch.objects.filter(phase="waiting").update(due_at=database.now())
    world.work()
    assert not Batch.objects.exclude(phase="closed").exists()


def test_gives_the_lease_back_when_the_broker_refuses(acme, monkeypatch):
    acme.recipients(3)
    run = acme.run()
    monkeypatch.undo()

    def refuse(*_, **__):
        raise OSError("the broker is down")

    monkeypatch.setattr(tasks.run_small_batch, "apply_async", refuse)
    monkeypatch.setattr("celery.canvas.Signature.apply_async", refuse)
    assert tasks.hand_out("bulk") == 0
    batch = world.only_batch(run)
    assert (batch.phase, batch.starts, batch.lease_until) == ("waiting", 0, None)
    assert batch.due_at <= database.now() + timedelta(seconds=3)
    assert world.states(run) == {State.QUEUED: 3}


def test_does_not_run_a_chain_that_the_broker_kept_although_it_said_no(acme):
    """The publish failed for us and succeeded there: the lease was given back, so the chain ends by itself."""
    acme.recipients(3)
    run = acme.run()
    [leased] = world.hand_out()
    scheduling.give_back(leased, database.now())
    with pytest.raises(pipeline.leases.LeaseLost):
        world.PIPELINE[0].run(leased.batch_id, leased.lease)
    assert world.states(run) == {State.QUEUED: 3}


def test_repeats_a_stage_that_lost_a_deadlock(acme, monkeypatch):
    """Rows are held in the other order elsewhere; one of the two is told to try again, and does."""
    acme.recipients(2)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    first, last = Dispatch.objects.order_by("id")
    deadlocks = []
    read = pipeline.fence.read

    def against(*arguments, **options):
        if not deadlocks:
            deadlocks.append(1)
            database.rows("SELECT 1 FROM campaigns_dispatch WHERE id = %s FOR UPDATE", [last.pk])
            other.open()
            Gate.wait(both)
        return read(*arguments, **options)

    other, both = Gate(), Gate()

    def opposite():
        assert other.opened.wait(20)
        with transaction.atomic():
            database.rows("SET LOCAL deadlock_timeout = '10s'")  # so that the stage is the one that is told
            database.rows("SELECT 1 FROM campaigns_dispatch WHERE id = %s FOR UPDATE", [first.pk])
            both.reached.set()
            database.rows("SELECT 1 FROM campaigns_dispatch WHERE id = %s FOR UPDATE", [last.pk])

    monkeypatch.setattr(pipeline.fence, "read", against)
    job = Job(opposite)
    world.PIPELINE[0].run(batch.pk, lease)
    job.result()
    assert deadlocks == [1]
    assert world.states(run) == {State.CLEARED: 2}
    sound.check()


def test_ends_as_dead_when_all_tries_are_used(acme, simulator, settings):
    settings.MAX_FLIGHTS = 3
    acme.recipients(2)
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "rate_limited"}])
    run = acme.run()
    run_until_settled(run)
    assert world.states(run) == {State.DEAD: 2}
    assert set(Dispatch.objects.values_list("posts", "reason")) == {(3, "retries_exhausted")}
    assert simulator.ledger()["posts"] == 6
    sound.check()


def test_sends_what_was_refused_for_the_moment_later(acme, simulator):
    acme.recipients(5)
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "rate_limited", "next": 7}])
    run = acme.run()
    run_until_settled(run)
    assert world.states(run) == {State.ACCEPTED: 5}
    assert simulator.ledger()["posts"] == 12
    assert simulator.ledger()["accepted_twice"] == 0


def test_goes_on_after_a_refusal_and_a_crash(acme, simulator, monkeypatch):
    """429 is settled, then the worker dies before the stage after it."""
    acme.recipients(3)
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "rate_limited", "next": 3}])
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:-1]:
        stage.run(batch.pk, lease)
    assert world.states(run) == {State.HELD: 3}
    assert batch.dispatches.filter(not_before=None).count() == 0
    sound.check()
    run_until_settled(run)
    assert world.states(run) == {State.ACCEPTED: 3}


def test_comes_to_an_end_for_everybody_in_a_world_full_of_faults(acme, simulator):
    people = acme.recipients(120)
    simulator.script(
        TOKEN,
        receipts=None,
        reject=[person.number for person in people[:5]],
        faults=[
            {"fault": "rate_limited", "probability": 0.2},
            {"fault": "error", "probability": 0.05},
            {"fault": "html", "probability": 0.05, "taken": True},
            {"fault": "accept_then_drop", "probability": 0.05},
            {"fault": "reset_after_read", "probability": 0.05},
            {"fault": "garbled", "probability": 0.05},
        ],
    )
    run = acme.run()
    run_until_settled(run, rounds=20)
    assert sum(world.states(run).values()) == 120
    assert not set(world.states(run)) & set(OPEN)
    ledger = simulator.ledger()
    assert ledger["accepted_twice"] == 0
    assert ledger["numbers_twice"] == 0
    # What we call accepted was taken; what was taken we call accepted or say that we do not know.
    taken = world.states(run).get(State.ACCEPTED, 0)
    assert taken <= ledger["accepted"] <= taken + world.states(run).get(State.UNKNOWN, 0)
    sound.check()


def test_refuses_a_move_that_the_table_does_not_have(acme):
    acme.recipients(1)
    acme.run()
    with transaction.atomic(), pytest.raises(IllegalMove):
        Dispatch.objects.all().move([State.QUEUED], State.ACCEPTED, now=database.now())


def test_blocks_waiting_rows_of_who_stopped_even_when_tidying_loses_a_deadlock(acme, simulator, monkeypatch):
    people = acme.recipients(6)
    run = acme.run()
    hooks.stop(acme, people[0].number)
    judge = replies.Dispatch.objects.none().__class__.judge
    calls = itertools.count(1)

    def losing(queryset, *arguments, **options):
        if next(calls) == 1:
            raise OperationalError("deadlock detected")
        return judge(queryset, *arguments, **options)

    monkeypatch.setattr(replies.Dispatch.objects.none().__class__, "judge", losing)
    with pytest.raises(OperationalError):
        replies.tidy_stops(database.now())
    assert replies.tidy_stops(database.now()) == 1
    assert world.states(run)[State.BLOCKED] == 1
    sound.check()


def test_an_attempt_never_stays_open_after_its_horizon(acme, monkeypatch):
    """A receipt came, the poster died: the dispatch is delivered, and the ledger says so too."""
    from campaigns import receipts

    abandoned = Abandoned(acme, monkeypatch)
    [envelope] = abandoned.envelopes
    hooks.call(acme, hooks.report(envelope.dispatch_id))
    receipts.apply_events()
    abandoned.look_after()
    assert world.states(abandoned.run) == {State.DELIVERED: 1}
    assert Attempt.objects.get().outcome == "accepted"
