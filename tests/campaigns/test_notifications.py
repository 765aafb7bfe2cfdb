"""The one door of single messages: what it refuses, with the field and the remedy, and what it holds for a review."""

import pytest

from campaigns import notifications, traffic_reviews
from campaigns.models import Batch, Dispatch, TallyDelta
from campaigns.states import State
from compliance import traffic
from compliance.models import TrafficCount
from compliance.traffic import Origin, Trigger
from smsplatform.common import database
from smsplatform.common.errors import Conflict, InvalidInput, TooMany
from smsplatform.tenancy.models import AuditEvent
from tests import world
from tests.promises import sound
from tests.promises.conftest import TOKEN

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(simulator):
    simulator.script(TOKEN, receipts=None)
    return world.make(base_url=simulator.url)


def send(acme, number="+12122345678", text="Your code is 123", **options):
    return notifications.send(brand=acme.brand, number=number, text=text, now=database.now(), **options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  ", "the text is empty"),
        ("x" * 1600, "11 segments, 10 are allowed"),
        ("see bit.ly/x", "bit.ly must not be in a text"),
        ("see https://bit.ly/x", "public link shortener"),
        ("see http://shop.example", "does not begin with https://"),
        ("see https://rival.example", "rival.example must not be"),
    ],
)
@pytest.mark.parametrize("origin", [*Origin])
def test_refuses_texts_that_can_never_be_sent(acme, text, message, origin):
    acme.tenant.banned_hosts = ["rival.example"]
    acme.tenant.save()
    acme.brand.refresh_from_db()
    with pytest.raises(InvalidInput) as refused:
        send(acme, text=text, origin=origin)
    assert refused.value.field == "text"
    assert message in refused.value.message
    assert not Dispatch.objects.exists()
    assert not TrafficCount.objects.exists()


@pytest.mark.parametrize("number", ["2122345678", "", "+1212234567x", "+0", "call me"])
@pytest.mark.parametrize("origin", [Origin.OPERATOR, Origin.REPLY])
def test_refuses_what_is_no_number_in_full(acme, number, origin):
    with pytest.raises(InvalidInput, match="write it with its country code") as refused:
        send(acme, number, origin=origin)
    assert refused.value.field == "number"


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        ("(212) 234-56", "digits missing"),
        ("+12125550123", "reserved for fiction"),
        ("+18002345678", "toll-free"),
        ("+447400123456", "numbers of GB are not allowed"),
        ("+1 900 234 5678", "premium-rate"),
    ],
)
def test_what_strangers_trigger_goes_to_numbers_that_may_be_texted(acme, number, problem):
    with pytest.raises(InvalidInput, match=problem) as refused:
        send(acme, number, origin=Origin.FORM)
    assert refused.value.field == "number"
    assert "2345" not in refused.value.message


def test_the_api_may_write_numbers_as_people_do(acme):
    send(acme, "(212) 234-5678", origin=Origin.API)
    assert Dispatch.objects.get().number == "+12122345678"
    send(acme, "+12125550123", origin=Trigger(Origin.API, is_sandbox=True))
    assert Dispatch.objects.count() == 2


def test_the_guards_are_for_what_strangers_trigger(acme):
    for line in range(8):
        send(acme, f"+1212234{line:04d}", origin=Origin.REPLY)
        send(acme, f"+1212234{line:04d}", origin=Origin.OPERATOR)
    assert not TrafficCount.objects.exists()
    send(acme, "ana@example.com", origin=Origin.API)
    assert not TrafficCount.objects.exists()


def test_a_limit_that_is_reached_counts_and_stores_nothing(acme):
    acme.tenant.triggered_segments = 1
    acme.tenant.save()
    acme.brand.refresh_from_db()
    send(acme, origin=Origin.API)
    with pytest.raises(TooMany):
        send(acme, "+12122355678", origin=Origin.API)
    assert Dispatch.objects.count() == 1
    assert TrafficCount.objects.get(subject="country:US").used == 1


def pumped(acme):
    """Eight messages to one range; the last three wait."""
    for line in range(8):
        send(acme, f"+1212234{line:04d}", origin=Origin.API)
    assert Dispatch.objects.filter(state="held", reason="traffic_review@1").count() == 3
    return TrafficCount.objects.get(held_at__isnull=False)


def totals():
    found = {}
    for batch in Batch.objects.all():
        for state, count in batch.tally.items():
            found[state] = found.get(state, 0) + count
    for delta in TallyDelta.objects.all():
        found[delta.state] = found.get(delta.state, 0) + delta.change
    return {state: count for state, count in found.items() if count}


def test_a_conspicuous_range_waits_and_the_rest_goes_out(acme):
    pumped(acme)
    notifications.collect(database.now())
    world.work("urgent")
    assert totals() == {"accepted": 5, "held": 3}
    for row in Dispatch.objects.filter(state="held"):
        assert row.not_before == row.expires_at
    sound.check()


@pytest.mark.parametrize("is_collected", [True, False])
def test_what_is_let_through_goes_out(acme, is_collected):
    count = pumped(acme)
    if is_collected:
        notifications.collect(database.now())
        world.work("urgent")
    assert traffic_reviews.let_through(count, by="ann", now=database.now()) == 3
    assert send(acme, "+12122340009", origin=Origin.API)
    notifications.collect(database.now())
    world.work("urgent")
    assert totals() == {"accepted": 9}
    sound.check()
    event = AuditEvent.objects.get(verb="traffic.let_through")
    assert (event.actor, event.detail["messages"]) == ("ann", 3)
    assert "2234" not in event.target


@pytest.mark.parametrize("is_collected", [True, False])
def test_what_is_stopped_is_blocked_and_more_is_refused(acme, is_collected):
    count = pumped(acme)
    if is_collected:
        notifications.collect(database.now())
        world.work("urgent")
    assert traffic_reviews.stop(count, by="ann", now=database.now()) == 3
    with pytest.raises(TooMany, match="stopped after a review"):
        send(acme, "+12122340009", origin=Origin.API)
    with pytest.raises(Conflict):
        traffic_reviews.let_through(count, by="bob", now=database.now())
    notifications.collect(database.now())
    world.work("urgent")
    assert totals() == {"accepted": 5, "blocked": 3}
    assert set(Dispatch.objects.filter(state="blocked").values_list("reason", flat=True)) == {"traffic_pumping@1"}
    sound.check()


def test_a_decision_is_about_the_tenants_own_messages(acme, simulator):
    bolt = world.make("bolt", base_url=simulator.url)
    count = pumped(acme)
    for line in range(8):
        send(bolt, f"+1212234{line:04d}", origin=Origin.API)
    traffic_reviews.let_through(count, by="ann", now=database.now())
    held = Dispatch.objects.filter(state=State.HELD)
    assert set(held.values_list("tenant_id", flat=True)) == {bolt.tenant.pk}
    assert held.count() == 3


def test_what_nobody_decides_about_expires(acme):
    pumped(acme)
    Dispatch.objects.filter(state="held").update(
        not_before=database.now(), expires_at=database.now(), due_at=database.now()
    )
    notifications.collect(database.now())
    world.work("urgent")
    assert totals() == {"accepted": 5, "expired": 3}
    sound.check()


def test_forms_are_told_apart(acme, settings):
    settings.TRIGGERS_PER_FORM = 1
    send(acme, "+12122345678", origin=Trigger(Origin.FORM, form="a"))
    send(acme, "+12123345678", origin=Trigger(Origin.FORM, form="b"))
    with pytest.raises(TooMany):
        send(acme, "+12124345678", origin=Trigger(Origin.FORM, form="a"))
    assert traffic.Origin("form").is_guarded
