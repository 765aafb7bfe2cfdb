"""P2: runs and single messages: launched, materialised, collected, stopped; none is forgotten, none is doubled."""

import itertools
from datetime import timedelta

import pytest
from django.db import OperationalError, connection

from campaigns import launch, notifications, pipeline, recovery, reports
from campaigns.models import Batch, Campaign, Dispatch, Run
from campaigns.states import State
from compliance.policy import Category
from smsplatform.common import database
from tests import world
from tests.promises import sound
from tests.promises.aftermath import heal
from tests.promises.together import Gate, Job, blocked_sessions, gated, together, until

pytestmark = pytest.mark.django_db(transaction=True)


def _dies(*_, **__):
    database.rows("SELECT pg_terminate_backend(pg_backend_pid())")


def test_goes_on_when_materialising_died_between_two_chunks(acme, monkeypatch):
    monkeypatch.setattr(launch, "CHUNK", 4)
    acme.recipients(10)
    run = launch.launch(campaign=acme.campaign(), occurrence="1", now=database.now(), actor="test")
    chunks = itertools.count(1)
    insert = launch._insert_chunk

    def dying(*arguments):
        if next(chunks) == 2:
            _dies()
        return insert(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(launch, "_insert_chunk", dying)
        with pytest.raises(OperationalError):
            launch.materialise(run.pk)
    connection.close()
    assert world.states(run) == {State.QUEUED: 4}
    run.refresh_from_db()
    assert reports.report(run).progress == "running"
    assert recovery.half_made_runs(database.now()) == []  # the dead worker's lease
    later = database.now() + timedelta(minutes=3)
    assert recovery.half_made_runs(later) == [run.pk]
    Run.objects.update(lease_until=database.now() - timedelta(seconds=1))
    assert launch.materialise(run.pk)
    assert world.states(run) == {State.QUEUED: 10}
    sound.check()


def test_materialises_once_when_two_workers_try(acme, monkeypatch):
    monkeypatch.setattr(launch, "CHUNK", 5)
    acme.recipients(20)
    run = launch.launch(campaign=acme.campaign(), occurrence="1", now=database.now(), actor="test")
    made = together(*[lambda: launch.materialise(run.pk)] * 4)
    assert sorted(made) == [False, False, False, True]
    assert world.states(run) == {State.QUEUED: 20}
    sound.check()


def test_finds_single_messages_whose_nudge_was_lost(acme, simulator):
    notifications.send(
        brand=acme.brand,
        number="+12125550100",
        text="Your code is 1",
        now=database.now(),
        category=Category.TRANSACTIONAL,
    )
    assert world.work("urgent") == 0
    assert notifications.collect(database.now()) == ["urgent"]
    assert notifications.collect(database.now()) == []
    assert world.work("urgent") == 1
    assert simulator.ledger()["accepted"] == 1
    sound.check()


def test_collects_each_single_message_once_when_several_collect(acme, simulator):
    now = database.now()
    for n in range(30):
        notifications.send(
            brand=acme.brand, number=f"+1212555{n:04d}", text="Hi", now=now, category=Category.TRANSACTIONAL
        )
    together(*[lambda: notifications.collect(database.now())] * 4)
    sound.check()
    while world.work("urgent"):
        pass
    assert simulator.ledger()["posts"] == 30
    assert simulator.ledger()["distinct_numbers"] == 30
    sound.check()


def test_expires_what_is_too_late_instead_of_forgetting_it(acme, simulator):
    acme.recipients(4)
    run = acme.run(lateness_minutes=1)
    Batch.objects.update(expires_at=database.now() - timedelta(seconds=1))
    Dispatch.objects.update(expires_at=database.now() - timedelta(seconds=1))
    world.work()
    assert world.states(run) == {State.EXPIRED: 4}
    assert set(Dispatch.objects.values_list("reason", flat=True)) == {"lateness_limit@1"}
    assert simulator.ledger()["posts"] == 0
    sound.check()


def test_checks_again_what_was_allowed_too_long_ago(acme, simulator):
    """`good_until` is over between check and claim: back to the start, with its permit returned (R4)."""
    acme.recipients(3)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:4]:
        stage.run(batch.pk, lease)
    assert world.states(run) == {State.READY: 3}
    Dispatch.objects.update(good_until=database.now() - timedelta(seconds=1))
    for stage in world.PIPELINE[4:]:
        stage.run(batch.pk, lease)
    assert world.states(run) == {State.READY: 3}
    assert simulator.ledger()["posts"] == 0
    assert world.only_batch(run).phase == "waiting"
    sound.check()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 3}


def test_launching_twice_gives_one_run_and_one_message_each(acme, simulator):
    acme.recipients(5)
    campaign = acme.campaign()
    runs = together(
        *[lambda: launch.launch(campaign=campaign, occurrence="now", now=database.now(), actor="test").pk] * 5
    )
    assert len(set(runs)) == 1
    together(*[lambda: launch.materialise(runs[0])] * 2)
    world.work()
    assert simulator.ledger()["posts"] == 5
    assert simulator.ledger()["numbers_twice"] == 0


def test_fires_an_occurrence_once_when_two_beats_tick(acme):
    from campaigns import schedules

    acme.recipients(2)
    campaign = acme.campaign(schedule=Campaign.Schedule.REPEAT, crontab="* * * * *")
    now = database.now() + timedelta(minutes=3)
    together(*[lambda: schedules.fire(now)] * 4)
    assert Run.objects.filter(campaign=campaign).count() == 1
    schedules.fire(now)
    assert Run.objects.count() == 1


@pytest.mark.parametrize("verb", ["cancel", "resume"])
def test_hurries_although_a_chain_was_just_ending_its_turn(acme, monkeypatch, verb):
    """The turn read the fence before the operator moved it, and wrote its next instant after."""
    acme.brand.daily_cap = 1
    acme.brand.save()
    acme.recipients(3)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    if verb == "resume":
        launch.pause(run, now=database.now(), actor="test")
    for stage in world.PIPELINE[:-1]:
        stage.run(batch.pk, lease)
    gate = Gate()
    gated(monkeypatch, pipeline.scheduling, "retally", gate)  # end_turn's first step: the fence is read
    last = Job(lambda: world.PIPELINE[-1].run(batch.pk, lease))
    gate.wait()
    operator = Job(lambda: getattr(launch, verb)(run, now=database.now(), actor="test"))
    until(lambda: not operator.is_alive() or blocked_sessions())
    gate.open()
    last.result()
    operator.result()
    heal()
    assert world.only_batch(run).due_at <= database.now()
    world.work()
    expected = {"cancel": {State.ACCEPTED: 1, State.CANCELLED: 2}, "resume": {State.ACCEPTED: 1, State.HELD: 2}}
    assert world.states(run) == expected[verb]


def test_cancelling_again_hurries_what_a_crash_left(acme, monkeypatch):
    """The first cancel died between its fence and its batches."""
    acme.brand.daily_cap = 1
    acme.brand.save()
    acme.recipients(3)
    run = acme.run()
    world.work()
    with monkeypatch.context() as patch:
        patch.setattr(launch, "execute", _dies)
        with pytest.raises(OperationalError):
            launch.cancel(run, now=database.now(), actor="test")
    connection.close()
    launch.cancel(run, now=database.now(), actor="test")
    heal()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 1, State.CANCELLED: 2}
