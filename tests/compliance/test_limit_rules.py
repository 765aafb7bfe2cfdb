"""Which numbers hold for a person, and what may be set."""

from datetime import date, datetime, timedelta
from datetime import timezone as fixed

import pytest
from django.core.exceptions import ValidationError

from compliance import limit_rules, limiting
from compliance.data import carriers, frequency
from compliance.models import Limit
from smsplatform.common import database
from smsplatform.common.errors import Conflict
from smsplatform.tenancy.models import AuditEvent
from tests import world

NOON = datetime(2026, 11, 22, 12, tzinfo=fixed(timedelta(0)))

# number, place, on, the rules of states that hold
STATES = [
    ("+13055550100", "America/New_York", NOON, ["frequency_cap_fl@1"]),  # by the area code alone (facts §2.4)
    ("+18505550100", "America/Chicago|America/New_York", NOON, ["frequency_cap_fl@1"]),
    ("+12125550100", "America/New_York", NOON, []),
    ("+12125550100", "America/New_York;FL", NOON, ["frequency_cap_fl@1"]),
    ("+12125550100", "America/New_York;FL|MD|NY", NOON, ["frequency_cap_fl@1", "frequency_cap_md@1"]),
    ("+14105550100", "America/New_York;NY", NOON, ["frequency_cap_md@1"]),  # states only add up (facts §2.3)
    ("+14055550100", "", NOON, ["frequency_cap_ok@1"]),
    ("+15035550100", "America/Los_Angeles", NOON, ["frequency_cap_or@1"]),
    ("+15035550100", "America/Los_Angeles", datetime(2025, 12, 31, 12, tzinfo=NOON.tzinfo), []),  # HB 3865: 2026-01-01
    ("+15035550100", "America/Los_Angeles", datetime(2026, 1, 1, tzinfo=NOON.tzinfo), ["frequency_cap_or@1"]),
    ("+442071838750", "Europe/London", NOON, []),
    ("ana@example.com", "America/New_York;FL", NOON, ["frequency_cap_fl@1"]),
]


@pytest.mark.parametrize(("number", "place", "on", "rules"), STATES)
def test_knows_the_caps_of_states(number, place, on, rules):
    found = limit_rules.state_rules(number, place, on)
    assert [str(rule.rule) for rule in found] == rules
    assert all((rule.amount, rule.hours) == (3, 24) and rule.source for rule in found)


def test_the_states_are_those_of_the_facts():
    assert {(rule.state, rule.amount, rule.hours) for rule in frequency.RULES} == {
        ("FL", 3, 24), ("MD", 3, 24), ("OK", 3, 24), ("OR", 3, 24),
    }  # fmt: skip
    assert all(rule.citation and rule.confidence for rule in frequency.RULES)


def test_a_rule_holds_from_its_day_until_the_day_of_its_end():
    rule = frequency.StateCap("XX", 1, 24, "x", "D", date(2026, 1, 2), date(2026, 1, 4))
    assert [rule.holds_on(date(2026, 1, day)) for day in (1, 2, 3, 4)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("amount", "hours", "than", "in_hours", "is_looser"),
    [
        (3, 24, 3, 24, False),
        (2, 24, 3, 24, False),
        (4, 24, 3, 24, True),
        (6, 48, 3, 24, False),
        (7, 48, 3, 24, True),
        (4, 48, 3, 24, False),
        (2, 12, 3, 24, False),
        (3, 12, 3, 24, True),  # would look like 6 a day
        (21, 168, 3, 24, False),
        (22, 168, 3, 24, True),
        (4, 25, 3, 24, False),
        (8, 720, 4, 720, True),
    ],
)
def test_knows_what_can_never_bind(amount, hours, than, in_hours, is_looser):
    assert limit_rules.is_looser(amount, hours, than, in_hours) is is_looser


@pytest.mark.parametrize(
    ("name", "carrier"),
    [
        ("T-Mobile USA, Inc.", carriers.T_MOBILE),
        ("t-mobile", carriers.T_MOBILE),
        ("TMOBILE", carriers.T_MOBILE),
        ("AT&T Wireless", carriers.OTHER),
        ("Verizon", carriers.OTHER),
        ("", ""),
        ("--", ""),
        (None, ""),
    ],
)
def test_knows_carriers_by_their_names(name, carrier):
    assert carriers.group(name) == carrier


class TestSetting:
    pytestmark = pytest.mark.django_db

    @pytest.fixture
    def acme(self):
        return world.make()

    def flaws(self, acme, subject="brand", **fields):
        holder = {"tenant": acme.tenant, "brand": acme.brand, "account": acme.account}[subject]
        wanted = Limit(tenant=acme.tenant, subject=subject, subject_id=holder.pk, **fields)
        with pytest.raises(ValidationError) as refusal:
            wanted.full_clean(exclude=["set_by"])
        return refusal.value.message_dict

    @pytest.mark.parametrize(
        ("fields", "field", "said"),
        [
            ({"period": "person", "amount": 4, "hours": 24}, "amount", "the platform allows 3 in 24 hours"),
            ({"period": "person", "amount": 3, "hours": 12}, "amount", "the platform allows 3 in 24 hours"),
            ({"period": "person", "amount": 4}, "hours", "say in how many hours"),
            ({"period": "person", "amount": 4, "hours": 3000}, "hours", "at most 2160"),
            ({"period": "person", "amount": 1, "hours": 24, "unit": "segments"}, "period", "leave these out"),
            ({"period": "person", "amount": 1, "hours": 24, "subject": "account"}, "subject", "a tenant or a brand"),
            ({"amount": 4, "hours": 24}, "hours", "leave it empty"),
            ({"amount": 4, "zone": "Mars/Olympus"}, "zone", "is not an IANA time zone"),
            ({"amount": 4, "carrier": "t-mobile"}, "unit", "choose segments"),
            (
                {"amount": 4, "carrier": "t-mobile", "unit": "segments", "subject": "tenant"},
                "carrier",
                "a registration",
            ),
            ({"amount": 4, "is_promised": True}, "is_promised", "for each person"),
            ({"amount": -1}, "amount", "greater than or equal to 0"),
        ],
    )
    def test_is_refused_with_field_problem_and_remedy(self, acme, fields, field, said):
        assert said in self.flaws(acme, **fields)[field][0]

    def test_a_tenant_does_not_loosen_what_stands_above_it(self, acme):
        acme.limit("platform", 1000)
        acme.limit("tenant", 500, is_operators=True)
        assert "the tenant allows 500 messages a day" in self.flaws(acme, amount=501)["amount"][0]
        assert "the platform allows 1,000" in self.flaws(acme, "tenant", amount=1001, zone="UTC")["amount"][0]
        Limit(tenant=acme.tenant, subject="brand", subject_id=acme.brand.pk, amount=500).full_clean(exclude=["set_by"])

    def test_a_promise_is_not_loosened(self, acme):
        acme.limit("brand", 4, period="person", hours=720, unit="messages", is_promised=True)
        said = self.flaws(acme, period="person", amount=8, hours=720)["amount"][0]
        assert "the opt-in text promises 4 in 720 hours" in said
        assert "promises 4" in self.flaws(acme, period="person", amount=9, hours=1440)["amount"][0]
        Limit(
            tenant=acme.tenant, subject="brand", subject_id=acme.brand.pk, period="person", hours=168, amount=2
        ).full_clean(exclude=["set_by"])

    @pytest.mark.parametrize(
        ("cap", "hours", "is_fine"), [(3, 24, True), (2, 12, True), (4, 24, False), (3, 12, False), (5, 48, True)]
    )
    def test_a_brand_only_tightens_the_cap_per_person(self, acme, cap, hours, is_fine):
        acme.brand.person_cap, acme.brand.person_cap_hours = cap, hours
        if is_fine:
            acme.brand.full_clean()
        else:
            with pytest.raises(ValidationError, match="would loosen: the platform allows 3 in 24 hours") as refusal:
                acme.brand.full_clean()
            assert list(refusal.value.message_dict) == ["person_cap"]

    def test_writes_down_whose_midnight_is_meant(self, acme):
        acme.brand.zone = "America/Denver"
        acme.brand.save()
        found = []
        for more in ({}, {"carrier": "t-mobile", "unit": "segments"}):
            wanted = Limit(tenant=acme.tenant, subject="brand", subject_id=acme.brand.pk, amount=5, **more)
            limiting.set_limit(wanted=wanted, actor="ana", is_operator=False, now=database.now())
            found.append(wanted.zone)
        assert found == ["America/Denver", "America/Los_Angeles"]

    def test_each_change_is_a_version_in_the_trail(self, acme):
        def set_to(amount, *, is_operator):
            wanted = Limit(tenant=acme.tenant, subject="tenant", subject_id=acme.tenant.pk, amount=amount)
            return limiting.set_limit(wanted=wanted, actor="ana", is_operator=is_operator, now=database.now())

        first, is_news = set_to(5, is_operator=True)
        assert (first.version, is_news) == (1, True)
        assert set_to(5, is_operator=True)[1] is False
        with pytest.raises(Conflict, match="only they change it"):
            set_to(6, is_operator=False)
        assert set_to(6, is_operator=True)[0].version == 2
        with pytest.raises(Conflict, match="only they change it"):
            limiting.end_limit(limit=first, actor="bob", is_operator=False, now=database.now())
        limiting.end_limit(limit=first, actor="ana", is_operator=True, now=database.now())
        assert list(AuditEvent.objects.order_by("id").values_list("actor", "verb")) == [
            ("ana", "limit.set"), ("ana", "limit.changed"), ("ana", "limit.ended"),
        ]  # fmt: skip
        assert set_to(7, is_operator=False)[0].pk != first.pk
