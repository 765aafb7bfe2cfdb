"""What a pre-flight says is what the report says, rule by rule: consent, place, law, limits, languages, STOP lines, erasure."""

import uuid
from datetime import date, timedelta

import pytest

from campaigns import erasure, preflight
from campaigns.models import Dispatch
from campaigns.states import State
from compliance import holds, hours, policy
from compliance.consent_models import ConsentState
from compliance.models import Blackout, NotTextable, Permit, StopLine
from compliance.place import UNKNOWN_US
from tests import world
from tests.campaigns.preflight.test_equals_the_report import NOON, a_town, by_rule, clock, compare
from tests.compliance.test_consent_states import HERE

__all__ = ["clock"]

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HAWAII = "Pacific/Honolulu"  # opens an hour after noon in New York
CLOSED = str(policy.QUIET)


def numbered(person, number, **more):
    type(person).objects.filter(pk=person.pk).update(number=number, **more)
    person.refresh_from_db()
    return person


# -- who may be texted at all ---------------------------------------------------------------------------------------


def agreed(town, *, zones="", tier="written", **state):
    person = town.recipient(zones=zones)
    ConsentState.objects.create(
        tenant=town.tenant, brand=town.brand, number=person.number, category="", since=NOON - DAY,
        **{"tier": tier, "status": "granted", **state},
    )  # fmt: skip
    return person


def test_for_every_kind_of_consent(simulator, clock):
    town = a_town(simulator, **HERE)
    asked = {"tier": "", "status": "pending"}
    for copies, made in enumerate(
        [
            lambda: agreed(town),
            town.recipient,
            lambda: agreed(town, tier="express"),
            lambda: agreed(town, pending_until=NOON + HOUR, **asked),
            lambda: agreed(town, pending_until=NOON - HOUR, **asked),
            lambda: agreed(town, expires_at=NOON),
            # In Hawaii it is decided an hour later, but what ends a message ends it now.
            lambda: agreed(town, zones=HAWAII, expires_at=NOON + HOUR / 2),
            lambda: agreed(town, zones=HAWAII, pending_until=NOON + HOUR / 2, **asked),
        ],
        start=1,
    ):
        for _ in range(copies):
            made()
    numbers, _ = compare(clock, town.campaign("Hello"))
    assert by_rule(numbers) == {
        ("now", ""): 1,
        ("never", str(policy.NO_CONSENT)): 2 + 3,
        ("never", str(policy.CONSENT_PENDING)): 4 + 8,
        ("never", str(policy.CONSENT_EXPIRED)): 5 + 6 + 7,
    }


def test_for_informational_messages(simulator, clock):
    town = a_town(simulator, **HERE)
    agreed(town, tier="express")
    agreed(town, tier="implied")
    town.recipient()
    numbers, _ = compare(clock, town.campaign("Hello", category="informational"))
    assert (numbers["now"], numbers["never"]) == (1, 2)


def test_for_people_who_were_erased_and_came_back(simulator, clock):
    town = a_town(simulator)
    town.recipients(2)
    gone = town.recipient()
    asked = erasure.ask(tenant=town.tenant, number=gone.number, reason="a letter", actor="ana", now=clock.now)
    erasure.work(asked.pk)
    numbered(town.recipient(), gone.number)
    numbers, _ = compare(clock, town.campaign("Hello"))
    assert by_rule(numbers) == {("now", ""): 2, ("never", str(policy.ERASED)): 1}


def test_while_nobody_can_say_who_was_erased(simulator, clock, settings):
    settings.NUMBER_PEPPERS = ["a-pepper-that-is-there-now-and-long-enough-0123456789"]
    town = a_town(simulator)
    gone = town.recipient()
    erasure.work(erasure.ask(tenant=town.tenant, number=gone.number, reason="r", actor="ana", now=clock.now).pk)
    settings.NUMBER_PEPPERS = ["another-pepper-that-is-there-later-and-long-0123456789"]
    town.recipient()
    numbers, _ = compare(clock, town.campaign("Hello"))
    assert by_rule(numbers) == {("never", str(policy.ERASED_UNREADABLE)): 1}


def test_for_numbers_and_countries_that_cannot_be_texted(simulator, clock):
    town = a_town(simulator)
    town.recipient()
    numbered(town.recipient(), "+447911123456", country="GB")
    for zones, until in (("", None), ("", NOON - HOUR), (HAWAII, NOON + HOUR / 2)):
        person = town.recipient(zones=zones)
        NotTextable.objects.create(
            tenant=town.tenant, number=person.number, reason="landline", provider="x", since=NOON - DAY, until=until
        )
    numbers, _ = compare(clock, town.campaign("Hello"))
    assert by_rule(numbers) == {
        ("now", ""): 2,
        ("never", str(policy.COUNTRY)): 1,
        ("never", str(policy.NOT_TEXTABLE)): 2,
    }


# -- when -----------------------------------------------------------------------------------------------------------


def test_for_the_hours_of_each_state(simulator, clock):
    """Florida ends at eight, Pennsylvania knows the day after Thanksgiving: whoever may live there waits."""
    town = a_town(simulator)
    for states in ("NY", "FL", "FL|NY", "PA", "TX"):
        town.recipient(zones=f"America/New_York;{states}")
    evening = {"schedule": "at", "send_at": world.at("2026-11-25T01:15")}
    numbers, _ = compare(clock, town.campaign("Hello", **evening, lateness_minutes=24 * 60))
    assert by_rule(numbers)["later", CLOSED] >= 2
    assert numbers["never"] == 0


def test_for_sundays_of_the_brand_and_of_the_states(simulator, clock):
    from datetime import time

    town = a_town(simulator, sunday_opens_at=time(13), sunday_closes_at=time(18))
    for states in ("NY", "AL", "TX", "LA", "MS", "RI", "UT", "CT"):
        town.recipient(zones=f"America/New_York;{states}")
    sunday = {"schedule": "at", "send_at": world.at("2026-11-29T16:00"), "lateness_minutes": 6 * 60}
    compare(clock, town.campaign("Hello", **sunday))


@pytest.mark.parametrize("lateness", [4 * 60, 30 * 60])
def test_for_a_blackout(simulator, clock, lateness):
    town = a_town(simulator)
    town.recipients(2)
    town.recipient(zones="Asia/Tokyo")  # where it is tomorrow already
    Blackout.objects.create(
        tenant=town.tenant, brand=town.brand, first_on=date(2026, 11, 24), last_on=date(2026, 11, 24)
    )
    numbers, _ = compare(clock, town.campaign("Hello", lateness_minutes=lateness))
    assert by_rule(numbers)["later", str(policy.BLACKOUT)] == 2


@pytest.mark.parametrize(
    ("starts", "ends", "expected"),
    [
        (NOON - HOUR, None, ("never", policy.REGIONAL_HOLD)),
        (NOON - HOUR, NOON + 2 * HOUR, ("later", policy.REGIONAL_HOLD)),
        (NOON - HOUR, NOON + 12 * HOUR, ("never", policy.REGIONAL_HOLD)),
        (NOON + HOUR, None, ("now", None)),
    ],
)
def test_for_a_regional_hold(simulator, clock, monkeypatch, starts, ends, expected):
    monkeypatch.setattr(hours, "HOLD_LOOK", HOUR)
    town = a_town(simulator)
    town.recipients(2)
    town.recipient(zones="America/Chicago;LA")
    town.recipient(zones="America/Chicago")
    town.recipient(zones=f"{HAWAII};LA")
    holds.hold(state="LA", reason="a storm", now=NOON - 2 * HOUR, actor="test", starts_at=starts, ends_at=ends)
    numbers, _ = compare(clock, town.campaign("Hello"))
    fate, rule = expected
    assert by_rule(numbers)[fate, str(rule) if rule else ""] >= 1


@pytest.mark.parametrize(("lateness", "fate"), [(14 * 60, "never"), (24 * 60, "later")])
def test_for_a_hold_that_ends_at_night(simulator, clock, monkeypatch, lateness, fate):
    monkeypatch.setattr(hours, "HOLD_LOOK", HOUR)
    town = a_town(simulator)
    town.recipient(zones="America/Chicago;LA")
    holds.hold(state="LA", reason="a storm", now=NOON, actor="test", ends_at=world.at("2026-11-25T06:00"))
    numbers, _ = compare(clock, town.campaign("Hello", lateness_minutes=lateness))
    assert by_rule(numbers) == {(fate, str(policy.REGIONAL_HOLD)): 1}
    assert [line["ends"] for line in numbers["lines"]] == (
        [f"expired: {policy.NO_WINDOW}"] if fate == "never" else [""]
    )


def test_for_people_of_unknown_place(simulator, clock):
    town = a_town(simulator)
    town.tenant.texts_unknown_places = False
    town.tenant.save()
    town.recipient()
    town.recipient(zones=f"{UNKNOWN_US};us")
    person = town.recipient()
    type(person).objects.filter(pk=person.pk).update(zones=UNKNOWN_US)
    numbers, _ = compare(clock, town.campaign("Hello"))
    assert numbers["now"] == 1
    assert by_rule(numbers)["never", str(policy.UNKNOWN_PLACE)] >= 1


# -- how many -------------------------------------------------------------------------------------------------------


def told(town, person, *agos):
    for ago in agos:
        Permit.objects.create(
            dispatch_id=uuid.uuid4(), tenant=town.tenant, brand=town.brand, number=person.number, is_person_capped=True,
            at=NOON - ago,
        )  # fmt: skip


def test_for_every_limit_of_a_person(simulator, clock):
    """All rules hold together: which one a person waits for is the one that holds longest, of equal ones the law."""
    town = a_town(simulator)
    town.limit("brand", 2, period="person", hours=7 * 24, is_promised=True)
    town.limit("tenant", 4, period="person", hours=30 * 24)
    today = (HOUR, 2 * HOUR, 23 * HOUR)
    told(town, town.recipient(), *today)
    told(town, town.recipient(), HOUR, 6 * DAY + 23 * HOUR)
    told(town, town.recipient(), 8 * DAY, 9 * DAY, 10 * DAY, 29 * DAY + 22 * HOUR)
    told(town, town.recipient(), 8 * DAY, 9 * DAY, 10 * DAY)
    numbers, _ = compare(clock, town.campaign("Hello"))
    assert by_rule(numbers) == {
        ("now", ""): 1,
        ("later", "frequency_promised@1"): 1,
        ("later", "frequency_limit@1"): 1,
        ("never", "frequency_promised@1"): 1,
    }


def test_for_the_states_that_set_a_number(simulator, clock):
    town = a_town(simulator)
    today = (23 * HOUR, 2 * HOUR, HOUR)
    floridian = numbered(town.recipient(), "+13055550123")
    told(town, floridian, *today)
    told(town, town.recipient(zones="America/New_York;MD|NY"), *today)
    told(town, town.recipient(), *today)
    told(town, town.recipient(zones="America/New_York;FL"), *today[1:])
    numbers, run = compare(clock, town.campaign("Hello"))
    rules = {rule: people for (_, rule), people in by_rule(numbers).items()}
    assert rules == {"": 1, "frequency_cap_fl@1": 1, "frequency_cap_md@1": 1, str(policy.PERSON_CAP): 1}
    assert Dispatch.objects.of_run(run.pk).filter(state=State.ACCEPTED).count() == 4


def test_for_a_brand_that_may_send_nobody_anything(simulator, clock):
    town = a_town(simulator)
    town.limit("brand", 0, period="person", hours=2)
    town.recipients(2)
    told(town, town.recipient(), HOUR)
    numbers, _ = compare(clock, town.campaign("Hello", lateness_minutes=24 * 60))
    assert numbers["never"] == 3


@pytest.mark.parametrize(
    ("limits", "category"),
    [
        ([("tenant", 3, {})], "marketing"),
        ([("tenant", 3, {}), ("platform", 5, {"zone": "Asia/Tokyo"})], "marketing"),
        ([("brand", 4, {"unit": "segments"})], "marketing"),
        ([("brand", 4, {"unit": "segments"}), ("tenant", 3, {"zone": "Pacific/Auckland"})], "informational"),
        ([("campaign", 2, {"zone": "America/Los_Angeles"})], "transactional"),
    ],
)
@pytest.mark.parametrize("lateness", [60, 30 * 60])
def test_for_every_limit_of_a_day(simulator, clock, limits, category, lateness):
    town = a_town(simulator)
    town.recipients(6)
    town.recipient(zones=HAWAII)
    campaign = town.campaign("Hello, " + "x" * 200, category=category, lateness_minutes=lateness)
    for subject, amount, more in limits:
        town.limit(subject, amount, of=campaign if subject == "campaign" else None, **more)
    compare(clock, campaign)


def test_for_a_day_that_is_partly_used(simulator, clock):
    town = a_town(simulator)
    town.limit("tenant", 5)
    town.recipients(3)
    compare(clock, town.campaign("Hello"))
    numbers, _ = compare(clock, town.campaign("Hello again"))
    assert by_rule(numbers) == {("now", ""): 2, ("never", "tenant_cap@1"): 1}


# -- what they read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [2_000, 0])
def test_for_the_stop_line(simulator, clock, monkeypatch, most):
    """It makes two segments of one, for those who were not told within 30 days of their turn."""
    monkeypatch.setattr("campaigns.preflight.counting._MANY_TEXTS", most)
    town = a_town(simulator, adds_stop_line=True)
    for zones, ago in (
        ("", None), ("", DAY), ("", 29 * DAY), ("", 30 * DAY), (HAWAII, 30 * DAY - HOUR / 2), (HAWAII, DAY),
    ):  # fmt: skip
        person = town.recipient(zones=zones, first_name="Ana")
        if ago is not None:
            StopLine.objects.create(tenant=town.tenant, brand=town.brand, number=person.number, told_at=NOON - ago)
    campaign = town.campaign("Hello {{ first_name }}, " + "x" * 140)
    numbers = preflight.count(campaign=campaign, at=NOON)
    assert numbers["segments"]["likely"] == 6 + 3
    compare(clock, campaign)


@pytest.mark.parametrize("most", [2_000, 0])
def test_for_texts_in_several_languages(simulator, clock, monkeypatch, most):
    monkeypatch.setattr("campaigns.preflight.counting._MANY_TEXTS", most)
    town = a_town(simulator, adds_stop_line=True, stop_lines={"es": "STOP para salir", "default": "STOP ends"})
    campaign = town.campaign("Hello")
    campaign.template.write("Hello {{ first_name }}", {"es": "Hola {{ apodo }}, " + "ñ" * 170})
    for language in (None, "es", "es-MX", "Spanish", "fr"):
        for fields in ({"first_name": "Ana"}, {"apodo": "Anita"}, {"first_name": "Ana", "apodo": "Anita"}):
            town.recipient(**fields, **({"language": language} if language else {}))
    numbers, _ = compare(clock, campaign)
    assert (numbers["now"], numbers["never"]) == (10, 5)
    if numbers["segments"]["is_exact"]:
        assert numbers["segments"]["likely"] == 4 * 1 + 6 * 2


def test_for_what_only_values_bring_in(simulator, clock):
    town = a_town(simulator, max_segments=1)
    town.tenant.banned_hosts = ["evil.example"]
    town.tenant.save()
    for value in ("Ana", "https://evil.example/x", "see bit.ly/x", "word " * 19, "“Ana”", "Ana.evil"):
        town.recipient(note=value, first_name=value)
    numbers, _ = compare(clock, town.campaign("Hello {{ note }}" + "." * 70))
    assert by_rule(numbers)["never", str(policy.BAD_HOST)] == 2
    compare(clock, town.campaign("Hello {{ first_name }}" + "." * 60))


@pytest.mark.parametrize("most", [2_000, 0])
def test_for_names_that_are_links(simulator, clock, monkeypatch, most):
    monkeypatch.setattr("campaigns.preflight.counting._MANY_TEXTS", most)
    town = a_town(simulator)
    for name in ("Ana", "J. R. Smith", "evil.example", "a@b", "http://x", "St. John"):
        town.recipient(first_name=name)
    numbers, _ = compare(clock, town.campaign("Hello {{ first_name }}"))
    assert by_rule(numbers) == {("now", ""): 3, ("never", str(policy.MISSING_FIELD)): 3}


def test_for_links_of_each_ones_own(simulator, clock, monkeypatch):
    """Everybody's opt-out link is another one; their texts are as long as one another's."""
    monkeypatch.setattr("campaigns.preflight.counting._MANY_TEXTS", 1)
    town = a_town(simulator)
    town.recipients(5, opt_out_link="mine")
    numbers, _ = compare(clock, town.campaign("Hello, {{ opt_out_link }} " + "x" * 100))
    assert numbers["segments"]["is_exact"]


# -- spread ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"most_per_hour": 3}, {"spread_hours": 2}, {"most_per_hour": 3, "lateness_minutes": 30}]
)
@pytest.mark.parametrize("brand", [{}, {"daily_cap": 5}])
def test_for_a_run_that_is_spread(simulator, clock, options, brand):
    town = a_town(simulator, **brand)
    town.recipients(7)
    town.recipient(zones=HAWAII)
    town.recipient(zones="Asia/Tokyo")
    numbers, run = compare(clock, town.campaign("Hello", **options))
    if not brand:
        due = sorted(
            {due_at.isoformat() for due_at in Dispatch.objects.of_run(run.pk).values_list("due_at", flat=True)}
        )
        assert [each["at"] for each in numbers["instants"]] == due
