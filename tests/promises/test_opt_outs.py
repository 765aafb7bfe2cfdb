"""What an opt-out means for a brand's texts: which rule it is, how far it reaches, what waits, and what is counted."""

import re
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from campaigns import notifications, opt_outs, receipts, replies, reports, webhooks
from campaigns.models import Dispatch, Reply
from campaigns.states import State
from compliance import consent, policy, suppression
from compliance.consent_models import Consent
from compliance.models import Permit, Suppression
from compliance.policy import Category
from compliance.suppression import Person
from providers.adapters.base import OptOut, WebhookRequest
from providers.models import Sender
from smsplatform.common import database
from smsplatform.tenancy.models import Brand
from tests import world
from tests.compliance.test_consent_states import HERE
from tests.promises import hooks, sound
from tests.promises.conftest import TOKEN

pytestmark = pytest.mark.django_db(transaction=True)


def store(acme, number, **said):
    brand = said.pop("brand", acme.brand)
    given = {"reason": "opt_out", "source": "email", "now": database.now(), **said}
    return suppression.suppress(brand=brand, number=number, **given)


# -- the rules, in the order of the facts (§0.3, 3) -----------------------------------------------------------------

PLATFORM = {"reason": "wrong_number"}
BRAND = {"reason": "opt_out"}
MARKETING = {"reason": "opt_out", "category": "marketing"}
INFORMATIONAL = {"reason": "opt_out", "category": "informational"}
BLOCKED = {"reason": "provider_blocked", "source": "provider"}


@pytest.mark.parametrize(
    ("stored", "category", "rule"),
    [
        ([PLATFORM], "marketing", "suppressed_platform@1"),
        ([BRAND], "marketing", "suppressed_brand@1"),
        ([BRAND], "transactional", "suppressed_brand@1"),
        ([MARKETING], "marketing", "suppressed_category@1"),
        ([MARKETING], "informational", ""),
        ([INFORMATIONAL], "informational", "suppressed_category@1"),
        ([INFORMATIONAL], "marketing", ""),
        ([BLOCKED], "transactional", "provider_blocked@1"),
        ([BLOCKED, MARKETING], "marketing", "suppressed_category@1"),
        ([BLOCKED, MARKETING], "informational", "provider_blocked@1"),
        ([BLOCKED, MARKETING, BRAND], "marketing", "suppressed_brand@1"),
        ([BLOCKED, MARKETING, BRAND, PLATFORM], "marketing", "suppressed_platform@1"),
        ([], "marketing", ""),
    ],
)
@pytest.mark.parametrize("when", ["before the check", "before the claim"])
def test_blocks_by_the_first_rule_that_holds(acme, simulator, stored, category, rule, when):
    person, other = acme.recipient(), acme.recipient()
    run = acme.run(category=category)
    batch = world.only_batch(run)
    lease = world.start(batch)
    stages = list(world.PIPELINE)
    for stage in stages:
        if stage.name == ("check_compliance" if when == "before the check" else "send"):
            for said in stored:
                store(acme, person.number, **said)
        stage.run(batch.pk, lease)
    found = Dispatch.objects.get(number=person.number)
    assert (found.state, found.reason) == ((State.BLOCKED, rule) if rule else (State.ACCEPTED, ""))
    assert Dispatch.objects.get(number=other.number).state == State.ACCEPTED
    assert simulator.ledger()["posts"] == (1 if rule else 2)
    sound.check()


def test_another_brand_of_the_same_client_may_go_on(acme):
    person = acme.recipient()
    second = Brand.objects.create(tenant=acme.tenant, name="Second", slug="second", **world.ALL_DAY)
    store(acme, person.number, brand=second)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 1}


def test_each_row_costs_one_probe_of_one_index_however_many_are_suppressed(acme):
    """Also where very many are suppressed for everybody: found through their missing brand, they took 20 s a batch."""
    acme.recipients(50)
    acme.run()
    everybody = [Person(None, None, f"+1303{number:07d}") for number in range(20_000)]
    suppression.suppress_all(everybody, reason="litigator", source="list", now=database.now())
    database.execute("ANALYZE compliance_suppression, campaigns_dispatch")
    objection = policy.suppressions(Category.MARKETING)
    plan = "\n".join(
        line
        for (line,) in database.rows(
            f"EXPLAIN SELECT {objection.place} FROM campaigns_dispatch d {objection.joins}", objection.parameters
        )
    )
    assert plan.count("one_live_suppression") == 1, plan
    assert "suppression_by_" not in plan, plan
    assert "Seq Scan on compliance_suppression" not in plan, plan
    assert re.search(r"Index Cond: \(\(+number\)?(::text)? = \(d\.number\)::text\)", plan), plan


# -- what the provider knows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", ["by the answer", "by a report", "by an event"])
def test_a_providers_opt_out_is_stored_counted_and_never_tried_again(acme, simulator, told):
    person = acme.recipient()
    spare(acme, simulator)
    simulator.script(TOKEN, receipts=None, **({"opted_out": [person.number]} if told == "by the answer" else {}))
    run = acme.run()
    world.work()
    dispatch = Dispatch.objects.of_run(run.pk).get()
    if told == "by a report":
        hooks.call(acme, hooks.report(dispatch.pk, status="undelivered", code="opted_out"))
        receipts.apply_events()
    if told == "by an event":
        opted_out_at_the_vendor(acme, person.number)
    stored = Suppression.objects.get()
    assert (stored.number, stored.brand, stored.scope) == (person.number, acme.brand, "brand")
    assert (stored.reason, stored.source, stored.dispatch_id) == ("provider_blocked", "provider", dispatch.pk)
    assert reports.report(run).opt_outs == 1
    assert reports.opt_outs(run) == {"provider": 1}
    # Neither this account nor another sender of the brand tries it, in this run or the next.
    dispatch.refresh_from_db()
    assert dispatch.flight == 1
    simulator.script(TOKEN, receipts=None)
    again = acme.run(key="2")
    world.work()
    assert Dispatch.objects.of_run(again.pk).get().reason == "provider_blocked@1"
    assert simulator.ledger()["posts"] == 1
    sound.check()


def spare(acme, simulator):
    """Another account, with a sender of the same brand."""
    simulator.script("token-spare", receipts=None)
    account = world.ProviderAccount(tenant=acme.tenant, name="spare", provider="simulator", base_url=simulator.url)
    account.set_credentials({"token": "token-spare", "webhook_secret": "secret"})
    account.save()
    world.Sender.objects.create(
        tenant=acme.tenant, brand=acme.brand, account=account, address="+18885559999", position=1
    )


def opted_out_at_the_vendor(acme, number):
    event = OptOut("o1", number, acme.sender.address)
    webhooks.store(acme.account, WebhookRequest("POST", "http://sms.example/webhooks/x", {}, b"o1"), [event])


def test_a_providers_word_and_the_persons_own_are_kept_apart(acme):
    """A START ends what the person said; what the provider says later still holds (facts §1.6)."""
    person = acme.recipient()
    hooks.stop(acme, person.number)
    before = database.now()
    opted_out_at_the_vendor(acme, person.number)
    assert suppression.lift(brand=acme.brand, number=person.number, before=before, now=database.now()) == 1
    run = acme.run()
    world.work()
    assert Dispatch.objects.of_run(run.pk).get().reason == "provider_blocked@1"


# -- how far a STOP reaches -----------------------------------------------------------------------------------------


@pytest.fixture
def narrow(acme, settings):
    """Platform and brand read a STOP to an informational text as that category only."""
    settings.OPTOUT_SCOPE_POLICY = "category"
    acme.brand.optout_scope_policy = "category"
    acme.brand.save()
    return acme


def sent(acme, category, key):
    run = acme.run(category=category, key=key)
    world.work()
    return run


@pytest.mark.parametrize(
    ("categories", "scope", "category"),
    [
        (["informational"], "category", "informational"),
        (["transactional"], "category", "transactional"),
        (["marketing"], "brand", ""),
        (["informational", "marketing"], "brand", ""),
        (["marketing", "informational"], "brand", ""),
        (["informational", "transactional"], "brand", ""),
        ([], "brand", ""),
    ],
)
def test_a_stop_ends_what_it_can_only_mean(narrow, categories, scope, category):
    person = narrow.recipient()
    for place, each in enumerate(categories):
        sent(narrow, each, str(place))
    hooks.stop(narrow, person.number)
    stored = Suppression.objects.get()
    assert (stored.scope, stored.category) == (scope, category)
    last = Dispatch.objects.order_by("-accepted_at").first()
    assert stored.dispatch_id == (last and last.pk)


def test_a_stop_to_a_reminder_lets_offers_go_on_only_where_that_is_the_policy(narrow, settings):
    person = narrow.recipient()
    sent(narrow, "informational", "1")
    hooks.stop(narrow, person.number)
    assert world.states(sent(narrow, "informational", "2")) == {State.BLOCKED: 1}
    assert world.states(sent(narrow, "marketing", "3")) == {State.ACCEPTED: 1}
    settings.OPTOUT_SCOPE_POLICY = "all"
    sent(narrow, "transactional", "4")
    hooks.stop(narrow, person.number)
    assert world.states(sent(narrow, "marketing", "5")) == {State.BLOCKED: 1}


def test_what_was_sent_long_ago_counts_only_if_nothing_came_since(narrow):
    person = narrow.recipient()
    sent(narrow, "marketing", "1")
    sent(narrow, "informational", "2")
    marketing = Permit.objects.order_by("at").first()
    Permit.objects.filter(pk=marketing.pk).update(at=marketing.at - timedelta(days=3))
    assert opt_outs.answered_by(narrow.brand, person.number, database.now()).categories == {"informational"}
    Permit.objects.update(at=marketing.at - timedelta(days=3))
    latest = Permit.objects.order_by("-at", "-dispatch_id").first()
    found = opt_outs.answered_by(narrow.brand, person.number, database.now())
    assert (found.categories, found.dispatch_id) == (
        {Dispatch.objects.get(pk=latest.pk).run.category},
        latest.pk,
    )


def test_the_last_text_is_found_through_the_person_not_through_history(acme):
    person = acme.recipient()
    with transaction.atomic():
        database.execute("SET LOCAL enable_seqscan = off")  # the table may be known to be nearly empty
        plan = database.rows(
            "EXPLAIN SELECT p.dispatch_id FROM compliance_permit p WHERE p.brand_id = %s AND p.number = %s",
            [acme.brand.pk, person.number],
        )
    assert "permit_by_person" in str(plan)


# -- what waits -----------------------------------------------------------------------------------------------------


def waiting(acme, category="marketing"):
    return acme.run(category=category, key=category)


def test_what_waits_is_blocked_soon_after_a_suppression_that_was_no_text(acme):
    person, other = acme.recipient(), acme.recipient()
    run = waiting(acme)
    store(acme, person.number)
    assert opt_outs.tidy(database.now()) == 1
    assert opt_outs.tidy(database.now()) == 0
    assert world.states(run) == {State.BLOCKED: 1, State.QUEUED: 1}
    blocked = Dispatch.objects.get(state="blocked")
    assert (blocked.number, blocked.reason) == (person.number, "suppressed_brand@1")
    assert Dispatch.objects.get(state="queued").number == other.number
    assert Suppression.objects.get().tidied_at
    sound.check()


def test_only_what_is_meant_is_blocked(acme):
    person = acme.recipient()
    second = Brand.objects.create(tenant=acme.tenant, name="Second", slug="second", **world.ALL_DAY)
    offers, reminders = waiting(acme), waiting(acme, "informational")
    store(acme, person.number, brand=second)
    assert opt_outs.tidy(database.now()) == 0
    store(acme, person.number, category="marketing")
    assert opt_outs.tidy(database.now()) == 1
    assert world.states(offers) == {State.BLOCKED: 1}
    assert world.states(reminders) == {State.QUEUED: 1}
    store(acme, person.number, reason="legal_threat")
    assert opt_outs.tidy(database.now()) == 1
    assert Dispatch.objects.of_run(reminders.pk).get().reason == "suppressed_platform@1"


def test_a_batch_whose_last_row_was_blocked_is_closed(acme):
    person = acme.recipient()
    run = acme.run(key="1")
    store(acme, person.number)
    opt_outs.tidy(database.now())
    assert world.work() == 1
    assert reports.report(run).progress == "finished"


def test_what_was_released_meanwhile_blocks_nothing(acme):
    person = acme.recipient()
    run = waiting(acme)
    store(acme, person.number)
    row = Suppression.objects.get()
    suppression.release(row, by="ana", because="a slip of the keyboard", now=database.now())
    assert opt_outs.tidy(database.now()) == 0
    assert world.states(run) == {State.QUEUED: 1}


def test_what_was_said_by_text_is_left_to_the_replies(acme):
    one, two = acme.recipients(2)
    waiting(acme)
    hooks.stop(acme, one.number)
    store(acme, two.number, reason="provider_blocked", source="provider")
    assert opt_outs.tidy(database.now()) == 1
    assert Dispatch.objects.get(state="blocked").number == two.number
    assert replies.tidy_stops(database.now()) == 1


@pytest.mark.parametrize(
    ("said", "revoked"),
    [
        ({"source": "web", "evidence": "the opt-out page"}, ("web_form", "", "opt_out")),
        ({"source": "voice"}, ("verbal", "", "opt_out")),
        ({"source": "letter", "category": "marketing"}, ("paper", "marketing", "opt_out")),
        ({"source": "email"}, ("admin", "", "opt_out")),
        ({"source": "provider", "reason": "provider_blocked"}, ("system", "", "provider_blocked")),
        ({"source": "list", "reason": "do_not_text_list"}, None),
        ({"source": "operator", "reason": "operator"}, None),
    ],
    ids=str,
)
def test_a_persons_own_word_ends_their_consent_whichever_way_it_came(acme, said, revoked):
    person = acme.recipient()
    store(acme, person.number, **said)
    opt_outs.tidy(database.now())
    opt_outs.tidy(database.now())
    found = Consent.objects.filter(event="revoked").values_list("source", "category", "reason")
    assert list(found) == ([revoked] if revoked else [])


def test_a_release_does_not_bring_back_the_consent_that_ended(acme):
    Brand.objects.filter(pk=acme.brand.pk).update(**HERE)
    acme.brand.refresh_from_db()
    person, now = acme.recipient(), database.now()
    consent.record(
        brand=acme.brand, number=person.number, event="granted", tier="written", source="api", occurred_at=now, now=now,
        action="ticked the box", disclosure="You agree that …",
    )  # fmt: skip
    store(acme, person.number, source="web")
    opt_outs.tidy(database.now())
    suppression.release(Suppression.objects.get(), by="ana", because="they called us again", now=database.now())
    run = acme.run()
    world.work(stages=world.PIPELINE[:1])
    assert Dispatch.objects.of_run(run.pk).get().reason == "no_consent@1"


def agreed(brand, number):
    now = database.now()
    consent.record(
        brand=brand, number=number, event="granted", tier="written", source="api", occurred_at=now, now=now,
        action="ticked the box", disclosure="You agree that …",
    )  # fmt: skip


@pytest.mark.parametrize("first", ["web", "reply"])
def test_who_says_it_again_ends_what_they_agreed_to_meanwhile(acme, first):
    Brand.objects.filter(pk=acme.brand.pk).update(**HERE)
    acme.brand.refresh_from_db()
    person = acme.recipient()
    store(acme, person.number, source=first)
    opt_outs.tidy(database.now())
    agreed(acme.brand, person.number)
    store(acme, person.number, source="voice", evidence="call 17")
    row = Suppression.objects.get()
    assert (row.source, row.evidence, row.tidied_at) == ("voice", "call 17", None)
    opt_outs.tidy(database.now())
    suppression.release(row, by="ana", because="they called us again", now=database.now())
    run = acme.run()
    world.work(stages=world.PIPELINE[:1])
    assert Dispatch.objects.of_run(run.pk).get().reason == "no_consent@1"


def test_a_stop_that_names_no_brand_ends_the_consent_to_each_that_it_may_mean(acme):
    """It went to a number out of the vendor's pool: it stops every brand of the account, and on record as well."""
    Brand.objects.filter(pk=acme.brand.pk).update(**HERE)
    acme.brand.refresh_from_db()
    second = Brand.objects.create(tenant=acme.tenant, name="Second", slug="second", zone="America/New_York")
    Sender.objects.create(tenant=acme.tenant, brand=second, account=acme.account, address="+15035552123")
    person = acme.recipient()
    agreed(acme.brand, person.number)
    hooks.call(acme, hooks.inbound(acme, person.number, "STOP", to="+18005550000"))
    for _ in range(2):
        replies.tidy_stops(database.now())
        Reply.objects.update(tidied_at=None)  # killed before it was noted
    assert sorted(Consent.objects.filter(event="revoked").values_list("brand_id", flat=True)) == sorted(
        [acme.brand.pk, second.pk]
    )
    row = Suppression.objects.get(brand=acme.brand)
    suppression.release(row, by="ana", because="they called us again", now=database.now())
    run = acme.run()
    world.work(stages=world.PIPELINE[:1])
    assert Dispatch.objects.of_run(run.pk).get().reason == "no_consent@1"


def test_an_older_word_that_comes_late_renews_nothing(acme):
    person, now = acme.recipient(), database.now()
    store(acme, person.number, source="web", now=now)
    opt_outs.tidy(now)
    store(acme, person.number, source="voice", now=now - timedelta(days=1))
    row = Suppression.objects.get()
    assert (row.source, row.renewed_at, row.tidied_at) == ("web", now, now)


def test_what_is_said_again_while_it_is_tidied_is_tidied_again(acme, monkeypatch):
    person = acme.recipient()
    store(acme, person.number, source="web")
    revoke = opt_outs._revoke

    def interrupted(found, now):
        revoke(found, now)
        store(acme, person.number, source="voice", now=database.now() + timedelta(seconds=1))

    with monkeypatch.context() as patch:
        patch.setattr(opt_outs, "_revoke", interrupted)
        opt_outs.tidy(database.now())
    assert Suppression.objects.get().tidied_at is None
    opt_outs.tidy(database.now())
    assert Consent.objects.filter(event="revoked").count() == 2


@pytest.mark.parametrize("source", ["voice", "reply"])
@pytest.mark.parametrize("reason", ["wrong_number", "complaint", "legal_threat"])
def test_what_ends_texts_from_everybody_ends_every_consent(acme, reason, source):
    """Whatever operators release later: nobody who had a consent has it still."""
    person, other = acme.recipient(), world.make("other")
    untouched = world.make("untouched")
    for brand in (acme.brand, other.brand):
        agreed(brand, person.number)
    suppression.suppress_everywhere(number=person.number, reason=reason, source=source, now=database.now())
    opt_outs.tidy(database.now())
    ended = set(Consent.objects.filter(event="revoked").values_list("brand_id", "reason"))
    assert ended == {(acme.brand.pk, reason), (other.brand.pk, reason)}
    assert untouched.brand.pk not in {brand_id for brand_id, _ in ended}


def test_a_long_list_is_tidied_in_a_fixed_number_of_statements(acme):
    counts = []
    for count in (3, 60):
        people = acme.recipients(count)
        acme.run(key=str(count))
        listed = [Person(acme.tenant.pk, acme.brand.pk, person.number) for person in people]
        suppression.suppress_all(listed, reason="do_not_text_list", source="list", now=database.now())
        with CaptureQueriesContext(connection) as captured:
            assert opt_outs.tidy(database.now()) == count
        counts.append(len(captured.captured_queries))
    assert counts[0] == counts[1]


# -- what is counted ------------------------------------------------------------------------------------------------


def test_counts_people_who_opted_out_of_a_run_by_how_they_did_it(acme):
    people = acme.recipients(4)
    run = acme.run()
    world.work()
    other = acme.run(key="2")
    hooks.stop(acme, people[0].number)
    hooks.stop(acme, people[1].number)
    of = {dispatch.number: dispatch.pk for dispatch in Dispatch.objects.of_run(run.pk)}
    store(acme, people[1].number, reason="provider_blocked", source="provider", dispatch_id=of[people[1].number])
    store(acme, people[2].number, source="web", dispatch_id=of[people[2].number])
    store(acme, people[3].number, reason="operator", source="operator", dispatch_id=of[people[3].number])  # not theirs
    assert reports.opt_outs(run) == {"reply": 2, "web": 1}
    assert reports.opt_outs(other) == {}
    row = Suppression.objects.get(number=people[2].number)
    suppression.release(row, by="ana", because="came back in the shop", now=database.now())
    assert reports.report(run).opt_outs == 3  # it happened
    since = database.now() - timedelta(days=1)
    assert reports.opt_outs_by_brand(acme.tenant, since) == [
        ("acme", "reply", 2, 2),
        ("acme", "provider", 1, 1),
        ("acme", "web", 1, 0),
    ]
    assert reports.opt_outs_by_brand(acme.tenant, database.now() + timedelta(days=1)) == []
    assert reports.opt_outs_by_brand(world.make("rival").tenant, since) == []


def test_single_messages_are_counted_for_their_day(acme):
    number = "+12125550177"
    notifications.send(brand=acme.brand, number=number, text="Hi", now=database.now(), category=Category.TRANSACTIONAL)
    notifications.collect(database.now())
    world.work("urgent")
    hooks.stop(acme, number)
    assert reports.opt_outs(Dispatch.objects.get().run) == {"reply": 1}
