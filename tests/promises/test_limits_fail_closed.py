"""P5: caps, frequency limits, quiet hours and rates hold under races and outages; unchecked means unsent."""

from datetime import time, timedelta
from zoneinfo import ZoneInfo

import pytest

from campaigns import notifications, receipts, verbs
from campaigns.models import Attempt, Batch, Dispatch, SendLock
from campaigns.states import State
from compliance import cap_windows
from compliance.models import CapWindow, Permit
from compliance.policy import Category
from smsplatform.common import database
from tests import world
from tests.promises import hooks, sound
from tests.promises.aftermath import Abandoned, run_until_settled
from tests.promises.conftest import TOKEN
from tests.promises.together import Gate, Job, blocked_sessions, gated, together, until

pytestmark = pytest.mark.django_db(transaction=True)


def runs_of_one_person(acme, count, people=1):
    acme.recipients(people)
    return [acme.run(key=str(n)) for n in range(count)]


def worked_at_once(runs):
    """One worker per run; whoever found the person busy is looked at again until nothing is due soon."""

    def chain(run):
        def go():
            for _ in range(30):
                batch = world.only_batch(run)
                soon = database.now() + timedelta(minutes=1)
                if batch.phase != "waiting" or batch.due_at > soon:
                    return
                Dispatch.objects.filter(batch_id=batch.pk, reason="person_busy@1").update(not_before=database.now())
                lease = world.start(batch)
                for stage in world.PIPELINE:
                    stage.run(batch.pk, lease)

        return go

    together(*[chain(run) for run in runs])


def total(runs):
    found = {}
    for run in runs:
        for state, count in world.states(run).items():
            found[state] = found.get(state, 0) + count
    return found


def test_cap_of_three_holds_with_four_runs_at_once(acme, simulator):
    runs = runs_of_one_person(acme, 4)
    worked_at_once(runs)
    assert total(runs) == {State.ACCEPTED: 3, State.HELD: 1}
    assert Dispatch.objects.get(state="held").reason == "frequency_cap@1"
    assert simulator.ledger()["accepted"] == 3
    sound.check()


def test_cap_of_three_holds_for_every_person_of_a_crowd(acme, simulator):
    runs = runs_of_one_person(acme, 5, people=12)
    worked_at_once(runs)
    assert total(runs) == {State.ACCEPTED: 36, State.HELD: 24}
    assert Permit.objects.count() == 36
    sound.check()


def test_cap_counts_what_is_unknown_as_sent(acme, simulator):
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "accept_then_drop"}])
    runs = runs_of_one_person(acme, 5)
    for _ in runs:
        world.work()
    assert total(runs) == {State.UNKNOWN: 3, State.HELD: 2}
    assert simulator.ledger()["accepted"] == 3


def test_cap_gives_back_what_was_refused_for_good(acme, simulator):
    person = acme.recipient()
    simulator.script(TOKEN, receipts=None, reject=[person.number])
    runs = [acme.run(key=str(n)) for n in range(5)]
    for _ in runs:
        world.work()
    assert total(runs) == {State.REJECTED: 5}
    assert Permit.objects.count() == 0
    sound.check()


def test_cap_rolls_by_the_time_of_acceptance(acme):
    """Accepted long after it was reserved: the window counts from the acceptance (R27)."""
    runs = runs_of_one_person(acme, 4)
    for _ in range(3):
        world.work()
    now = database.now()
    Permit.objects.update(at=now - timedelta(hours=23))
    world.work()
    [held] = Dispatch.objects.filter(state="held")
    assert held.reason == "frequency_cap@1"
    Permit.objects.update(at=now - timedelta(hours=25))
    Dispatch.objects.filter(pk=held.pk).update(not_before=now)
    run_until_settled(runs[3])
    assert total(runs) == {State.ACCEPTED: 4}
    assert all(at is not None for at in Permit.objects.values_list("at", flat=True))


def test_cap_counts_from_the_acceptance_or_for_an_unknown_from_its_claim(acme, simulator, monkeypatch):
    acme.recipients(1)
    acme.run()
    world.work()
    [accepted] = Dispatch.objects.all()
    assert Permit.objects.get().at == accepted.accepted_at
    world.ListMember.objects.all().delete()
    abandoned = Abandoned(acme, monkeypatch)
    [attempt] = Attempt.objects.filter(outcome="open")
    assert Permit.objects.get(dispatch_id=attempt.dispatch_id).at is None
    abandoned.look_after()
    assert Permit.objects.get(dispatch_id=attempt.dispatch_id).at == attempt.claimed_at


def test_one_time_codes_do_not_wait_for_a_marketing_text(acme, simulator):
    """The person is locked by a marketing batch; lock and frequency apply to capped categories only (R30)."""
    person = acme.recipient()
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:2]:
        stage.run(batch.pk, lease)
    assert SendLock.objects.count() == 1
    for _ in range(2):
        notifications.send(
            brand=acme.brand, number=person.number, text="Code 1", now=database.now(), category=Category.TRANSACTIONAL
        )
    notifications.collect(database.now())
    world.work("urgent")
    assert simulator.ledger()["accepted"] == 2
    sound.check()


def test_daily_cap_holds_with_parallel_batches(acme, simulator, settings):
    settings.BATCH_SIZE = 10
    acme.brand.daily_cap = 23
    acme.brand.save()
    acme.recipients(60)
    run = acme.run()
    leased = world.hand_out()

    def chain(batch):
        return lambda: [stage.run(batch.batch_id, batch.lease) for stage in world.PIPELINE]

    together(*[chain(batch) for batch in leased])
    assert world.states(run) == {State.ACCEPTED: 23, State.HELD: 37}
    assert CapWindow.objects.get().used == 23
    assert simulator.ledger()["accepted"] == 23
    sound.check()


def test_daily_cap_is_given_back_and_used_again(acme, simulator):
    acme.brand.daily_cap = 3
    acme.brand.save()
    people = acme.recipients(6)
    simulator.script(TOKEN, receipts=None, reject=[person.number for person in people[:2]])
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 1, State.REJECTED: 2, State.HELD: 3}
    assert CapWindow.objects.get().used == 1
    again_due(run)
    world.work()
    assert world.states(run) == {State.ACCEPTED: 3, State.REJECTED: 2, State.HELD: 1}
    sound.check()


def again_due(run):
    Dispatch.objects.of_run(run.pk).filter(state="held").update(not_before=database.now())
    Batch.objects.filter(run=run).update(due_at=database.now())


def test_a_permit_is_not_spent_on_another_day(acme, simulator):
    """Reserved before midnight, claimed after it: back to the start, and counted in the window of the new day (R4, R33)."""
    acme.brand.daily_cap = 10
    acme.brand.save()
    acme.recipients(2)
    run = acme.run(category=Category.TRANSACTIONAL)  # in the evening its quiet hours would come first
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:4]:
        stage.run(batch.pk, lease)
    [window] = CapWindow.objects.all()
    assert set(Dispatch.objects.values_list("good_until", flat=True)) == {
        min(window.ends_at, Dispatch.objects.first().expires_at)
    }
    # Midnight passes.
    CapWindow.objects.update(starts_at=window.starts_at - timedelta(days=1), ends_at=window.starts_at)
    Dispatch.objects.update(good_until=window.starts_at)
    for stage in world.PIPELINE[4:]:
        stage.run(batch.pk, lease)
    assert simulator.ledger()["posts"] == 0
    world.work()
    assert world.states(run) == {State.ACCEPTED: 2}
    assert list(CapWindow.objects.order_by("starts_at").values_list("used", flat=True)) == [0, 2]
    sound.check()


@pytest.mark.parametrize(("on", "hours"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-06-01", 24)])
def test_a_day_has_the_hours_that_it_has(on, hours):
    now = world.at(f"{on}T17:00:00")
    start, end = cap_windows.day(ZoneInfo("America/New_York"), now)
    assert (end - start) == timedelta(hours=hours)
    assert start <= now < end


def test_a_lock_that_ran_out_counts_for_nothing(acme):
    """check_caps verifies its locks; a row whose lock ran out goes back to the start (R29)."""
    acme.recipients(3)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:2]:
        stage.run(batch.pk, lease)
    first = SendLock.objects.order_by("number").first()
    SendLock.objects.filter(number=first.number).update(until=database.now() - timedelta(seconds=1))
    world.stage_named("check_caps").run(batch.pk, lease)
    assert world.states(run) == {State.ALLOWED: 2, State.QUEUED: 1}
    assert SendLock.objects.count() == 0
    sound.check()


def test_a_lock_is_overtaken_only_when_it_ran_out(acme):
    runs = runs_of_one_person(acme, 2)
    leases = []
    for run in runs:
        batch = world.only_batch(run)
        leases.append((batch.pk, world.start(batch)))
    for stage in world.PIPELINE[:2]:
        stage.run(*leases[0])
    for stage in world.PIPELINE[:2]:
        stage.run(*leases[1])
    assert [world.states(run) for run in runs] == [{State.LOCKED: 1}, {State.HELD: 1}]
    held = Dispatch.objects.get(state="held")
    assert (held.reason, held.not_before is not None) == ("person_busy@1", True)
    SendLock.objects.update(until=database.now() - timedelta(seconds=1))
    Dispatch.objects.filter(pk=held.pk).update(not_before=database.now())
    for stage in world.PIPELINE[:2]:
        stage.run(*leases[1])
    assert SendLock.objects.get().dispatch_id == held.pk
    world.stage_named("check_caps").run(*leases[0])
    assert world.states(runs[0]) == {State.QUEUED: 1}


def test_an_overtaker_waits_for_the_permits_of_who_was_just_in_time(acme, monkeypatch):
    """check_caps holds the lock rows: whoever would overtake them sees its permits (cap 1, two runs)."""
    acme.brand.person_cap = 1
    acme.brand.save()
    runs = runs_of_one_person(acme, 2)
    leases = []
    for run in runs:
        batch = world.only_batch(run)
        leases.append((batch.pk, world.start(batch)))
    for stage in world.PIPELINE[:2]:
        stage.run(*leases[0])
    gate = Gate()
    gated(monkeypatch, verbs.caps, "reserve", gate)  # it has read its locks and written no permit yet
    first = Job(lambda: world.stage_named("check_caps").run(*leases[0]))
    gate.wait()

    def overtake():
        with monkeypatch.context() as patch:
            patch.setattr(database, "now", _later(database.now))
            for stage in world.PIPELINE[:3]:
                stage.run(*leases[1])

    second = Job(overtake)
    until(blocked_sessions)
    gate.open()
    first.result()
    second.result()
    assert [world.states(run) for run in runs] == [{State.ALLOWED: 1}, {State.HELD: 1}]
    assert Dispatch.objects.get(state="held").reason == "frequency_cap@1"
    sound.check()


def _later(now):
    """A worker whose stage began when the lock had run out."""
    return lambda: now() + timedelta(seconds=61)


def test_a_receipt_takes_its_permit_even_above_the_cap(acme, simulator):
    """The evidence rule: what was taken counts, marked (R19)."""
    acme.brand.daily_cap = 1
    acme.brand.save()
    first, second = runs_of_one_person(acme, 2)
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "rate_limited", "next": 1}])
    world.work()
    assert total([first, second]) == {State.HELD: 1, State.ACCEPTED: 1}
    refused = Dispatch.objects.get(state="held")
    assert refused.flight == 1
    hooks.call(acme, hooks.report(refused.pk, 1))
    receipts.apply_events()
    assert Permit.objects.get(dispatch_id=refused.pk).over_cap
    assert CapWindow.objects.get().used == 2
    sound.check()


def test_quiet_hours_hold_at_the_claim_too(acme, simulator, settings):
    """Checked in the last allowed minute, sent by a slow sender after it: the claim asks again."""
    acme.recipients(3)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:4]:
        stage.run(batch.pk, lease)
    # The allowed hours end while the rows are ready: it is day there, and the brand only texts early.
    acme.brand.opens_at, acme.brand.closes_at = time(0), time(8, 30)
    acme.brand.save()
    for stage in world.PIPELINE[4:]:
        stage.run(batch.pk, lease)
    assert simulator.ledger()["posts"] == 0
    assert set(world.states(run)) <= {State.HELD, State.EXPIRED}
    sound.check()


def test_the_claim_demands_that_what_was_checked_still_holds(acme, simulator):
    acme.recipients(2)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:4]:
        stage.run(batch.pk, lease)
    Dispatch.objects.update(good_until=database.now())
    world.stage_named("send").run(batch.pk, lease)
    assert world.states(run) == {State.READY: 2}
    assert simulator.ledger()["posts"] == 0


def test_the_vendor_is_told_how_long_it_may_try(acme, monkeypatch):
    from providers.adapters.simulator import SimulatorAdapter

    acme.recipients(1)
    acme.run(lateness_minutes=30)
    told = []
    call = SimulatorAdapter.call
    monkeypatch.setattr(
        SimulatorAdapter, "call", lambda self, message: told.append(message.valid_for) or call(self, message)
    )
    world.work()
    assert 0 < told[0] <= 30 * 60


def test_a_machine_whose_clock_is_wrong_does_not_send(acme, simulator, monkeypatch):
    """Accept times would be wrong, and with them the rolling caps (R55)."""
    acme.recipients(2)
    run = acme.run()
    monkeypatch.setattr(database, "clock_difference", lambda: 31.0)
    world.work()
    assert world.states(run) == {State.READY: 2}
    assert simulator.ledger()["posts"] == 0
    monkeypatch.setattr(database, "clock_difference", lambda: -1.5)
    Batch.objects.update(due_at=database.now())
    world.work()
    assert world.states(run) == {State.ACCEPTED: 2}
