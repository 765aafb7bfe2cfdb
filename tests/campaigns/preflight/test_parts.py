"""The parts of a pre-flight on their own: what is stored, when it is stale, cost, pace, and the texts to look at."""

from datetime import time, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns import erasure, preflight, tasks
from campaigns.models import Import, Preflight
from campaigns.preflight import reading, words
from compliance import consent, holds, policy, suppression
from compliance.models import Blackout
from providers.models import Price, ProviderAccount, Sender
from smsplatform.common import database, masking
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy.models import AuditEvent
from tests import world

pytestmark = pytest.mark.django_db

NOON = world.at("2026-11-24T17:00")  # Tuesday, 12:00 in New York


@pytest.fixture
def acme():
    return world.make(opens_at=time(8), closes_at=time(21), home="America/New_York")


def count(campaign, at=NOON):
    return preflight.count(campaign=campaign, at=at)


class TestTheRow:
    def test_is_counted_once_and_told_to_the_trail(self, acme):
        acme.recipients(3)
        made = preflight.create(campaign=acme.campaign("Hello"), now=NOON, actor="ann")
        assert (made.status, made.people, made.done) == ("waiting", 3, 0)
        tasks.run_preflight(made.pk)
        made.refresh_from_db()
        assert (made.status, made.people, made.done, made.numbers["now"]) == ("done", 3, 3, 3)
        assert AuditEvent.objects.get(verb="campaign.preflight").detail["people"] == 3
        acme.recipients(1)
        assert preflight.run(made.pk).numbers["people"] == 3

    def test_tells_how_far_it_is(self, acme, monkeypatch):
        monkeypatch.setattr("campaigns.preflight.counting.CHUNK", 4)
        acme.recipients(10)
        made = preflight.create(campaign=acme.campaign("Hello"), now=NOON, actor="ann")
        seen = []
        real = preflight.counting._count

        def watched(*arguments):
            seen.append(Preflight.objects.values_list("status", "done", "people").get())
            return real(*arguments)

        monkeypatch.setattr(preflight.counting, "_count", watched)
        preflight.run(made.pk)
        assert seen == [("running", 0, 10), ("running", 4, 10), ("running", 8, 10)]

    def test_keeps_why_it_could_not_be_counted(self, acme):
        made = preflight.create(campaign=acme.campaign("Hello"), now=NOON, actor="ann")
        acme.sender.delete()
        assert preflight.run(made.pk).status == "failed"
        assert "no active sender" in Preflight.objects.get().reason

    def test_is_taken_up_again_when_its_worker_died(self, acme):
        made = preflight.create(campaign=acme.campaign("Hello"), now=NOON, actor="ann")
        assert preflight.stalled(NOON + timedelta(seconds=90)) == []
        assert preflight.stalled(NOON + timedelta(minutes=3)) == [made.pk]
        preflight.run(made.pk)
        assert preflight.stalled(NOON + timedelta(days=1)) == []

    def test_is_refused_for_what_cannot_be_launched(self, acme):
        campaign = acme.campaign("Hello")
        campaign.lists.clear()
        with pytest.raises(InvalidInput, match="no list"):
            preflight.create(campaign=campaign, now=NOON, actor="ann")
        assert not Preflight.objects.exists()

    def test_names_nobody(self, acme):
        """Numbers and texts are read anew when they are shown: an erased person is gone from here, too."""
        person = acme.recipient(first_name="Ana")
        campaign = acme.campaign("Hello {{ first_name }}")
        numbers = count(campaign)
        assert person.number not in str(numbers)
        assert "Ana" not in str(numbers)
        assert reading.worst(campaign, numbers)[0][1:] == (masking.number(person.number), 1, "Hello Ana", "")
        person.delete()
        assert reading.worst(campaign, numbers) == []


def consented(brand):
    consent.record(
        brand=brand, number="+12125550100", event=consent.Event.GRANTED, tier=consent.Tier.EXPRESS,
        source=consent.Source.API, occurred_at=NOON, now=NOON, action="ticked the box",
    )  # fmt: skip


class TestStaleness:
    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda acme, campaign: campaign.template.write("Other"), "the text, the lists or the schedule"),
            (lambda acme, campaign: acme.recipient(), "who is on the lists"),
            (
                lambda acme, campaign: Import.objects.create(
                    tenant=acme.tenant, list=acme.people, file="x", finished_at=NOON
                ),
                "people were imported",
            ),
            (lambda acme, campaign: type(acme.brand).objects.update(closes_at=time(20)), "the brand's hours or limits"),
            (
                lambda acme, campaign: suppression.suppress(
                    brand=acme.brand, number="+12125550100", reason="x", source="x", now=NOON
                ),
                "who must not be texted",
            ),
            (lambda acme, campaign: type(acme.brand).objects.update(max_segments=2), "the brand's hours or limits"),
            (
                lambda acme, campaign: type(acme.brand).objects.update(adds_stop_line=True),
                "the brand's hours or limits",
            ),
            (
                lambda acme, campaign: type(acme.tenant).objects.update(texts_unknown_places=False),
                "the brand's hours or limits",
            ),
            (lambda acme, campaign: acme.limit("tenant", 5), "blackouts, regional holds, limits or the law"),
            (
                lambda acme, campaign: holds.hold(state="LA", reason="a storm", now=NOON, actor="test"),
                "blackouts, regional holds, limits or the law",
            ),
            (
                lambda acme, campaign: Blackout.objects.create(
                    tenant=acme.tenant, brand=acme.brand, first_on=NOON.date(), last_on=NOON.date()
                ),
                "blackouts, regional holds, limits or the law",
            ),
            (lambda acme, campaign: consented(acme.brand), "who has consented"),
            (
                lambda acme, campaign: erasure.ask(
                    tenant=acme.tenant, number="+12125550100", reason="r", actor="ana", now=NOON
                ),
                "who must not be texted",
            ),
            (
                lambda acme, campaign: type(campaign).objects.update(most_per_hour=5),
                "the text, the lists or the schedule",
            ),
            (
                lambda acme, campaign: ProviderAccount.objects.update(segments_per_second=3),
                "the senders, their rates or prices",
            ),
            (
                lambda acme, campaign: Price.objects.create(tenant=acme.tenant, account=acme.account, micros=1),
                "the senders, their rates or prices",
            ),
        ],
    )
    def test_says_what_has_changed(self, acme, change, told):
        acme.recipients(2)
        campaign = acme.campaign("Hello")
        made = preflight.run(preflight.create(campaign=campaign, now=NOON, actor="ann").pk)
        assert preflight.changes(made) == []
        change(acme, campaign)
        made = Preflight.objects.get()
        assert preflight.changes(made) == [told]

    def test_is_not_told_of_others_consents(self, acme):
        other = world.make("other")
        made = preflight.run(preflight.create(campaign=acme.campaign("Hello"), now=NOON, actor="ann").pk)
        consented(other.brand)
        assert preflight.changes(Preflight.objects.get(pk=made.pk)) == []


class TestCost:
    def price(self, acme, micros, country="", currency="USD", account=None):
        Price.objects.create(
            tenant=acme.tenant, account=account or acme.account, country=country, micros=micros, currency=currency
        )

    def test_is_the_segments_by_the_price_of_their_country(self, acme):
        acme.recipients(3)
        acme.recipient(zones="America/Toronto")
        world.Recipient.objects.filter(zones__startswith="America/Toronto").update(country="CA", number="+14165550123")
        self.price(acme, 7900)
        self.price(acme, 20000, "CA")
        numbers = count(acme.campaign("x" * 200))
        assert numbers["cost"] == {"currency": "USD", "low": 87400, "likely": 87400, "high": 87400}
        assert reading.cost(numbers) == "0.09 USD"

    def test_is_shared_by_weight_among_accounts(self, acme):
        other = ProviderAccount(tenant=acme.tenant, name="other", provider="simulator", base_url="http://127.0.0.1:9")
        other.set_credentials({"token": "t", "webhook_secret": "secret"})
        other.save()
        Sender.objects.create(tenant=acme.tenant, brand=acme.brand, account=other, address="+18885550111", weight=3)
        acme.recipients(4)
        self.price(acme, 1000)
        self.price(acme, 5000, account=other)
        assert count(acme.campaign("Hello"))["cost"]["likely"] == 4 * (1000 + 3 * 5000) // 4

    def test_is_not_told_by_halves(self, acme):
        acme.recipients(2)
        assert count(acme.campaign("Hello"))["cost"] is None
        self.price(acme, 7900, "CA")
        assert count(acme.campaign("Hello"))["cost"] is None

    def test_prices_are_in_one_currency_and_of_real_countries(self, acme):
        self.price(acme, 7900)
        with pytest.raises(ValidationError, match="other prices are in USD"):
            Price(tenant=acme.tenant, account=acme.account, country="CA", micros=1, currency="EUR").full_clean()
        with pytest.raises(ValidationError, match="no country"):
            Price(tenant=acme.tenant, account=acme.account, country="XX", micros=1).full_clean()


class TestPace:
    def test_is_the_rate_of_the_accounts(self, acme):
        """95 % of 10 segments a second: 600 messages take 63 seconds."""
        acme.account.segments_per_second = 10
        acme.account.save()
        acme.recipients(600)
        numbers = count(acme.campaign("Hello"))
        assert numbers["per_second"] == 9.5
        [zone] = numbers["zones"]
        assert (zone["people"], zone["first_at"], zone["unreached"]) == (600, NOON.isoformat(), 0)
        assert zone["last_at"].startswith("2026-11-24T17:01:03")

    def test_a_sender_or_registration_may_be_slower(self, acme):
        acme.account.segments_per_second = 10
        acme.account.save()
        acme.sender.segments_per_second = 2
        acme.sender.save()
        acme.recipients(2)
        assert count(acme.campaign("Hello"))["per_second"] == pytest.approx(1.9)

    def test_zones_take_turns_by_their_hours(self, acme):
        acme.account.segments_per_second = 1
        acme.account.save()
        acme.recipients(60)
        acme.recipients(30, zones="Pacific/Honolulu")  # opens at 18:00 UTC
        zones = {each["zones"]: each for each in count(acme.campaign("Hello"))["zones"]}
        assert zones["America/New_York"]["last_at"].startswith("2026-11-24T17:01:03")
        assert zones["Pacific/Honolulu"]["first_at"].startswith("2026-11-24T18:00:00")
        assert zones["Pacific/Honolulu"]["last_at"].startswith("2026-11-24T18:00:31")

    def test_says_who_would_not_have_their_turn(self, acme):
        """One an hour, for an hour: a lateness limit is reached first."""
        acme.account.segments_per_second = 1 / 3600
        acme.account.save()
        acme.recipients(10)
        numbers = count(acme.campaign("Hello", lateness_minutes=120))
        assert numbers["unreached"] == 9
        assert any("9 people would not have their turn" in each for each in numbers["remarks"])


class TestTexts:
    def test_shows_the_longest_the_costliest_and_what_forces_another_alphabet(self, acme):
        names = ["Ana", "Bartholomew" * 8, "Zoë 😀"]
        for name in names:
            acme.recipient(first_name=name)
        acme.recipient()
        campaign = acme.campaign("Hello {{ first_name }}, " + "x" * 80)
        numbers = count(campaign)
        shown = reading.worst(campaign, numbers)
        first = {}
        for kind, _, segments, text, why in shown:
            first.setdefault(kind, (segments, text[:12], why))
        assert first["longest"][:2] == (2, "Hello Bartho")
        assert first["special characters"][:2] == (2, "Hello Zoë 😀,")
        assert first["refused"] == (0, "", "missing_merge_field@1: no value for first_name")
        assert numbers["encodings"] == {"GSM-7": 2, "UCS-2": 1}
        assert numbers["segments"] == {"low": 5, "likely": 5, "high": 5, "is_exact": True, "each": 1.67}

    def test_finds_fields_wherever_they_are(self, acme):
        for fields in ({"city": "Rome"}, {"custom": {"city": "Rome"}}, {"city": "", "custom": {"city": "Rome"}}, {}):
            acme.recipient(**fields)
        assert count(acme.campaign("{{ city }}"))["now"] == 3
        assert count(acme.campaign("{{ custom.city }}"))["now"] == 3

    @pytest.mark.parametrize(
        ("value", "is_there"),
        [("Ana", True), ("", False), (" \t", False), ("\u200e", False), ("!", True), (0, True), (True, True), (None, False),
         ("x" * 101, True), ("https://a.example/" + "y" * 3000, False), (10**40, False), ([1], False), ({"a": 1}, False),
         ("Ω", True), ("李", True), ("\u0301", True)],
    )  # fmt: skip
    @pytest.mark.parametrize("most", [2000, 0])
    def test_knows_who_lacks_a_field_whatever_is_in_it(self, acme, monkeypatch, value, is_there, most):
        """By rendering each text, and by asking only whether something is there: both say what the renderer says."""
        monkeypatch.setattr("campaigns.preflight.counting._MANY_TEXTS", most)
        acme.recipient(x=value)
        numbers = count(acme.campaign("Hello {{ x }}"))
        assert (numbers["now"] + numbers["never"], numbers["now"]) == (1, int(is_there))

    def test_says_that_conditions_are_only_sampled(self, acme, monkeypatch):
        monkeypatch.setattr("campaigns.preflight.counting._MANY_TEXTS", 2)
        for number in range(20):
            acme.recipient(x=f"x{number}", **({"y": "there"} if number % 2 else {}))
        numbers = count(acme.campaign("{% if x == 'x2' %}{{ y }}{% endif %}{{ x }}"))
        assert not numbers["sample"]["knows_what_is_missing"]
        assert numbers["sample"]["refused"] == {"missing_merge_field@1": 1}
        assert any("1 cannot be made" in each for each in numbers["remarks"])


def test_asks_as_often_for_many_as_for_few(acme):
    costs = []
    for more in (3, 60):
        acme.recipients(more)
        campaign = acme.campaign("Hello {{ first_name | default: 'x' }}")
        with CaptureQueriesContext(connection) as captured:
            count(campaign)
        costs.append(len(captured))
    assert costs[0] == costs[1] < 40


def test_a_rule_that_is_new_is_told_by_itself(acme, monkeypatch):
    """A rule added to `policy.objection` needs nothing here: it is counted under its id, in its words."""
    from compliance import policy

    rule = policy.Rule("full_moon", policy.Fate.BLOCKED, version=3)
    real = policy.objection

    def with_one_more(**given):
        found = real(**given)
        place = f"CASE WHEN d.number LIKE '%%7' THEN {len(found.rules)} ELSE {found.place} END"
        return policy.Objection(found.joins, place, found.until, [*found.rules, rule], found.parameters)

    monkeypatch.setattr(policy, "objection", with_one_more)
    people = acme.recipients(20)
    unlucky = sum(person.number.endswith("7") for person in people)
    numbers = count(acme.campaign("Hello"))
    [line] = [line for line in numbers["lines"] if line["rule"] == "full_moon@3"]
    assert (line["people"], line["words"], line["ends"]) == (unlucky, "full moon", "blocked: full_moon@3")


def test_every_rule_has_its_words():
    rules = [each for each in vars(policy).values() if isinstance(each, policy.Rule)]
    unsaid = {policy.CARRIER_CAP, policy.TRAFFIC_REVIEW, policy.TRAFFIC_PUMPING}  # no launch meets them beforehand
    assert [str(rule) for rule in rules if rule not in unsaid and rule.code not in words._WORDS] == []
    assert words.of("frequency_cap_fl@1").endswith("the law of Florida allows")


def test_a_rule_that_holds_is_later_or_never(acme, monkeypatch):
    from compliance import policy

    rule = policy.Rule("regional_hold", policy.Fate.HELD)
    real = policy.objection

    def held(until):
        def with_one_more(**given):
            found = real(**given)
            return policy.Objection(
                found.joins,
                str(len(found.rules)),
                f"(d.due_at + interval '{until}')",
                [*found.rules, rule],
                found.parameters,
            )

        return with_one_more

    acme.recipients(2)
    campaign = acme.campaign("Hello")
    monkeypatch.setattr(policy, "objection", held("2 hours"))
    numbers = count(campaign)
    assert numbers["later"] == 2
    assert numbers["lines"][0]["from"] == (NOON + timedelta(hours=2)).isoformat()
    monkeypatch.setattr(policy, "objection", held("5 hours"))
    [line] = count(campaign)["lines"]
    assert (line["fate"], line["rule"], line["ends"]) == ("never", "regional_hold@1", "expired: lateness_limit@1")


def test_a_repeating_campaign_is_counted_for_its_next_time(acme):
    acme.recipient()
    brand_clock = acme.campaign("Hello", schedule="repeat", crontab="0 15 * * *")
    assert count(brand_clock)["instants"][0]["at"] == "2026-11-24T20:00:00+00:00"
    own_clock = acme.campaign("Hello", schedule="repeat", crontab="0 15 * * *", crontab_clock="recipient")
    assert count(own_clock)["instants"][0]["at"] == "2026-11-24T20:00:00+00:00"


def test_remarks_what_else_is_in_the_way(acme):
    acme.recipients(4)
    acme.tenant.approve_above = 3
    acme.tenant.save()
    acme.brand.paused_at, acme.brand.undo_above = database.now(), 2
    acme.brand.save()
    campaign = acme.campaign("Hello", canary_percent=10)
    campaign.refresh_from_db()
    told = " ".join(count(campaign)["remarks"])
    for part in ("brand is paused", "4 people need the approval", "10 % are texted first", "may be undone"):
        assert part in told


def test_remarks_on_limits_that_are_asked_later(acme):
    acme.recipients(4)
    acme.limit("account", 1_000, unit="segments")
    acme.limit("brand", 2_000, unit="segments", carrier="t-mobile", zone="America/Los_Angeles")
    told = " ".join(count(acme.campaign("Hello", most_per_hour=2))["remarks"])
    for part in (
        "account may take 1,000 segments a day",
        "2,000 segments to T-Mobile",
        "at most 2 an hour",
        "18:00 UTC",
    ):
        assert part in told
