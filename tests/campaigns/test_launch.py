"""Whom a run is for and when each of them is due, for every kind of schedule."""

from datetime import date, time, timedelta

import pytest

from campaigns import launch
from campaigns.models import Batch, Campaign, Dispatch, ListMember, RecipientList, Run
from campaigns.states import State
from compliance.models import Blackout
from smsplatform.common import database
from smsplatform.common.errors import Conflict, InvalidInput
from tests import world

pytestmark = pytest.mark.django_db(transaction=True)

NOON = world.at("2026-11-24T17:00")  # Tuesday, 12:00 in New York, 09:00 in Los Angeles
LOCAL = Campaign.Schedule.LOCAL


@pytest.fixture
def acme():
    return world.make(opens_at=time(8), closes_at=time(21), home="America/New_York")


def dues(run):
    """Zone -> (due, state, reason) of the run's people."""
    return {
        row.recipient.zones.partition(";")[0]: (row.due_at, State(row.state), row.reason)
        for row in Dispatch.objects.of_run(run.pk).select_related("recipient")
    }


def test_is_due_at_once_when_it_says_now(acme):
    acme.recipient()
    run = acme.run(now=NOON)
    [dispatch] = Dispatch.objects.of_run(run.pk)
    assert (dispatch.due_at, dispatch.expires_at) == (NOON, NOON + timedelta(hours=4))


def test_is_due_at_its_instant_and_expanded_shortly_before(acme, settings):
    acme.recipient()
    instant = NOON + timedelta(days=3)
    run = launch.launch(campaign=acme.campaign(schedule="at", send_at=instant), occurrence="1", now=NOON, actor="test")
    assert run.materialise_at == instant - settings.MATERIALISE_AHEAD
    assert launch.materialise(run.pk)
    assert Dispatch.objects.get().due_at == instant


@pytest.mark.parametrize(
    ("policy", "eastern"),
    [
        ("skip", (NOON, State.EXPIRED, "zone_already_past@1")),
        ("send_now", (NOON, State.QUEUED, "")),
        ("next_day", (world.at("2026-11-25T15:00"), State.QUEUED, "")),
    ],
)
def test_meets_each_zone_at_its_own_wall_time(acme, policy, eastern):
    """At noon in New York, ten o'clock is past there and still to come in Los Angeles."""
    acme.recipient(zones="America/New_York")
    acme.recipient(zones="America/Los_Angeles")
    run = acme.run(now=NOON, schedule=LOCAL, local_at="2026-11-24T10:00", past_policy=policy)
    found = dues(run)
    assert found["America/New_York"] == eastern
    assert found["America/Los_Angeles"] == (world.at("2026-11-24T18:00"), State.QUEUED, "")
    assert sum(batch.size for batch in Batch.objects.filter(run=run)) == 2


@pytest.mark.parametrize(
    ("zones", "wall", "due"),
    [
        ("America/Chicago|America/New_York", "2026-11-25T09:00", "2026-11-25T15:00"),  # 09:00 in Chicago
        # 20:30 in Los Angeles would be 23:30 in New York; 20:30 in New York is 17:30 there.
        ("America/Los_Angeles|America/New_York", "2026-11-24T20:30", "2026-11-25T01:30"),
        # At neither 07:30 is it day in both: it is kept for the latest, and waits from then on.
        ("America/New_York|Pacific/Honolulu", "2026-11-25T07:30", "2026-11-25T17:30"),
    ],
)
def test_takes_the_latest_instant_of_a_person_who_may_be_in_two_zones_that_is_allowed(acme, zones, wall, due):
    acme.recipient(zones=zones)
    run = acme.run(now=NOON, schedule=LOCAL, local_at=wall)
    assert dues(run)[zones][0] == world.at(due)


def test_counts_lateness_from_the_opening_where_no_instant_of_the_wall_time_is_allowed(acme):
    acme.recipient(zones="America/New_York;RI")
    acme.run(now=NOON, schedule=LOCAL, local_at="2026-11-28T18:00", lateness_minutes=60)  # Saturday, 10-17 there
    dispatch = Dispatch.objects.get()
    assert (dispatch.due_at, dispatch.state) == (world.at("2026-11-28T23:00"), "queued")
    assert dispatch.expires_at == world.at("2026-11-30T15:00")  # Monday 09:00 and an hour


def test_keeps_a_blackout_out_of_the_lateness(acme):
    Blackout.objects.create(
        tenant=acme.tenant,
        brand=acme.brand,
        first_on=date(2026, 11, 24),
        last_on=date(2026, 11, 27),
        note="stocktaking",
    )
    acme.recipient()
    acme.run(now=NOON, lateness_minutes=60)
    assert Dispatch.objects.get().expires_at == world.at("2026-11-28T14:00")  # Saturday 08:00 and an hour


@pytest.mark.parametrize(
    ("wall", "due"),
    [
        ("2027-03-14T02:30", "2027-03-14T07:30"),  # the clocks skip it
        ("2026-11-01T01:30", "2026-11-01T05:30"),  # the clocks show it twice
    ],
)
def test_keeps_the_wall_time_on_days_when_clocks_change(acme, wall, due):
    acme.recipient(zones="America/New_York")
    run = acme.run(now=world.at("2026-10-01T12:00"), schedule=LOCAL, local_at=wall)
    assert dues(run)["America/New_York"][0] == world.at(due)


def test_meets_each_person_at_their_own_time(acme):
    soon, past, never = acme.recipients(3)
    soon.fields, past.fields = {"visit_at": "2026-11-25T10:00:30-05:00"}, {"visit_at": "2026-11-20T10:00:00-05:00"}
    never.fields = {"visit_at": "at ten"}
    for person in (soon, past, never):
        person.save()
    run = acme.run(now=NOON, schedule="field", time_field="visit_at")
    found = {row.recipient_id: row for row in Dispatch.objects.of_run(run.pk)}
    assert found[soon.pk].due_at == world.at("2026-11-25T15:01")  # rounded up to the minute
    assert (found[past.pk].state, found[past.pk].reason) == ("expired", "send_time_past@1")
    assert (found[never.pk].state, found[never.pk].reason) == ("blocked", "no_send_time@1")


def test_uses_the_imported_send_time_where_no_field_is_named(acme):
    person = acme.recipient()
    person.send_at = NOON + timedelta(hours=2)
    person.save()
    acme.run(now=NOON, schedule="field")
    assert Dispatch.objects.get().due_at == NOON + timedelta(hours=2)


def test_counts_lateness_from_the_first_instant_at_which_the_person_may_be_texted(acme):
    """Launched at night, it waits for the morning, and only then begins to be late."""
    acme.recipient(zones="America/New_York")
    night = world.at("2026-11-25T03:00")  # 22:00
    acme.run(now=night, lateness_minutes=60)
    assert Dispatch.objects.get().expires_at == world.at("2026-11-25T14:00")  # 08:00 and an hour


def test_leaves_out_the_people_of_minus_lists_and_counts_nobody_twice(acme):
    kept, left_out = acme.recipients(2)
    second = RecipientList.objects.create(tenant=acme.tenant, name="second")
    minus = RecipientList.objects.create(tenant=acme.tenant, name="minus")
    for people, person in ((second, kept), (second, left_out), (minus, left_out)):
        ListMember.objects.create(tenant=acme.tenant, list=people, recipient=person)
    campaign = acme.campaign()
    campaign.lists.add(second)
    campaign.minus_lists.add(minus)
    acme.run(campaign)
    assert [row.recipient_id for row in Dispatch.objects.all()] == [kept.pk]


def test_cuts_batches_of_the_size_that_is_set(acme, settings):
    settings.BATCH_SIZE = 4
    acme.recipients(10)
    run = acme.run()
    assert sorted(Batch.objects.filter(run=run).values_list("size", flat=True)) == [2, 4, 4]
    assert Dispatch.objects.of_run(run.pk).count() == 10


def test_goes_on_where_it_stopped(acme, monkeypatch):
    monkeypatch.setattr(launch, "CHUNK", 3)
    acme.recipients(8)
    run = launch.launch(campaign=acme.campaign(), occurrence="1", now=database.now(), actor="test")
    insert, calls = launch._insert, []

    def dies(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("killed")
        insert(*arguments)

    monkeypatch.setattr(launch, "_insert", dies)
    with pytest.raises(RuntimeError):
        launch.materialise(run.pk)
    assert Dispatch.objects.count() == 3
    Run.objects.update(lease_until=None)
    assert launch.materialise(run.pk)
    assert Dispatch.objects.count() == 8
    assert sorted(Batch.objects.values_list("position", flat=True)) == [0, 1, 2]


def test_stops_at_the_fence(acme, monkeypatch):
    monkeypatch.setattr(launch, "CHUNK", 3)
    acme.recipients(6)
    run = launch.launch(campaign=acme.campaign(), occurrence="1", now=database.now(), actor="test")
    launch.cancel(run, now=database.now(), actor="test")
    assert launch.materialise(run.pk)
    assert not Dispatch.objects.exists()


def test_keeps_the_text_it_was_launched_with(acme):
    acme.recipient()
    campaign = acme.campaign("first")
    run = acme.run(campaign)
    campaign.template.write("second")
    run.refresh_from_db()
    assert run.version.source == "first"


def test_says_what_is_missing(acme):
    campaign = acme.campaign()
    campaign.lists.clear()
    with pytest.raises(InvalidInput, match="list"):
        launch.launch(campaign=campaign, occurrence="1", now=NOON, actor="test")
    campaign.lists.add(acme.people)
    acme.sender.delete()
    with pytest.raises(InvalidInput, match="sender"):
        launch.launch(campaign=campaign, occurrence="1", now=NOON, actor="test")
    assert not Run.objects.exists()


def test_refuses_to_go_on_with_what_is_cancelled(acme):
    acme.recipient()
    run = acme.run()
    launch.cancel(run, now=NOON, actor="test")
    run.refresh_from_db()
    with pytest.raises(Conflict, match="cancelled"):
        launch.resume(run, now=NOON, actor="test")
    with pytest.raises(Conflict, match="cancelled"):
        launch.pause(run, now=NOON, actor="test")


def test_wants_a_local_time_as_the_key_of_a_schedule_by_recipients_clocks(acme):
    campaign = acme.campaign(schedule="repeat", crontab="0 9 * * *", crontab_clock="recipient")
    with pytest.raises(InvalidInput, match="local time"):
        launch.launch(campaign=campaign, occurrence="monday", now=NOON, actor="test")
    assert not Run.objects.exists()


def test_is_refused_with_a_text_that_must_not_be_sent(acme):
    """Saved before there was a rule against it, or before its tenant banned a host."""
    acme.recipient()
    campaign = acme.campaign("See https://rival.example/a")
    acme.tenant.banned_hosts = ["rival.example"]
    acme.tenant.save()
    campaign.brand.tenant.refresh_from_db()
    with pytest.raises(InvalidInput, match=r"line 1, column 5: rival\.example must not be in a text") as refused:
        launch.launch(campaign=campaign, occurrence="1", now=database.now(), actor="test")
    assert refused.value.field == "template"
    assert not Run.objects.exists()


def test_is_not_refused_for_what_is_only_to_be_reviewed(acme):
    acme.recipient()
    assert launch.launch(
        campaign=acme.campaign("WINE FOR YOU AND YOURS"), occurrence="1", now=database.now(), actor="x"
    )
