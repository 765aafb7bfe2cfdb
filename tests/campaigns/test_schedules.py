"""Repeating campaigns: each occurrence once, the latest missed one only, nobody at the wrong local time."""

from datetime import time, timedelta

import pytest

from campaigns import launch, schedules
from campaigns.models import Campaign, Dispatch, Run
from smsplatform.tenancy.models import AuditEvent
from tests import world

pytestmark = pytest.mark.django_db(transaction=True)

MONDAY = world.at("2026-11-23T12:00")


@pytest.fixture
def acme():
    return world.make(opens_at=time(8), closes_at=time(21), zone="America/New_York")


def daily(acme, **options):
    campaign = acme.campaign(schedule="repeat", crontab="0 9 * * *", **options)
    Campaign.objects.filter(pk=campaign.pk).update(created_at=MONDAY)
    return campaign


def test_fires_once_a_day_in_the_brands_zone(acme):
    acme.recipient()
    daily(acme)
    assert schedules.fire(world.at("2026-11-23T13:59")) == []
    [run] = schedules.fire(world.at("2026-11-23T14:00"))  # 09:00
    assert run.occurrence == "2026-11-23T09:00"
    assert schedules.fire(world.at("2026-11-23T14:01")) == []
    assert launch.materialise(run.pk)
    assert Dispatch.objects.get().due_at == world.at("2026-11-23T14:00")
    [following] = schedules.fire(world.at("2026-11-24T14:00"))
    assert following.occurrence == "2026-11-24T09:00"


def test_fires_only_the_latest_of_missed_occurrences_and_none_that_is_too_late(acme):
    campaign = daily(acme, lateness_minutes=120)
    assert schedules.fire(world.at("2026-11-26T20:00")) == []  # nobody looked for three days; 09:00 is six hours ago
    [run] = schedules.fire(world.at("2026-11-27T15:00"))
    assert run.occurrence == "2026-11-27T09:00"
    assert Run.objects.filter(campaign=campaign).count() == 1


def test_fires_the_hour_that_comes_twice_once(acme):
    campaign = acme.campaign(schedule="repeat", crontab="30 1 * * *")
    Campaign.objects.filter(pk=campaign.pk).update(created_at=world.at("2026-10-31T12:00"))
    fired = [
        run
        for minute in range(0, 180, 10)
        for run in schedules.fire(world.at("2026-11-01T05:00") + timedelta(minutes=minute))
    ]
    assert [run.occurrence for run in fired] == ["2026-11-01T01:30"]


def test_meets_each_recipient_at_their_own_nine_oclock(acme):
    acme.recipient(zones="America/New_York")
    acme.recipient(zones="Pacific/Honolulu")
    daily(acme, crontab_clock="recipient")
    fired = [run for hour in range(30) for run in schedules.fire(MONDAY + timedelta(hours=hour))]
    assert [run.occurrence for run in fired] == ["2026-11-24T09:00"]  # the first that nobody has passed yet
    assert launch.materialise(fired[0].pk)
    assert {
        row.recipient.zones.partition(";")[0]: row.due_at for row in Dispatch.objects.select_related("recipient")
    } == {
        "America/New_York": world.at("2026-11-24T14:00"),
        "Pacific/Honolulu": world.at("2026-11-24T19:00"),
    }


def test_rests_while_it_is_not_active(acme):
    campaign = daily(acme)
    Campaign.objects.filter(pk=campaign.pk).update(is_active=False)
    assert schedules.fire(world.at("2026-11-23T14:00")) == []


def test_says_in_the_trail_why_it_could_not_be_launched(acme):
    campaign = daily(acme)
    campaign.lists.clear()
    assert schedules.fire(world.at("2026-11-23T14:00")) == []
    event = AuditEvent.objects.get(verb="campaign.not_launched")
    assert "list" in event.detail["why"]
