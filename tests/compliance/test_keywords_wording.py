from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance import segments
from compliance.keywords import Purpose
from compliance.keywords.editions import EDITIONS
from compliance.keywords.rules import Element, Fault
from compliance.keywords.wording import Program, check, render

DAY = date(2026, 11, 21)
ACME = Program("Acme Deals", monthly=4, page="acme.com/help", phone="800-555-0199")


def checked(text, purpose, program=ACME):
    found = check(text, purpose=purpose, program=program, day=DAY)
    return [str(each) for each in (*found.missing, *found.faults)]


# -- the vectors of facts §1.4 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("purpose", "text", "length"),
    [
        (
            Purpose.OPT_OUT,
            "Acme Deals: You are unsubscribed and will get no more messages from us. Reply START to resubscribe.",
            99,
        ),
        (
            Purpose.HELP,
            (
                "Acme Deals: up to 4 msgs/month. Help: acme.com/help or 800-555-0199. Msg&data rates may apply. "
                "Reply STOP to opt out."
            ),
            117,
        ),
        (
            Purpose.OPT_IN,
            (
                "Acme Deals: you're subscribed! Up to 4 msgs/mo. Msg&data rates may apply. "
                "Reply HELP for help, STOP to opt out. Consent not required to buy."
            ),
            140,
        ),
        (
            Purpose.ASK,
            (
                "Acme Deals: reply YES to get recurring marketing texts (up to 4/mo). Msg&data rates may apply. "
                "HELP for help, STOP to cancel."
            ),
            125,
        ),
    ],
)
def test_writes_the_texts_of_the_facts(purpose, text, length):
    found = render(purpose, program=ACME, day=DAY)
    assert (found.text, found.missing, found.faults, found.is_fit, found.version) == (text, (), (), True, 1)
    assert segments.count(found.text) == segments.Segments("GSM-7", 1, length)


# -- what a brand has not told ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("purpose", "changed", "missing"),
    [
        (Purpose.HELP, {"monthly": None}, ["frequency"]),
        (Purpose.HELP, {"page": "", "phone": ""}, ["contact"]),
        (Purpose.HELP, {"phone": ""}, ["contact"]),  # a page alone
        (Purpose.HELP, {"phone": "212-555-0199"}, ["contact"]),  # a call that costs
        (Purpose.HELP, {"phone": "", "email": "Help@acme.com"}, []),
        (Purpose.HELP, {"phone": "+1 (888) 555-0199"}, []),
        (Purpose.HELP, {"phone": "+44 20 7123 4567"}, []),
        (Purpose.OPT_IN, {"monthly": None}, ["recurring", "frequency"]),
        (Purpose.OPT_IN, {"page": "", "phone": ""}, []),
        (Purpose.ASK, {"monthly": None}, ["frequency"]),
        (Purpose.OPT_OUT, {"name": " "}, ["program"]),
        (Purpose.OPT_OUT, {"monthly": None, "page": "", "phone": ""}, []),
        (Purpose.OPT_OUT, {"name": "A name that goes on and on " * 4}, ["too_long"]),
        (Purpose.OPT_OUT, {"name": "Acme 🙂"}, ["too_long"]),
        (Purpose.OPT_OUT, {"name": "Acme\nDeals"}, []),
        (Purpose.OPT_OUT, {"name": "acme.com"}, []),
        (Purpose.OPT_OUT, {"name": "{monthly}"}, []),
    ],
)
def test_says_what_the_brand_has_to_tell_first(purpose, changed, missing):
    program = replace(ACME, **changed)
    found = render(purpose, program=program, day=DAY)
    assert [str(each) for each in (*found.missing, *found.faults)] == missing
    assert found.is_fit == (not missing)
    assert found == check(found.text, purpose=purpose, program=program, day=DAY)


# -- what a brand wrote itself ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("ACME DEALS: you won't receive any further texts. Text START to return.", []),
        ("Acme Deals: no further messages. Which categories did you mean? Reply START to return.", []),
        ("You get no more messages from us. Reply START to resubscribe.", ["program"]),
        ("Acme Deals: Bye! Reply START to resubscribe.", ["no_more"]),
        ("Acme Deals: You will get no more messages.", ["come_back"]),
        ("Acme Deals: no more texts. Reply START to return and save 20%!", ["offer"]),
        ("Acme Deals: no more texts. Reply START. See https://acme.com", ["link"]),
        ("Acme Deals: no more texts. Reply START. See acme.com/sorry", ["link"]),
        ("Acme Deals: no more texts. Reply START to return. Why did you leave?", ["question"]),
        ("Acme Deals: no more texts. " + "So sorry. " * 14 + "Reply START.", ["too_long"]),
        ("", ["program", "no_more", "come_back"]),
    ],
)
def test_checks_a_confirmation_of_an_opt_out(text, wrong):
    assert checked(text, Purpose.OPT_OUT) == wrong


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (
            "Acme Deals. Message frequency varies. Message and data rates may apply. help@acme.com. STOP to end.",
            [],
        ),
        ("Acme Deals: weekly texts. Call 1 800 555 0199. Msg & Data Rates May Apply. STOP ends it.", []),
        ("Acme Deals: 4 msgs per month. 800-555-0199. Msg&data rates may apply.", ["stop"]),
        ("Acme Deals: 4 msgs/month. 800-555-0199. STOP to end.", ["rates"]),
        ("Acme Deals: 800-555-0199. Msg&data rates may apply. STOP to end.", ["frequency"]),
        ("Acme Deals: 4 msgs/month. Msg&data rates may apply. STOP to end.", ["contact"]),
        ("Acme Deals: 4 msgs/month. 800-555-0199. Msg&data rates may apply. STOP to end. Shop now!", ["offer"]),
    ],
)
def test_checks_an_answer_to_help(text, wrong):
    assert checked(text, Purpose.HELP, replace(ACME, email="help@acme.com")) == wrong


@pytest.mark.parametrize(
    ("purpose", "text", "wrong"),
    [
        (Purpose.OPT_IN, "Acme Deals: welcome!", ["recurring", "frequency", "rates", "help", "stop"]),
        (Purpose.OPT_IN, "Welcome to Acme Deals, daily texts. Msg&data rates may apply. HELP for help.", ["stop"]),
        (Purpose.OPT_IN, "Acme Deals daily. Msg&data rates may apply. HELP, STOP. www.acme.com", ["link"]),
        (
            Purpose.ASK,
            "Acme Deals: weekly texts? Msg&data rates may apply. HELP for help, STOP to cancel.",
            ["yes"],
        ),
        (
            Purpose.ASK,
            "Acme Deals: YES for weekly texts and a discount. Msg&data rates may apply. HELP for help, STOP to cancel.",
            ["offer"],
        ),
    ],
)
def test_checks_texts_about_opting_in(purpose, text, wrong):
    assert checked(text, purpose) == wrong


def test_knows_a_phone_number_however_it_is_written():
    text = "Acme Deals: 4 msgs/month. (800) 555-0199. Msg&data rates may apply. STOP to end."
    assert checked(text, Purpose.HELP, replace(ACME, phone="+1 800 555 0199")) == []


def test_every_element_can_be_seen():
    for edition in EDITIONS:
        assert [content.purpose for content in edition.contents] == list(Purpose)
        seen = {sign.of for sign in edition.signs} | {Element.PROGRAM, Element.CONTACT}
        assert seen | {Fault.LINK, Fault.QUESTION, Fault.TOO_LONG} >= {*Element, *Fault}


@settings(deadline=None)
@given(
    purpose=st.sampled_from(Purpose),
    program=st.builds(
        Program,
        name=st.text(max_size=40),
        monthly=st.none() | st.integers(-1, 1000),
        page=st.text(max_size=20),
        phone=st.text(max_size=20),
        email=st.text(max_size=20),
    ),
    text=st.text(max_size=200),
)
def test_answers_for_any_brand_and_any_text(purpose, program, text):
    for found in (render(purpose, program=program, day=DAY), check(text, purpose=purpose, program=program, day=DAY)):
        assert not (found.is_fit and segments.count(found.text).segments > 1)
        assert found.is_fit == (not found.missing and not found.faults)


@pytest.mark.parametrize(
    ("name", "text", "has_link"),
    [
        ("Acme", "Acme: see acme.com", True),
        ("Acme", "Acme: see www.acme.com", True),
        ("Acme", "Acme: see shop.acme.com", True),
        ("Acme.com", "Acme.com: no more texts.", False),  # it is called so
        ("Acme.com", "Acme.com: see acme.com/sale", True),
        ("Acme.com", "Acme.com: see shop.acme.com", True),
    ],
)
def test_a_name_hides_no_link(name, text, has_link):
    found = check(text, purpose=Purpose.OPT_OUT, program=Program(name), day=DAY)
    assert ("link" in found.faults) is has_link
