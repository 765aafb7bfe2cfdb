"""Numbers that no text reaches: whom a provider's word counts for, how long, and who may clear it."""

from datetime import timedelta

import pytest

from compliance import hygiene
from compliance.hygiene import Fact, Reason
from compliance.models import NotTextable
from providers.adapters import ADAPTERS
from providers.adapters.base import NumberFlaw
from smsplatform.common import database
from smsplatform.common.database import rows
from tests import world

NUMBER = "+12122345678"


def fact(tenant, reason=Reason.LANDLINE, number=NUMBER, code="30006"):
    return Fact(tenant.pk, number, reason, "twilio", code, "message 1")


def known_to(tenant, now, number=NUMBER):
    why = hygiene.why_not(number=number, tenant_id=tenant.pk, now=now)
    [(by_objection,)] = rows(
        f"SELECT nt.is_known IS NOT NULL FROM (SELECT %(number)s::text AS number, %(tenant)s::bigint AS tenant_id,"
        f" 0 AS brand_id) d"
        f" {hygiene.JOIN}",
        {"number": number, "tenant": tenant.pk, "now": now},
    )
    [(counted,)] = rows(
        hygiene.count_among("SELECT %(number)s::text AS number"), {"number": number, "tenant": tenant.pk, "now": now}
    )
    assert by_objection is bool(counted) is (why is not None)
    return why


@pytest.fixture
def tenants():
    return [world.make(slug).tenant for slug in ("acme", "bolt", "cord")]


@pytest.fixture
def now():
    return database.now()


pytestmark = pytest.mark.django_db


def test_counts_for_the_tenant_whose_message_met_it(tenants, now):
    acme, bolt, _ = tenants
    assert known_to(acme, now) is None
    assert hygiene.mark([fact(acme)], now=now) == 1
    assert str(known_to(acme, now)) == (f"a landline, says twilio (30006) since {now:%F}; until an operator clears it")
    assert known_to(bolt, now) is None
    assert known_to(acme, now, "+12122345679") is None


def test_counts_for_everybody_once_two_tenants_have_met_it(tenants, now):
    hygiene.mark([fact(tenants[0]), fact(tenants[1], Reason.NOT_IN_SERVICE)], now=now)
    assert known_to(tenants[2], now) is not None


def test_counts_for_everybody_when_an_operator_says_so(tenants, now):
    assert hygiene.mark_for_all(numbers=[NUMBER], reason=Reason.NOT_IN_SERVICE, by="ann", now=now)
    assert not hygiene.mark_for_all(numbers=[NUMBER], reason=Reason.NOT_IN_SERVICE, by="ann", now=now)
    assert all(known_to(tenant, now) for tenant in tenants)


def test_what_passes_ends_by_itself(tenants, now, settings):
    settings.UNREACHABLE_DAYS = 30
    hygiene.mark([fact(tenants[0], Reason.UNREACHABLE)], now=now)
    assert "until 20" in str(known_to(tenants[0], now + timedelta(days=29)))
    assert known_to(tenants[0], now + timedelta(days=30)) is None
    later = now + timedelta(days=31)
    hygiene.mark([fact(tenants[0], Reason.UNREACHABLE)], now=later)
    assert known_to(tenants[0], later) is not None


def test_what_lasts_is_not_replaced_by_what_passes(tenants, now):
    hygiene.mark([fact(tenants[0], Reason.UNREACHABLE)], now=now)
    assert hygiene.mark([fact(tenants[0], Reason.LANDLINE)], now=now) == 1
    assert hygiene.mark([fact(tenants[0], Reason.UNREACHABLE)], now=now) == 0
    assert NotTextable.objects.get().reason == Reason.LANDLINE


def test_ends_when_an_operator_clears_it_until_it_is_met_again(tenants, now):
    hygiene.mark([fact(tenants[0]), fact(tenants[1])], now=now)
    assert hygiene.clear(number=NUMBER, by="ann", now=now) == 2
    assert hygiene.clear(number=NUMBER, by="ann", now=now) == 0
    assert not any(known_to(tenant, now) for tenant in tenants)
    assert set(NotTextable.objects.values_list("cleared_by", flat=True)) == {"ann"}
    hygiene.mark([fact(tenants[0])], now=now)
    assert known_to(tenants[0], now) is not None
    assert known_to(tenants[2], now) is None


def test_marks_many_at_once_and_no_addresses(tenants, now):
    facts = [fact(tenants[0], number=f"+1212234{n:04d}") for n in range(300)]
    facts += [facts[0], fact(tenants[0], number="ana@example.com")]
    assert hygiene.mark(facts, now=now) == 300
    assert hygiene.mark([], now=now) == 0


def test_forgets_what_ended_long_ago(tenants, now):
    hygiene.mark([fact(tenants[0]), fact(tenants[0], number="+12122345679")], now=now)
    hygiene.clear(number=NUMBER, by="ann", now=now)
    assert hygiene.forget(now + timedelta(days=89)) == 0
    assert hygiene.forget(now + timedelta(days=91)) == 1
    assert NotTextable.objects.get().number == "+12122345679"


@pytest.mark.parametrize(
    ("slug", "answered", "reported"),
    [
        ("twilio", {"21614": "landline", "21211": "not_in_service", "21214": "unreachable"},
         {"30006": "landline", "30005": "not_in_service"}),
        ("vonage_sms", {}, {"3": "not_in_service"}),
        ("vonage_messages", {"1190": "not_in_service"}, {"1190": "not_in_service"}),
        ("plivo", {"invalid_number": "not_in_service"}, {"50": "not_in_service", "70": "not_in_service"}),
        ("sinch", {}, {"150": "not_in_service", "151": "unreachable"}),
        ("slooce", {"invalid phonenumber": "not_in_service"}, {}),
    ],
)  # fmt: skip
def test_adapters_know_which_codes_are_about_the_number(slug, answered, reported):
    adapter = ADAPTERS[slug]
    assert answered.items() <= adapter.answered_flaws.items()
    assert reported.items() <= adapter.reported_flaws.items()


def test_opt_outs_blocks_and_passing_trouble_are_not_about_the_number():
    harmless = {
        "twilio": ("21610", "21612", "30003", "30004", "30007", "30008"),
        "vonage_sms": ("2", "4", "9", "12"),
        "vonage_messages": ("1180", "1240", "1260"),
        "plivo": ("80", "200"),
        "sinch": ("61", "153"),
    }
    for slug, codes in harmless.items():
        adapter = ADAPTERS[slug]
        assert not {*adapter.answered_flaws, *adapter.reported_flaws} & {*codes}
    # In an answer of Vonage's older API a 3 is any bad parameter.
    assert "3" not in ADAPTERS["vonage_sms"].answered_flaws


def test_codes_are_looked_up_in_small_letters_and_mean_what_we_store():
    assert {each.value for each in NumberFlaw} == {each.value for each in Reason} - {Reason.DEACTIVATED}
    for adapter in ADAPTERS.values():
        for code in (*adapter.answered_flaws, *adapter.reported_flaws):
            assert code == code.lower()
