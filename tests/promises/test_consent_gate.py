"""Nobody is texted without the consent that the message needs: when it is cleared, and again right before it is sent."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns import notifications, tasks
from campaigns.models import Attempt, Dispatch
from campaigns.states import State
from compliance import consent, suppression
from compliance.consent import Event, Source, Tier
from compliance.policy import Category
from smsplatform.common import database
from smsplatform.tenancy import consent_keeping
from smsplatform.tenancy.models import Brand
from tests import world
from tests.compliance.test_consent_states import HERE
from tests.promises import sound
from tests.promises.test_stop_wins import texted
from tests.promises.together import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def here(acme):
    """The tenant whose consent is kept in the ledger."""
    Brand.objects.filter(pk=acme.brand.pk).update(**HERE)
    acme.brand.refresh_from_db()
    return acme


def record(acme, person, event=Event.GRANTED, tier=Tier.WRITTEN, **said):
    now = said.pop("now", None) or database.now()
    return consent.record(
        brand=acme.brand,
        number=person.number,
        event=event,
        tier=tier,
        source=Source.API,
        occurred_at=said.pop("occurred_at", now),
        now=now,
        action="ticked the box",
        disclosure="You agree that …",
        **said,
    )


def ask(acme, person, now):
    return consent.ask(
        brand=acme.brand, number=person.number, category="marketing", now=now, source=Source.API, action="typed it",
        disclosure="You agree that …",
    )  # fmt: skip


def why(person):
    return Dispatch.objects.get(number=person.number).reason


@pytest.mark.parametrize(
    ("category", "tier", "rule"),
    [
        ("marketing", "written", ""),
        ("marketing", "express", "no_consent@1"),
        ("marketing", "implied", "no_consent@1"),
        ("marketing", None, "no_consent@1"),
        ("informational", "written", ""),
        ("informational", "express", ""),
        ("informational", "implied", "no_consent@1"),
        ("informational", None, "no_consent@1"),
        ("transactional", None, ""),
    ],
)
def test_goes_out_with_enough_consent_only(here, simulator, category, tier, rule):
    person = here.recipient()
    if tier:
        record(here, person, tier=tier)
    here.run(category=category)
    world.work()
    assert why(person) == rule
    assert texted(simulator) == (set() if rule else {person.number})
    sound.check()


def test_a_brand_whose_tenant_vouches_needs_none(acme, simulator):
    person = acme.recipient()
    acme.run()
    world.work()
    assert texted(simulator) == {person.number}


def test_each_lack_has_its_own_name(here, simulator):
    now = database.now()
    names = ("none", "revoked", "asked", "asked_too_long_ago", "over", "fine", "of_all_but_marketing", "suppressed")
    people = {name: here.recipient() for name in names}
    record(here, people["revoked"])
    record(here, people["revoked"], Event.REVOKED, "")
    ask(here, people["asked"], now)
    ask(here, people["asked_too_long_ago"], now - timedelta(hours=72))
    record(here, people["over"], expires_at=now, now=now)
    record(here, people["fine"])
    record(here, people["of_all_but_marketing"])
    record(here, people["of_all_but_marketing"], Event.REVOKED, "", category="marketing")
    suppression.suppress(brand=here.brand, number=people["suppressed"].number, reason="opt_out", source="test", now=now)
    here.run()
    world.work()
    assert {name: why(person) for name, person in people.items()} == {
        "none": "no_consent@1",
        "revoked": "no_consent@1",
        "asked": "consent_pending_double_opt_in@1",
        "asked_too_long_ago": "consent_expired@1",
        "over": "consent_expired@1",
        "fine": "",
        "of_all_but_marketing": "no_consent@1",
        "suppressed": "suppressed_brand@1",
    }
    assert texted(simulator) == {people["fine"].number}
    sound.check()


def test_consent_to_another_brand_is_none(here, simulator):
    other = world.make("zebra", **HERE)
    person = here.recipient()
    record(other, person)
    here.run()
    world.work()
    assert why(person) == "no_consent@1"


@pytest.mark.parametrize("name", [stage.name for stage in world.PIPELINE[:5]])
def test_a_revocation_before_any_stage_stops_the_message(here, simulator, name):
    people = here.recipients(5)
    for person in people:
        record(here, person)
    run = here.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE:
        if stage.name == name:
            record(here, people[2], Event.REVOKED, "")
        stage.run(batch.pk, lease)
    assert world.states(run) == {State.ACCEPTED: 4, State.BLOCKED: 1}
    assert why(people[2]) == "no_consent@1"
    assert people[2].number not in texted(simulator)
    sound.check()


def test_consent_that_ends_between_check_and_claim_stops_the_message(here, simulator):
    soon, lasting = here.recipient(), here.recipient()
    ends = database.now() + timedelta(seconds=1.5)
    record(here, soon, expires_at=ends)
    record(here, lasting)
    run = here.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:4]:
        stage.run(batch.pk, lease)
    ready = Dispatch.objects.get(number=soon.number)
    assert (ready.state, ready.good_until) == (State.READY, ends)
    assert Dispatch.objects.get(number=lasting.number).good_until > ends
    until(lambda: database.now() >= ends)
    world.stage_named("send").run(batch.pk, lease)
    assert texted(simulator) == {lasting.number}
    assert why(soon) == "consent_expired@1"
    sound.check()


def test_what_it_was_judged_by_stays_with_each_try(here, monkeypatch):
    """Whatever the rules are a year later: the dated ones, with their versions, as they were right before."""
    person = here.recipient()
    record(here, person)
    here.run()
    world.work()
    offer = Attempt.objects.get().rules
    assert re.fullmatch(r"no_consent@\d+ quiet_hours@\d{4}-\d\d-\d\d", offer)
    here.run(key="2", category=Category.TRANSACTIONAL)
    world.work()
    assert sorted(Attempt.objects.values_list("rules", flat=True)) == ["", offer]


def test_the_provider_may_not_try_for_longer_than_the_consent_lasts(here, simulator):
    person = here.recipient()
    ends = database.now() + timedelta(minutes=30)
    record(here, person, expires_at=ends)
    here.run()
    world.work()
    assert Dispatch.objects.get(number=person.number).good_until == ends


def test_where_the_proof_is_kept_is_asked_in_every_turn(acme, simulator):
    people = acme.recipients(2)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:4]:
        stage.run(batch.pk, lease)
    consent_keeping.keep_here(brand=acme.brand, actor="owner", now=database.now())
    record(acme, people[0])
    world.stage_named("send").run(batch.pk, lease)
    assert texted(simulator) == {people[0].number}
    assert why(people[1]) == "no_consent@1"


def test_single_messages_are_asked_the_same(here, simulator):
    now = database.now()
    for number, category in (("+12125550101", Category.INFORMATIONAL), ("+12125550102", Category.TRANSACTIONAL)):
        notifications.send(brand=here.brand, number=number, text="Hi", now=now, category=category)
    notifications.collect(database.now())
    world.work("urgent")
    assert texted(simulator) == {"+12125550102"}


def test_looks_each_person_up_by_key(here):
    """However many have a state: one probe a row."""
    now = database.now()
    people = here.recipients(20)
    many = [f"+1646{n:07d}" for n in range(2_000_000, 2_005_000)] + [person.number for person in people]
    entries = [consent.Entry(number, Tier.WRITTEN, Source.PAPER, now, action="a", disclosure="b") for number in many]
    consent.record_all(brand=here.brand, entries=entries, now=now)
    database.execute("ANALYZE compliance_consentstate")
    batch = world.only_batch(here.run())
    lease = world.start(batch)
    with CaptureQueriesContext(connection) as captured:
        world.PIPELINE[0].run(batch.pk, lease)
    asked = [query["sql"] for query in captured.captured_queries if "compliance_consentstate" in query["sql"]]
    assert len(asked) == 2  # the judgement, and until when the text is good
    for sql in asked:
        plan = "\n".join(line for (line,) in database.rows("EXPLAIN (ANALYZE, COSTS off) " + sql.replace("%", "%%")))
        assert "Index Scan" in plan
        assert "Seq Scan on compliance_consentstate" not in plan, plan


def statements(run):
    batch = world.only_batch(run)
    lease = world.start(batch)
    counts = {}
    for stage in world.PIPELINE:
        with CaptureQueriesContext(connection) as captured:
            stage.run(batch.pk, lease)
        counts[stage.name] = len(captured)
    return counts


def test_costs_no_statement_more(acme, simulator):
    acme.recipients(3)
    before = statements(acme.run(key="1"))
    Brand.objects.filter(pk=acme.brand.pk).update(**HERE)
    acme.brand.refresh_from_db()
    for member in world.ListMember.objects.select_related("recipient"):
        record(acme, member.recipient)
    assert statements(acme.run(key="2")) == before


def test_beat_writes_down_what_is_over(here):
    person = here.recipient()
    ask(here, person, database.now() - timedelta(hours=73))
    tasks.keep_house()
    assert consent.history(tenant=here.tenant, number=person.number)[0].event == Event.EXPIRED
