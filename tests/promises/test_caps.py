"""P5: every limit holds exactly, in messages and in segments, whatever happens at once; what was not sent is given back."""

from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import OperationalError, connection, transaction

from campaigns import launch, notifications, receipts, sending, verbs
from campaigns.models import Batch, Dispatch
from campaigns.states import State
from compliance import cap_windows, caps, suppression
from compliance.models import CapWindow, Limit, Permit
from compliance.policy import Category
from providers.models import ProviderAccount, Registration, Sender
from smsplatform.common import database
from tests import world
from tests.promises import hooks, sound
from tests.promises.aftermath import Abandoned
from tests.promises.conftest import TOKEN
from tests.promises.together import Gate, Job, blocked_sessions, elsewhere, gated, together, until

pytestmark = pytest.mark.django_db(transaction=True)

TWO_SEGMENTS = "Two segments, said slowly and at length. " * 5
SECOND = "token-second"


def used(holder, **more):
    return CapWindow.objects.get(subject=holder, **more).used


def holder(kind, acme):
    return f"{kind}:{getattr(acme, kind).pk}"


def held():
    return {(row.reason, row.detail.partition(",")[0]) for row in Dispatch.objects.filter(state="held")}


def again_due(run):
    Dispatch.objects.of_run(run.pk).filter(state="held").update(not_before=database.now())
    Batch.objects.filter(run=run).update(due_at=database.now())


# -- each subject, each unit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", ["platform", "tenant", "brand"])
def test_a_limit_of_messages_lets_the_first_through_and_holds_the_others(acme, simulator, subject):
    limit = acme.limit(subject, 3)
    acme.recipients(5)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 3, State.HELD: 2}
    assert held() == {(f"{subject}_cap@1", f"3 of 3 messages today used (limit {limit.pk} of the {subject})")}
    assert set(Dispatch.objects.filter(state="held").values_list("not_before", flat=True)) <= {
        min(CapWindow.objects.get(subject=limit.holder).ends_at, row.expires_at) for row in Dispatch.objects.all()
    }
    assert used(limit.holder) == 3
    assert simulator.ledger()["accepted"] == 3
    sound.check()


def test_a_limit_of_a_campaign_is_no_other_campaigns(acme):
    first, second = acme.campaign(category=Category.INFORMATIONAL), acme.campaign(category=Category.INFORMATIONAL)
    acme.limit("campaign", 2, of=first)
    acme.recipients(3)
    runs = [acme.run(campaign) for campaign in (first, second)]
    for _ in runs:
        world.work()
    assert [world.states(run) for run in runs] == [{State.ACCEPTED: 2, State.HELD: 1}, {State.ACCEPTED: 3}]
    assert used(f"campaign:{first.pk}") == 2
    sound.check()


def test_a_limit_of_segments_counts_what_each_text_needs(acme, simulator):
    acme.limit("tenant", 5, unit="segments")
    acme.recipients(4)
    run = acme.run(text=TWO_SEGMENTS)
    world.work()
    assert world.states(run) == {State.ACCEPTED: 2, State.HELD: 2}
    assert used(holder("tenant", acme), unit="segments") == 4
    assert used(holder("brand", acme), unit="messages") == 2
    assert {tuple(sorted(charges)) for charges in Permit.objects.values_list("charges", flat=True)} == {(1, 2)}
    sound.check()


def test_all_limits_hold_together_and_the_strictest_decides(acme):
    acme.brand.daily_cap = 4
    acme.brand.save()
    for subject, amount in (("platform", 5), ("tenant", 3), ("brand", 6)):
        acme.limit(subject, amount)
    acme.recipients(6)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 3, State.HELD: 3}
    assert {reason for reason, _ in held()} == {"tenant_cap@1"}
    assert set(CapWindow.objects.values_list("subject", "used", "amount")) == {
        ("platform", 3, 5), (holder("tenant", acme), 3, 3), (holder("brand", acme), 3, 4),
    }  # fmt: skip
    sound.check()


def test_a_limit_of_nothing_sends_nothing(acme, simulator):
    acme.limit("brand", 0)
    acme.recipients(2)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.HELD: 2}
    assert simulator.ledger()["posts"] == 0


def test_an_ended_limit_and_another_tenants_do_not_count(acme, simulator):
    simulator.script("token-rival", receipts=None)
    rival = world.make("rival", base_url=simulator.url)
    rival.limit("tenant", 0)
    acme.limit("tenant", 0, ended_at=database.now())
    acme.recipients(2)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 2}


def test_a_decision_names_the_version_of_its_limit(acme):
    limit = acme.limit("tenant", 5)
    limit.amount = 1
    limit.save()
    acme.recipients(2)
    acme.run()
    world.work()
    assert Dispatch.objects.get(state="held").reason == "tenant_cap@2"


def test_a_limit_that_is_raised_lets_the_held_go(acme):
    limit = acme.limit("tenant", 1)
    acme.recipients(3)
    run = acme.run()
    world.work()
    limit.amount = 10
    limit.save()
    again_due(run)
    world.work()
    assert world.states(run) == {State.ACCEPTED: 3}
    assert CapWindow.objects.get(subject=limit.holder).amount == 10
    sound.check()


# -- persons --------------------------------------------------------------------------------------------------------


def in_turn(acme, count):
    runs = [acme.run(key=str(n)) for n in range(count)]
    for _ in runs:
        world.work()
    return [next(iter(world.states(run))) for run in runs]


def test_the_platforms_cap_holds_whatever_the_brand_says(acme):
    acme.brand.person_cap = 10
    acme.brand.save()
    acme.recipient()
    assert in_turn(acme, 4) == [State.ACCEPTED] * 3 + [State.HELD]
    [(reason, detail)] = held()
    assert (reason, detail) == ("frequency_cap@1", "3 of 3 in 24 h used (the platform's cap)")


def test_the_law_holds_where_the_platform_would_allow_more(acme, settings):
    settings.PERSON_CAP_PER_DAY = acme.brand.person_cap = 10
    acme.brand.save()
    person = acme.recipient()
    world.Recipient.objects.filter(pk=person.pk).update(number="+13055550123")
    assert in_turn(acme, 4) == [State.ACCEPTED] * 3 + [State.HELD]
    assert held() == {("frequency_cap_fl@1", "3 of 3 in 24 h used (Fla. Stat. 501.616(6))")}


def test_of_equal_holds_the_law_is_named(acme):
    person = acme.recipient()
    world.Recipient.objects.filter(pk=person.pk).update(number="+14055550123")
    in_turn(acme, 4)
    assert {reason for reason, _ in held()} == {"frequency_cap_ok@1"}


def test_what_the_opt_in_text_promised_is_kept_for_the_month(acme):
    acme.limit("brand", 2, period="person", hours=720, is_promised=True)
    acme.recipient()
    assert in_turn(acme, 2) == [State.ACCEPTED] * 2
    Permit.objects.update(at=database.now() - timedelta(days=29))
    assert in_turn_of(acme, "third") == State.HELD
    assert held() == {("frequency_promised@1", "2 of 2 in 720 h used (promised in the opt-in text)")}
    Permit.objects.update(at=database.now() - timedelta(days=31))
    assert in_turn_of(acme, "fourth") == State.ACCEPTED


def in_turn_of(acme, key):
    run = acme.run(key=key)
    world.work()
    return next(iter(world.states(run)))


def test_a_limit_per_person_of_nothing_sends_no_marketing_and_everything_else(acme):
    acme.limit("tenant", 0, period="person", hours=24)
    acme.recipient()
    marketing = acme.run()
    world.work()
    other = acme.run(category=Category.TRANSACTIONAL)
    world.work()
    assert [world.states(run) for run in (marketing, other)] == [{State.HELD: 1}, {State.ACCEPTED: 1}]


@pytest.mark.parametrize(
    ("sent", "now", "until"),
    # facts §2.7: sent 10:00, 12:00, 15:00, the fourth at 18:00 waits for the next day at 10:00
    [
        (["10:00", "12:00", "15:00"], "18:00", timedelta(days=1, hours=10)),
        (["10:00", "12:00"], "18:00", None),
        (["09:00", "10:00", "12:00", "15:00"], "18:00", timedelta(days=1, hours=10)),  # one of them by proof
    ],
)
def test_the_fourth_waits_until_the_first_is_a_day_old(acme, sent, now, until):
    day = datetime(2026, 11, 23, tzinfo=UTC)

    def at(text):
        return datetime.combine(day, time.fromisoformat(text), UTC)

    for text in sent:
        Permit.objects.create(
            tenant=acme.tenant, brand=acme.brand, number="+12125550123", is_person_capped=True, at=at(text)
        )
    [run_id] = [caps.uuid.uuid4()]
    with transaction.atomic():
        [decision] = caps.reserve(
            brand=acme.brand, category=Category.MARKETING, asking=[caps.Asking(run_id, "+12125550123")], now=at(now)
        )
    if until is None:
        assert isinstance(decision, caps.Grant)
    else:
        assert isinstance(decision, caps.Refusal)
        assert decision.until == day + until
        assert decision.detail.endswith("next at 2026-11-24 10:00 UTC")


# -- given back, to where it was taken from -------------------------------------------------------------------------


def test_what_was_refused_is_given_back_in_its_unit(acme, simulator):
    acme.limit("tenant", 100, unit="segments")
    acme.limit("account", 100, unit="segments")
    people = acme.recipients(3)
    simulator.script(TOKEN, receipts=None, reject=[people[0].number])
    run = acme.run(text=TWO_SEGMENTS)
    world.work()
    assert world.states(run) == {State.ACCEPTED: 2, State.REJECTED: 1}
    assert [used(holder(kind, acme), unit="segments") for kind in ("tenant", "account")] == [4, 4]
    sound.check()


def test_a_refund_after_midnight_hits_the_window_that_was_charged(acme, monkeypatch):
    acme.limit("tenant", 10)
    acme.limit("account", 10)
    abandoned = Abandoned(acme, monkeypatch, count=2)
    # Midnight passes while the requests are in the air; the windows of the next day are open already.
    for window in list(CapWindow.objects.all()):
        CapWindow.objects.filter(pk=window.pk).update(
            starts_at=window.starts_at - timedelta(days=1), ends_at=window.starts_at
        )
        CapWindow.objects.create(
            tenant=acme.tenant, subject=window.subject, starts_at=window.starts_at, ends_at=window.ends_at, used=0
        )
    abandoned.look_after()
    assert world.states(abandoned.run) == {State.UNKNOWN: 2}
    assert set(CapWindow.objects.values_list("used", flat=True)) == {0, 2}
    from providers.adapters.base import Outcome

    abandoned.late(Outcome.REJECTED_PERMANENT, "refused")
    assert world.states(abandoned.run) == {State.REJECTED: 2}
    assert set(CapWindow.objects.values_list("used", flat=True)) == {0}
    sound.check()


def test_an_unknown_keeps_what_it_took_everywhere(acme, simulator):
    acme.limit("account", 10)
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "accept_then_drop"}])
    acme.recipients(2)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.UNKNOWN: 2}
    assert [used(holder(kind, acme)) for kind in ("brand", "account")] == [2, 2]
    sound.check()


def test_proof_charges_every_window_of_its_accept_time(acme, simulator):
    """Refused, and then reported delivered: it counts, in messages and segments, even above the limits (R19)."""
    acme.limit("tenant", 2, unit="segments")
    acme.limit("account", 1)
    acme.recipients(1)
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "rate_limited", "next": 1}])
    first = acme.run(text=TWO_SEGMENTS, key="1")
    world.work()
    assert world.states(first) == {State.HELD: 1}
    assert set(CapWindow.objects.values_list("used", flat=True)) == {0}
    second = acme.run(text=TWO_SEGMENTS, key="2")
    world.work()
    assert world.states(second) == {State.ACCEPTED: 1}
    [refused] = Dispatch.objects.of_run(first.pk)
    hooks.call(acme, hooks.report(refused.pk, 1))
    receipts.apply_events()
    assert Permit.objects.get(dispatch_id=refused.pk).over_cap
    assert used(holder("tenant", acme), unit="segments") == 4
    assert used(holder("account", acme)) == 2
    assert used(holder("brand", acme)) == 2
    sound.check()


# -- account, registration, carrier ---------------------------------------------------------------------------------


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


def test_an_account_at_its_limit_takes_no_more(acme, simulator):
    limit = acme.limit("account", 3)
    acme.recipients(5)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 3, State.HELD: 2}
    assert held() == {("account_cap@1", f"3 of 3 messages today used (limit {limit.pk} of the account)")}
    assert [used(holder(kind, acme)) for kind in ("account", "brand")] == [3, 3]
    assert simulator.ledger()["accepted"] == 3
    sound.check()


def test_what_an_account_has_no_room_for_goes_through_the_next(acme, spare, simulator):
    acme.limit("account", 3)
    acme.recipients(5)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 5}
    assert taken_by(simulator) == {TOKEN: 3, SECOND: 2}
    assert used(holder("account", acme)) == 3
    sound.check()


def test_a_flight_that_was_not_taken_gives_its_account_back(acme, spare, simulator):
    """And is counted at the account that takes it instead (R32)."""
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "rate_limited"}])
    acme.limit("account", 10)
    Limit.objects.create(
        tenant=acme.tenant, subject="account", subject_id=spare.pk, amount=10, zone="America/New_York", set_by="test"
    )
    acme.recipients(4)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 4}
    assert (used(holder("account", acme)), used(f"account:{spare.pk}")) == (0, 4)
    sound.check()


def test_a_claim_that_gives_back_before_it_takes_keeps_the_order_of_locks(acme, monkeypatch):
    """R17: the account's day is older than the brand's, and one row is stopped right before. Settling locks both as well."""
    people = acme.recipients(2)
    with transaction.atomic():
        cap_windows.opened([cap_windows.of_limit(acme.limit("account", 10), database.now())])
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:4]:
        stage.run(batch.pk, lease)
    account, brand = (CapWindow.objects.get(subject=holder(kind, acme)).pk for kind in ("account", "brand"))
    assert account < brand
    suppression.suppress(brand=acme.brand, number=people[0].number, reason="opt_out", source="web", now=database.now())
    gate = Gate()
    gated(monkeypatch, verbs, "_take_from", gate)
    claiming = Job(lambda: world.stage_named("send").run(batch.pk, lease))
    gate.wait()

    def settle():
        with transaction.atomic():
            for window in (account, brand):
                database.execute("UPDATE compliance_capwindow SET used = used WHERE id = %s", [window])

    settling = Job(settle)
    until(blocked_sessions)
    gate.open()
    claiming.result()
    settling.result()
    assert world.states(run) == {State.ACCEPTED: 1, State.BLOCKED: 1}
    sound.check()


def test_a_text_that_grows_on_its_way_takes_more_segments(acme, spare, simulator):
    """From an unknown number it says who writes and how to stop: one segment becomes two."""
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "rate_limited"}])
    acme.limit("tenant", 100, unit="segments")
    acme.recipients(3)
    run = acme.run(text="x" * 150)
    world.work()
    assert world.states(run) == {State.ACCEPTED: 3}
    assert set(Dispatch.objects.values_list("segments", flat=True)) == {2}
    assert used(holder("tenant", acme), unit="segments") == 6
    sound.check()


def test_a_text_that_has_grown_counts_in_full_wherever_it_ends(acme, spare, simulator):
    """The second account gives it back, with the longer text and without what it had taken; the third one sends it."""
    for token in (TOKEN, SECOND):
        simulator.script(token, receipts=None, faults=[{"fault": "rate_limited"}])
    third = ProviderAccount(tenant=acme.tenant, name="third", provider="simulator", base_url=simulator.url, timeout=5)
    third.set_credentials({"token": "token-third", "webhook_secret": "secret"})
    third.save()
    simulator.script("token-third", receipts=None)
    Sender.objects.create(tenant=acme.tenant, brand=acme.brand, account=third, address="+18885559998", position=2)
    acme.limit("tenant", 100, unit="segments")
    acme.recipients(3)
    run = acme.run(text="x" * 150)
    world.work()
    assert world.states(run) == {State.ACCEPTED: 3}
    assert taken_by(simulator) == {"token-third": 3}
    assert used(holder("tenant", acme), unit="segments") == 6
    sound.check()


def test_a_carriers_day_counts_the_share_of_whom_nobody_looked_up(acme, simulator, settings):
    settings.UNKNOWN_CARRIER_SHARE = 35
    limit = acme.limit("brand", 1, unit="segments", carrier="t-mobile", zone="America/Los_Angeles")
    acme.recipients(5)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 2, State.HELD: 3}  # 0.35 + 0.35, and a third would be 1.05
    assert used(limit.holder, carrier="t-mobile") == 70
    [row, *_] = Dispatch.objects.filter(state="held")
    assert row.reason == "carrier_daily_cap@1"
    midnight = CapWindow.objects.get(carrier="t-mobile").ends_at
    assert midnight == cap_windows.day(caps_zone(), database.now())[1]
    assert row.not_before == min(midnight, row.expires_at)
    sound.check()


def caps_zone():
    from zoneinfo import ZoneInfo

    return ZoneInfo("America/Los_Angeles")


def test_a_known_carrier_counts_whole_or_not_at_all(acme, simulator):
    limit = acme.limit("brand", 2, unit="segments", carrier="t-mobile", zone="America/Los_Angeles")
    for carrier in ("T-Mobile USA, Inc.", "Verizon Wireless", "T-Mobile USA, Inc.", "AT&T", "T-Mobile USA, Inc."):
        acme.recipient(carrier=carrier)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 4, State.HELD: 1}
    assert used(limit.holder, carrier="t-mobile") == 200
    sound.check()


def test_a_registrations_limit_counts_all_its_senders_at_all_accounts(acme, spare, simulator):
    registration = Registration.objects.create(
        tenant=acme.tenant, brand=acme.brand, name="C1", status=Registration.Status.APPROVED
    )
    Sender.objects.update(registration=registration, position=0)
    acme.limit("registration", 4, of=registration, unit="segments")
    acme.recipients(12)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 4, State.HELD: 8}
    assert simulator.ledger()["accepted"] == 4
    assert used(f"registration:{registration.pk}") == 4
    sound.check()


def test_single_messages_are_limited_too(acme, simulator):
    acme.limit("account", 2)
    for n in range(4):
        notifications.send(brand=acme.brand, number=f"+1212555{n:04d}", text="Code", now=database.now())
    notifications.collect(database.now())
    world.work("urgent")
    assert simulator.ledger()["accepted"] == 2
    sound.check()


# -- races ----------------------------------------------------------------------------------------------------------


def chain_until_decided(run):
    """Work on the run's one batch until its person was texted or is at the cap."""

    def go():
        for _ in range(200):
            batch = world.only_batch(run)
            [row] = Dispatch.objects.of_run(run.pk)
            if row.state == State.ACCEPTED or row.reason.startswith("frequency_cap"):
                return
            Dispatch.objects.filter(pk=row.pk, reason="person_busy@1").update(not_before=database.now())
            lease = world.start(batch)
            for stage in world.PIPELINE:
                stage.run(batch.pk, lease)
        pytest.fail("the person is busy for ever")

    return go


def test_thirty_workers_and_one_person_with_a_cap_of_three(acme, simulator):
    acme.recipient()
    runs = [acme.run(key=str(n)) for n in range(30)]
    together(*[chain_until_decided(run) for run in runs])
    assert simulator.ledger()["accepted"] == 3
    assert Permit.objects.count() == 3
    assert Dispatch.objects.filter(state="accepted").count() == 3
    sound.check()


@pytest.mark.parametrize(("subject", "unit"), [("brand", "messages"), ("tenant", "segments"), ("account", "messages")])
def test_thirty_workers_and_one_limit(acme, simulator, settings, subject, unit):
    settings.BATCH_SIZE = 2
    settings.LANE_IN_FLIGHT = {"bulk": 1000, "urgent": 1}
    settings.TENANT_IN_FLIGHT = settings.ACCOUNT_IN_FLIGHT = settings.CLAIM_BATCHES = 1000
    acme.account.segments_per_second = 10_000
    acme.account.save()
    limit = acme.limit(subject, 23, unit=unit)
    acme.recipients(60)
    run = acme.run()
    leased = world.hand_out()
    assert len(leased) == 30
    together(
        *[lambda batch=batch: [stage.run(batch.batch_id, batch.lease) for stage in world.PIPELINE] for batch in leased]
    )
    assert simulator.ledger()["accepted"] == 23
    assert world.states(run) == {State.ACCEPTED: 23, State.HELD: 37}
    assert used(limit.holder, unit=unit) == 23
    sound.check()


def test_two_tenants_share_the_platforms_limit_and_never_wait_for_each_other_for_ever(acme, simulator, settings):
    """Each batch locks several windows, some of them the same: always in one order."""
    settings.BATCH_SIZE = 3
    simulator.script("token-rival", receipts=None)
    rival = world.make("rival", base_url=simulator.url)
    acme.limit("platform", 20)
    runs = []
    for each in (acme, rival):
        for subject in ("tenant", "brand", "account"):
            each.limit(subject, 14, unit="segments")
        each.recipients(18)
        runs.append(each.run())
    leased = world.hand_out()
    assert len(leased) == 12
    together(
        *[lambda batch=batch: [stage.run(batch.batch_id, batch.lease) for stage in world.PIPELINE] for batch in leased]
    )
    accepted = [world.states(run)[State.ACCEPTED] for run in runs]
    assert sum(accepted) == simulator.ledger()["accepted"] == 20
    assert max(accepted) <= 14
    sound.check()


def test_an_emptied_redis_changes_no_limit(acme, simulator):
    acme.limit("tenant", 4)
    acme.limit("account", 3)
    acme.recipients(3)
    first = acme.run(key="1")
    world.work()
    world.lose_redis()
    second = acme.run(key="2")
    world.work()
    assert world.states(first) == {State.ACCEPTED: 3}
    assert world.states(second) == {State.HELD: 3}
    assert {reason for reason, _ in held()} == {"tenant_cap@1", "account_cap@1"}
    sound.check()


# -- failing closed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["compliance_limit", "compliance_capwindow", "compliance_permit"])
def test_nothing_passes_where_limits_cannot_be_read(acme, simulator, table):
    acme.recipients(3)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:2]:
        stage.run(batch.pk, lease)
    connection.ensure_connection()
    with elsewhere(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"):
        database.execute("SET lock_timeout = '200ms'")
        try:
            with pytest.raises(OperationalError):
                world.stage_named("check_caps").run(batch.pk, lease)
        finally:
            database.execute("RESET lock_timeout")
    assert world.states(run) == {State.LOCKED: 3}
    assert Permit.objects.count() == 0
    for stage in world.PIPELINE[3:5]:
        stage.run(batch.pk, lease)
    assert simulator.ledger()["posts"] == 0


def test_nothing_is_claimed_where_the_accounts_limits_cannot_be_read(acme, simulator):
    acme.limit("account", 10)
    acme.recipients(3)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:4]:
        stage.run(batch.pk, lease)
    with elsewhere("LOCK TABLE compliance_capwindow IN ACCESS EXCLUSIVE MODE"):
        database.execute("SET lock_timeout = '200ms'")
        try:
            world.stage_named("send").run(batch.pk, lease)
        finally:
            database.execute("RESET lock_timeout")
    assert world.states(run) == {State.READY: 3}
    assert simulator.ledger()["posts"] == 0
    Batch.objects.update(due_at=database.now(), resume_at=None, phase="waiting", lease_until=None)
    world.work()
    assert world.states(run) == {State.ACCEPTED: 3}
    sound.check()


def test_a_hold_that_fails_is_made_by_the_next_turn(acme, simulator, monkeypatch):
    """The claim was committed: its messages go out, and those without room stay ready until somebody holds them."""
    acme.limit("account", 2)
    acme.recipients(4)
    run = acme.run()
    without_room = sending._Turn._without_room
    fails = [True]

    def once(turn, channel, rows, refused):
        if fails.pop() if fails else False:
            turn.is_over = True
            return
        without_room(turn, channel, rows, refused)

    monkeypatch.setattr(sending._Turn, "_without_room", once)
    world.work()
    assert world.states(run) == {State.ACCEPTED: 2, State.READY: 2}
    Batch.objects.update(due_at=database.now(), resume_at=None)
    world.work()
    assert world.states(run) == {State.ACCEPTED: 2, State.HELD: 2}
    sound.check()


# -- what it costs --------------------------------------------------------------------------------------------------


def test_a_claim_without_limits_sends_not_one_statement_more(acme):
    from tests.promises.test_set_based import statements

    counts = {}
    for key, limited in (("none", False), ("some", True)):
        world.ListMember.objects.all().delete()
        if limited:
            acme.limit("account", 1000)
        acme.recipients(4 if limited else 40)
        run = acme.run(key=key)
        batch = world.only_batch(run)
        lease = world.start(batch)
        for stage in world.PIPELINE[:4]:
            stage.run(batch.pk, lease)
        sent = statements(lambda: world.stage_named("send").run(batch.pk, lease))  # noqa: B023
        counts[key] = len([sql for sql in sent if "compliance_limit" in sql or "compliance_capwindow" in sql])
    assert counts["none"] == 1  # the fence, which is read anyway, looks whether there are any
    assert counts["some"] == 1 + 5


def test_reserving_costs_the_same_for_any_number_of_limits_and_rows(acme):
    from tests.promises.test_set_based import statements

    counts = []
    for rows, limited in ((3, False), (60, True)):
        if limited:
            for subject in ("platform", "tenant", "brand"):
                acme.limit(subject, 1000)
                acme.limit(subject, 1000, unit="segments")
        world.ListMember.objects.all().delete()
        acme.recipients(rows)
        run = acme.run(key=str(rows))
        batch = world.only_batch(run)
        lease = world.start(batch)
        for stage in world.PIPELINE[:2]:
            stage.run(batch.pk, lease)
        counts.append(len(statements(lambda: world.stage_named("check_caps").run(batch.pk, lease))))  # noqa: B023
        assert world.states(run) == {State.ALLOWED: rows}
    assert counts[0] == counts[1]


# -- the audit ------------------------------------------------------------------------------------------------------


def test_the_audit_counts_every_unit_and_every_kind(acme):
    acme.limit("tenant", 100, unit="segments")
    acme.limit("account", 100)
    acme.limit("brand", 100, unit="segments", carrier="t-mobile", zone="America/Los_Angeles")
    acme.recipients(2)
    acme.run(text=TWO_SEGMENTS)
    world.work()
    assert caps.audit() == []
    for window in CapWindow.objects.all():
        CapWindow.objects.filter(pk=window.pk).update(used=window.used + 1)
        [wrong] = caps.audit()
        assert (wrong.counter, wrong.permits) == (window.used + 1, window.used)
        CapWindow.objects.filter(pk=window.pk).update(used=window.used)
    assert CapWindow.objects.count() == 4


def test_resuming_a_run_at_its_limit_asks_again(acme):
    acme.limit("tenant", 2)
    acme.recipients(4)
    run = acme.run()
    world.work()
    launch.pause(run, now=database.now(), actor="test")
    launch.resume(run, now=database.now(), actor="test")
    again_due(run)
    world.work()
    assert world.states(run) == {State.ACCEPTED: 2, State.HELD: 2}
    sound.check()
