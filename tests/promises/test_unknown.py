"""P4: when we cannot know, we say so; nothing is sent again on our own; late answers settle it."""

from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import DatabaseError, OperationalError

from campaigns import receipts, recovery, sending, settling
from campaigns.leases import LeaseLost
from campaigns.models import Attempt, Batch, Dispatch, Trouble
from campaigns.states import State
from providers import delivery
from providers.adapters.base import Outcome, Result
from smsplatform.common import database
from tests import world
from tests.promises import hooks, sound
from tests.promises.aftermath import Abandoned, again
from tests.promises.together import Gate, Job, blocked_sessions, elsewhere, gated, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def abandoned(acme, monkeypatch):
    """One message, claimed, and its poster gone before a byte left; its horizon has passed."""
    return Abandoned(acme, monkeypatch)


def test_says_unknown_when_the_poster_died_and_never_sends_again(abandoned, simulator):
    abandoned.look_after()
    assert world.states(abandoned.run) == {State.UNKNOWN: 1}
    again(abandoned.batch)
    world.work()
    assert simulator.ledger()["posts"] == 0
    assert Attempt.objects.count() == 1
    assert Trouble.objects.get().kind == "unknown"
    sound.check()


def test_does_not_say_unknown_before_the_horizon(abandoned):
    again(abandoned.batch)
    Attempt.objects.update(horizon_at=database.now() + timedelta(seconds=30))
    world.work()
    assert world.states(abandoned.run) == {State.SENDING: 1}
    assert abandoned.batch.phase == "waiting"
    sound.check()


def test_waits_for_the_horizon_of_the_ledger_before_it_looks_again(abandoned):
    """A batch that is due before the horizon is over would be handed out again and again for nothing."""
    horizon = database.now() + timedelta(seconds=300)
    Attempt.objects.update(horizon_at=horizon)
    again(abandoned.batch)
    world.work()
    assert abandoned.batch.due_at >= horizon


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.ACCEPTED, State.ACCEPTED),
        (Outcome.REJECTED_PERMANENT, State.REJECTED),
        (Outcome.REJECTED_RETRYABLE, State.HELD),
        (Outcome.NOT_POSTED, State.HELD),
        (Outcome.UNKNOWN, State.UNKNOWN),
    ],
)
def test_believes_the_posters_own_late_answer(abandoned, outcome, state):
    abandoned.look_after()
    assert abandoned.batch.phase == "closed"
    abandoned.late(outcome)
    assert world.states(abandoned.run) == {state: 1}
    sound.check()


@pytest.mark.parametrize("outcome", [Outcome.REJECTED_RETRYABLE, Outcome.NOT_POSTED])
def test_sends_what_a_late_answer_proves_untaken(abandoned, simulator, outcome):
    abandoned.look_after()
    abandoned.late(outcome)
    abandoned.acme.account.timeout = 5
    abandoned.acme.account.save()
    assert world.work() == 1
    assert world.states(abandoned.run) == {State.ACCEPTED: 1}
    assert simulator.ledger()["posts"] == 1
    sound.check()


def test_counts_a_flight_once_however_late_its_answer(abandoned):
    """Retry limits count flights that were posted; give-backs are free (evidence rule)."""
    abandoned.look_after()
    abandoned.late(Outcome.REJECTED_RETRYABLE)
    assert Dispatch.objects.get().posts == 1


def test_does_not_count_a_flight_that_was_given_back_late(abandoned):
    abandoned.look_after()
    abandoned.late(Outcome.NOT_POSTED)
    assert Dispatch.objects.get().posts == 0


def test_ignores_a_late_answer_that_is_older_than_a_receipt(abandoned):
    abandoned.look_after()
    [envelope] = abandoned.envelopes
    assert hooks.call(abandoned.acme, hooks.report(envelope.dispatch_id)) == 204
    receipts.apply_events()
    abandoned.late(Outcome.REJECTED_RETRYABLE)
    assert world.states(abandoned.run) == {State.DELIVERED: 1}
    sound.check()


def test_settles_an_unknown_by_receipt(abandoned):
    abandoned.look_after()
    [envelope] = abandoned.envelopes
    assert hooks.call(abandoned.acme, hooks.report(envelope.dispatch_id, status="sent")) == 204
    receipts.apply_events()
    assert world.states(abandoned.run) == {State.ACCEPTED: 1}
    assert Attempt.objects.get().outcome == "accepted"
    sound.check()


def test_makes_an_unknown_final_at_its_deadline(abandoned, settings):
    abandoned.look_after()
    recovery.settle_unknowns(database.now() + settings.UNKNOWN_LIFE - timedelta(minutes=1))
    assert Dispatch.objects.get().settled_at is None
    recovery.settle_unknowns(database.now() + settings.UNKNOWN_LIFE + timedelta(minutes=1))
    assert Dispatch.objects.get().settled_at is not None
    assert world.states(abandoned.run) == {State.UNKNOWN: 1}
    sound.check()


# -- the database goes away around an answer ------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["campaigns_dispatch", "campaigns_attempt"])
def test_makes_no_unknown_of_answers_that_came_while_the_database_stalled(acme, simulator, monkeypatch, table):
    acme.recipients(40)
    run = acme.run()
    acme.account.timeout = 0.5
    acme.account.save()
    batch = world.only_batch(run)
    gate = Gate()
    gated(monkeypatch, settling, "settle", gate)
    turn = Job(lambda: _chain(batch))
    gate.wait()
    with elsewhere(f"LOCK TABLE {table} IN EXCLUSIVE MODE"):
        gate.open()
        until(lambda: simulator.ledger()["accepted"] == 40)
        until(blocked_sessions)
        started = delivery.clock()
        until(lambda: delivery.clock() - started > 0.6)  # longer than the HTTP time-out
        assert turn.is_waiting
    turn.result()
    assert world.states(run) == {State.ACCEPTED: 40}
    sound.check()


def _chain(batch):
    lease = world.start(batch)
    for stage in world.PIPELINE:
        stage.run(batch.pk, lease)


def test_stores_the_answers_although_the_connection_dies_while_settling(acme, simulator, monkeypatch):
    acme.recipients(10)
    run = acme.run()
    _die_inside(monkeypatch, "settle", times=2)
    world.work()
    assert world.states(run) == {State.ACCEPTED: 10}
    assert simulator.ledger()["posts"] == 10
    sound.check()


def _die_inside(monkeypatch, verb, times=1):
    """The server ends our session inside the ledger's verb, before its commit."""
    from campaigns.verbs import AttemptQuerySet

    original = getattr(AttemptQuerySet, verb)
    left = [times]

    def dying(*args, **kwargs):
        value = original(*args, **kwargs)
        left[0] -= 1
        if left[0] >= 0:
            _end_own_session()
        return value

    monkeypatch.setattr(AttemptQuerySet, verb, dying)
    manager = Attempt.objects
    monkeypatch.setattr(type(manager), verb, lambda self, *a, **k: getattr(self.get_queryset(), verb)(*a, **k))


def _end_own_session():
    database.rows("SELECT pg_terminate_backend(pg_backend_pid())")


def test_takes_back_a_claim_whose_commit_was_never_answered(acme, simulator, monkeypatch):
    """The commit reached the server, its answer did not reach us: nothing was posted, so nothing is unknown (R7)."""
    run, batch = _claim_then_lose_the_connection(acme, monkeypatch)
    assert world.states(run) == {State.READY: 5}
    assert simulator.ledger()["posts"] == 0
    assert set(Attempt.objects.values_list("outcome", flat=True)) == {"not_posted"}
    sound.check()
    again(batch)
    world.work()
    assert world.states(run) == {State.ACCEPTED: 5}
    sound.check()


def _claim_then_lose_the_connection(acme, monkeypatch, meanwhile=lambda: None):
    """Commit a claim and lose the connection before its answer; `meanwhile` happens before we are connected again."""
    acme.recipients(5)
    run = acme.run()
    batch = world.only_batch(run)
    claim = sending._Turn._claim
    disown = sending._Turn._disown

    def late_disown(turn, *arguments):
        meanwhile()
        disown(turn, *arguments)

    from django.db.backends.base.base import BaseDatabaseWrapper

    def losing(turn, granted):
        commit = BaseDatabaseWrapper.commit

        def commit_and_die(wrapper):
            commit(wrapper)
            raise OperationalError("the connection is lost")

        with monkeypatch.context() as patch:
            patch.setattr(BaseDatabaseWrapper, "commit", commit_and_die)
            patch.setattr(sending._Turn, "_disown", lambda *arguments: lost.append(arguments))
            lost = []
            value = claim(turn, granted)
        for arguments in lost:
            late_disown(*arguments)
        return value

    with monkeypatch.context() as patch:
        patch.setattr(sending._Turn, "_claim", losing)
        with suppress(LeaseLost):
            world.work()
    return run, batch


def test_takes_back_a_lost_claim_even_after_recovery_called_it_unknown(acme, simulator, monkeypatch):
    """Cut off from the database for longer than the horizon; others worked on meanwhile."""

    def the_others():
        Attempt.objects.update(horizon_at=database.now() - timedelta(seconds=1))
        Batch.objects.update(lease_until=database.now() - timedelta(seconds=1))
        recovery.end_leases(database.now())
        Batch.objects.filter(phase="waiting").update(due_at=database.now())
        world.work()
        assert set(Dispatch.objects.values_list("state", flat=True)) == {"unknown"}

    run, batch = _claim_then_lose_the_connection(acme, monkeypatch, the_others)
    sound.check()
    again(batch)
    world.work()
    assert world.states(run) == {State.ACCEPTED: 5}
    assert simulator.ledger()["posts"] == 5


def test_settles_the_others_although_one_answer_cannot_be_stored(acme, monkeypatch):
    """One answer with a byte that Postgres refuses must not hold up, nor spoil, the rest of its group."""
    from providers.adapters.simulator import SimulatorAdapter

    people = acme.recipients(10)
    run = acme.run()
    read = SimulatorAdapter.read

    def poisonous(adapter, message, reply):
        result = read(adapter, message, reply)
        return Result(result.outcome, provider_id="a\x00b") if message.to == people[3].number else result

    monkeypatch.setattr(SimulatorAdapter, "read", poisonous)
    failures = []
    monkeypatch.setattr(sending.time, "sleep", lambda _: _give_up_after(failures, 30))
    world.work()
    assert world.states(run)[State.ACCEPTED] >= 9
    sound.check()


def _give_up_after(failures, most):
    failures.append(1)
    if len(failures) > most:
        raise AssertionError("settling is repeated for ever")


def test_raises_nothing_when_the_database_is_away_for_a_while(acme, monkeypatch):
    acme.recipients(3)
    run = acme.run()
    failures = iter([DatabaseError("away"), DatabaseError("away"), DatabaseError("away")])
    begin = database.commit_cheaply

    def sometimes():
        if in_settle and (error := next(failures, None)):
            raise error
        return begin()

    in_settle = []
    persist = settling.persist

    def persisting(write):
        in_settle.append(1)
        persist(write)
        in_settle.clear()

    monkeypatch.setattr(settling, "persist", persisting)
    monkeypatch.setattr(database, "commit_cheaply", sometimes)
    world.work()
    assert world.states(run) == {State.ACCEPTED: 3}
    assert next(failures, None) is None
