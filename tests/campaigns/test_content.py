"""The content lint: each finding with its place, and none where there is nothing."""

import pytest

from campaigns import content
from campaigns.content import Severity
from compliance import content_terms
from compliance.policy import Category
from smsplatform.common.errors import InvalidInput
from tests import world

GOOD = "Acme: Hello {{ first_name | default: 'there' }}, see https://shop.example/{{ id }} Reply STOP to opt out."

pytestmark = pytest.mark.django_db


@pytest.fixture
def brand():
    return world.make().brand


def codes(found):
    return [(each.severity.value, each.code, each.line, each.column) for each in found]


def lint(brand, source, category=Category.MARKETING, **texts):
    return content.lint(source=source, texts=texts, brand=brand, category=category)


def test_has_nothing_to_say_about_a_good_text(brand):
    assert lint(brand, GOOD) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi {{ name", ("error", "template", 1, 4)),
        ("{% for i in (1..9) %}", ("error", "template", 1, 4)),
        ("{{ a | shout }}", ("error", "template", 1, 8)),
        ("see\n http://shop.example", ("error", "link_not_allowed", 2, 2)),
        ("see https://bit.ly/x", ("error", "link_not_allowed", 1, 5)),
        ("see https://10.0.0.1/", ("error", "link_not_allowed", 1, 5)),
        ("see https://user:pw@evil.example", ("error", "link_not_allowed", 1, 5)),
        ("see https://xn--pypal-4ve.com/", ("error", "link_host_blocked", 1, 5)),
        ("see https://p\u0430ypal.com/", ("error", "link_host_blocked", 1, 5)),
        ("see bit.ly/x", ("error", "link_host_blocked", 1, 5)),
        ("{{ a }}\n{{ b }} TINYURL.com/x", ("error", "link_host_blocked", 2, 9)),
        ("see https://{{ host }}/x", ("warning", "host_from_field", 1, 5)),
        ("see https://{{ host }}.example/x", ("warning", "host_from_field", 1, 5)),
        ("see www.shop.example", ("warning", "link_without_scheme", 1, 5)),
        ("Hi {name}", ("warning", "looks_like_a_field", 1, 4)),
        ("Hi ((name))", ("warning", "looks_like_a_field", 1, 4)),
        ("HELLO {{ n }} THIS IS THE GREAT SALE", ("warning", "all_capitals", 1, 1)),
        ("The gun show", ("review", "restricted_content", 1, 5)),
        ("a\nHappy hour", ("review", "restricted_content", 2, 1)),
        ("naïve ł", ("note", "ucs2", 1, 3)),
        ("x" * 500, ("warning", "many_segments", 1, 1)),
        ("x" * 1600, ("error", "too_many_segments", 1, 1)),
    ],
)
def test_finds(brand, text, expected):
    found = lint(brand, f"{text} Acme STOP" if "%" not in text and text[-4:] != "name" else text)
    assert expected in codes(found)
    assert len([each for each in found if each.severity is Severity.ERROR]) == (expected[0] == "error")


@pytest.mark.parametrize(
    "text",
    [
        "begun guns-n-roses",
        "therapist winery",
        "It\u2019s smart",
        "ABC DEF",
        "stopgap",
        "{% if BIG %}yes{% endif %} no",
    ],
)
def test_does_not_find_in(brand, text):
    assert not [each for each in lint(brand, f"{text} Acme STOP") if each.severity is not Severity.NOTE]


def test_says_which_brand_is_not_named_and_how_the_line_comes(brand):
    assert [each.code for each in lint(brand, "Hello")] == ["brand_name_missing", "stop_missing"]
    assert [each.code for each in lint(brand, "Hello from ACME", Category.INFORMATIONAL)] == []
    assert [each.code for each in lint(brand, "Your code is 1", Category.TRANSACTIONAL)] == []
    brand.adds_stop_line = True
    [note] = lint(brand, "Hello from Acme")
    assert (note.severity, note.code) == (Severity.NOTE, "stop_line_added")
    assert "Reply STOP to opt out." in note.message


@pytest.mark.parametrize("category", [Category.TRANSACTIONAL, Category.INFORMATIONAL])
@pytest.mark.parametrize(
    "text",
    ["Your order is here. 20% off the next one", "Code {{ n }}\nShop now", "Hora: 9. Rebajas hoy", "15 % discount"],
)
def test_an_offer_is_marketing_whatever_it_is_called(brand, category, text):
    """It would need no consent, or less, and might go out at night."""
    found = [each for each in lint(brand, f"Acme: {text}", category) if each.severity is Severity.ERROR]
    assert [each.code for each in found] == ["offer_under_another_name"]
    assert not [each for each in lint(brand, f"Acme: {text} STOP") if each.severity is Severity.ERROR]
    with pytest.raises(InvalidInput, match="choose marketing"):
        content.require_sendable(source=text, texts={}, brand=brand, category=category)


@pytest.mark.parametrize(
    "text",
    ["Your order now ships", "Customs clearance is done", "100% official", "Refund of your discount", "It is 20%"],
)
def test_what_only_sounds_like_an_offer_goes_out(brand, text):
    assert not [each for each in lint(brand, text, Category.TRANSACTIONAL) if each.severity is Severity.ERROR]


def test_looks_at_every_language(brand):
    brand.adds_stop_line = True
    found = lint(brand, GOOD, es="Acme: see bit.ly/x")
    assert [(each.language, each.code) for each in found] == [("es", "link_host_blocked"), ("es", "stop_line_added")]
    assert "Responda STOP" in found[1].message
    assert str(found[0]).startswith("es, line 1, column 11: bit.ly must not be in a text; ")


def test_knows_the_tenants_bans_and_the_brands_own_host_and_limit(brand):
    brand.tenant.banned_hosts = ["Rival.example."]
    brand.link_domain = "go.acme"
    brand.max_segments = 2
    assert codes(lint(brand, "Acme STOP https://www.rival.example")) == [("error", "link_host_blocked", 1, 11)]
    assert lint(brand, "Acme STOP https://go.acme/x") == []
    assert [each.code for each in lint(brand, "Acme STOP " + "x" * 310)] == ["too_many_segments"]


def test_counts_what_smart_encoding_makes_of_it(brand):
    assert lint(brand, "Acme: it\u2019s STOP") == []
    brand.tenant.has_smart_encoding = False
    assert [each.code for each in lint(brand, "Acme: it\u2019s STOP")] == ["ucs2"]


def test_a_text_with_an_error_is_not_saved(brand):
    assert content.problems(source=GOOD, texts={}, brand=brand) == {}
    found = content.problems(source="bit.ly/x", texts={"es": "Hola {{ name"}, brand=brand)
    assert sorted(found) == ["source", "texts"]
    assert content.problems(source=GOOD, texts={"ES": "Hola"}, brand=brand) == {
        "texts": ["'ES' is no language; write a tag in small letters, like es or es-mx"]
    }
    assert "there is no text" in content.problems(source=GOOD, texts={"es": " "}, brand=brand)["texts"][0]


def test_nor_launched(brand):
    with pytest.raises(InvalidInput, match=r"cannot be sent: line 1, column 1: bit\.ly"):
        content.require_sendable(source="bit.ly/x", texts={}, brand=brand, category=Category.MARKETING)
    content.require_sendable(source="Wine!", texts={}, brand=brand, category=Category.MARKETING)


def test_every_term_is_found_as_written_and_in_capitals():
    for subject, terms in content_terms.TERMS.items():
        for term in terms:
            assert (4, term, subject) in [*content_terms.find(f"the {term}, now")]
            assert [found[2] for found in content_terms.find(term.upper())] == [subject]
