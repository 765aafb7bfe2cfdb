"""A number that a provider calls a landline or dead is not texted again: by its answer, and by its report."""

from datetime import timedelta

import pytest

from campaigns import receipts
from campaigns.models import Dispatch
from campaigns.states import State
from compliance import consent, hygiene
from compliance.models import NotTextable
from compliance.policy import Category
from providers.adapters.base import NumberFlaw
from providers.adapters.simulator import SimulatorAdapter
from smsplatform.common import database
from tests import world
from tests.promises import hooks, sound
from tests.promises.conftest import TOKEN
from tests.promises.test_set_based import statements

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


def blocked(run):
    return dict(Dispatch.objects.of_run(run.pk).filter(state="blocked").values_list("number", "reason"))


def test_by_the_answer(acme, simulator, monkeypatch):
    people = acme.recipients(3)
    simulator.script(TOKEN, receipts=None, reject=[people[0].number])
    monkeypatch.setattr(SimulatorAdapter, "answered_flaws", {"invalid_number": NumberFlaw.LANDLINE})
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 2, State.REJECTED: 1}
    fact = NotTextable.objects.get()
    assert (fact.tenant_id, fact.number, fact.reason, fact.provider, fact.code) == (
        acme.tenant.pk, people[0].number, "landline", "simulator", "invalid_number",
    )  # fmt: skip
    assert fact.evidence == str(Dispatch.objects.get(state="rejected").pk)
    again = acme.run(key="2", category=Category.TRANSACTIONAL)
    world.work()
    assert blocked(again) == {people[0].number: "number_not_textable@1"}
    sound.check()


def test_by_the_report(acme):
    people = acme.recipients(3)
    run = acme.run()
    world.work()
    ids = dict(Dispatch.objects.of_run(run.pk).values_list("number", "pk"))
    hooks.call(
        acme,
        hooks.report(ids[people[0].number], status="undelivered", code="not_in_service"),
        hooks.report(ids[people[1].number], status="delivered", code="landline"),
        hooks.report(ids[people[2].number], status="undelivered", code="busy"),
    )
    receipts.apply_events()
    assert [(fact.number, fact.reason) for fact in NotTextable.objects.all()] == [(people[0].number, "not_in_service")]
    again = acme.run(key="2")
    world.work()
    assert blocked(again) == {people[0].number: "number_not_textable@1"}
    sound.check()


def test_right_before_the_claim_too(acme):
    person = acme.recipient()
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:4]:
        stage.run(batch.pk, lease)
    hygiene.mark_for_all(numbers=[person.number], reason="landline", by="ann", now=database.now())
    for stage in world.PIPELINE[4:]:
        stage.run(batch.pk, lease)
    assert blocked(run) == {person.number: "number_not_textable@1"}
    sound.check()


def test_until_an_operator_clears_it(acme):
    person = acme.recipient()
    hygiene.mark_for_all(numbers=[person.number], reason="landline", by="ann", now=database.now())
    hygiene.clear(number=person.number, by="ann", now=database.now())
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 1}


@pytest.mark.parametrize("category", [Category.MARKETING, Category.TRANSACTIONAL])
def test_what_a_carrier_took_back_is_nobodys_until_somebody_agrees_anew(acme, category):
    """Also where the brand keeps consent elsewhere, and what needs no consent: it would reach a stranger."""
    person, now = acme.recipient(), database.now()
    hygiene.mark_for_all(numbers=[person.number], reason="deactivated", by="ann", since=now - DAY, now=now)
    run = acme.run(key="1", category=category)
    world.work()
    assert blocked(run) == {person.number: "number_not_textable@1"}
    for event, occurred_at, expected in (
        ("granted", now - 2 * DAY, State.BLOCKED),
        ("granted", now, State.ACCEPTED),
    ):
        consent.record(
            brand=acme.brand, number=person.number, event=event, tier="written", source="api", occurred_at=occurred_at,
            now=now, action="ticked the box", disclosure="You agree that …",
        )  # fmt: skip
        run = acme.run(key=f"{occurred_at}", category=category)
        world.work()
        assert world.states(run) == {expected: 1}
    sound.check()


def test_a_younger_consent_does_not_make_a_telephone_of_a_landline(acme):
    person, now = acme.recipient(), database.now()
    hygiene.mark_for_all(numbers=[person.number], reason="landline", by="ann", since=now - DAY, now=now)
    consent.record(
        brand=acme.brand, number=person.number, event="granted", tier="written", source="api", occurred_at=now,
        now=now, action="ticked the box", disclosure="You agree that …",
    )  # fmt: skip
    run = acme.run()
    world.work()
    assert blocked(run) == {person.number: "number_not_textable@1"}


def test_a_country_that_is_not_allowed_any_more_is_not_texted(acme):
    guernsey, canada = acme.recipient(), acme.recipient()
    type(guernsey).objects.filter(pk=guernsey.pk).update(country="GG")
    type(canada).objects.filter(pk=canada.pk).update(country="CA")
    acme.tenant.countries = ["US", "GB"]
    acme.tenant.save()
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 1, State.BLOCKED: 1}
    assert blocked(run) == {canada.number: "country_not_allowed@1"}


def test_many_facts_are_one_statement(acme, simulator):
    counts = []
    for count in (2, 20):
        world.ListMember.objects.all().delete()
        people = acme.recipients(count)
        run = acme.run(key=str(count))
        world.work()
        ids = dict(Dispatch.objects.of_run(run.pk).values_list("number", "pk"))
        hooks.call(
            acme, *[hooks.report(ids[person.number], status="undelivered", code="landline") for person in people]
        )
        counts.append(len(statements(receipts.apply_events)))
    assert counts[0] == counts[1]
    assert NotTextable.objects.count() == 22
