""" "Do not text": stored once for each reason, renewed when said again, ended only by a later word or a decision."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from compliance import reasons, suppression
from compliance.models import Suppression
from compliance.reasons import Reach
from compliance.suppression import Person
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy.models import AuditEvent, Brand
from tests import world

NUMBER, OTHER = "+12125550123", "+12125550124"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
BECAUSE = "the person asked for it in shop 4"

pytestmark = pytest.mark.django_db


@pytest.fixture
def brand():
    return world.make().brand


def stop(brand, number=NUMBER, *, now=NOW, reason="opt_out", source="reply", **more):
    return suppression.suppress(brand=brand, number=number, reason=reason, source=source, now=now, **more)


def live():
    return sorted(
        (row.number, row.scope, row.category, row.reason) for row in Suppression.objects.filter(released_at=None)
    )


# -- reasons are data -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reach"),
    [
        ("opt_out", Reach.BRAND),
        ("provider_blocked", Reach.BRAND),
        ("review", Reach.BRAND),
        ("do_not_text_list", Reach.BRAND),
        ("operator", Reach.BRAND),
        ("wrong_number", Reach.PLATFORM),
        ("complaint", Reach.PLATFORM),
        ("legal_threat", Reach.PLATFORM),
        ("litigator", Reach.PLATFORM),
        ("asked by phone", Reach.BRAND),  # the words of a row from before there were codes
    ],
)
def test_a_reason_reaches_as_far_as_the_facts_say(brand, code, reach):
    assert reasons.reach_of(code) is reach
    stop(brand, reason=code)
    scope = "platform" if reach is Reach.PLATFORM else "brand"
    assert live() == [(NUMBER, scope, "", code)]


def test_every_reason_is_dated_and_says_where_it_comes_from():
    for code, reason in reasons.REASONS.items():
        assert (reason.code, reason.version >= 1) == (code, True)
        assert reason.effective_from <= date(2026, 11, 22)
        assert reason.told
        assert reason.citation
        assert reason.confidence in {"A", "Q", "B", "C", "D"}


def test_people_may_give_every_reason_that_is_not_the_platforms_own():
    assert {code for code, _ in reasons.typed()} == set(reasons.REASONS) - {"provider_blocked", "review"}


# -- storing --------------------------------------------------------------------------------------------------------


def test_is_stored_once_and_remembers_when_it_was_said_last(brand):
    assert stop(brand)
    assert not stop(brand, now=LATER, evidence="again")
    row = Suppression.objects.get()
    assert (row.created_at, row.renewed_at, row.evidence) == (NOW, LATER, "")
    assert not stop(brand)  # a word that was under way for long
    row.refresh_from_db()
    assert row.renewed_at == LATER


def test_each_reason_and_category_stands_for_itself(brand):
    stop(brand)
    stop(brand, reason="provider_blocked", source="provider")
    stop(brand, category="marketing")
    assert live() == [
        (NUMBER, "brand", "", "opt_out"),
        (NUMBER, "brand", "", "provider_blocked"),
        (NUMBER, "category", "marketing", "opt_out"),
    ]


def test_a_platform_wide_one_is_stored_once_whoever_says_it(brand):
    rival = world.make("rival").brand
    assert stop(brand, reason="wrong_number", category="marketing")
    assert not stop(rival, reason="wrong_number")
    assert not suppression.suppress_everywhere(number=NUMBER, reason="wrong_number", source="reply", now=NOW)
    assert live() == [(NUMBER, "platform", "", "wrong_number")]
    row = Suppression.objects.get()
    assert (row.tenant, row.brand) == (None, None)


def test_many_are_stored_at_once_and_counted(brand, django_assert_num_queries):
    stop(brand, reason="provider_blocked", source="provider")
    people = [
        Person(brand.tenant_id, brand.pk, number, f"e{place}") for place, number in enumerate([OTHER, NUMBER] * 3)
    ]
    with django_assert_num_queries(1):
        assert suppression.suppress_all(people, reason="provider_blocked", source="provider", now=LATER) == 1
    assert [row[0] for row in live()] == [NUMBER, OTHER]
    assert suppression.suppress_all([], reason="opt_out", source="reply", now=NOW) == 0


def test_many_are_stored_for_everybody_where_the_reason_reaches_so_far(brand):
    second = Brand.objects.create(tenant=brand.tenant, name="Second", slug="second")
    people = [Person(each.tenant_id, each.pk, NUMBER) for each in (brand, second)]
    assert suppression.suppress_all(people, reason="litigator", source="list", now=NOW) == 1
    assert live() == [(NUMBER, "platform", "", "litigator")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": "brand", "category": "marketing"},
        {"scope": "category", "category": ""},
        {"scope": "platform", "category": ""},
        {"scope": "brand", "category": "", "brand": None, "tenant": None},
    ],
)
def test_the_table_refuses_a_scope_that_does_not_fit(brand, wrong):
    values = {"brand": brand, "tenant": brand.tenant, "number": NUMBER, "reason": "opt_out", "source": "test", **wrong}
    with pytest.raises(IntegrityError, match="suppression_scope_fits"), transaction.atomic():
        Suppression.objects.create(**values)


# -- who is suppressed ----------------------------------------------------------------------------------------------


def test_says_who_of_many_is_suppressed(brand, django_assert_num_queries):
    rival = world.make("rival").brand
    stop(brand)
    stop(brand, OTHER, category="informational")
    stop(rival, "+12125550125")
    stop(rival, "+12125550126", reason="complaint")
    stop(brand, "+12125550127")
    suppression.release(Suppression.objects.get(number="+12125550127"), by="ana", because=BECAUSE, now=LATER)
    numbers = [f"+1212555012{digit}" for digit in range(3, 9)]
    with django_assert_num_queries(1):
        found = suppression.suppressed(brand=brand, numbers=numbers, category="marketing")
    assert found == {NUMBER, "+12125550126"}
    assert suppression.suppressed(brand=brand, numbers=numbers, category="informational") == found | {OTHER}


# -- the way back ---------------------------------------------------------------------------------------------------


def test_is_released_by_a_decision_that_is_audited_and_stays_as_history(brand):
    stop(brand)
    row = Suppression.objects.get()
    assert suppression.release(row, by="ana", because=f"  {BECAUSE}\n", now=LATER)
    assert not suppression.release(row, by="bob", because=BECAUSE, now=LATER)
    row.refresh_from_db()
    assert (row.released_at, row.released_by, row.released_because) == (LATER, "ana", BECAUSE)
    [event] = AuditEvent.objects.filter(verb="number.released")
    assert (event.actor, event.tenant_id, event.detail["because"]) == ("ana", brand.tenant_id, BECAUSE)
    assert NUMBER not in str((event.target, event.detail))
    assert stop(brand, now=LATER)  # a new word, a new row
    assert Suppression.objects.count() == 2


def test_a_release_ends_one_reason_and_no_other(brand):
    stop(brand)
    stop(brand, reason="provider_blocked", source="provider")
    suppression.release(Suppression.objects.get(reason="opt_out"), by="ana", because=BECAUSE, now=LATER)
    assert live() == [(NUMBER, "brand", "", "provider_blocked")]


@pytest.mark.parametrize("because", ["", "   ", "short", "x" * 201, "a         b"])
def test_a_release_needs_a_reason(brand, because):
    stop(brand)
    with pytest.raises(InvalidInput, match="say why in 10 to 200 characters"):
        suppression.release(Suppression.objects.get(), by="ana", because=because, now=LATER)
    assert live()
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize(
    ("said", "before", "is_lifted"),
    [
        ({}, LATER, True),
        ({}, NOW, False),  # a tie goes to STOP
        ({}, NOW - timedelta(seconds=1), False),
        ({"category": "informational"}, LATER, True),
        ({"reason": "provider_blocked", "source": "provider"}, LATER, True),
        ({"reason": "review", "category": "marketing"}, LATER, True),
        ({"reason": "do_not_text_list", "source": "list"}, LATER, False),  # nothing that the person said to us
        ({"reason": "operator", "source": "operator"}, LATER, False),
        ({"reason": "complaint"}, LATER, False),
        ({"reason": "erased"}, LATER, False),
    ],
)
def test_a_persons_start_lifts_only_what_the_person_said_before(brand, said, before, is_lifted):
    stop(brand, **said)
    assert suppression.lift(brand=brand, number=NUMBER, before=before, now=LATER) == is_lifted
    assert bool(live()) is not is_lifted


def test_a_start_lifts_nothing_that_was_said_again_after_it(brand):
    stop(brand)
    stop(brand, now=LATER, source="web")
    assert suppression.lift(brand=brand, number=NUMBER, before=LATER - timedelta(minutes=1), now=LATER) == 0
    assert suppression.lift(brand=brand, number=NUMBER, before=LATER + timedelta(minutes=1), now=LATER) == 1


def test_a_start_is_for_one_brand(brand):
    rival = world.make("rival").brand
    stop(brand)
    stop(rival)
    assert suppression.lift(brand=brand, number=NUMBER, before=LATER, now=LATER) == 1
    assert Suppression.objects.get(released_at=None).brand == rival


# -- how far a STOP reaches -----------------------------------------------------------------------------------------

INFORMATIONAL, MARKETING, TRANSACTIONAL = "informational", "marketing", "transactional"


@pytest.mark.parametrize(
    ("platforms", "brands", "answered", "category"),
    [
        # The narrow reading needs both, and an answer to nothing else.
        ("category", "category", {INFORMATIONAL}, INFORMATIONAL),
        ("category", "category", {TRANSACTIONAL}, TRANSACTIONAL),
        ("category", "category", {MARKETING}, ""),
        ("category", "category", {INFORMATIONAL, MARKETING}, ""),
        ("category", "category", {INFORMATIONAL, TRANSACTIONAL}, ""),
        ("category", "category", {"keyword_reply"}, ""),
        ("category", "category", set(), ""),  # out of the blue
        ("category", "all", {INFORMATIONAL}, ""),
        ("all", "category", {INFORMATIONAL}, ""),
        ("all", "all", {INFORMATIONAL}, ""),
        ("Category!", "category", {INFORMATIONAL}, ""),  # a slip of the operator's
    ],
)
def test_a_stop_ends_everything_unless_all_agree_that_it_need_not(
    settings, brand, platforms, brands, answered, category
):
    settings.OPTOUT_SCOPE_POLICY, brand.optout_scope_policy = platforms, brands
    assert suppression.category_of_stop(brand=brand, answered=answered) == category


def test_the_strict_reading_is_the_default(settings, brand):
    assert (settings.OPTOUT_SCOPE_POLICY, Brand().optout_scope_policy) == ("all", "all")
    assert suppression.category_of_stop(brand=brand, answered={INFORMATIONAL}) == ""
