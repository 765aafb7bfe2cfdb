"""B10, F3: by meaning, to where a brand may go, within the turn; a broken account is left alone and comes back slowly."""

from contextlib import suppress
from datetime import timedelta
from importlib import import_module

import pytest
from django.core.exceptions import ValidationError
from django.db import OperationalError

from campaigns import pipeline, sending, settling
from campaigns.models import Attempt, Batch, Dispatch
from campaigns.states import State
from providers import health
from providers.health import Counts
from providers.models import AccountHealth, Pin, ProviderAccount, Registration, Sender
from providers.routing import CANARY_ANSWERS
from smsplatform.common import database, redis
from smsplatform.tenancy.models import Brand
from tests import world
from tests.promises import sound
from tests.promises.conftest import TOKEN

pytestmark = pytest.mark.django_db(transaction=True)
SECOND = "token-second"
EVERYBODY = [f"*{digit}" for digit in range(10)]


@pytest.fixture(autouse=True)
def nothing_counted():
    redis.client().delete(*[f"{health._key(pk)}{what}" for pk in range(2000) for what in ("", ":refused")])
    health._watches.clear()


@pytest.fixture
def spare(acme, simulator):
    """A second account at the next position, with a sender of its own."""
    simulator.script(SECOND, receipts=None)
    account = ProviderAccount(tenant=acme.tenant, name="spare", provider="simulator", base_url=simulator.url, timeout=5)
    account.set_credentials({"token": SECOND, "webhook_secret": "secret"})
    account.save()
    Sender.objects.create(tenant=acme.tenant, brand=acme.brand, account=account, address="+18885559999", position=1)
    return account


def taken_by(simulator):
    return {name: told["accepted"] for name, told in simulator.ledger()["accounts"].items() if told["accepted"]}


def due():
    Batch.objects.update(due_at=database.now() - timedelta(seconds=1), resume_at=None)


@pytest.mark.parametrize("fault", ["rate_limited", "unauthorized"])
def test_what_is_provably_not_taken_goes_to_the_next_account_within_the_turn(acme, spare, simulator, fault):
    simulator.script(TOKEN, receipts=None, faults=[{"fault": fault}])
    acme.recipients(3)
    run = acme.run()
    assert world.work() == 1
    assert world.states(run) == {State.ACCEPTED: 3}
    assert taken_by(simulator) == {SECOND: 3}
    reasons = set(Attempt.objects.filter(account_id=spare.pk).values_list("reason", flat=True))
    assert reasons == {"choice 2, position 1: main was tried"}
    sound.check()


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ({"reject": EVERYBODY}, State.REJECTED),
        ({"faults": [{"fault": "accept_then_drop"}]}, State.UNKNOWN),
        ({"faults": [{"fault": "html"}]}, State.UNKNOWN),
        ({"opted_out": EVERYBODY}, State.REJECTED),
    ],
    ids=["permanent", "maybe taken", "a proxy's page", "opted out"],
)
def test_nothing_else_does(acme, spare, simulator, script, state):
    simulator.script(TOKEN, receipts=None, **script)
    acme.recipients(2)
    run = acme.run()
    world.work()
    assert world.states(run) == {state: 2}
    assert SECOND not in taken_by(simulator)
    sound.check()


def test_a_text_from_another_number_says_who_we_are(acme, spare, simulator):
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "unauthorized"}])
    acme.recipients(1)
    run = acme.run(text="Your table is ready")
    world.work()
    [dispatch] = Dispatch.objects.of_run(run.pk)
    assert dispatch.text == "Acme: Your table is ready Reply STOP to opt out."
    [entry] = simulator.ask("GET", "/_control/ledger/messages")["messages"]
    assert (entry["text"], entry["sender"]) == (dispatch.text, "+18885559999")


def test_a_text_that_says_so_itself_stays_as_it_is(acme, spare, simulator):
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "unauthorized"}])
    acme.recipients(1)
    run = acme.run(text="acme: ready! STOP ends this.")
    world.work()
    assert Dispatch.objects.of_run(run.pk).get().text == "acme: ready! STOP ends this."


def test_an_account_that_fails_is_broken_and_the_rest_goes_elsewhere(acme, spare, simulator, monkeypatch):
    monkeypatch.setattr(sending, "SLICE", 5)
    ProviderAccount.objects.filter(pk=acme.account.pk).update(concurrency=5)
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "reset_after_read"}])
    acme.recipients(40)
    run = acme.run()
    world.work()
    states = world.states(run)
    assert AccountHealth.objects.get().state == "broken"
    assert states[State.UNKNOWN] <= 10
    assert states[State.UNKNOWN] + states[State.ACCEPTED] == 40
    reasons = set(Attempt.objects.filter(account_id=spare.pk).values_list("reason", flat=True))
    assert all(reason.startswith("choice 2, position 1: main is broken since ") for reason in reasons)
    sound.check()


def broken(account):
    health.declare_broken(account.pk, Counts(0, 10, 10), database.now())


def probe_is_due(account):
    AccountHealth.objects.filter(account=account).update(probe_at=database.now() - timedelta(seconds=1))


def test_a_broken_account_gets_nothing(acme, spare, simulator):
    broken(acme.account)
    acme.recipients(3)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 3}
    assert taken_by(simulator) == {SECOND: 3}


def test_one_canary_goes_when_it_is_due(acme, spare, simulator):
    broken(acme.account)
    probe_is_due(acme.account)
    acme.recipients(5)
    acme.run()
    world.work()
    assert taken_by(simulator) == {TOKEN: 1, SECOND: 4}
    assert Attempt.objects.get(account_id=acme.account.pk).reason == "canary of a broken account"
    row = AccountHealth.objects.get()
    assert (row.state, row.canaries) == ("broken", 1)
    sound.check()


def test_a_canary_that_is_lost_delays_nobody_else(acme, spare, simulator):
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "unauthorized"}])
    broken(acme.account)
    probe_is_due(acme.account)
    acme.recipients(5)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 5}
    assert AccountHealth.objects.get().pause == 2 * health.FIRST_PAUSE


def test_who_waits_while_a_canary_is_out_looks_again_soon(acme, simulator):
    broken(acme.account)
    probe_is_due(acme.account)
    assert health.elect(acme.account.pk, database.now())
    acme.recipients(3)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.READY: 3}
    assert (world.only_batch(run).due_at - database.now()).total_seconds() <= CANARY_ANSWERS.total_seconds()


def test_in_a_total_outage_everything_waits_and_canaries_end_it(acme, simulator):
    broken(acme.account)
    acme.recipients(6)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.READY: 6}
    batch = world.only_batch(run)
    assert batch.phase == "waiting"
    assert 5 < (batch.due_at - database.now()).total_seconds() <= health.FIRST_PAUSE
    for accepted in (1, 2, 6):
        probe_is_due(acme.account)
        due()
        world.work()
        assert world.states(run)[State.ACCEPTED] == accepted
    assert AccountHealth.objects.get().state == "ok"
    sound.check()


def test_a_probe_that_nobody_waiting_can_make_is_not_waited_for(acme, spare, simulator):
    """The spare serves another country: nobody here can be its canary, however long that is due."""
    Sender.objects.filter(account=spare).update(countries=["GB"])
    broken(spare)
    probe_is_due(spare)
    broken(acme.account)
    acme.recipients(2)
    run = acme.run()
    world.work()
    assert 5 < (world.only_batch(run).due_at - database.now()).total_seconds() <= health.FIRST_PAUSE


def test_a_turn_that_is_over_elects_no_canary(acme, spare, simulator, monkeypatch):
    """Nobody would send it, and everybody would wait a minute for it."""
    broken(acme.account)
    ProviderAccount.objects.filter(pk=spare.pk).update(segments_per_second=1)
    acme.recipients(4)
    acme.run()
    settle = settling.settle

    def stopped(settlements):
        probe_is_due(acme.account)
        settle(settlements)
        sending.stop_claiming()

    monkeypatch.setattr(settling, "settle", stopped)
    routes = sending.routing.routes

    def due_at_once(brand_id, **only):
        found = routes(brand_id, **only)
        found.probes_due = lambda _now: [acme.account.pk] if sending._stopping[0] else []
        return found

    monkeypatch.setattr(sending.routing, "routes", due_at_once)
    try:
        world.work()
    finally:
        sending._stopping[0] = 0
    assert AccountHealth.objects.get().state == "broken"


def test_answers_in_hand_survive_whatever_fails_about_the_breaker(acme, spare, simulator, monkeypatch):
    """Postgres goes away after an answer is stored: the others are still waited for and stored, none is in doubt."""
    monkeypatch.setattr(sending, "GROUP", 1)
    broken(spare)
    acme.recipients(5)
    run = acme.run()
    monkeypatch.setattr(sending.routing.Routes, "probes_due", lambda *_: [spare.pk])
    monkeypatch.setattr(sending._Turn, "_canary", lambda turn, _account: (None, None))
    failed = []

    def away(*_):
        failed.append(1)
        raise OperationalError("the connection is lost")

    settle = settling.settle

    def then_away(settlements):
        settle(settlements)
        monkeypatch.setattr(health, "elect", away)

    monkeypatch.setattr(health, "elect", lambda *_: False)
    monkeypatch.setattr(sending._Turn, "asked_for", property(lambda _: set(), lambda *_: None), raising=False)
    monkeypatch.setattr(settling, "settle", then_away)
    with suppress(OperationalError):
        world.work()
    assert failed
    assert world.states(run) == {State.ACCEPTED: 5}


def test_a_canary_that_never_left_is_none_any_more(acme, spare, simulator):
    """It was elected and then lined up anew: what another account makes of it says nothing about the broken one."""
    broken(acme.account)
    probe_is_due(acme.account)
    acme.recipients(1)
    run = acme.run()
    batch = world.only_batch(run)
    for stage in world.PIPELINE[:4]:
        stage.run(batch.pk, world.start(batch))
        batch.refresh_from_db()
    turn = sending._Turn(batch.pk, batch.lease, pipeline.judge_ready)
    turn.batch, turn.routes = batch, sending.routing.routes(acme.brand.pk)
    [dispatch] = Dispatch.objects.of_run(run.pk)
    turn._line_up([sending._Row(dispatch.id, dispatch.number, dispatch.text, 1, 0, dispatch.good_until)])
    assert turn.canaries == {dispatch.id}
    turn._line_up_again()
    assert turn.canaries == set()


def test_a_pin_to_an_account_without_a_usable_sender_holds_everything(acme, spare, simulator):
    """Operators who say "only through this one" do not mean "or else through the other"."""
    Pin.objects.create(tenant=acme.tenant, brand=acme.brand, account=spare, reason="contract")
    ProviderAccount.objects.filter(pk=spare.pk).update(paused_at=database.now())
    acme.recipients(2)
    run = acme.run()
    world.work()
    assert taken_by(simulator) == {}
    assert world.states(run) == {State.HELD: 2}


def test_a_pin_wins_over_the_breaker(acme, spare, simulator):
    broken(spare)
    Pin.objects.create(tenant=acme.tenant, brand=acme.brand, account=spare, reason="contract")
    acme.recipients(3)
    acme.run()
    world.work()
    assert taken_by(simulator) == {SECOND: 3}
    assert set(Attempt.objects.values_list("reason", flat=True)) == {"pinned to spare"}


def test_a_pinned_sender_that_people_do_not_know_introduces_itself(acme, spare, simulator):
    Pin.objects.create(tenant=acme.tenant, brand=acme.brand, account=spare, reason="contract")
    acme.recipients(1)
    run = acme.run(text="Your table is ready")
    world.work()
    assert Dispatch.objects.of_run(run.pk).get().text == "Acme: Your table is ready Reply STOP to opt out."


def test_a_sender_whose_registration_is_not_approved_is_not_used(acme, spare, simulator):
    registration = Registration.objects.create(tenant=acme.tenant, brand=acme.brand, name="C123")
    Sender.objects.filter(pk=acme.sender.pk).update(registration=registration)
    acme.recipients(1)
    acme.run(key="pending")
    world.work()
    assert taken_by(simulator) == {SECOND: 1}
    Registration.objects.update(status="approved")
    acme.run(acme.campaign(), key="approved")
    world.work()
    assert taken_by(simulator) == {SECOND: 1, TOKEN: 1}


def test_the_registration_of_another_brand_is_refused_and_not_used(acme, spare, simulator):
    other = Brand.objects.create(tenant=acme.tenant, name="Other", slug="other", zone="UTC", **world.ALL_DAY)
    registration = Registration.objects.create(tenant=acme.tenant, brand=other, name="C123", status="approved")
    acme.sender.registration = registration
    with pytest.raises(ValidationError, match="another brand"):
        acme.sender.full_clean()
    acme.sender.save()
    acme.recipients(1)
    acme.run()
    world.work()
    assert taken_by(simulator) == {SECOND: 1}


def test_batches_that_no_registered_sender_may_send_are_not_handed_out(acme):
    """They would come back every half a minute, all of them, until somebody approves the registration."""
    registration = Registration.objects.create(tenant=acme.tenant, brand=acme.brand, name="C123")
    Sender.objects.update(registration=registration)
    acme.recipients(1)
    run = acme.run()
    assert world.work() == 0
    Registration.objects.update(status="approved")
    assert world.work() == 1
    assert world.states(run) == {State.ACCEPTED: 1}


def test_whom_no_sender_may_serve_waits_and_is_told_why(acme, simulator):
    Sender.objects.update(countries=["GB"])
    acme.recipients(2)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.HELD: 2}
    assert set(Dispatch.objects.of_run(run.pk).values_list("reason", flat=True)) == {"no_sender_for_number"}
    Sender.objects.update(countries=["GB", "US"])
    Dispatch.objects.of_run(run.pk).update(not_before=database.now())
    due()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 2}


def at_vendor(acme, simulator, slug, position):
    """An account at this vendor with a sender of its own; and its name there."""
    told = import_module(f"tests.providers.adapters.test_{slug}").SIMULATED
    simulator.script(told["account"], receipts=None, **told["script"])
    account = ProviderAccount(
        tenant=acme.tenant,
        name=slug,
        provider=slug,
        base_url=simulator.url + told["base_path"],
        options=told["options"],
        segments_per_second=200,
        timeout=5,
    )
    account.set_credentials(told["credentials"])
    account.save()
    address = told["sender"].replace("+12025550100", f"+1202555017{position}")
    Sender.objects.create(tenant=acme.tenant, brand=acme.brand, account=account, address=address, position=position)
    return account, told["account"]


@pytest.mark.parametrize(("before", "after"), [("twilio", "vonage_sms"), ("sinch", "plivo"), ("simulator", "slooce")])
def test_two_vendors_are_swapped_by_configuration_in_the_middle(acme, simulator, monkeypatch, before, after):
    acme.sender.delete()
    first, first_name = at_vendor(acme, simulator, before, 0)
    second, second_name = at_vendor(acme, simulator, after, 1)
    monkeypatch.setattr(sending, "SLICE", 10)
    acme.recipients(20)
    run = acme.run()
    whole = sending._Turn._launch

    def half(turn):
        monkeypatch.setattr(sending._Turn, "_launch", whole)
        turn._post_slice(turn._together()[0])
        turn.is_over = True

    monkeypatch.setattr(sending._Turn, "_launch", half)
    world.work()
    assert taken_by(simulator) == {first_name: 10}
    Sender.objects.filter(account=first).update(position=1)
    Sender.objects.filter(account=second).update(position=0)
    due()
    world.work()
    assert taken_by(simulator) == {first_name: 10, second_name: 10}
    assert world.states(run) == {State.ACCEPTED: 20}
    of_run = Attempt.objects.filter(dispatch_id__in=Dispatch.objects.of_run(run.pk).values("id"))
    assert sorted(of_run.values_list("account_id", flat=True)) == sorted([first.pk] * 10 + [second.pk] * 10)
    sound.check()


def test_people_are_shared_out_and_an_account_without_room_holds_up_nobody(acme, spare, simulator):
    Sender.objects.update(position=0)
    ProviderAccount.objects.filter(pk=acme.account.pk).update(segments_per_second=0.5)
    acme.recipients(40)
    run = acme.run()
    world.work()
    assert world.states(run)[State.ACCEPTED] >= 10
    assert set(taken_by(simulator)) >= {SECOND}
    assert taken_by(simulator).get(TOKEN, 0) <= 2
    sound.check()


@pytest.fixture
def neighbour(acme):
    """Another brand that texts through the same account."""
    brand = Brand.objects.create(
        tenant=acme.tenant, name="Other", slug="other", zone="America/New_York", **world.ALL_DAY,
        **world.CONSENT_ELSEWHERE,
    )  # fmt: skip
    Sender.objects.create(tenant=acme.tenant, brand=brand, account=acme.account, address="+18885550042")
    return brand


def refuse(acme, simulator, count, key):
    """Have the vendor refuse our account or sender so often."""
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "unauthorized", "next": count}])
    acme.recipients(count)
    acme.run(acme.campaign(), key=key)
    world.work()


def test_a_sender_that_is_refused_does_not_stop_the_other_brands_of_its_account(acme, neighbour, simulator):
    refuse(acme, simulator, 12, "1")
    assert not AccountHealth.objects.exists()
    acme.brand = neighbour
    run = acme.run(acme.campaign(), key="other")
    world.work()
    assert world.states(run) == {State.ACCEPTED: 12}


def test_when_several_of_its_senders_are_refused_it_is_the_account(acme, neighbour, simulator):
    refuse(acme, simulator, 6, "1")
    acme.brand = neighbour
    refuse(acme, simulator, 30, "2")
    assert AccountHealth.objects.get().state == "broken"


def test_an_account_of_one_brand_is_broken_by_its_refusals(acme, simulator):
    refuse(acme, simulator, 6, "1")
    assert AccountHealth.objects.get().state == "broken"
