"""G1: not everybody at once: over some hours, or at most so many an hour; in allowed time, in whole batches."""

from collections import Counter
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction

from campaigns import canaries, launch, occurrences, spreading
from campaigns.models import Batch, Campaign, Dispatch, Run
from campaigns.states import State
from compliance.models import CapWindow
from compliance.policy import Category
from smsplatform.common import database
from smsplatform.common.errors import InvalidInput
from tests import world
from tests.promises import sound

pytestmark = pytest.mark.django_db(transaction=True)

MORNING = datetime(2026, 11, 24, 15, tzinfo=UTC)  # a Tuesday, 10:00 in New York


@pytest.fixture
def acme():
    return world.make(opens_at=time(8), closes_at=time(21), home="America/New_York")


@pytest.fixture
def clock(monkeypatch):
    """The database's clock stands at the morning."""
    for asking in ("now", "commit_cheaply"):
        monkeypatch.setattr(database, asking, lambda: MORNING)


def slots(run):
    """How many people are due at each instant."""
    return dict(sorted(Counter(Dispatch.objects.of_run(run.pk).values_list("due_at", flat=True)).items()))


def most_in_an_hour(found):
    return max(sum(n for at, n in found.items() if begin <= at < begin + timedelta(hours=1)) for begin in found)


def test_sends_at_most_so_many_an_hour(acme, clock):
    acme.recipients(230)
    run = acme.run(now=MORNING, most_per_hour=100)
    found = slots(run)
    assert found == {MORNING + n * timedelta(minutes=30): 50 for n in range(4)} | {MORNING + timedelta(hours=2): 30}
    assert most_in_an_hour(found) == 100
    assert Counter(Batch.objects.filter(run=run).values_list("due_at", "size")) == Counter(found.items())
    sound.check()


def test_spreads_evenly_over_some_hours(acme, clock):
    acme.recipients(240)
    run = acme.run(now=MORNING, spread_hours=4)
    assert run.plan["per_hour"] == 60
    found = slots(run)
    assert min(found) == MORNING
    assert max(found) < MORNING + timedelta(hours=4)
    assert sum(found.values()) == 240
    assert most_in_an_hour(found) == 60


def test_lateness_is_counted_from_each_ones_slot(acme, clock):
    acme.recipients(60)
    run = acme.run(now=MORNING, most_per_hour=50, lateness_minutes=30)
    assert {row.expires_at - row.due_at for row in Dispatch.objects.of_run(run.pk)} == {timedelta(minutes=30)}


def test_what_does_not_fit_before_the_evening_goes_on_in_the_morning(acme, clock):
    """In the allowed hours of each zone: 20:50 is the last instant, for the providers' queues."""
    acme.recipients(30, zones="America/New_York")
    acme.recipients(30, zones="America/Los_Angeles")
    begin = datetime(2026, 11, 25, 0, 30, tzinfo=UTC)  # 19:30 in New York, 16:30 in Los Angeles
    run = acme.run(now=begin, most_per_hour=10)
    zone_of = dict(world.Recipient.objects.values_list("id", "zones"))
    for row in Dispatch.objects.of_run(run.pk):
        local = row.due_at.astimezone(world_zone(zone_of[row.recipient_id].partition(";")[0]))
        assert time(8) <= local.time() < time(20, 50), local
    assert most_in_an_hour(slots(run)) == 10
    last = max(slots(run))
    assert last > datetime(2026, 11, 25, 13, tzinfo=UTC)


def world_zone(name):
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def test_each_zone_begins_at_its_own_time_and_all_share_the_hour(acme, clock):
    acme.recipients(60, zones="America/New_York")
    acme.recipients(60, zones="America/Chicago")
    run = acme.run(now=MORNING, schedule="local", local_at="2026-11-25T09:00", most_per_hour=50)
    first = datetime(2026, 11, 25, 14, tzinfo=UTC)
    found = slots(run)
    assert min(found) == first
    assert most_in_an_hour(found) == 50
    of_chicago = Dispatch.objects.of_run(run.pk).filter(recipient__zones="America/Chicago;NY")
    assert min(of_chicago.values_list("due_at", flat=True)) >= first + timedelta(hours=1)


def test_is_the_same_when_it_is_expanded_in_pieces(acme, clock, monkeypatch):
    """A crash between the pieces changes nothing: how full a slot is, is counted from the batches that exist."""
    acme.recipients(130)
    whole = slots(acme.run(now=MORNING, most_per_hour=100))
    monkeypatch.setattr(launch, "CHUNK", 20)
    pieces = acme.run(now=MORNING, most_per_hour=100, key="2")
    assert slots(pieces) == whole
    assert Batch.objects.filter(run=pieces).count() > len(whole)
    sound.check()


def test_no_batch_is_larger_than_a_batch(acme, clock, settings):
    settings.BATCH_SIZE = 20
    acme.recipients(100)
    run = acme.run(now=MORNING, most_per_hour=3000)
    sizes = Batch.objects.filter(run=run).order_by("position").values_list("due_at", "size")
    assert list(sizes) == [
        (MORNING, 20), (MORNING, 20), (MORNING, 10),
        *[(MORNING + timedelta(minutes=1), size) for size in (20, 20, 10)],
    ]  # fmt: skip


def test_what_ends_at_once_takes_no_slot(acme, clock):
    acme.recipients(5, zones="Pacific/Kiritimati")  # their day is over
    acme.recipients(5, zones="America/New_York")
    run = acme.run(now=MORNING, schedule="local", local_at="2026-11-24T12:00", most_per_hour=5)
    assert world.states(run) == {State.EXPIRED: 5, State.QUEUED: 5}
    assert sum(slots(run).values()) == 10


def test_an_unlimited_category_is_spread_through_the_night(acme, clock):
    acme.recipients(30)
    begin = datetime(2026, 11, 25, 1, tzinfo=UTC)
    run = acme.run(now=begin, most_per_hour=5, category=Category.TRANSACTIONAL)
    assert list(slots(run)) == [begin + n * timedelta(hours=1) for n in range(6)]


def test_a_campaign_that_is_not_spread_is_due_at_once(acme, clock):
    acme.recipients(10)
    assert slots(acme.run(now=MORNING)) == {MORNING: 10}


class TestPauses:
    def test_resuming_gives_new_slots_to_what_was_left_behind(self, acme, clock):
        acme.recipients(200)
        run = acme.run(now=MORNING, most_per_hour=50)
        launch.pause(run, now=MORNING, actor="test")
        run.refresh_from_db()
        later = MORNING + timedelta(hours=2, minutes=5)
        launch.resume(run, now=later, actor="test")
        found = sorted(Batch.objects.filter(run=run).values_list("due_at", flat=True))
        assert found[0] == later
        assert all(after - before >= timedelta(minutes=55) for before, after in pairwise(found))
        assert found[-1] == MORNING + timedelta(hours=5)

    def test_what_is_still_to_come_stays_where_it_is(self, acme, clock):
        acme.recipients(150)
        run = acme.run(now=MORNING, most_per_hour=50)
        before = list(Batch.objects.filter(run=run).order_by("id").values_list("due_at", flat=True))
        Batch.objects.filter(run=run, due_at=MORNING).update(phase="closed")
        launch.pause(run, now=MORNING, actor="test")
        run.refresh_from_db()
        launch.resume(run, now=MORNING + timedelta(minutes=20), actor="test")
        assert list(Batch.objects.filter(run=run).order_by("id").values_list("due_at", flat=True)) == before

    def test_a_run_that_is_not_spread_is_left_alone(self, acme, clock):
        acme.recipients(3)
        run = acme.run(now=MORNING)
        with transaction.atomic():
            assert spreading.slot_anew(run, MORNING + timedelta(hours=1)) == 0


def test_no_more_permits_an_hour_whatever_is_due(simulator):
    """Everything is overdue at once, and still an hour gives out no more than it may."""
    acme = world.make(base_url=simulator.url)
    simulator.script("token-acme", receipts=None)
    acme.recipients(8)
    run = acme.run(most_per_hour=5)
    Batch.objects.update(due_at=database.now())
    Dispatch.objects.update(due_at=database.now())
    for _ in range(3):
        world.work()
    assert world.states(run) == {State.ACCEPTED: 5, State.HELD: 3}
    assert set(Dispatch.objects.filter(state="held").values_list("reason", flat=True)) == {"hourly_cap@1"}
    window = CapWindow.objects.get(subject=f"campaign:{run.campaign_id}")
    assert (window.used, window.amount, window.ends_at - window.starts_at) == (5, 5, timedelta(hours=1))
    held = Dispatch.objects.filter(state="held").first()
    assert held.not_before == window.ends_at
    # An hour's end is no reason to check a message again that has its permit, nor to hurry the provider.
    assert min(Dispatch.objects.filter(state="accepted").values_list("good_until", flat=True)) > window.ends_at
    sound.check()


@pytest.mark.parametrize("rate", [1, 7, 10, 49, 50, 51, 99, 100, 777, 1000, 2999, 3000, 60_000, 1_000_000])
def test_no_sixty_minutes_of_slots_hold_more_than_the_rate(rate):
    run = Run(plan={"at": "2026-11-22T09:07:30+00:00", "wall": None}, launched_at=MORNING)
    grid = spreading.grid(run, rate)
    assert timedelta(hours=1) % grid.length == timedelta()
    assert 0 < grid.room * (timedelta(hours=1) // grid.length) <= rate
    assert grid.next(grid.origin) == grid.origin == occurrences.to_minute(datetime(2026, 11, 22, 9, 7, 30, tzinfo=UTC))
    for seconds in (-7201, -1, 1, 59, 3601):
        instant = grid.origin + timedelta(seconds=seconds)
        slot = grid.next(instant)
        assert timedelta() <= slot - instant < grid.length
        assert (slot - grid.origin) % grid.length == timedelta()


class TestSaying:
    @pytest.mark.parametrize(
        ("fields", "field", "said"),
        [
            ({"spread_hours": 2, "most_per_hour": 5}, "spread_hours", "not both"),
            ({"spread_hours": 13}, "spread_hours", "13 hours do not fit into one day: from 08:00 until 21:00"),
            ({"spread_hours": 0}, "spread_hours", "greater than or equal to 1"),
            ({"most_per_hour": 0}, "most_per_hour", "greater than or equal to 1"),
            ({"most_per_hour": 5, "schedule": "field"}, "most_per_hour", "a time of their own"),
            (
                {"spread_hours": 4, "schedule": "local", "local_at": "2026-12-01T18:00"},
                "spread_hours",
                "from 18:00 until 21:00 the brand texts for 2.8",
            ),
        ],
    )
    def test_is_refused_with_field_problem_and_remedy(self, acme, fields, field, said):
        campaign = acme.campaign(**fields)
        with pytest.raises(ValidationError) as refusal:
            campaign.full_clean()
        assert said in refusal.value.message_dict[field][0]

    @pytest.mark.parametrize(
        "fields",
        [
            {"spread_hours": 12},
            {"spread_hours": 20, "category": Category.TRANSACTIONAL},
            {"most_per_hour": 5},
            {"spread_hours": 2, "schedule": "local", "local_at": "2026-12-01T18:00"},
        ],
    )
    def test_is_taken(self, acme, fields):
        acme.campaign(**fields).full_clean()

    def test_what_would_take_weeks_is_not_launched(self, acme):
        acme.recipients(200)
        with pytest.raises(InvalidInput, match="200 people at 1 an hour take 200 hours") as refusal:
            launch.launch(campaign=acme.campaign(most_per_hour=1), occurrence="1", now=MORNING, actor="test")
        assert refusal.value.field == "most_per_hour"
        assert not Run.objects.exists()
        assert Campaign.objects.count() == 1


class TestACanary:
    def test_has_the_first_slots(self, acme, clock):
        acme.recipients(120)
        run = acme.run(now=MORNING, most_per_hour=100, canary_people=30)
        first = Batch.objects.filter(run=run, is_canary=True)
        assert {batch.due_at for batch in first} == {MORNING}
        assert 0 < sum(batch.size for batch in first) < 100
        assert most_in_an_hour(slots(run)) == 100

    def test_does_not_wait_for_those_who_were_expanded_before(self, acme, clock, monkeypatch):
        """The others wait until all of the canary is judged; with its last people at the end of the run, for ever."""
        acme.recipients(300)
        monkeypatch.setattr(launch, "CHUNK", 60)
        run = acme.run(now=MORNING, most_per_hour=100, canary_people=40)
        first = Batch.objects.filter(run=run, is_canary=True)
        assert sum(batch.size for batch in first) > 20
        assert max(batch.due_at for batch in first) < MORNING + timedelta(hours=1)

    def test_gives_the_others_new_slots_when_it_is_released(self, acme, clock):
        acme.recipients(200)
        run = acme.run(now=MORNING, most_per_hour=100, canary_people=10)
        later = MORNING + timedelta(hours=3)
        canaries.release(run, now=later, actor="ann")
        waiting = Counter()
        for batch in Batch.objects.filter(run=run, is_canary=False):
            waiting[batch.due_at] += batch.size
        assert min(waiting) >= later
        assert most_in_an_hour(waiting) <= 100
