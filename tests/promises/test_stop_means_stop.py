"""P7: pause and cancel, at every level, take effect at the next slice; only requests in the air go out."""

import pytest

from campaigns import fence, launch, reports, sending, settling
from campaigns.models import Batch, Dispatch, Run
from campaigns.states import State
from providers import delivery
from providers.models import ProviderAccount
from smsplatform.common import database
from smsplatform.tenancy.models import Brand, Installation, Tenant
from tests import world
from tests.promises import sound
from tests.promises.aftermath import again, run_until_settled
from tests.promises.conftest import TOKEN
from tests.promises.together import Gate, Job, gated, until

pytestmark = pytest.mark.django_db(transaction=True)

SLICE = 5


def _switch(model, pk, field="paused_at"):
    def off(*, on=False):
        model.objects.filter(pk=pk).update(**{field: None if on else database.now()})

    return off


def stops(acme, run):
    def installation(*, on=False):
        Installation.objects.update_or_create(pk=1, defaults={"is_sending": on})

    def identity(*, on=False):
        Installation.objects.update_or_create(
            pk=1, defaults={"is_sending": True, "identity": "" if on else "another:1"}
        )

    return {
        "everything": installation,
        "a database that is a copy": identity,
        "tenant": _switch(Tenant, acme.tenant.pk),
        "brand": _switch(Brand, acme.brand.pk),
        "run": _switch(Run, run.pk),
        "account": _switch(ProviderAccount, acme.account.pk),
    }


LEVELS = ["everything", "a database that is a copy", "tenant", "brand", "run", "account"]


@pytest.fixture
def in_mid_send(acme, monkeypatch):
    """Thirty messages in slices of five; the first slice is in the air and its answers are not settled yet."""
    monkeypatch.setattr(sending, "SLICE", SLICE)
    acme.account.concurrency = SLICE
    acme.account.save()
    acme.recipients(30)
    run = acme.run()
    gate = Gate()
    gated(monkeypatch, settling, "settle", gate)
    chain = Job(world.work)
    gate.wait()
    assert world.states(run)[State.SENDING] == SLICE
    return run, gate, chain


@pytest.mark.parametrize("level", LEVELS)
def test_pausing_lets_out_only_what_is_in_the_air(acme, simulator, in_mid_send, level):
    run, gate, chain = in_mid_send
    switch = stops(acme, run)[level]
    switch()
    gate.open()
    chain.result()
    assert simulator.ledger()["posts"] == SLICE
    Batch.objects.update(due_at=database.now())
    assert world.work() == 0
    assert simulator.ledger()["posts"] == SLICE
    counts = world.states(run)
    assert counts[State.ACCEPTED] == SLICE
    assert counts.get(State.HELD, 0) + counts.get(State.READY, 0) == 30 - SLICE
    sound.check()
    switch(on=True)
    Batch.objects.update(due_at=database.now())
    run_until_settled(run)
    assert world.states(run) == {State.ACCEPTED: 30}
    assert simulator.ledger()["posts"] == 30
    assert simulator.ledger()["numbers_twice"] == 0
    sound.check()


@pytest.mark.parametrize("level", LEVELS)
def test_pausing_before_anything_starts_hands_nothing_out(acme, simulator, level):
    acme.recipients(3)
    run = acme.run()
    switch = stops(acme, run)[level]
    switch()
    assert world.work() == 0
    assert world.states(run) == {State.QUEUED: 3}
    switch(on=True)
    assert world.work() == 1
    assert world.states(run) == {State.ACCEPTED: 3}


def test_what_a_pause_holds_holds_nothing(acme, in_mid_send):
    """A paused run must not eat today's cap (R28)."""
    run, gate, chain = in_mid_send
    launch.pause(run, now=database.now(), actor="test")
    gate.open()
    chain.result()
    assert world.states(run) == {State.ACCEPTED: SLICE, State.HELD: 30 - SLICE}
    assert {d.reason for d in Dispatch.objects.filter(state="held")} == {"paused@1"}
    from compliance.models import Permit

    assert Permit.objects.count() == SLICE
    sound.check()


def test_resuming_checks_everything_again(acme, simulator, in_mid_send):
    run, gate, chain = in_mid_send
    launch.pause(run, now=database.now(), actor="test")
    gate.open()
    chain.result()
    from compliance import suppression

    unlucky = Dispatch.objects.filter(state="held").first()
    suppression.suppress(brand=acme.brand, number=unlucky.number, reason="opt_out", source="test", now=database.now())
    launch.resume(run, now=database.now(), actor="test")
    run_until_settled(run)
    assert world.states(run) == {State.ACCEPTED: 29, State.BLOCKED: 1}
    assert simulator.ledger()["posts"] == 29


def test_cancelling_lets_out_only_what_is_in_the_air_and_ends_as_cancelled(acme, simulator, in_mid_send):
    run, gate, chain = in_mid_send
    launch.cancel(run, now=database.now(), actor="test")
    gate.open()
    chain.result()
    run.refresh_from_db()
    assert reports.report(run).progress in ("cancelling", "cancelled")
    run_until_settled(run)
    assert world.states(run) == {State.ACCEPTED: SLICE, State.CANCELLED: 30 - SLICE}
    assert simulator.ledger()["posts"] == SLICE
    assert reports.report(run).progress == "cancelled"
    assert not Batch.objects.exclude(phase="closed").exists()
    sound.check()


def test_cancelling_ends_held_rows_too(acme, simulator):
    acme.brand.daily_cap = 2
    acme.brand.save()
    acme.recipients(6)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 2, State.HELD: 4}
    launch.cancel(run, now=database.now(), actor="test")
    assert world.work() == 1
    assert world.states(run) == {State.ACCEPTED: 2, State.CANCELLED: 4}
    assert world.only_batch(run).phase == "closed"
    sound.check()


def test_cancelling_ends_a_paused_run(acme):
    acme.recipients(3)
    run = acme.run()
    launch.pause(run, now=database.now(), actor="test")
    launch.cancel(run, now=database.now(), actor="test")
    world.work()
    assert world.states(run) == {State.CANCELLED: 3}


def test_a_retryable_answer_after_the_cancel_ends_as_cancelled(acme, simulator, monkeypatch):
    acme.recipients(4)
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "rate_limited"}])
    run = acme.run()
    gate = Gate()
    gated(monkeypatch, settling, "settle", gate)
    chain = Job(world.work)
    gate.wait()
    launch.cancel(run, now=database.now(), actor="test")
    gate.open()
    chain.result()
    run_until_settled(run)
    assert world.states(run) == {State.CANCELLED: 4}
    assert simulator.ledger()["posts"] == 4
    sound.check()


def test_a_late_give_back_after_the_cancel_ends_as_cancelled(acme, simulator, monkeypatch):
    from providers.adapters.base import Outcome
    from tests.promises.aftermath import Abandoned

    abandoned = Abandoned(acme, monkeypatch, count=2)
    abandoned.look_after()
    launch.cancel(abandoned.run, now=database.now(), actor="test")
    abandoned.late(Outcome.NOT_POSTED)
    run_until_settled(abandoned.run)
    assert world.states(abandoned.run) == {State.CANCELLED: 2}
    assert simulator.ledger()["posts"] == 0


def test_a_frozen_worker_posts_nothing_after_the_cancel(acme, simulator, monkeypatch):
    from tests.promises.test_stop_wins import Frozen

    acme.recipients(4)
    run = acme.run()
    monkeypatch.setattr(delivery, "clock", Frozen(delivery.clock))
    wakes = Gate()
    gated(monkeypatch, delivery.Poster, "post", wakes)
    chain = Job(world.work)
    wakes.wait()
    launch.cancel(run, now=database.now(), actor="test")
    delivery.clock.sleep(60)
    wakes.open()
    chain.result()
    run_until_settled(run)
    assert world.states(run) == {State.CANCELLED: 4}
    assert simulator.ledger()["posts"] == 0


def test_a_cancel_while_caps_are_reserved_leaks_no_permit(acme, monkeypatch):
    """check_caps runs while the run is cancelled; the next touch ends its rows and returns every permit."""
    from campaigns import pipeline

    acme.brand.daily_cap = 100
    acme.brand.save()
    acme.recipients(10)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:2]:
        stage.run(batch.pk, lease)
    gate = Gate()
    gated(monkeypatch, pipeline.leases, "note_progress", gate)
    caps = Job(lambda: world.stage_named("check_caps").run(batch.pk, lease))
    gate.wait()
    canceller = Job(lambda: launch.cancel(run, now=database.now(), actor="test"))
    gate.open()
    caps.result()
    canceller.result()
    again(batch)
    run_until_settled(run)
    assert world.states(run) == {State.CANCELLED: 10}
    from compliance.models import CapWindow, Permit

    assert Permit.objects.count() == 0
    assert set(CapWindow.objects.values_list("used", flat=True)) == {0}
    sound.check()


def test_moves_from_outside_see_the_permits_of_a_stage_they_waited_for(acme, monkeypatch):
    """The snapshot trap: a move that waits for check_caps' rows must return the permits that check_caps just wrote."""
    from campaigns import pipeline

    acme.brand.daily_cap = 100
    acme.brand.save()
    acme.recipients(10)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:2]:
        stage.run(batch.pk, lease)
    gate = Gate()
    gated(monkeypatch, pipeline.leases, "note_progress", gate)  # permits are written, nothing is committed
    caps = Job(lambda: world.stage_named("check_caps").run(batch.pk, lease))
    gate.wait()

    def block_all():
        from django.db import transaction

        from campaigns.states import EARLY

        with transaction.atomic():
            return Dispatch.objects.of_run(run.pk).move(EARLY, State.BLOCKED, now=database.now(), reason="test")

    from tests.promises.together import blocked_sessions

    outside = Job(block_all)
    until(blocked_sessions)
    gate.open()
    caps.result()
    outside.result()
    assert world.states(run) == {State.BLOCKED: 10}
    sound.check()


def test_cancelled_people_who_are_materialised_later_are_not_texted(acme, simulator, monkeypatch):
    """The cancel comes between two chunks: what is there ends, nothing appears after it (R48)."""
    monkeypatch.setattr(launch, "CHUNK", 4)
    acme.recipients(12)
    run = launch.launch(campaign=acme.campaign(), occurrence="1", now=database.now(), actor="test")
    insert = launch._insert_chunk
    made = []

    def then_cancel(*arguments):
        made.append(insert(*arguments))
        if len(made) == 1:
            Job(lambda: launch.cancel(run, now=database.now(), actor="test"))
        return made[-1]

    monkeypatch.setattr(launch, "_insert_chunk", then_cancel)
    launch.materialise(run.pk)
    until(lambda: Run.objects.filter(pk=run.pk).exclude(cancelled_at=None).exists())
    run_until_settled(run)
    assert set(world.states(run)) == {State.CANCELLED}
    assert simulator.ledger()["posts"] == 0


def test_a_worker_that_is_told_to_end_claims_nothing_more(acme, simulator, in_mid_send):
    run, gate, chain = in_mid_send
    sending.stop_claiming()
    try:
        gate.open()
        chain.result()
    finally:
        sending._stopping[0] = 0
    assert simulator.ledger()["posts"] == SLICE
    assert world.states(run) == {State.ACCEPTED: SLICE, State.READY: 30 - SLICE}
    assert world.only_batch(run).due_at <= database.now()
    sound.check()


def test_the_fence_names_what_stops_it(acme):
    acme.recipients(1)
    run = acme.run()
    batch = world.only_batch(run)
    assert fence.read(batch.pk, account_id=acme.account.pk).is_open
    for level, switch in stops(acme, run).items():
        switch()
        stop = fence.read(batch.pk, account_id=acme.account.pk)
        assert not stop.is_open, level
        assert stop.paused or stop.is_account_paused
        switch(on=True)
    assert fence.read(batch.pk, account_id=acme.account.pk).is_open
