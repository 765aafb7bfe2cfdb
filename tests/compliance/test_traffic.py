"""Traffic pumping: each guard, at its limit and one above it."""

import itertools
from datetime import timedelta

import pytest

from compliance import traffic
from compliance.models import OptInCount, TrafficCount
from compliance.traffic import Origin, Trigger
from smsplatform.common import phone
from smsplatform.common.errors import InvalidInput, TooMany
from tests import world
from tests.promises.together import together

pytestmark = pytest.mark.django_db
NOON = world.at("2026-11-21T12:00")
_lines = itertools.count(2345678)


@pytest.fixture
def acme():
    return world.make().tenant


def number(prefix="+1212234", line=None):
    return phone.Number(
        f"{prefix}{line if line is not None else next(_lines) % 10_000:04d}", "US", "212", phone.Kind.FIXED_OR_MOBILE
    )


def admit(tenant, to=None, *, now=NOON, segments=1, **trigger):
    return traffic.admit(
        tenant=tenant,
        trigger=Trigger(**{"origin": Origin.API, **trigger}),
        number=to or number(),
        segments=segments,
        now=now,
    )


def spread(tenant, count, **options):
    """Numbers each of a range of its own."""
    return [admit(tenant, number(f"+1212{200 + n}", 1), **options) for n in range(count)]


def test_a_range_may_have_five_numbers_in_ten_minutes_and_the_sixth_waits(acme):
    lines = range(1, 6)
    assert [admit(acme, number(line=line)) for line in lines] == [False] * 5
    assert [admit(acme, number(line=line)) for line in lines] == [False] * 5, "the same numbers again"
    assert admit(acme, number(line=6)) is True
    assert admit(acme, number(line=1)) is True, "all of the range waits now"
    assert admit(acme, number("+1212235", 1)) is False
    assert traffic.range_of("+12122345678") == "+1212234"


def test_numbers_of_ten_minutes_ago_do_not_count(acme):
    for line in range(1, 6):
        admit(acme, number(line=line), now=NOON)
    assert admit(acme, number(line=6), now=NOON + timedelta(minutes=9, seconds=59)) is True
    for line in range(1, 6):
        admit(acme, number("+1212235", line), now=NOON)
    assert admit(acme, number("+1212235", 6), now=NOON + timedelta(minutes=10)) is False


def test_a_range_let_through_is_left_in_peace_for_thirty_days(acme):
    assert [admit(acme, number(line=line)) for line in range(6)][-1] is True
    count = TrafficCount.objects.get(held_at__isnull=False)
    assert traffic.decide(count=count, let_through=True, by="ann", now=NOON)
    assert not traffic.decide(count=count, let_through=False, by="bob", now=NOON)
    assert [admit(acme, number(line=line)) for line in range(20)] == [False] * 20
    later = NOON + timedelta(days=31)
    assert [admit(acme, number(line=line), now=later) for line in range(6)] == [False] * 5 + [True]


def test_a_range_that_was_stopped_is_refused_for_thirty_days(acme):
    for line in range(6):
        admit(acme, number(line=line))
    traffic.decide(count=TrafficCount.objects.get(held_at__isnull=False), let_through=False, by="ann", now=NOON)
    with pytest.raises(TooMany, match="stopped after a review"):
        admit(acme, number(line=1))
    assert admit(acme, number(line=1), now=NOON + timedelta(days=31)) is False


def test_other_tenants_are_not_concerned(acme):
    bolt = world.make("bolt").tenant
    for line in range(6):
        admit(acme, number(line=line))
    assert admit(bolt, number(line=1)) is False


def test_a_country_has_so_many_segments_a_day(acme):
    acme.triggered_segments = 10
    spread(acme, 3, segments=3)
    with pytest.raises(TooMany, match="10 segments a day to US"):
        admit(acme, number("+1212777"), segments=2)
    assert TrafficCount.objects.get(subject="country:US").used == 11  # the caller's transaction undoes it
    spread(acme, 1, now=NOON + timedelta(hours=12), segments=10)
    assert TrafficCount.objects.get(subject="country:US").used == 10


def test_an_address_and_a_form_have_so_many_messages_an_hour(acme, settings):
    settings.TRIGGERS_PER_IP, settings.TRIGGERS_PER_FORM = 2, 3
    spread(acme, 2, origin=Origin.FORM, form="sign up", ip="192.0.2.1")
    with pytest.raises(TooMany, match="from this address"):
        spread(acme, 1, origin=Origin.FORM, ip="192.0.2.1")
    spread(acme, 1, origin=Origin.FORM, form="sign up", ip="192.0.2.2")
    with pytest.raises(TooMany, match="this form has triggered 3"):
        spread(acme, 1, origin=Origin.FORM, form="sign up", ip="192.0.2.3")
    spread(acme, 1, origin=Origin.FORM, form="sign up", ip="192.0.2.1", now=NOON + timedelta(hours=1))
    assert not TrafficCount.objects.filter(subject__contains="192.0.2")


@pytest.mark.parametrize(
    ("allowed", "triggered", "country", "is_admitted"),
    [
        ([], [], "US", True),
        ([], [], "CA", True),
        ([], [], "GB", False),
        (["US", "GB"], [], "GB", False),
        (["US", "GB"], ["US", "GB"], "GB", True),
        (["US", "GB"], ["GB"], "GG", True),
        (["US", "GB"], ["GB"], "US", False),
        (["US"], ["GB"], "GB", False),
        (["US"], [], "PR", False),
        (["GB"], [], "US", False),
    ],
)
def test_the_api_and_forms_have_a_list_of_countries_of_their_own(acme, allowed, triggered, country, is_admitted):
    acme.countries, acme.triggered_countries = allowed, triggered
    to = phone.Number("+447400123456", country, None, phone.Kind.MOBILE)
    if is_admitted:
        assert admit(acme, to) is False
    else:
        with pytest.raises(InvalidInput, match=f"may not send to numbers of {country}"):
            admit(acme, to)


@pytest.mark.django_db(transaction=True)
def test_counts_exactly_when_many_come_at_once(acme):
    admit(acme, number(line=0))
    outcomes = together(*[lambda line=line: admit(acme, number(line=line)) for line in range(1, 8)])
    assert sorted(outcomes) == [False] * 4 + [True] * 3
    assert TrafficCount.objects.get(subject="country:US").used == 8


def test_forgets_what_is_over_but_no_open_question(acme):
    spread(acme, 3)
    for line in range(6):
        admit(acme, number("+1313234", line))
    assert traffic.forget(NOON + timedelta(days=3)) == 4
    assert [row.subject for row in TrafficCount.objects.all()] == ["range:+1313234"]


def test_low_conversions_are_told(acme):
    def ask(count, confirmed, to):
        for n in range(count):
            traffic.note_opt_in_asked(tenant=acme, number=to, now=NOON)
            if n < confirmed:
                traffic.note_opt_in_confirmed(tenant=acme, number=to, asked_at=NOON)

    ask(20, 3, "+12122345678")
    ask(20, 4, "+14162345678")
    ask(19, 0, "+447400123456")
    assert [str(each) for each in traffic.low_conversions(NOON)] == ["acme, US: 3 of 20"]
    assert traffic.low_conversions(NOON + timedelta(days=2)) == []
    assert OptInCount.objects.get(country="US").asked == 20
