"""What a pre-flight says is what the run's report says when all is over: for every rule, under the same clock."""

import itertools
import uuid
from collections import Counter
from datetime import time, timedelta

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from campaigns import launch, preflight
from campaigns.models import Batch, Dispatch
from campaigns.states import State
from compliance import holds, policy, suppression
from compliance.data.statutes import FEDERAL
from compliance.models import NotTextable, Permit, StopLine
from compliance.place import UNKNOWN_US
from tests import world
from tests.properties.clock import Clock
from tests.properties.effort import trying

pytestmark = pytest.mark.django_db(transaction=True)

NOON = world.at("2026-11-24T17:00")  # Tuesday, 12:00 in New York
DAY = {"opens_at": time(8), "closes_at": time(21)}
# Sixteen times up to a hundred characters: too long for whoever has a long note.
TEXT = "Hello {{ first_name }}" + " {{ note | default: 'x' }}" * 16
_slugs = itertools.count(1)


@pytest.fixture
def clock(settings):
    # Whose batch goes first when hours begin is drawn by its number, and so is who gets the last of a limit.
    settings.RELEASE_SPREAD = timedelta()
    clock = Clock(NOON)
    clock.start()
    yield clock
    clock.stop()


def a_town(simulator, **brand):
    slug = f"town{next(_slugs)}"
    town = world.make(slug, base_url=simulator.url, home="America/New_York", **{**DAY, **brand})
    simulator.script(f"token-{slug}", receipts=None)
    return town


# -- people of every fate -------------------------------------------------------------------------------------------


def _usual(town):
    return town.recipient(first_name="Ana")


def _abroad(town):
    """Seven in the morning: an hour later they may be texted."""
    return town.recipient(zones="Pacific/Honolulu", first_name="Ana")


def _far_away(town):
    return town.recipient(zones="Asia/Tokyo", first_name="Ana")


def _of_two_zones(town):
    return town.recipient(zones="America/New_York|Pacific/Honolulu", first_name="Ana")


def _nowhere(town):
    return town.recipient(zones=f"{UNKNOWN_US};{FEDERAL}", first_name="Ana")


def _nameless(town):
    return town.recipient()


def _blank(town):
    return town.recipient(zones="Pacific/Honolulu", first_name=" \t\u200e")


def _wordy(town):
    return town.recipient(first_name="Ana", note="word " * 30)


def _opted_out(town):
    person = _usual(town)
    suppression.suppress(brand=town.brand, number=person.number, reason="opt_out", source="test", now=NOON)


def _opted_out_abroad(town):
    person = _abroad(town)
    suppression.suppress(brand=town.brand, number=person.number, reason="opt_out", source="test", now=NOON)


def _banned(town):
    person = _nameless(town)
    suppression.suppress_everywhere(number=person.number, reason="law", source="test", now=NOON)


def _told(town, person, ago):
    Permit.objects.create(
        dispatch_id=uuid.uuid4(), tenant=town.tenant, brand=town.brand, number=person.number, is_person_capped=True,
        at=NOON - ago,
    )  # fmt: skip


def _told_yesterday(town):
    """May be told again in half an hour."""
    _told(town, _usual(town), timedelta(hours=23, minutes=30))


def _told_just_now(town):
    _told(town, _usual(town), timedelta(minutes=30))


def _told_yesterday_abroad(town):
    _told(town, _abroad(town), timedelta(hours=23, minutes=30))


def _told_long_ago(town):
    _told(town, _usual(town), timedelta(hours=25))


def _foreign(town):
    person = town.recipient(zones="Europe/London", first_name="Ana")
    type(person).objects.filter(pk=person.pk).update(number=f"+4479111{person.pk % 100_000:05d}", country="GB")


def _of_florida(town):
    person = town.recipient(zones="America/New_York;FL", first_name="Ana", language="es")
    for hours in (1, 21, 22):
        _told(town, person, timedelta(hours=hours))


def _of_louisiana(town):
    town.recipient(zones="America/Chicago;LA", first_name="Ana")


def _told_stop(town):
    for zones in ("", "Pacific/Honolulu"):
        person = town.recipient(zones=zones, first_name="Ana")
        StopLine.objects.create(
            tenant=town.tenant, brand=town.brand, number=person.number, told_at=NOON - timedelta(days=29, hours=23.5)
        )


def _no_number(town):
    """Nor when the hours begin, although it may be tried again then."""
    person = _abroad(town)
    NotTextable.objects.create(
        tenant=town.tenant, number=person.number, reason="unreachable", provider="x", until=NOON + timedelta(minutes=9)
    )


LAWFUL = [_of_florida, _of_louisiana, _told_stop, _no_number]
KINDS = [
    _usual, _abroad, _far_away, _of_two_zones, _nowhere, _nameless, _blank, _wordy, _opted_out, _opted_out_abroad, _banned,
    _told_yesterday, _told_just_now, _told_yesterday_abroad, _told_long_ago,
]  # fmt: skip


# -- the comparison -------------------------------------------------------------------------------------------------


def play(clock, run):
    """Let the clock go from one due batch to the next until all of the run is over."""
    for _ in range(300):
        due = (
            Batch.objects.filter(run=run)
            .exclude(phase="closed")
            .order_by("due_at")
            .values_list("due_at", flat=True)
            .first()
        )
        if due is None:
            return
        clock.goes_to(due)
        world.work(now=clock.now)
    raise AssertionError("the run does not end")


def said(numbers):
    """How the pre-flight says that the run will end: (state, reason) -> people."""
    found = Counter()
    for line in numbers["lines"]:
        state, _, reason = line["ends"].partition(": ")
        found[(state, reason) if line["fate"] == "never" else (State.ACCEPTED, "")] += line["people"]
    return found


def happened(run):
    return Counter(Dispatch.objects.of_run(run.pk).values_list("state", "reason"))


def compare(clock, campaign):
    """Count, launch at the same instant, play to the end; both must have told the same."""
    numbers = preflight.count(campaign=campaign, at=clock.now)
    run = launch.launch(campaign=campaign, occurrence="1", now=clock.now, actor="test", is_meant=True)
    launch.materialise(run.pk)
    while world.work(now=clock.now):
        pass
    assert numbers["now"] == Dispatch.objects.of_run(run.pk).filter(state=State.ACCEPTED).count()
    play(clock, run)
    assert said(numbers) == happened(run)
    assert numbers["people"] == numbers["now"] + numbers["later"] + numbers["never"] == sum(happened(run).values())
    sent = Dispatch.objects.of_run(run.pk).filter(state=State.ACCEPTED)
    if numbers["segments"]["is_exact"]:
        assert numbers["segments"]["likely"] == sum(sent.values_list("segments", flat=True))
    else:
        assert numbers["segments"]["low"] <= sum(sent.values_list("segments", flat=True)) <= numbers["segments"]["high"]
    return numbers, run


def by_rule(numbers):
    return {(line["fate"], line["rule"]): line["people"] for line in numbers["lines"]}


@pytest.mark.parametrize("minutes", [0, 30])
def test_for_people_of_every_fate(simulator, clock, settings, minutes):
    settings.RELEASE_SPREAD = timedelta(minutes=minutes)
    town = a_town(simulator, person_cap=1)
    town.sender.countries = ["US"]
    town.sender.save()
    town.tenant.countries = ["US", "GB"]
    town.tenant.save()
    for copies, kind in enumerate([*KINDS, _foreign], start=1):
        for _ in range(copies):
            kind(town)
    number = dict(zip([*KINDS, _foreign], itertools.count(1), strict=False))
    waiting = (_abroad, _far_away, _of_two_zones, _nowhere, _told_yesterday_abroad)
    numbers, _ = compare(clock, town.campaign(TEXT))
    assert by_rule(numbers) == {
        ("now", ""): number[_usual] + number[_told_long_ago],
        # Hawaii opens an hour from now, when what somebody got there yesterday is a day old.
        ("later", str(policy.QUIET)): sum(number[kind] for kind in waiting),
        ("later", str(policy.PERSON_CAP)): number[_told_yesterday],
        ("never", str(policy.MISSING_FIELD)): number[_nameless] + number[_blank],
        ("never", str(policy.TOO_LONG)): number[_wordy],
        ("never", str(policy.SUPPRESSED_BRAND)): number[_opted_out] + number[_opted_out_abroad],
        ("never", str(policy.SUPPRESSED_PLATFORM)): number[_banned],
        ("never", str(policy.PERSON_CAP)): number[_told_just_now],
        ("never", "no_sender_for_number"): number[_foreign],
    }


@pytest.mark.parametrize(
    ("options", "brand"),
    [
        ({"lateness_minutes": 30}, {}),
        ({"category": "transactional"}, {}),
        ({"category": "informational"}, {"person_cap": 1}),
        ({}, {"daily_cap": 4}),
        ({"lateness_minutes": 24 * 60}, {"daily_cap": 4}),
        ({"lateness_minutes": 24 * 60}, {"daily_cap": 4, "opens_at": time(0), "closes_at": time(23, 59)}),
        ({"schedule": "local", "local_at": "2026-11-24T11:00"}, {}),
        ({"schedule": "local", "local_at": "2026-11-24T11:00", "past_policy": "send_now"}, {}),
        ({"schedule": "local", "local_at": "2026-11-24T06:00", "past_policy": "next_day"}, {}),
        ({"schedule": "at", "send_at": NOON + timedelta(hours=3)}, {}),
        ({"schedule": "at", "send_at": NOON + timedelta(hours=12)}, {"person_cap": 1}),
        ({"schedule": "at", "send_at": NOON + timedelta(hours=12), "lateness_minutes": 5}, {}),
    ],
)
def test_for_every_kind_of_campaign(simulator, clock, options, brand):
    town = a_town(simulator, **brand)
    for kind in KINDS:
        kind(town)
    compare(clock, town.campaign(TEXT, **options))


def test_for_each_persons_own_time(simulator, clock):
    town = a_town(simulator)
    for when in ("2026-11-24T14:00-05:00", "2026-11-24T23:00-05:00", "2026-11-20T10:00-05:00", "at ten", None):
        town.recipient(first_name="Ana", **({"visit_at": when} if when else {}))
    numbers, _ = compare(clock, town.campaign("Hello {{ first_name }}", schedule="field", time_field="visit_at"))
    assert by_rule(numbers) == {
        ("later", str(policy.NOT_DUE)): 1,
        ("later", str(policy.QUIET)): 1,
        ("never", "send_time_past@1"): 1,
        ("never", "no_send_time@1"): 2,
    }


def test_for_the_imported_time(simulator, clock):
    town = a_town(simulator)
    person = town.recipient()
    person.send_at = NOON + timedelta(hours=2, seconds=30, microseconds=5)
    person.save()
    numbers, _ = compare(clock, town.campaign("Hello", schedule="field"))
    assert numbers["instants"] == [{"at": "2026-11-24T19:01:00+00:00", "people": 1, "is_rest": False}]


def test_for_lists_that_overlap(simulator, clock):
    town = a_town(simulator)
    people = [_usual(town) for _ in range(4)]
    second, minus = (world.RecipientList.objects.create(tenant=town.tenant, name=name) for name in ("second", "minus"))
    for listed, person in ((second, people[0]), (second, people[1]), (minus, people[1]), (minus, people[2])):
        world.ListMember.objects.create(tenant=town.tenant, list=listed, recipient=person)
    campaign = town.campaign("Hello")
    campaign.lists.add(second)
    campaign.minus_lists.add(minus)
    numbers, _ = compare(clock, campaign)
    assert numbers["people"] == 2


@pytest.mark.parametrize("spread", [{}, {"most_per_hour": 9}], ids=["at once", "spread"])
@pytest.mark.parametrize("large", [1, 1000], ids=["two at a time", "one after the other"])
def test_in_ranges_of_any_size(simulator, clock, monkeypatch, large, spread):
    monkeypatch.setattr("campaigns.preflight.counting.CHUNK", 4)
    monkeypatch.setattr("campaigns.preflight.counting._LARGE", large)
    town = a_town(simulator, person_cap=1)
    for kind in KINDS * 2:
        kind(town)
    seen = []
    campaign = town.campaign(TEXT, **spread)
    preflight.count(campaign=campaign, at=NOON, progress=lambda done, people: seen.append((done, people)))
    assert seen[-1] == (30, 30)
    assert len(seen) >= 8
    compare(clock, campaign)


@pytest.mark.parametrize("spread", [{}, {"most_per_hour": 9}], ids=["at once", "spread"])
def test_where_everybody_has_a_text_of_their_own(simulator, clock, monkeypatch, spread):
    """Who lacks a field is known of everybody; how long the texts are is estimated, and the truth lies in between."""
    monkeypatch.setattr("campaigns.preflight.counting._MANY_TEXTS", 5)
    town = a_town(simulator)
    for number in range(30):
        town.recipient(first_name=f"Ana{'a' * (number * 7)}", note=number)
    for kind in (_nameless, _blank, _opted_out):
        kind(town)
    numbers, _ = compare(
        clock, town.campaign("Hello {{ first_name }}, your number is {{ note | default: 0 }}" + "." * 100, **spread)
    )
    assert numbers["sample"]["texts"] == 30
    assert numbers["sample"]["knows_what_is_missing"]
    assert not numbers["segments"]["is_exact"]


@trying(12)
@given(
    kinds=st.lists(st.sampled_from(KINDS + LAWFUL), min_size=1, max_size=12),
    person_cap=st.integers(1, 2),
    daily_cap=st.sampled_from([None, 1, 3]),
    hours=st.sampled_from([(time(8), time(21)), (time(9), time(13)), (time(0), time(23, 59, 59))]),
    options=st.sampled_from(
        [
            {},
            {"lateness_minutes": 45},
            {"lateness_minutes": 20 * 60},
            {"schedule": "local", "local_at": "2026-11-24T11:30"},
            {"most_per_hour": 3, "lateness_minutes": 90},
        ]
    ),
    rules=st.sets(st.sampled_from(["stop line", "tenant", "zone", "person", "hold", "storm"])),
)
def test_for_any_audience(simulator, kinds, person_cap, daily_cap, hours, options, rules):
    clock = Clock(NOON)
    clock.start()
    at_once = override_settings(RELEASE_SPREAD=timedelta())
    at_once.enable()
    try:
        town = a_town(
            simulator, person_cap=person_cap, daily_cap=daily_cap, opens_at=hours[0], closes_at=hours[1],
            adds_stop_line="stop line" in rules,
        )  # fmt: skip
        if "tenant" in rules:
            town.limit("tenant", 4)
        if "zone" in rules:
            town.limit("brand", 2, zone="Asia/Tokyo")
        if "person" in rules:
            town.limit("brand", 2, period="person", hours=48)
        if "hold" in rules:
            holds.hold(state="LA", reason="a storm", now=NOON, actor="test", ends_at=NOON + timedelta(minutes=100))
        if "storm" in rules:
            holds.hold(state="LA", reason="a storm", now=NOON, actor="test", starts_at=NOON + timedelta(minutes=50))
        for kind in kinds:
            kind(town)
        compare(clock, town.campaign(TEXT, **options))
    finally:
        at_once.disable()
        clock.stop()
        from django.core.management import call_command

        call_command("flush", interactive=False, verbosity=0)
