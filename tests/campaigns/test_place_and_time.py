"""Where people are and what time it is there, through the pipeline: on a clock that the tests move."""

from datetime import date, time, timedelta

import pytest

from campaigns import notifications
from campaigns.models import Batch, Campaign, Dispatch, Recipient
from campaigns.states import State
from compliance import holds, hours
from compliance.data.statutes import RULES_VERSION
from compliance.models import Blackout
from compliance.policy import Category
from providers.adapters.simulator import SimulatorAdapter
from smsplatform.tenancy.models import Tenant
from tests import world
from tests.properties.clock import Clock

pytestmark = pytest.mark.django_db(transaction=True)

QUIET = f"quiet_hours@{RULES_VERSION}"
NOON = world.at("2026-11-24T17:00")  # Tuesday, 12:00 in New York
NIGHT = world.at("2026-11-25T03:00")  # 22:00
MORNING = world.at("2026-11-25T13:00")  # 08:00


@pytest.fixture
def clock():
    moved = Clock(start=NOON)
    moved.start()
    yield moved
    moved.stop()


@pytest.fixture
def acme(simulator, clock):
    simulator.script("token-acme", receipts=None)
    made = world.make(base_url=simulator.url, home="America/New_York")
    made.account.segments_per_second = 1000  # tokens are nobody's concern here
    made.account.save()
    return made


@pytest.fixture
def told(monkeypatch):
    """For how long the provider was told to try, message by message."""
    seen = []
    call = SimulatorAdapter.call
    monkeypatch.setattr(
        SimulatorAdapter, "call", lambda self, message: seen.append(message.valid_for) or call(self, message)
    )
    return seen


def work(clock, lane="bulk"):
    """Let everything run that is due; what a slow machine did not get out in its turn has another one, seconds later."""
    for _ in range(20):
        while world.work(lane, now=clock.now):
            pass
        if not Dispatch.objects.filter(state=State.READY).exists():
            return
        clock.goes_on(seconds=2)


def only(run):
    return Dispatch.objects.of_run(run.pk).get()


class TestQuietHours:
    def test_hold_and_say_by_which_rule(self, acme, clock, simulator):
        acme.recipient(zones="America/New_York;FL")
        clock.goes_to(world.at("2026-11-25T01:30"))  # 20:30
        run = acme.run(now=clock.now)
        work(clock)
        row = only(run)
        assert (row.state, row.reason, row.detail) == ("held", QUIET, "FL 08-20 Fla. Stat. 501.616(6)")
        assert MORNING <= row.not_before <= MORNING + timedelta(minutes=30)
        assert simulator.ledger()["posts"] == 0
        clock.goes_to(row.not_before + timedelta(minutes=1))
        work(clock)
        row.refresh_from_db()
        assert (row.state, row.zones) == ("accepted", "America/New_York;FL")

    def test_hold_all_day_on_a_states_holiday(self, acme, clock):
        for state in ("RI", "NY"):
            acme.recipient(zones=f"America/New_York;{state}")
        clock.goes_to(world.at("2026-11-26T17:00"))  # Thanksgiving
        run = acme.run(now=clock.now)
        work(clock)
        found = {row.recipient.zones[-2:]: row for row in Dispatch.objects.of_run(run.pk).select_related("recipient")}
        assert found["NY"].state == "accepted"
        assert found["RI"].detail.startswith("RI no texts on Thanksgiving Day")
        assert found["RI"].not_before.date() == date(2026, 11, 27)

    def test_what_they_hold_goes_on_batch_by_batch(self, acme, clock, settings):
        settings.BATCH_SIZE = 1
        settings.LANE_IN_FLIGHT = {"bulk": 100, "urgent": 1}
        settings.CLAIM_BATCHES = settings.TENANT_IN_FLIGHT = settings.ACCOUNT_IN_FLIGHT = 100
        acme.recipients(40)
        clock.goes_to(NIGHT)
        run = acme.run(now=clock.now)
        work(clock)
        begins = list(Dispatch.objects.of_run(run.pk).values_list("not_before", flat=True))
        assert len(set(begins)) == 31
        assert (min(begins), max(begins)) == (MORNING, MORNING + timedelta(minutes=30))

    def test_rows_of_one_batch_go_on_together(self, acme, clock):
        acme.recipients(30)
        clock.goes_to(NIGHT)
        run = acme.run(now=clock.now)
        work(clock)
        assert Dispatch.objects.of_run(run.pk).values("not_before").distinct().count() == 1
        assert Batch.objects.filter(run=run).count() == 1

    def test_the_spread_takes_a_quarter_of_the_time_that_is_left_at_most(self, acme, clock, settings):
        settings.BATCH_SIZE = 1
        acme.recipients(8)
        clock.goes_to(NIGHT)
        run = acme.run(now=clock.now, lateness_minutes=8)
        work(clock)
        assert world.states(run) == {State.HELD: 8}
        assert max(Dispatch.objects.of_run(run.pk).values_list("not_before", flat=True)) <= MORNING + timedelta(
            minutes=2
        )

    def test_single_messages_go_on_at_the_first_minute(self, acme, clock):
        clock.goes_to(NIGHT)
        for n in range(3):
            notifications.send(
                brand=acme.brand, number=f"+1212555012{n}", text="Sale", now=clock.now, category=Category.MARKETING,
                lifetime=timedelta(hours=24),
            )  # fmt: skip
            notifications.collect(clock.now)
        work(clock, "urgent")
        assert set(Dispatch.objects.values_list("state", "not_before")) == {("held", MORNING)}

    def test_end_what_could_not_go_out_in_time(self, acme, clock):
        acme.recipient(zones="Asia/Tokyo|Europe/London;US")
        acme.brand.opens_at, acme.brand.closes_at = time(9), time(12)  # never at once in both
        acme.brand.save()
        run = acme.run(now=clock.now)
        work(clock)
        row = only(run)
        assert (row.state, row.reason) == ("expired", f"no_allowed_hour_in_time@{RULES_VERSION}")
        assert "brand hours 09-12" in row.detail


class TestTheProvider:
    def test_is_told_to_try_until_the_window_ends(self, acme, clock, told):
        """The person's day ends at 21:00; nothing is begun, nor kept at the provider, later than 20:50."""
        acme.recipient()
        clock.goes_to(world.at("2026-11-25T01:30"))  # 20:30
        run = acme.run(now=clock.now)
        work(clock)
        assert only(run).good_until == world.at("2026-11-25T01:50")
        assert 19 * 60 < told[0] <= 20 * 60

    def test_gets_nothing_in_the_last_ten_minutes(self, acme, clock, simulator):
        acme.recipient()
        clock.goes_to(world.at("2026-11-25T01:50"))
        run = acme.run(now=clock.now)
        work(clock)
        assert (only(run).state, simulator.ledger()["posts"]) == ("held", 0)

    def test_is_told_less_where_the_message_is_good_for_less(self, acme, clock, told):
        acme.recipient()
        acme.run(now=clock.now, lateness_minutes=15)
        work(clock)
        assert 14 * 60 < told[0] <= 15 * 60


class TestAPlaceThatChanges:
    """Between the check and the claim, while the text is ready."""

    def ready(self, acme, clock):
        east, west = acme.recipient(), acme.recipient(zones="America/Los_Angeles")
        clock.goes_to(world.at("2026-11-25T00:30"))  # 19:30 and 16:30
        run = acme.run(now=clock.now, lateness_minutes=24 * 60)
        batch = world.only_batch(run)
        lease = world.start(batch)
        for stage in world.PIPELINE[:4]:
            stage.run(batch.pk, lease)
        assert world.states(run) == {State.READY: 2}
        return east, west, run, batch, lease

    def end(self, clock, batch, lease):
        for stage in world.PIPELINE[4:]:
            stage.run(batch.pk, lease)
        work(clock)

    @pytest.mark.parametrize("is_in_the_turn", [False, True])
    def test_waits_where_it_is_night_there(self, acme, clock, simulator, monkeypatch, is_in_the_turn):
        """Also when the person moves after the turn has read where its people are: an unknown key waits a minute."""
        _, west, run, batch, lease = self.ready(acme, clock)

        def moves(**asked):
            Recipient.objects.filter(pk=west.pk).update(zones="Europe/London;NY")
            return windows(**asked)

        windows = hours.windows
        if is_in_the_turn:
            monkeypatch.setattr(hours, "windows", moves)
        else:
            Recipient.objects.filter(pk=west.pk).update(zones="Europe/London;NY")
        started = clock.now
        self.end(clock, batch, lease)
        held = Dispatch.objects.of_run(run.pk).get(recipient=west)
        wait = timedelta(minutes=1) if is_in_the_turn else timedelta(hours=7, minutes=30)
        assert (held.state, held.reason) == ("held", QUIET)
        assert started + wait <= held.not_before <= started + wait + timedelta(minutes=30)
        assert simulator.ledger()["accepted"] == 1
        clock.goes_on(minutes=2)
        work(clock)
        held.refresh_from_db()
        assert (held.state, held.detail) == ("held", "NY 08-21 47 CFR 64.1200(c)(1)")

    def test_is_checked_from_the_start_where_the_day_ends_sooner(self, acme, clock, simulator, told):
        """It is still day where the person is now, but the provider would have tried until the night there."""
        _, west, run, batch, lease = self.ready(acme, clock)
        Recipient.objects.filter(pk=west.pk).update(zones="America/New_York;NY")
        self.end(clock, batch, lease)
        moved = Dispatch.objects.of_run(run.pk).get(recipient=west)
        assert (moved.state, moved.reason, simulator.ledger()["accepted"]) == ("held", "place_changed@1", 1)
        clock.goes_on(seconds=10)
        work(clock)
        moved.refresh_from_db()
        assert (moved.state, moved.zones) == ("accepted", "America/New_York;NY")
        assert max(told) <= 80 * 60

    def test_is_checked_again_where_the_brand_closes_earlier(self, acme, clock, simulator):
        _, _, run, batch, lease = self.ready(acme, clock)
        acme.brand.closes_at = time(20)
        acme.brand.save()
        self.end(clock, batch, lease)
        assert {row.reason for row in Dispatch.objects.of_run(run.pk)} == {"place_changed@1"}
        assert simulator.ledger()["posts"] == 0
        clock.goes_on(seconds=10)
        work(clock)
        assert world.states(run) == {State.ACCEPTED: 2}
        assert max(row.good_until for row in Dispatch.objects.of_run(run.pk)) == world.at("2026-11-25T03:50")


class TestARegionalHold:
    @pytest.fixture
    def louisiana(self, acme):
        return acme.recipient(zones="America/Chicago;LA"), acme.recipient()

    def hold(self, clock, **options):
        return holds.hold(state="LA", reason="hurricane", now=clock.now, actor="test", **options)

    def test_keeps_the_people_of_the_state_until_it_is_lifted(self, acme, clock, louisiana):
        storm = self.hold(clock)
        run = acme.run(now=clock.now)
        work(clock)
        held = Dispatch.objects.of_run(run.pk).get(recipient=louisiana[0])
        assert (held.state, held.reason) == ("held", "regional_hold@1")
        assert held.detail == "LA until it is lifted: hurricane"
        assert world.states(run) == {State.HELD: 1, State.ACCEPTED: 1}
        clock.goes_on(minutes=16)
        work(clock)
        assert world.states(run) == {State.HELD: 1, State.ACCEPTED: 1}
        holds.lift(storm, now=clock.now, actor="test")
        clock.goes_on(minutes=16)
        work(clock)
        assert world.states(run) == {State.ACCEPTED: 2}

    def test_holds_at_the_claim_too(self, acme, clock, louisiana, simulator):
        run = acme.run(now=clock.now)
        batch = world.only_batch(run)
        lease = world.start(batch)
        for stage in world.PIPELINE[:4]:
            stage.run(batch.pk, lease)
        self.hold(clock)
        for stage in world.PIPELINE[4:]:
            stage.run(batch.pk, lease)
        assert world.states(run) == {State.HELD: 1, State.ACCEPTED: 1}
        assert simulator.ledger()["accepted"] == 1
        assert louisiana

    def test_ends_at_its_instant(self, acme, clock, louisiana):
        ends = clock.now + timedelta(minutes=5)
        self.hold(clock, ends_at=ends)
        run = acme.run(now=clock.now)
        work(clock)
        assert Dispatch.objects.get(recipient=louisiana[0]).not_before == ends
        clock.goes_on(minutes=6)
        work(clock)
        assert world.states(run) == {State.ACCEPTED: 2}

    def test_may_be_entered_before_it_begins(self, acme, clock, louisiana):
        self.hold(clock, starts_at=clock.now + timedelta(hours=1))
        run = acme.run(now=clock.now)
        work(clock)
        assert world.states(run) == {State.ACCEPTED: 2}
        assert louisiana

    def test_lets_go_only_to_expire_what_waits_too_long(self, acme, clock, louisiana, simulator):
        self.hold(clock)
        run = acme.run(now=clock.now)
        for _ in range(18):
            work(clock)
            clock.goes_on(minutes=15)
        work(clock)
        ended = Dispatch.objects.of_run(run.pk).get(recipient=louisiana[0])
        assert (ended.state, ended.reason) == ("expired", "lateness_limit@1")
        assert simulator.ledger()["accepted"] == 1

    def test_is_about_marketing(self, acme, clock, louisiana):
        self.hold(clock)
        run = acme.run(now=clock.now, category=Category.INFORMATIONAL)
        work(clock)
        assert world.states(run) == {State.ACCEPTED: 2}
        assert louisiana


def test_a_blackout_holds_until_the_day_after_it(acme, clock, simulator):
    Blackout.objects.create(
        tenant=acme.tenant,
        brand=acme.brand,
        first_on=date(2026, 11, 24),
        last_on=date(2026, 11, 25),
        note="stocktaking",
    )
    acme.recipient()
    run = acme.run(now=clock.now, lateness_minutes=240)
    work(clock)
    row = only(run)
    assert (row.state, row.reason) == ("held", "brand_blackout@1")
    assert row.detail == "brand blackout 2026-11-24 to 2026-11-25: stocktaking"
    opens = world.at("2026-11-26T13:00")
    assert opens <= row.not_before <= opens + timedelta(minutes=30)
    notifications.send(brand=acme.brand, number="+12125550123", text="Your code is 1", now=clock.now)
    notifications.collect(clock.now)
    work(clock, "urgent")
    assert simulator.ledger()["accepted"] == 1
    clock.goes_to(row.not_before + timedelta(minutes=1))
    work(clock)
    assert world.states(run) == {State.ACCEPTED: 1}


class TestAfterAnOutage:
    """Everything stood still from noon on."""

    def launched(self, acme, clock, **options):
        acme.recipients(3)
        return acme.run(now=clock.now, **options)

    def test_what_is_too_late_expires(self, acme, clock, simulator):
        run = self.launched(acme, clock)
        clock.goes_on(hours=6)
        work(clock)
        assert world.states(run) == {State.EXPIRED: 3}
        assert set(Dispatch.objects.values_list("reason", flat=True)) == {"lateness_limit@1"}
        assert simulator.ledger()["posts"] == 0

    def test_what_is_not_goes_on(self, acme, clock, simulator):
        run = self.launched(acme, clock, lateness_minutes=12 * 60)
        clock.goes_on(hours=6)
        work(clock)
        assert world.states(run) == {State.ACCEPTED: 3}

    def test_nothing_goes_out_at_night(self, acme, clock, simulator):
        run = self.launched(acme, clock, lateness_minutes=30 * 60)
        clock.goes_to(NIGHT)
        work(clock)
        assert world.states(run) == {State.HELD: 3}
        assert simulator.ledger()["posts"] == 0
        clock.goes_to(MORNING + timedelta(minutes=31))
        work(clock)
        assert world.states(run) == {State.ACCEPTED: 3}

    def test_what_was_ready_is_not_sent_at_night_either(self, acme, clock, simulator):
        run = self.launched(acme, clock, lateness_minutes=30 * 60)
        batch = world.only_batch(run)
        lease = world.start(batch)
        for stage in world.PIPELINE[:4]:
            stage.run(batch.pk, lease)
        clock.goes_to(NIGHT)
        for stage in world.PIPELINE[4:]:
            stage.run(batch.pk, lease)
        assert simulator.ledger()["posts"] == 0
        work(clock)
        assert world.states(run) == {State.HELD: 3}


@pytest.mark.parametrize(
    ("setting", "now", "state"),
    [
        ("federal", "2026-11-29T17:00", "accepted"),  # Sunday noon in Rhode Island
        ("federal", "2026-11-30T03:00", "held"),
        ("states", "2026-11-29T17:00", "held"),
        ("none", "2026-11-30T03:00", "accepted"),
    ],
)
def test_informational_messages_go_by_the_tenants_setting(acme, clock, setting, now, state):
    Tenant.objects.update(informational_hours=setting)
    acme.recipient(zones="America/New_York;RI")
    clock.goes_to(world.at(now))
    run = acme.run(now=clock.now, category=Category.INFORMATIONAL, lateness_minutes=60)
    work(clock)
    assert only(run).state == state


def test_one_time_codes_have_no_hours(acme, clock, simulator):
    clock.goes_to(NIGHT)
    acme.recipient(zones="America/New_York;RI")
    run = acme.run(now=clock.now, category=Category.TRANSACTIONAL)
    work(clock)
    assert world.states(run) == {State.ACCEPTED: 1}


@pytest.mark.parametrize(
    ("is_texted", "state", "reason"), [(True, "accepted", ""), (False, "blocked", "unknown_place@1")]
)
def test_people_of_unknown_place_are_texted_by_day_everywhere_or_never(acme, clock, is_texted, state, reason):
    Tenant.objects.update(texts_unknown_places=is_texted)
    person = acme.recipient()
    Recipient.objects.filter(pk=person.pk).update(zones="", zone_source="unknown")
    clock.goes_to(world.at("2026-11-24T19:00"))
    run = acme.run(now=clock.now)
    work(clock)
    assert (only(run).state, only(run).reason) == (state, reason)


def test_a_person_without_states_waits_for_hours_that_every_state_allows(acme, clock):
    person = acme.recipient()
    Recipient.objects.filter(pk=person.pk).update(zones="America/New_York")
    clock.goes_to(world.at("2026-11-25T14:30"))  # 09:30: Kentucky would wait until ten
    run = acme.run(now=clock.now)
    work(clock)
    row = only(run)
    assert (row.state, row.reason) == ("held", QUIET)
    assert "locate_recipients" in row.detail
    assert world.at("2026-11-25T15:00") <= row.not_before <= world.at("2026-11-25T15:30")


def test_both_halves_of_a_wall_time_run_are_met_at_the_right_instant(acme, clock):
    """09:00 for everybody: Floridians of two zones at ten in New York, Kentuckians when their law begins."""
    for place in ("America/New_York;NY", "America/Chicago|America/New_York;FL", "America/New_York;KY"):
        acme.recipient(zones=place)
    run = acme.run(now=clock.now, schedule=Campaign.Schedule.LOCAL, local_at="2026-11-25T09:00")
    dues = {row.recipient.zones[-2:]: row.due_at for row in Dispatch.objects.of_run(run.pk).select_related("recipient")}
    assert dues == {
        "NY": world.at("2026-11-25T14:00"),
        "FL": world.at("2026-11-25T15:00"),
        "KY": world.at("2026-11-25T14:00"),
    }
    clock.goes_to(world.at("2026-11-25T14:01"))
    work(clock)
    assert sorted(Dispatch.objects.of_run(run.pk).values_list("state", flat=True)) == ["accepted", "held", "queued"]
    clock.goes_to(world.at("2026-11-25T15:31"))
    work(clock)
    assert world.states(run) == {State.ACCEPTED: 3}
