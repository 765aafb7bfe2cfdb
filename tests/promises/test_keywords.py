"""What a person's keyword does, from the vendor's call to the answer in the person's hand (facts §1.4 to §1.6)."""

from datetime import timedelta

import pytest

from campaigns import answers, imports, notifications, replies
from campaigns.models import Conversation, Dispatch, Import, Keyword, ListMember, Recipient, RecipientList, Reply, Run
from campaigns.states import State
from compliance import consent, suppression
from compliance.consent_models import Consent
from compliance.models import AutomaticTexts, Suppression
from compliance.policy import Category
from providers.models import Sender
from smsplatform.common import database
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy.models import Brand
from tests import world
from tests.promises import sound, talk
from tests.promises.conftest import TOKEN
from tests.promises.talk import HELP, STOPPED, WELCOME, Person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shop(acme):
    return talk.prepare(acme)


@pytest.fixture
def ana(shop, simulator):
    return Person(shop, simulator, shop.recipient().number)


def rule_of(person):
    return Reply.objects.filter(number=person.number).latest("id").answer_rule


def get_campaign(shop, key):
    """A campaign to everybody, worked through; return its totals."""
    run = shop.run(key=key, name=f"campaign {key}")
    world.work()
    return world.states(run)


# -- the vectors of facts §1.6 ----------------------------------------------------------------------------------------


def test_1_a_stop_suppresses_is_confirmed_once_and_ends_what_waits(shop, ana):
    runs = [shop.run(key=str(number)) for number in range(3)]
    assert ana.texts("STOP") == STOPPED
    assert ana.is_stopped
    assert replies.tidy_stops(database.now()) == 3
    assert [world.states(run) for run in runs] == [{State.BLOCKED: 1}] * 3
    assert set(Dispatch.objects.filter(state="blocked").values_list("reason", flat=True)) == {"suppressed_brand@1"}
    world.work()
    assert ana.heard == [STOPPED]
    reply = Reply.objects.get()
    assert (reply.kind, reply.rule, reply.answer_rule) == ("opt_out", "R1_exact@1", "A8_ours@1")
    assert Dispatch.objects.get(pk=reply.answer).state == State.ACCEPTED
    assert Suppression.objects.get().evidence == f"reply:{reply.pk}"
    sound.check()


def test_2_a_second_stop_is_not_answered(ana):
    ana.texts("STOP")
    assert ana.texts("stop") is None
    assert rule_of(ana) == "A5_repeated@1"
    assert ana.texts("please stop") is None
    assert ana.is_stopped


def test_3_a_start_brings_the_person_back_with_a_new_consent(shop, ana):
    ana.texts("STOP")
    assert ana.texts("START") == WELCOME
    assert not ana.is_stopped
    assert get_campaign(shop, "after") == {State.ACCEPTED: 1}
    [revoked, granted] = Consent.objects.order_by("id")
    assert (revoked.event, granted.event) == ("revoked", "granted")
    assert (granted.source, granted.action, granted.inbound_text) == ("keyword", "texted START", "START")
    assert granted.our_number == shop.sender.address
    sound.check()


def test_4_what_only_the_provider_knows_holds_against_an_import(shop, ana, simulator, tmp_path):
    simulator.script(TOKEN, receipts=None, opted_out=[ana.number])
    get_campaign(shop, "refused")
    simulator.script(TOKEN, receipts=None)
    file = tmp_path / "people.csv"
    file.write_text(f"Mobile,opt_in\n{ana.number},true\n")
    source = imports.create(
        tenant=shop.tenant, list=shop.people, file=str(file), source=Import.Source.PATH, actor="test"
    )
    assert imports.run(source.pk, turn=timedelta(seconds=30))
    assert get_campaign(shop, "after") == {State.BLOCKED: 1}
    assert ana.is_stopped


def test_5_help_is_answered_although_the_person_is_suppressed(ana):
    ana.texts("STOP")
    assert ana.texts("HELP") == HELP
    assert ana.is_stopped
    assert ana.texts("help!") is None
    assert rule_of(ana) == "A6_answered_lately@1"
    Conversation.objects.update(help_answered_at=database.now() - timedelta(hours=24, seconds=1))
    assert ana.texts("HELP") == HELP


def test_6_a_yes_to_nothing_changes_nothing(ana):
    ana.texts("STOP")
    assert ana.texts("YES") is None
    assert ana.is_stopped
    assert (Reply.objects.latest("id").kind, rule_of(ana)) == ("none", "")


def test_7_a_stop_before_the_claim_wins_over_a_send_in_flight(shop, ana, simulator):
    run = shop.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:4]:
        stage.run(batch.pk, lease)
    assert ana.texts("STOP") == STOPPED
    for stage in world.PIPELINE[4:]:
        stage.run(batch.pk, lease)
    assert Dispatch.objects.of_run(run.pk).get().reason == "suppressed_brand@1"
    assert ana.heard == [STOPPED]
    sound.check()


# -- which texts are opt-outs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("STOP", "R1_exact@1"),
        ("Arrêt", "R1_exact@1"),
        ("STOP\n\nSent from my iPhone", "R2_first_line@1"),
        ("stopppp", "R5_stretched@1"),
        ("Stpo", "R6_typo@1"),
        ("Stop. Thank you", "R7_phrase@1"),
        ("Can you stop texting me?", "R8_intent@1"),
        ("take me off your list", "R8_intent@1"),
    ],
)
def test_every_kind_of_opt_out_holds_when_the_webhook_answers(ana, text, rule):
    reply = ana.writes(text)
    assert (reply.kind, reply.rule, reply.is_opt_out) == ("opt_out", rule, True)
    assert ana.is_stopped
    assert Suppression.objects.get().evidence == f"reply:{reply.pk}"


def test_a_wrong_number_is_suppressed_for_everybody_and_hears_nothing(shop, ana, simulator):
    assert ana.texts("Wrong number") is None
    assert set(Suppression.objects.values_list("scope", flat=True)) == {"brand", "platform"}
    assert rule_of(ana) == "suppressed_platform"
    assert ana.texts("START") is None
    assert Suppression.objects.get(scope="platform").released_at is None
    simulator.script("token-rival", receipts=None)
    rival = world.make("rival", base_url=simulator.url)
    notifications.send(brand=rival.brand, number=ana.number, text="Hi", now=database.now())
    talk.deliver()
    assert ana.heard == []


def test_abroad_a_wish_may_wait_for_somebody_to_read_it(shop, simulator):
    AutomaticTexts.objects.update(reviews_intent_abroad=True)
    here, abroad = (Person(shop, simulator, number) for number in ("+12125550100", "+447911123456"))
    for person in (here, abroad):
        person.writes("take me off your list")
    assert (here.is_stopped, here.is_held) == (True, False)
    assert (abroad.is_stopped, abroad.is_held) == (False, True)


def test_wishes_are_read_in_the_languages_of_the_brands_people(shop, ana):
    text = "Das ist eine falsche Nummer"
    AutomaticTexts.objects.update(languages=["es"])
    assert ana.writes(text).kind == "none"
    AutomaticTexts.objects.update(languages=["es", "de"])
    assert ana.writes(text).kind == "opt_out"


@pytest.mark.parametrize("text", ["hello", "YES", "shop", "help me"])
def test_what_is_no_keyword_does_nothing(ana, text):
    assert ana.texts(text) is None
    assert not Suppression.objects.exists()
    assert not Reply.objects.filter(apply_at__isnull=False).exists()


def test_a_vendors_own_reading_of_a_stop_counts(shop, ana):
    """Twilio's OptOutType, for one: the vendor has blocked the person, whatever we read."""
    from tests.campaigns.test_replies import said, take

    take(shop, said(shop, "enough!", sender=ana.number, answered_as="stop"))
    answers.answer_replies(database.now())
    reply = Reply.objects.get()
    assert (reply.kind, reply.rule, reply.answer_rule) == ("opt_out", "vendor_stop@1", "A2_vendor_answered@1")
    assert ana.is_stopped


def test_a_vendors_unblock_alone_lifts_nothing(shop, ana):
    from tests.campaigns.test_replies import said, take

    ana.texts("STOP")
    take(shop, said(shop, "YES", sender=ana.number, answered_as="start"))
    answers.answer_replies(database.now())
    assert ana.is_stopped


# -- who answers, and from where -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "text", "answer", "rule"),
    [
        ("self", "STOP", STOPPED, "A8_ours@1"),
        ("network_tollfree", "STOP", None, "A1_network_answered@1"),
        ("network_tollfree", "REVOKE", STOPPED, "A8_ours@1"),
        ("provider_default", "STOP", None, "A2_vendor_answered@1"),
        ("provider_default", "Stop. Thank you", STOPPED, "A8_ours@1"),
        ("provider_advanced", "HELP", None, "A2_vendor_answered@1"),
        ("", "STOP", None, "A1_network_answered@1"),  # a toll-free number, by its area code
    ],
)
def test_is_never_answered_twice(shop, ana, mode, text, answer, rule):
    Sender.objects.update(opt_out_mode=mode)
    assert ana.texts(text) == answer
    assert rule_of(ana) == rule


def test_a_short_code_answers_a_repeated_stop_once_a_day(shop, ana):
    Sender.objects.update(address="72345", opt_out_mode="")
    shop.sender.refresh_from_db()
    assert ana.texts("STOP") == STOPPED
    assert ana.texts("STOP") is None
    Conversation.objects.update(stop_answered_at=database.now() - timedelta(hours=25))
    assert ana.texts("STOP") == STOPPED


def test_the_answer_leaves_from_the_number_that_was_written_to(shop, ana):
    second = Sender.objects.create(
        tenant=shop.tenant,
        brand=shop.brand,
        account=shop.account,
        address="+15035550123",
        position=1,
        opt_out_mode="self",
    )
    assert ana.texts("STOP", to=second.address) == STOPPED
    assert ana.texts("HELP") == HELP
    assert [entry["sender"] for entry in ana.messages] == [second.address, shop.sender.address]


def test_nothing_answers_from_another_number(shop, ana):
    """The number was given back since; from any other the person would not know who writes."""
    Sender.objects.create(
        tenant=shop.tenant, brand=shop.brand, account=shop.account, address="+15035550123", opt_out_mode="self"
    )
    Sender.objects.filter(address=shop.sender.address).update(is_active=False)
    assert ana.texts("STOP") is None
    assert rule_of(ana) == "no_sender_to_answer_from"
    assert ana.is_stopped


def test_a_number_that_is_closed_meanwhile_sends_nothing(shop, ana):
    Sender.objects.create(
        tenant=shop.tenant, brand=shop.brand, account=shop.account, address="+15035550123", position=1
    )
    ana.writes("STOP")
    answers.answer_replies(database.now())
    Sender.objects.filter(address=shop.sender.address).update(is_active=False)
    talk.deliver()
    assert ana.heard == []


def test_who_the_vendor_blocks_is_not_answered(shop, ana):
    suppression.suppress(
        brand=shop.brand, number=ana.number, reason="provider_blocked", source="provider", now=database.now()
    )
    assert ana.texts("HELP") is None
    assert rule_of(ana) == "A3_vendor_blocks@1"


def test_mail_is_never_answered(shop, simulator):
    person = Person(shop, simulator, "ana@example.com")
    assert person.texts("STOP") is None
    assert rule_of(person) == "mail_is_not_answered"
    assert person.is_stopped


def test_a_text_that_lacks_what_the_law_asks_for_is_not_sent(shop, ana):
    AutomaticTexts.objects.update(monthly=None)
    assert ana.texts("HELP") is None
    assert rule_of(ana) == "text_unfit:frequency"
    assert ana.texts("STOP") == STOPPED
    assert ana.texts("START") is None
    assert not ana.is_stopped


def test_a_brands_own_words_are_sent(shop, ana):
    own = "Acme Deals will send no more messages. Text START to return."
    AutomaticTexts.objects.update(opt_out_text=own)
    assert ana.texts("STOP") == own


def test_a_brand_that_has_entered_nothing_confirms_a_stop_all_the_same(shop, ana):
    AutomaticTexts.objects.all().delete()
    assert ana.texts("STOP") == STOPPED.replace("Acme Deals", "Acme")


def test_where_the_brand_is_not_known_all_stop_and_nobody_answers(shop, ana):
    brand = Brand.objects.create(tenant=shop.tenant, name="Second", slug="second", zone="America/New_York")
    Sender.objects.create(tenant=shop.tenant, brand=brand, account=shop.account, address="+15035550123")
    assert ana.texts("STOP", to="+18005550000") is None
    assert set(Suppression.objects.values_list("brand__slug", flat=True)) == {"acme", "second"}
    shop.run()
    replies.tidy_stops(database.now())
    assert set(Dispatch.objects.values_list("state", flat=True)) == {"blocked"}


# -- coming back ---------------------------------------------------------------------------------------------------


def test_a_start_of_somebody_new_is_confirmed_once(ana):
    assert ana.texts("START") == WELCOME
    assert ana.texts("START") is None
    assert rule_of(ana) == "A7_nothing_changed@1"
    ana.texts("STOP")
    assert ana.texts("unstop") == WELCOME


@pytest.mark.parametrize(
    ("reason", "is_lifted"), [("opt_out", True), ("provider_blocked", True), ("court order", False)]
)
def test_a_start_lifts_what_the_person_said_and_nothing_else(shop, ana, reason, is_lifted):
    suppression.suppress(brand=shop.brand, number=ana.number, reason=reason, source="test", now=database.now())
    ana.texts("START")
    assert ana.is_stopped is not is_lifted
    if not is_lifted:
        assert ana.heard == []
        assert rule_of(ana) == "still_suppressed"


def test_a_start_to_one_brand_says_nothing_about_another(shop, ana):
    brand = Brand.objects.create(tenant=shop.tenant, name="Second", slug="second", zone="America/New_York")
    suppression.suppress(brand=brand, number=ana.number, reason="opt_out", source="test", now=database.now())
    suppression.suppress_everywhere(number="+12125550199", reason="complaint", source="test", now=database.now())
    ana.texts("START")
    assert Suppression.objects.get(brand=brand).released_at is None
    assert Suppression.objects.get(scope="platform").released_at is None


def test_waiting_rows_of_somebody_who_came_back_go_out(shop, ana):
    run = shop.run()
    ana.texts("STOP")
    ana.texts("START")
    assert replies.tidy_stops(database.now()) == 0
    world.work()
    assert world.states(run) == {State.ACCEPTED: 1}


# -- double opt-in --------------------------------------------------------------------------------------------------


def ask(shop, person):
    consent.ask(
        brand=shop.brand,
        number=person.number,
        category="marketing",
        now=database.now(),
        action="entered the number",
        disclosure="Texts from Acme, up to 4 a month.",
        page_url="https://acme.example/join",
        ip="192.0.2.1",
    )


@pytest.mark.parametrize("text", ["YES", "y", "Sí", "oui"])
def test_a_yes_confirms_what_was_asked(shop, ana, text):
    ask(shop, ana)
    assert ana.texts(text) == WELCOME
    assert list(Consent.objects.order_by("id").values_list("event", flat=True)) == ["asked", "confirmed"]
    assert ana.texts(text) is None
    assert Reply.objects.latest("id").kind == "none"


def test_a_yes_after_a_stop_confirms_nothing(shop, ana):
    ask(shop, ana)
    ana.texts("STOP")
    ana.texts("YES")
    assert ana.is_stopped
    assert ana.heard == [STOPPED]


# -- words of a brand -------------------------------------------------------------------------------------------------

WELCOME_TO_VIP = "Acme Deals VIP: up to 4 msgs/mo, recurring. Msg&data rates may apply. HELP for help, STOP to end."


@pytest.fixture
def vip(shop):
    people = RecipientList.objects.create(tenant=shop.tenant, name="vip")
    return Keyword.objects.create(
        tenant=shop.tenant, brand=shop.brand, word="Join VIP", people=people, welcome=WELCOME_TO_VIP,
        tier="written", disclosure="Text JOIN VIP for up to 4 marketing texts a month. Not a condition of purchase.",
    )  # fmt: skip


def test_join_puts_somebody_new_on_the_list_with_the_evidence(shop, vip, simulator):
    bo = Person(shop, simulator, "+12132345678")
    assert bo.texts("join  vip!") == WELCOME_TO_VIP
    person = Recipient.objects.get(number=bo.number)
    assert (person.country, person.zones) == ("US", "America/Los_Angeles")
    assert ListMember.objects.get(recipient=person).list == vip.people
    stored = Consent.objects.get()
    assert (stored.event, stored.tier, stored.category, stored.action) == (
        "granted", "written", "marketing", "texted Join VIP",
    )  # fmt: skip
    assert (stored.disclosure.text, stored.inbound_text) == (vip.disclosure, "join  vip!")
    assert bo.texts("JOIN VIP") is None
    assert rule_of(bo) == "A7_nothing_changed@1"
    sound.check()


def test_join_of_another_list_is_welcomed_too(shop, vip, simulator):
    bo = Person(shop, simulator, "+12132345678")
    Keyword.objects.create(tenant=shop.tenant, brand=shop.brand, word="SHOES", people=shop.people)
    assert bo.texts("JOIN VIP") == WELCOME_TO_VIP
    assert bo.texts("shoes") == WELCOME
    assert ListMember.objects.filter(recipient__number=bo.number).count() == 2


def test_join_of_somebody_who_opted_out_is_a_start(vip, ana):
    ana.texts("STOP")
    assert ana.texts("JOIN VIP") == WELCOME_TO_VIP
    assert not ana.is_stopped


def test_join_from_a_country_that_is_not_texted_stores_nobody(shop, vip, simulator):
    abroad = Person(shop, simulator, "+447911123456")
    assert abroad.texts("JOIN VIP") is None
    assert rule_of(abroad) == "number_not_allowed"
    assert not Recipient.objects.filter(number=abroad.number).exists()


@pytest.mark.parametrize("change", [{"is_active": False}, {"folded": "other", "word": "OTHER"}])
def test_a_word_that_is_taken_away_means_nothing(vip, ana, change):
    Keyword.objects.update(**change)
    assert ana.texts("JOIN VIP") is None
    assert Reply.objects.get().kind == "none"


def test_a_word_means_nothing_to_another_brand(shop, vip, simulator):
    simulator.script("token-rival", receipts=None)
    rival = talk.prepare(world.make("rival", base_url=simulator.url))
    assert Person(rival, simulator, "+12132345678").texts("JOIN VIP") is None


# -- nothing else is a keyword reply ---------------------------------------------------------------------------------


def test_no_other_message_may_pass_for_an_answer(shop, ana):
    with pytest.raises(InvalidInput, match="answers to a person's own text"):
        notifications.send(
            brand=shop.brand, number=ana.number, text="Sale!", now=database.now(), category=Category.KEYWORD_REPLY
        )
    assert not Dispatch.objects.exists()
    assert Category.KEYWORD_REPLY.value not in dict(Category.choices())


def test_no_campaign_may_pass_for_an_answer(shop, ana):
    from django.core.exceptions import ValidationError
    from django.db import IntegrityError

    campaign = shop.campaign()
    campaign.category = Category.KEYWORD_REPLY
    with pytest.raises(ValidationError, match="category"):
        campaign.full_clean()
    campaign.save()
    with pytest.raises(IntegrityError, match="campaigns_are_no_keyword_replies"):
        shop.run(campaign)


def test_an_answer_has_no_cap_and_no_quiet_hours(shop, ana):
    from datetime import time

    now = database.now()
    Brand.objects.update(
        daily_cap=0, person_cap=1, opens_at=time(0), closes_at=time(0, 1) if now.hour > 12 else time(0, 0, 1)
    )
    assert ana.texts("STOP") == STOPPED
    assert ana.texts("HELP") == HELP
    assert set(Run.objects.values_list("category", flat=True)) == {"keyword_reply"}
    sound.check()
