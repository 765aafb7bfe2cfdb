"""What a brand tells people who text a keyword: made of its facts, or its own words if they are fit."""

from datetime import date

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from compliance import automatic_texts
from compliance.keywords import Purpose
from compliance.models import AutomaticTexts
from smsplatform.tenancy.models import Brand, Membership, Role, Tenant, User

pytestmark = pytest.mark.django_db
DAY = date(2026, 11, 21)
FACTS = {"program": "Acme Deals", "monthly": 4, "help_page": "acme.com/help", "help_phone": "800-555-0199"}


@pytest.fixture
def brand():
    tenant = Tenant.objects.create(name="Acme", slug="acme")
    return Brand.objects.create(tenant=tenant, name="Acme", slug="acme")


def made(brand, **values):
    return AutomaticTexts(tenant=brand.tenant, brand=brand, **{**FACTS, **values})


@pytest.mark.parametrize(
    ("purpose", "text"),
    [
        (
            Purpose.OPT_OUT,
            "Acme Deals: You are unsubscribed and will get no more messages from us. Reply START to resubscribe.",
        ),
        (
            Purpose.HELP,
            (
                "Acme Deals: up to 4 msgs/month. Help: acme.com/help or 800-555-0199. Msg&data rates may apply."
                " Reply STOP to opt out."
            ),
        ),
        (
            Purpose.OPT_IN,
            (
                "Acme Deals: you're subscribed! Up to 4 msgs/mo. Msg&data rates may apply. Reply HELP for help,"
                " STOP to opt out. Consent not required to buy."
            ),
        ),
        (
            Purpose.ASK,
            (
                "Acme Deals: reply YES to get recurring marketing texts (up to 4/mo). Msg&data rates may apply."
                " HELP for help, STOP to cancel."
            ),
        ),
    ],
)
def test_are_those_of_the_facts(brand, purpose, text):
    """Facts §1.4, word for word."""
    worded = automatic_texts.text(made(brand), purpose=purpose, day=DAY)
    assert (worded.text, worded.is_fit) == (text, True)


def test_a_brand_that_entered_nothing_has_its_name(brand):
    texts = automatic_texts.of(brand)
    assert texts.pk is None
    worded = automatic_texts.text(texts, purpose=Purpose.OPT_OUT, day=DAY)
    assert worded.is_fit
    assert worded.text.startswith("Acme: ")
    assert not automatic_texts.text(texts, purpose=Purpose.HELP, day=DAY).is_fit


def test_own_words_stand(brand):
    own = "Acme Deals will send no more messages. Text START to return."
    texts = made(brand, opt_out_text=own)
    texts.full_clean()
    texts.save()
    assert automatic_texts.text(automatic_texts.of(brand), purpose=Purpose.OPT_OUT, day=DAY).text == own


@pytest.mark.parametrize(
    ("field", "text", "told"),
    [
        ("opt_out_text", "Bye! You get no more messages. Reply START to return.", "the name Acme Deals"),
        ("opt_out_text", "Acme Deals: bye. Reply START to resubscribe.", "that no more messages will come"),
        ("opt_out_text", "Acme Deals: no more messages.", "how to come back"),
        ("opt_out_text", "Acme Deals: no more messages. Reply START to resubscribe. 20% off today!", "an offer"),
        ("opt_out_text", "Acme Deals: no more messages. Reply START to resubscribe. acme.com", "a link"),
        ("opt_out_text", "Acme Deals: no more messages. Reply START to resubscribe. Why do you leave?", "a question"),
        ("opt_out_text", "Acme Deals: no more messages. Reply START to resubscribe." + " Goodbye." * 20, "one segment"),
        ("help_text", "Acme Deals: up to 4 msgs/month. Msg&data rates may apply. STOP to end.", "a toll-free number"),
        ("help_text", "Acme Deals: 800-555-0199. Msg&data rates may apply. STOP to end.", "how often you text"),
        ("opt_in_text", "Acme Deals: up to 4 msgs/month. HELP for help, STOP to end.", "rates may apply"),
        ("ask_text", "Acme Deals: up to 4 msgs/month. Msg&data rates may apply. HELP for help, STOP to end.", "YES"),
    ],
)
def test_own_words_that_are_unfit_are_refused_with_what_to_do(brand, field, text, told):
    with pytest.raises(ValidationError) as refused:
        made(brand, **{field: text}).full_clean()
    assert list(refused.value.message_dict) == [field]
    assert told in " ".join(refused.value.message_dict[field])


def test_an_unknown_language_is_named(brand):
    with pytest.raises(ValidationError, match="we read no xx; choose from"):
        made(brand, languages=["en", "xx"]).full_clean()
    made(brand, languages=["en", "es"]).full_clean()


@pytest.fixture
def manager(client, brand):
    user = User.objects.create_user("ann@acme.example", is_staff=True)
    Membership.objects.create(user=user, tenant=brand.tenant, role=Role.MANAGER)
    client.force_login(user)
    return client


def test_managers_enter_them_and_see_what_is_sent(manager, brand):
    data = {**FACTS, "brand": brand.pk, "help_email": "", "languages": "en,es"}
    answer = manager.post(reverse("admin:compliance_automatictexts_add"), data)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    texts = AutomaticTexts.objects.get()
    assert (texts.brand, texts.tenant, texts.languages) == (brand, brand.tenant, ["en", "es"])
    page = manager.get(reverse("admin:compliance_automatictexts_change", args=[texts.pk])).content.decode()
    assert "Reply START to resubscribe." in page
    assert "Not sent" not in page


def test_managers_see_what_is_missing(manager, brand):
    texts = AutomaticTexts.objects.create(tenant=brand.tenant, brand=brand)
    page = manager.get(reverse("admin:compliance_automatictexts_change", args=[texts.pk])).content.decode()
    assert "Not sent: It must say how often you text" in page


def test_managers_are_told_what_is_wrong_with_their_words(manager, brand):
    data = {**FACTS, "brand": brand.pk, "opt_out_text": "Bye!"}
    answer = manager.post(reverse("admin:compliance_automatictexts_add"), data)
    assert "It must say the name Acme Deals." in answer.context["adminform"].form.errors["opt_out_text"]
