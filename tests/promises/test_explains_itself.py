"""P9: every decision carries its reason; numbers are the facts at every step; the audits find what is wrong."""

import itertools
import uuid
from datetime import timedelta

import pytest

from campaigns import audits, launch, notifications, receipts, reports, sending
from campaigns.models import Attempt, Batch, Dispatch, RawEvent, Receipt, SendLock
from campaigns.states import OPEN, State
from compliance import suppression
from compliance.models import CapWindow, Permit
from compliance.policy import Category
from providers.adapters.base import Outcome
from smsplatform.common import database
from tests import world
from tests.promises import hooks, sound
from tests.promises.aftermath import Abandoned
from tests.promises.conftest import TOKEN

pytestmark = pytest.mark.django_db(transaction=True)


def test_tells_totals_that_equal_the_facts_after_every_stage(acme, simulator):
    acme.brand.daily_cap = 20
    acme.brand.save()
    people = acme.recipients(30)
    simulator.script(TOKEN, receipts=None, reject=[people[0].number], faults=[{"fault": "rate_limited", "every": 7}])
    suppression.suppress(brand=acme.brand, number=people[1].number, reason="opt_out", source="test", now=database.now())
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE:
        stage.run(batch.pk, lease)
        assert reports.totals(run.pk) == reports.counted(run), stage.name
        sound.check()
    assert reports.report(run).all == 30


def test_gives_a_reason_for_everything_that_was_not_simply_taken(acme, simulator):
    acme.brand.daily_cap = 6
    acme.brand.save()
    people = acme.recipients(10)
    simulator.script(
        TOKEN,
        receipts=None,
        reject=[people[0].number],
        faults=[{"fault": "accept_then_drop", "to": [people[2].number]}],
    )
    suppression.suppress(brand=acme.brand, number=people[1].number, reason="opt_out", source="test", now=database.now())
    run = acme.run()
    world.work()
    assert world.states(run) == {
        State.ACCEPTED: 4, State.REJECTED: 1, State.UNKNOWN: 1, State.BLOCKED: 1, State.HELD: 3,
    }  # fmt: skip
    assert {(state, reason) for state, reason, _ in reports.reasons(run)} == {
        ("rejected", "provider:invalid_number"),
        ("unknown", "no_clear_answer"),
        ("blocked", "suppressed_brand@1"),
        ("held", "daily_cap@1"),
    }
    held = Dispatch.objects.filter(state="held")
    assert all(row.not_before is not None for row in held)


def test_says_why_a_late_give_back_waits(acme, monkeypatch):
    abandoned = Abandoned(acme, monkeypatch)
    abandoned.look_after()
    abandoned.late(Outcome.NOT_POSTED)
    assert Dispatch.objects.get().reason != ""


def test_keeps_every_flight_with_its_account_and_outcome(acme, simulator):
    acme.recipients(1)
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "rate_limited", "next": 2}])
    run = acme.run()
    for _ in range(3):
        Batch.objects.update(due_at=database.now())
        Dispatch.objects.filter(state="held").update(not_before=database.now())
        world.work()
    assert world.states(run) == {State.ACCEPTED: 1}
    [dispatch] = Dispatch.objects.all()
    assert hooks.flights(dispatch.pk) == ["rejected_retryable", "rejected_retryable", "accepted"]
    assert set(Attempt.objects.values_list("account_id", flat=True)) == {acme.account.pk}
    assert all(Attempt.objects.values_list("reason", flat=True))
    assert all(Attempt.objects.values_list("answered_at", flat=True))


def test_tells_when_a_waiting_run_goes_on(acme):
    acme.brand.daily_cap = 1
    acme.brand.save()
    acme.recipients(2)
    run = acme.run()
    world.work()
    report = reports.report(run)
    assert report.progress == "running"
    assert report.open == 1
    assert report.next_at is not None
    assert report.next_at > database.now()


def test_tells_totals_of_single_messages_that_were_moved_before_they_were_collected(acme):
    now = database.now()
    numbers = [f"+1212555{n:04d}" for n in range(3)]
    first, *_ = [
        notifications.send(brand=acme.brand, number=number, text="Hi", now=now, category=Category.TRANSACTIONAL)
        for number in numbers
    ]
    sound.check()
    from django.db import transaction

    with transaction.atomic():
        Dispatch.objects.filter(pk=first).move([State.QUEUED], State.CANCELLED, now=now, reason="by its sender")
    sound.check()
    notifications.collect(database.now())
    sound.check()
    world.work("urgent")
    sound.check()
    assert Dispatch.objects.filter(state="accepted").count() == 2


# -- tenancy --------------------------------------------------------------------------------------------------------


def test_believes_no_report_about_another_tenants_message(acme, simulator):
    simulator.script("token-rival", receipts=None)
    rival = world.make("rival", base_url=simulator.url)
    acme.recipients(1)
    run = acme.run()
    world.work()
    [dispatch] = Dispatch.objects.all()
    assert hooks.call(rival, hooks.report(dispatch.pk, status="undelivered")) == 204
    receipts.apply_events()
    assert world.states(run) == {State.ACCEPTED: 1}
    assert Receipt.objects.count() == 0
    assert Attempt.objects.get().proof == "answer"
    assert RawEvent.objects.filter(applied_at=None, retry_at=None).count() == 0


def test_does_not_let_another_tenant_stop_a_retry(acme, simulator):
    simulator.script("token-rival", receipts=None)
    rival = world.make("rival", base_url=simulator.url)
    acme.recipients(1)
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "rate_limited", "next": 1}])
    run = acme.run()
    world.work()
    [dispatch] = Dispatch.objects.all()
    hooks.call(rival, hooks.report(dispatch.pk))
    receipts.apply_events()
    assert world.states(run) == {State.HELD: 1}
    sound.check()


def test_believes_only_reports_of_the_account_that_posted(acme, simulator):
    """A tenant's second account must not prove what the first one posted."""
    simulator.script("token-other", receipts=None)
    other = world.ProviderAccount(tenant=acme.tenant, name="other", provider="simulator", base_url=simulator.url)
    other.set_credentials({"token": "token-other", "webhook_secret": "secret"})
    other.save()
    acme.recipients(1)
    run = acme.run()
    world.work()
    [dispatch] = Dispatch.objects.all()
    beside = world.World(acme.tenant, acme.brand, other, acme.sender, acme.people)
    assert hooks.call(beside, hooks.report(dispatch.pk)) == 204
    receipts.apply_events()
    assert world.states(run) == {State.ACCEPTED: 1}


def test_refuses_a_webhook_that_is_not_signed_by_the_account(acme):
    acme.recipients(1)
    run = acme.run()
    world.work()
    [dispatch] = Dispatch.objects.all()
    assert hooks.call(acme, hooks.report(dispatch.pk), secret="guessed") == 403
    assert RawEvent.objects.count() == 0
    receipts.apply_events()
    assert world.states(run) == {State.ACCEPTED: 1}


# -- receipts are facts ---------------------------------------------------------------------------------------------


def test_keeps_a_report_once_although_its_neighbour_fits_nothing_yet(acme):
    """A request with one report that fits and one that does not is looked at again; the first is known by then."""
    acme.recipients(1)
    acme.run()
    world.work()
    [dispatch] = Dispatch.objects.all()
    stranger = uuid.UUID(int=(1 << 64) | 1)
    assert hooks.call(acme, hooks.report(dispatch.pk), hooks.report(stranger)) == 204
    for _ in range(3):
        RawEvent.objects.update(retry_at=None)
        receipts.apply_events()
    assert Receipt.objects.filter(dispatch_id=dispatch.pk).count() == 1


def test_keeps_a_report_once_however_often_the_vendor_repeats_it(acme):
    acme.recipients(1)
    acme.run()
    world.work()
    [dispatch] = Dispatch.objects.all()
    event = hooks.report(dispatch.pk)
    assert [hooks.call(acme, event) for _ in range(3)] == [204] * 3
    receipts.apply_events()
    assert Receipt.objects.count() == 1


def test_keeps_a_reply_once_although_the_vendor_regroups_its_events(acme):
    """The vendor's repeat comes in another company: it is the same text of the same person (R44)."""
    from campaigns.models import Reply

    first, second = hooks.inbound(acme, "+12125550001", "JOIN"), hooks.inbound(acme, "+12125550002", "JOIN")
    assert hooks.call(acme, first) == 204
    assert hooks.call(acme, first, second) == 204
    assert Reply.objects.count() == 2


def test_settles_a_taken_message_for_good_when_no_report_can_come_any_more(acme, settings):
    from campaigns import recovery

    acme.recipients(1)
    acme.run()
    world.work()
    assert Dispatch.objects.get().settled_at is None
    recovery.settle_runs(database.now() + settings.REPORT_HORIZON + timedelta(minutes=1))
    assert Dispatch.objects.get().settled_at is not None


# -- the audits find what is planted --------------------------------------------------------------------------------


@pytest.fixture
def sent(acme):
    acme.recipients(3)
    run = acme.run()
    world.work()
    assert audits.everything().is_clean
    return run


def _second_flight(dispatch, **fields):
    first = Attempt.objects.get(dispatch_id=dispatch.pk, flight=1)
    values = {f.name: getattr(first, f.name) for f in Attempt._meta.concrete_fields if f.name != "pk"}
    Attempt.objects.create(**{**values, "flight": 2, "outcome": "rejected_retryable", "proof": "", **fields})


def test_finds_two_flights_proven_taken(sent):
    dispatch = Dispatch.objects.first()
    _second_flight(dispatch, proof="receipt")
    assert audits.everything().accepted_twice == [str(dispatch.pk)]


_ids = itertools.count(1)


def _receipt(dispatch, flight, provider_id, part=""):
    Receipt.objects.create(
        tenant_id=dispatch.tenant_id, raw_id=next(_ids), dispatch_id=dispatch.pk, flight=flight, provider_id=provider_id,
        status="sent", place=0, received_at=database.now(), part=part,
    )  # fmt: skip


def test_finds_two_flights_in_the_reports(sent):
    dispatch = Dispatch.objects.first()
    _receipt(dispatch, 1, "a")
    _receipt(dispatch, 2, "b")
    assert audits.everything().reported_twice == [str(dispatch.pk)]


def test_finds_one_flight_that_the_vendor_took_twice(sent):
    """A request repeated below us has one reference and two ids at the vendor (R45)."""
    dispatch = Dispatch.objects.first()
    _receipt(dispatch, 1, "a")
    _receipt(dispatch, 1, "b")
    assert audits.everything().reported_twice == [str(dispatch.pk)]


def test_parts_with_an_id_each_are_one_message_until_there_are_too_many(sent):
    dispatch = Dispatch.objects.first()
    Attempt.objects.filter(dispatch_id=dispatch.pk).update(parts=2)
    for part in ("a", "b", "a"):
        _receipt(dispatch, 1, part, part)
    assert audits.everything().is_clean
    _receipt(dispatch, 1, "c", "c")
    assert audits.everything().reported_twice == [str(dispatch.pk)]


def test_finds_an_open_row_in_a_closed_batch(sent):
    dispatch = Dispatch.objects.first()
    Dispatch.objects.filter(pk=dispatch.pk).update(state="queued")
    assert audits.everything().open_in_closed_batches == [f"{dispatch.pk} is queued"]


def test_finds_totals_that_are_not_the_facts(sent):
    Batch.objects.update(tally={"accepted": 4})
    assert audits.everything().wrong_totals == [f"run {sent.pk} accepted: told 4, facts 3"]


def test_finds_a_missing_permit_and_a_leaked_one(sent):
    gone = Dispatch.objects.first()
    Permit.objects.filter(dispatch_id=gone.pk).delete()
    Permit.objects.create(
        dispatch_id=uuid.UUID(int=5),
        tenant_id=sent.tenant_id,
        brand_id=sent.brand_id,
        number="+1",
        is_person_capped=True,
    )
    found = audits.everything().wrong_permits
    assert sorted(found) == sorted(
        [f"{gone.pk} is accepted, permit: no", f"{uuid.UUID(int=5)} is no dispatch, permit: yes"]
    )


def test_finds_a_cap_that_was_counted_wrongly(sent):
    CapWindow.objects.update(used=7)
    assert [line.split(": ")[1] for line in audits.everything().wrong_caps] == ["counter 7, permits 3"]


def test_finds_a_leaked_lock(sent):
    """Our own look at what the audits leave out can fail too."""
    dispatch = Dispatch.objects.first()
    SendLock.objects.create(
        brand_id=dispatch.brand_id,
        number=dispatch.number,
        tenant_id=dispatch.tenant_id,
        dispatch_id=dispatch.pk,
        until=database.now(),
    )
    assert sound.flaws() == [f"leaked lock of {dispatch.number}"]


def test_scopes_the_audit_to_a_run(sent):
    Batch.objects.update(tally={"accepted": 4})
    assert audits.everything(run_id=sent.pk).wrong_totals
    assert not audits.everything(run_id=sent.pk + 1).wrong_totals


def test_never_calls_a_run_finished_while_rows_are_open(acme):
    acme.recipients(2)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:-2]:
        stage.run(batch.pk, lease)
        assert reports.report(run).progress == "running"
        assert reports.report(run).open == 2


def test_reads_its_own_references_and_no_others():
    dispatch_id = uuid.UUID(int=(7 << 64) | 9)
    assert sending.read_reference(sending.reference(dispatch_id, 3)) == (dispatch_id, 3)
    for text in (
        "",
        "x" * 40,
        "f" * 40,
        "0" * 39,
        "0" * 41,
        f"{dispatch_id.hex}0000000g",
        f"{dispatch_id.hex}-0000001",
    ):
        assert sending.read_reference(text) is None


def test_paused_run_says_so(acme):
    acme.recipients(2)
    run = acme.run()
    launch.pause(run, now=database.now(), actor="test")
    run.refresh_from_db()
    assert reports.report(run).progress == "paused"
    assert sum(reports.counted(run).get(state, 0) for state in OPEN) == 2
