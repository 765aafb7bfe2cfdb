"""P8: a slow or failing provider, a poison row, a huge or paused tenant delay nobody else."""

from contextlib import suppress
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet

from campaigns import launch, pipeline, receipts, reconciling, sending, settling, tasks, webhooks
from campaigns.models import Attempt, Batch, Dispatch, RawEvent
from campaigns.states import OPEN, State
from providers import delivery
from providers.adapters.base import Outcome, Result
from providers.delivery import Air, Answer
from providers.models import ProviderAccount, Sender
from smsplatform.common import database
from tests import world
from tests.promises import hooks, sound
from tests.promises.aftermath import run_until_settled
from tests.promises.conftest import TOKEN

pytestmark = pytest.mark.django_db(transaction=True)


def handed_out():
    return [batch.batch_id for batch in world.hand_out()]


@pytest.fixture
def rivals(acme, simulator, settings):
    """A huge tenant with a backlog, and a small one with one message that came later."""
    settings.BATCH_SIZE = 1
    settings.CLAIM_BATCHES = 4
    acme.recipients(40)
    huge = acme.run()
    Batch.objects.update(due_at=database.now() - timedelta(hours=1))
    simulator.script("token-small", receipts=None)
    small = world.make("small", base_url=simulator.url)
    small.recipients(1)
    return huge, small.run(), small


def test_a_huge_tenant_does_not_delay_a_small_one(rivals):
    _, run, _ = rivals
    assert world.only_batch(run).pk in handed_out()


def test_a_tenant_that_fills_its_share_leaves_room(rivals, settings):
    settings.LANE_IN_FLIGHT = {"bulk": 12, "urgent": 8}
    settings.TENANT_IN_FLIGHT = 3
    settings.CLAIM_BATCHES = 12
    huge, run, _ = rivals
    leased = handed_out()
    assert world.only_batch(run).pk in leased
    assert Batch.objects.filter(run=huge, phase="leased").count() == 3


def test_turns_are_by_weight(rivals, settings, acme):
    settings.CLAIM_BATCHES = 8
    _, _, small = rivals
    small.recipients(8)
    second = small.run(small.campaign(), key="2")
    acme.tenant.weight = 3
    acme.tenant.save()
    leased = handed_out()
    of_small = Batch.objects.filter(pk__in=leased, tenant=small.tenant).count()
    assert of_small == 2
    assert second.tenant_id == small.tenant.pk


def test_an_account_at_its_limit_is_passed_over(rivals, settings, acme):
    settings.ACCOUNT_IN_FLIGHT = 1
    settings.CLAIM_BATCHES = 8
    huge, run, _ = rivals
    leased = handed_out()
    assert world.only_batch(run).pk in leased
    assert Batch.objects.filter(run=huge, phase="leased").count() == 1


def test_a_slow_account_is_given_some_seconds_of_rows_at_most(rivals, acme):
    acme.account.segments_per_second = 0.2  # two rows in ten seconds
    acme.account.save()
    huge, run, _ = rivals
    leased = handed_out()
    assert world.only_batch(run).pk in leased
    assert Batch.objects.filter(run=huge, phase="leased").count() == 2


def test_a_paused_tenant_is_passed_over(rivals, acme):
    acme.tenant.paused_at = database.now()
    acme.tenant.save()
    huge, run, _ = rivals
    assert handed_out() == [world.only_batch(run).pk]
    assert world.states(huge) == {State.QUEUED: 40}


def test_lanes_do_not_share_their_places(acme, settings):
    from campaigns import notifications
    from compliance.policy import Category

    settings.BATCH_SIZE = 1
    settings.LANE_IN_FLIGHT = {"bulk": 2, "urgent": 2}
    acme.recipients(10)
    acme.run()
    assert len(handed_out()) == 2
    assert handed_out() == []
    notifications.send(
        brand=acme.brand, number="+12125550100", text="1", now=database.now(), category=Category.TRANSACTIONAL
    )
    notifications.collect(database.now())
    assert len(world.hand_out("urgent")) == 1


def test_a_failing_account_is_left_for_the_next_within_the_turn(acme, simulator):
    simulator.script("token-second", receipts=None)
    second = world.ProviderAccount(tenant=acme.tenant, name="second", provider="simulator", base_url=simulator.url)
    second.set_credentials({"token": "token-second", "webhook_secret": "secret"})
    second.save()
    world.Sender.objects.create(
        tenant=acme.tenant, brand=acme.brand, account=second, address="+18885559999", position=1
    )
    acme.recipients(6)
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "unauthorized"}])
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 6}
    [first] = Dispatch.objects.all()[:1]
    assert hooks.flights(first.pk) == ["rejected_provider", "accepted"]
    assert set(Dispatch.objects.values_list("account_id", flat=True)) == {second.pk}
    sound.check()


def test_a_silent_account_gets_fewer_requests_in_the_air():
    air = Air(64)
    answer = Answer(world.Dispatch(id=None).id, 1, 1, Result(Outcome.UNKNOWN), database.now, timed_out=True)
    seen = []
    for _ in range(8):
        air.learn(answer)
        seen.append(air.allowed)
    assert seen == [32, 16, 8, 4, 2, 1, 1, 1]
    good = Answer(None, 1, 1, Result(Outcome.ACCEPTED), database.now)
    for _ in range(5000):
        air.learn(good)
    assert air.allowed == 64


def test_a_silent_account_makes_few_unknowns(acme, simulator, monkeypatch):
    """64 messages to a vendor that says nothing: the second slice is smaller than the first."""
    acme.account.timeout = 0.3
    acme.account.concurrency = 16
    acme.account.save()
    acme.recipients(64)
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "slow", "seconds": 30}])
    acme.run()
    slices = []
    post = delivery.Poster.post
    monkeypatch.setattr(
        delivery.Poster,
        "post",
        lambda poster, envelopes, *rest: slices.append(len(envelopes)) or post(poster, envelopes, *rest),
    )
    monkeypatch.setattr("django.conf.settings.SEND_TURN", timedelta(seconds=1))
    world.work()
    assert slices[0] == 16
    assert max(slices[1:], default=1) <= 8
    sound.check()


def test_a_turn_ends_in_time_however_slow_the_vendor(acme, simulator, monkeypatch, settings):
    settings.SEND_TURN = timedelta(seconds=0.3)
    monkeypatch.setattr(sending, "SLICE", 2)
    acme.account.concurrency = 2
    acme.account.timeout = 5
    acme.account.save()
    acme.recipients(20)
    simulator.script(TOKEN, receipts=None, latency_ms=200)
    run = acme.run()
    started = delivery.clock()
    world.work()
    assert delivery.clock() - started < 2
    counts = world.states(run)
    assert set(counts) == {State.ACCEPTED, State.READY}
    assert world.only_batch(run).due_at <= database.now()
    sound.check()


def test_a_row_that_cannot_be_rendered_is_alone_with_it(acme, simulator):
    acme.recipient(first_name="Ana")
    acme.recipient()
    acme.recipient(first_name="Bea")
    run = acme.run(text="Hello {{ first_name }}")
    world.work()
    assert world.states(run) == {State.ACCEPTED: 2, State.BLOCKED: 1}
    assert Dispatch.objects.get(state="blocked").reason == "missing_merge_field@1"
    sound.check()


def test_a_failing_stage_comes_back_after_a_growing_pause(acme, monkeypatch):
    acme.recipients(2)
    acme.run()

    def explode(*_):
        raise RuntimeError("no")

    monkeypatch.setattr(pipeline.rendering_stage, "render", explode)
    waits = []
    for _ in range(3):
        Batch.objects.update(due_at=database.now())
        [leased] = world.hand_out()
        with pytest.raises(RuntimeError):
            tasks._run(world.PIPELINE[0], leased.batch_id, leased.lease)
        batch = Batch.objects.get()
        waits.append((batch.due_at - database.now()).total_seconds())
        assert batch.error == "check_compliance: RuntimeError"
    assert waits == sorted(waits)
    assert waits[0] > 5
    sound.check()


class Killed(BaseException):
    """The process is gone: nobody handles this, and what is not committed is rolled back."""


@pytest.mark.parametrize(
    ("stage", "called"),
    [
        ("check_compliance", (pipeline.rendering_stage, "render")),
        ("shorten_links", (pipeline.links, "shorten")),
        ("send", (sending._Turn, "_line_up")),
    ],
)
def test_a_worker_that_dies_on_a_row_again_and_again_does_not_take_it_along(
    acme, simulator, monkeypatch, settings, stage, called
):
    """No exception, no answer: the process is gone each time (R13). The row alone ends, as dead."""
    people = acme.recipients(5)
    poison = people[2].number
    run = acme.run()
    settings.CLAIM_BATCHES = 1
    place, name = called
    work = getattr(place, name)

    def kill(*arguments, **options):
        present = Batch.objects.get(phase="leased")
        if present.dispatches.in_state(*OPEN).filter(number=poison).exists():
            raise Killed
        return work(*arguments, **options)

    monkeypatch.setattr(place, name, kill)
    for _ in range(60):
        world.end_leases()
        for batch in world.hand_out():
            with suppress(Killed):
                for each in world.PIPELINE:
                    each.run(batch.batch_id, batch.lease)
        sound.check()
        if not Dispatch.objects.in_state(*OPEN).exists():
            break
    assert world.states(run) == {State.ACCEPTED: 4, State.DEAD: 1}
    dead = Dispatch.objects.get(state="dead")
    assert (dead.number, dead.detail) == (poison, f"{stage}: the worker died")
    assert simulator.ledger()["posts"] == 4


@pytest.mark.parametrize("done", range(len(world.PIPELINE)))
def test_messages_that_no_worker_comes_for_are_not_held_to_kill_workers(acme, simulator, done):
    """The workers of a queue are away for hours: its batches are handed out again and again, and nobody works on them."""
    acme.recipients(5)
    run = acme.run()
    for _ in range(16):
        for batch in world.hand_out():
            for stage in world.PIPELINE[:done]:
                stage.run(batch.batch_id, batch.lease)
        world.end_leases()
        sound.check()
    assert Batch.objects.count() == 1
    world.work()
    assert world.states(run) == {State.ACCEPTED: 5}
    assert simulator.ledger()["posts"] == 5


def test_an_event_that_cannot_be_read_does_not_hold_up_the_others(acme):
    acme.recipients(1)
    run = acme.run()
    world.work()
    RawEvent.objects.create(tenant=acme.tenant, account=acme.account, method="POST", url="", body=b"\xff not json")
    hooks.call(acme, hooks.report(Dispatch.objects.get().pk))
    assert receipts.apply_events() == 2
    assert world.states(run) == {State.DELIVERED: 1}
    assert RawEvent.objects.exclude(flaw="").count() == 1
    assert not RawEvent.objects.filter(applied_at=None).exists()


def test_reports_that_fit_nothing_are_passed_over_while_they_wait(acme):
    """Parked ones do not stand in the way of the next thousand."""
    acme.recipients(1)
    run = acme.run()
    world.work()
    for n in range(5):
        hooks.call(acme, hooks.report(database.key(1, n + 1)))
    assert receipts.apply_events(limit=5) == 5
    hooks.call(acme, hooks.report(Dispatch.objects.get().pk))
    assert receipts.apply_events(limit=1) == 1
    assert world.states(run) == {State.DELIVERED: 1}
    assert RawEvent.objects.filter(applied_at=None).count() == 5


def test_a_report_whose_message_is_stored_later_is_applied_then(acme, monkeypatch):
    """It carries only the vendor's id, and comes before our settlement (R42)."""
    acme.recipients(1)
    run = acme.run()
    from tests.promises.together import Gate, Job, gated

    gate = Gate()
    gated(monkeypatch, settling, "settle", gate)
    ids = []
    verdict = settling.verdict
    monkeypatch.setattr(
        settling, "verdict", lambda answer, **kw: ids.append(answer.result.provider_id) or verdict(answer, **kw)
    )
    chain = Job(world.work)
    gate.wait()
    hooks.call(acme, hooks.report(None, id_=ids[0]))
    receipts.apply_events()
    assert world.states(run) == {State.SENDING: 1}
    gate.open()
    chain.result()
    RawEvent.objects.update(retry_at=database.now())
    receipts.apply_events()
    assert world.states(run) == {State.DELIVERED: 1}
    sound.check()


def test_reports_that_never_fit_are_shown_as_orphans(acme, settings):
    hooks.call(acme, hooks.report(database.key(1, 1)))
    receipts.apply_events()
    RawEvent.objects.update(received_at=database.now() - settings.REPORT_HORIZON - timedelta(minutes=1), retry_at=None)
    receipts.apply_events()
    assert RawEvent.objects.get().flaw == "fits no message of ours"
    assert RawEvent.objects.get().applied_at is not None


def test_an_account_whose_credentials_cannot_be_read_fails_its_own_batches_only(acme, simulator, settings):
    settings.BATCH_SIZE = 1
    simulator.script("token-small", receipts=None)
    small = world.make("small", base_url=simulator.url)
    small.recipients(1)
    healthy = small.run()
    acme.recipients(1)
    sick = acme.run()
    acme.account.secret = "garbage"
    acme.account.save()
    for batch in world.hand_out():
        for stage in world.PIPELINE:
            try:
                tasks._run(stage, batch.batch_id, batch.lease)
            except Exception:  # noqa: BLE001 - the worker goes on to the next task
                break
    assert world.states(healthy) == {State.ACCEPTED: 1}
    assert State.ACCEPTED not in world.states(sick)
    sound.check()


def test_a_cancelled_run_does_not_wait_for_a_dead_account(acme):
    acme.recipients(2)
    run = acme.run()
    acme.account.paused_at = database.now()
    acme.account.save()
    launch.cancel(run, now=database.now(), actor="test")
    run_until_settled(run)
    assert world.states(run) == {State.CANCELLED: 2}


@pytest.fixture(params=["another key's secret", "an option that there is not"])
def unusable(request, acme):
    """A second account of the brand, first in line, whose settings cannot be used any more."""
    account = ProviderAccount(tenant=acme.tenant, name="unusable", provider="simulator")
    account.set_credentials({"token": "token-unusable", "webhook_secret": "secret"})
    if request.param == "another key's secret":
        account.secret = Fernet(Fernet.generate_key()).encrypt(b"{}").decode()
    else:
        account.options = {"no_such": "option"}
    account.save()
    Sender.objects.filter(pk=acme.sender.pk).update(position=1)
    Sender.objects.create(tenant=acme.tenant, brand=acme.brand, account=account, address="+18885550000")
    return account


def test_an_account_that_cannot_be_used_is_passed_over(acme, unusable):
    acme.recipients(3)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 3}
    sound.check()


def test_where_no_account_can_be_used_everything_waits(acme, unusable):
    Sender.objects.filter(pk=acme.sender.pk).delete()
    acme.recipients(2)
    run = acme.run()
    for _ in range(5):
        Batch.objects.update(due_at=database.now() - timedelta(seconds=1), resume_at=None)
        world.work()
    assert world.states(run) == {State.READY: 2}
    assert world.only_batch(run).due_at > database.now() + timedelta(seconds=20)


def test_events_of_an_account_that_cannot_be_used_wait_and_hold_up_no_others(acme, unusable):
    acme.recipients(2)
    run = acme.run()
    world.work()
    first, second = Dispatch.objects.of_run(run.pk)
    Attempt.objects.filter(dispatch_id=second.pk).update(account_id=unusable.pk)
    for dispatch in (second, first):
        hooks.call(acme, hooks.report(dispatch.pk))
    strange = RawEvent.objects.order_by("id").first()
    RawEvent.objects.filter(pk=strange.pk).update(account_id=unusable.pk)
    assert receipts.apply_events() == 2
    assert world.states(run) == {State.DELIVERED: 1, State.ACCEPTED: 1}
    strange.refresh_from_db()
    assert strange.applied_at is None
    assert strange.flaw.startswith("its provider account cannot be used")
    unusable.set_credentials({"token": "mended", "webhook_secret": "secret"})
    unusable.options = {}
    unusable.save()
    RawEvent.objects.update(retry_at=None)
    receipts.apply_events()
    assert world.states(run) == {State.DELIVERED: 2}


def unreadable(acme):
    """Its key was dropped from CREDENTIAL_KEYS."""
    good = acme.account.secret
    ProviderAccount.objects.filter(pk=acme.account.pk).update(secret="garbage")
    return good


def test_reports_of_an_account_that_cannot_be_read_wait_and_hold_up_no_others(acme, simulator):
    simulator.script("token-small", receipts=None)
    small = world.make("small", base_url=simulator.url)
    for each in (acme, small):
        each.recipients(1)
    runs = [each.run() for each in (acme, small)]
    world.work()
    for each, run in zip((acme, small), runs, strict=True):
        assert hooks.call(each, hooks.report(Dispatch.objects.of_run(run.pk).get().pk)) == 204
    good = unreadable(acme)
    receipts.apply_events()
    assert [world.states(run) for run in runs] == [{State.ACCEPTED: 1}, {State.DELIVERED: 1}]
    [waiting] = RawEvent.objects.filter(applied_at=None)
    assert waiting.flaw.startswith("its provider account cannot be used: the stored secret")
    ProviderAccount.objects.filter(pk=acme.account.pk).update(secret=good)
    RawEvent.objects.update(retry_at=None)
    receipts.apply_events()
    assert world.states(runs[0]) == {State.DELIVERED: 1}
    assert RawEvent.objects.exclude(flaw="").count() == 0


def test_a_brand_goes_on_through_its_other_account(acme, simulator):
    simulator.script("token-second", receipts=None)
    second = ProviderAccount(tenant=acme.tenant, name="second", provider="simulator", base_url=simulator.url)
    second.set_credentials({"token": "token-second", "webhook_secret": "secret"})
    second.save()
    Sender.objects.create(tenant=acme.tenant, brand=acme.brand, account=second, address="+18885550333", position=1)
    unreadable(acme)
    acme.recipients(2)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 2}
    sound.check()


def test_webhooks_of_an_account_that_cannot_be_read_are_to_be_repeated(acme, monkeypatch):
    monkeypatch.setattr(webhooks, "_remembered", {})
    good = unreadable(acme)
    assert hooks.call(acme, hooks.report(database.key(1, 1))) == 503
    assert not RawEvent.objects.exists()
    ProviderAccount.objects.filter(pk=acme.account.pk).update(secret=good)
    assert hooks.call(acme, hooks.report(database.key(1, 1))) == 204


def test_questions_about_an_account_that_cannot_be_read_hold_up_no_others(acme, simulator, settings):
    small = world.make("small", base_url=simulator.url)
    for each, token in ((acme, TOKEN), (small, "token-small")):
        simulator.script(token, receipts=None, faults=[{"fault": "accept_then_drop"}])
        each.recipients(1)
    runs = [each.run() for each in (acme, small)]
    world.work()
    unreadable(acme)
    assert reconciling.ask_providers(database.now() + timedelta(minutes=2)) == 1
    assert [world.states(run) for run in runs] == [{State.UNKNOWN: 1}, {State.ACCEPTED: 1}]


def test_a_report_with_somebody_elses_reference_holds_up_no_others(acme):
    """Another system may use the same account, and forty hexadecimal digits are also a SHA-1."""
    acme.recipients(1)
    run = acme.run()
    world.work()
    hooks.call(acme, {"id": "m1", "type": "report", "status": "sent", "reference": "f" * 40})
    hooks.call(acme, hooks.report(Dispatch.objects.get().pk))
    assert receipts.apply_events() == 2
    assert world.states(run) == {State.DELIVERED: 1}
