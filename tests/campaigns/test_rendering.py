import contextlib
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns import rendering
from campaigns.rendering import BadTemplate, MissingField, RenderError


def _render(source, /, **fields):
    return rendering.render(rendering.compile_text(source), fields)


@pytest.mark.parametrize(
    ("source", "fields", "expected"),
    [
        ("Hi {{ first_name }}!", {"first_name": "Ana"}, "Hi Ana!"),
        ("Hi {{first_name}}!", {"first_name": "  Ana "}, "Hi Ana!"),
        ('Hi {{ first_name | default: "there" }}!', {}, "Hi there!"),
        ('Hi {{ first_name | default: "there" }}!', {"first_name": ""}, "Hi there!"),
        ('Hi {{ first_name | default: "there" }}!', {"first_name": "  "}, "Hi there!"),
        ('Hi {{ first_name | default: "there" }}!', {"first_name": None}, "Hi there!"),
        ("Hi {{first_name|default:'there'}}!", {}, "Hi there!"),
        ("{{ n }}", {"n": "{{ evil }} {% if x %}"}, "{{ evil }} {% if x %}"),
        ("{{ n }}", {"n": "O'Brien & <b>"}, "O'Brien & <b>"),
        ('{{ c.name | default: "x" }}', {}, "x"),
        ('{{ n | default: "x" | upcase }}', {}, "X"),
        ("{% if vip %}VIP {% else %}{% endif %}sale", {}, "sale"),
        ("{% if vip %}VIP {% else %}{% endif %}sale", {"vip": False}, "sale"),
        ("{% if vip %}VIP {% else %}{% endif %}sale", {"vip": True}, "VIP sale"),
        ("{% if vip %}VIP {% else %}{% endif %}sale", {"vip": "no"}, "VIP sale"),
        ('{% if city == "Paris" %}Oui{% else %}Yes{% endif %}', {"city": "Paris"}, "Oui"),
        ('{% if city == "Paris" %}Oui{% else %}Yes{% endif %}', {}, "Yes"),
        ("{% if points > 99 %}Gold{% endif %}!", {"points": 100}, "Gold!"),
        ("{% if a and b %}both{% else %}no{% endif %}", {"a": 1}, "no"),
        ("{{ n | upcase }} {{ n | downcase }} {{ n | capitalize }}", {"n": "aNa"}, "ANA ana Ana"),
        ('{{ n | truncate: 5, ".." }}', {"n": "Alexandra"}, "Ale.."),
        ('{{ d | date: "%d.%m.%Y" }}', {"d": "2026-11-21"}, "21.11.2026"),
        ('{{ d | date: "%b %-d, %-I:%M %p" }}', {"d": "2026-11-05T09:30Z"}, "Nov 5, 9:30 AM"),
        ('{{ d | date: "%Y-%m-%d" }}', {"d": "11/21/2026"}, "2026-11-21"),
        ('{{ d | date: "%Y" }}', {"d": "next week"}, "next week"),
        ('{{ d | date: "%Y" }}', {"d": "now"}, "now"),
        ("{{ i }} {{ f }} {{ d }} {{ b }}", {"i": 0, "f": 1.5, "d": Decimal("2.50"), "b": True},
         "0 1.5 2.50 true"),
        ('{{ i | default: "x" }}{{ b | default: "y" }}', {"i": 0, "b": False}, "0y"),
        ("{{ b }}", {"b": False}, "false"),
        ("a\r\nb\rc {{ n }}", {"n": "1\r\n2\u20283"}, "a\nb\nc 1 2 3"),
        ("{name} ((name)) { {x} }", {}, "{name} ((name)) { {x} }"),
        ("", {}, ""),
    ],
)  # fmt: skip
def test_renders(source, fields, expected):
    assert _render(source, **fields) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"city": "Rome"}, "Rome Rome"),
        ({"custom": {"city": "Rome"}}, "Rome Rome"),
        ({"city": "Oslo", "custom": {"city": "Rome"}}, "Oslo Rome"),
        ({"city": " ", "custom": {"city": "Rome"}}, "Rome Rome"),
        ({"city": "Oslo", "custom": {"city": None}}, "Oslo Oslo"),
        ({"city": "Oslo", "custom": "no mapping"}, "Oslo Oslo"),
    ],
)
@pytest.mark.parametrize("tail", ["", "{% if x %}{% endif %}"])
def test_finds_custom_fields_by_both_names(fields, expected, tail):
    assert _render("{{ city }} {{ custom.city }}" + tail, **fields) == expected


@pytest.mark.parametrize("value", ["", "  ", None, "\n", "\x00\x07", [], {}, {"a": 1}, [1], b"x",
                                   float("nan"), float("inf"), Decimal("NaN"), Decimal("1e999"),
                                   10**40, object()])  # fmt: skip
@pytest.mark.parametrize(
    "source",
    ["Hi {{ first_name }}!", "Hi {{ first_name | upcase }}!",
     '{% if 1 %}{{ first_name | date: "%Y" }}{% endif %}'],
)  # fmt: skip
def test_refuses_a_recipient_without_a_value(source, value):
    for fields in ({"first_name": value}, {}):
        with pytest.raises(MissingField) as caught:
            _render(source, **fields)
        assert caught.value.name == "first_name"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("{{ custom.city }}", "custom.city"),
        ("a\n{% if x %}{% else %}{{ b.c | strip }}{% endif %}", "b.c"),
        ("{{ a | default: other }}", "other"),
        ("{% if points > 5 %}x{% endif %}{{ last }}", "last"),
    ],
)
def test_names_the_field_that_is_missing(source, name):
    with pytest.raises(MissingField) as caught:
        _render(source)
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        ("{% if a > 5 %}x{% endif %}", {"a": "many"}),
        ("{{ a | truncate: n }}", {"a": "text", "n": "many"}),
        ("{{ a }}{{ a.b }}{% if a %}{% endif %}", {"a": {"b": "x"}}),
        ("{{ a }}" * 90 + "{% if a %}{% endif %}", {"a": "x" * 100}),
        ("{{ a }}" * 90, {"a": "x" * 100}),
        ("{{ a }}" * 10, {"a": "https://shop.example/" + "x" * 1_000}),
    ],
)
def test_refuses_a_recipient_whose_text_cannot_be_made(source, fields):
    with pytest.raises(RenderError):
        _render(source, **fields)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Ana\nMaria", "Ana Maria"),
        ("A\x00n\x1ba\x7f", "Ana"),
        ("\u202eanA", "anA"),
        ("Zoe\u0308", "Zoë"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("x" * 101, "x" * 100),
        ("x" * 99 + "  y", "x" * 99),
        ("\ud800x", "x"),
        ("https://shop.example/" + "x" * 500, "https://shop.example/" + "x" * 500),
        ("HTTP://shop.example/" + "x" * 2_100, None),
        ("https://shop.example " + "x" * 500, "https://shop.example " + "x" * 79),
    ],
)
def test_cleans_values(value, shown):
    assert rendering.clean(value) == shown


@pytest.mark.parametrize(
    "name",
    [
        "http://evil.example", "HTTPS://evil", "see www.evil.example", "evil.example", "Ann evil.example/x", "ann@evil",
        "bit.ly/x", "win.com", "Ann://x",
    ],
)  # fmt: skip
def test_a_name_that_holds_an_address_is_nobodys(name):
    assert _render('Hi {{ first_name | default: "there" }}', first_name=name) == "Hi there"
    assert _render('Hi {{ custom.name | default: "you" }}', custom={"name": name}) == "Hi you"
    with pytest.raises(MissingField):
        _render("Hi {{ last_name }}", last_name=name)
    assert _render("See {{ page }}", page=name) == f"See {name}"


@pytest.mark.parametrize(
    "name",
    ["Ann", "J. R. Smith", "St. John", "O'Brien-Smith", "Dr. 5", "José", "Ann (Annie)", "A.", "J.R", "Ann/Bob", "1.5"],
)
def test_a_name_with_a_dot_is_a_name(name):
    assert _render("Hi {{ first_name }}", first_name=name) == f"Hi {name}"


@pytest.mark.parametrize(
    ("source", "line", "column", "message"),
    [
        ("Hi {{ first_name", 1, 4, "never closed"),
        ("Hi {% if x", 1, 4, "never closed"),
        ("{% for i in (1..9) %}", 1, 4, "no tag for"),
        ("one\ntwo {% unless x %}a{% endunless %}", 2, 8, "no tag unless"),
        ("{% assign x = 1 %}", 1, 4, "no tag assign"),
        ("{% include 'x' %}", 1, 4, "no tag include"),
        ("a{%- raw %}{{ x }}{% endraw %}", 1, 6, "no tag raw"),
        ("{% comment %}x{% endcomment %}", 1, 4, "no tag comment"),
        ("{% doc %}x{% enddoc %}", 1, 4, "no tag doc"),
        ("{% # x %}", 1, 4, "no tag #"),
        ("{% liquid\n echo x %}", 1, 4, "no tag liquid"),
        ("{% endif %}", 1, 4, "no tag endif"),
        ("{% if a %}{% endif %}\n {% if b %}x", 2, 2, "{% if %} is never closed"),
        ("x{{ }}", 1, 2, "no field"),
        ("a\n\n {{ n | shout }}", 3, 9, "no filter shout"),
        ("{{ n | append: 'x' }}", 1, 8, "no filter append"),
        ("{% if x %}{{ n | size }}{% endif %}", 1, 18, "no filter size"),
        ("{{ n | upcase | default: 'x' }}", 1, 17, "default must be the first"),
        ("{{ n | default }}", 1, 8, "default needs a text"),
        ("{{ a[b] }}", 1, 4, "not a field"),
        ("{{ a[0] }}", 1, 4, "not a field"),
        ("{{ (1..9) }}", 1, 4, "not a field"),
        ("{{ nil }}", 1, 4, "not a field"),
        ("{{ n | truncate: 'x' }}", 1, 8, "truncate"),
        ("{{ n | upcase: 1 }}", 1, 8, "upcase"),
        ("{{ n | date: '%999999d' }}", 1, 8, "layout"),
        ("{{ a b }}", 1, 6, "expected"),
        ("x" * 10_001, 1, 1, "longer than"),
    ],
)
def test_says_at_save_time_what_is_wrong_and_where(source, line, column, message):
    [flaw] = rendering.check(source)
    assert (flaw.line, flaw.column) == (line, column)
    assert message in flaw.message
    with pytest.raises(BadTemplate):
        rendering.compile_text(source)


def test_lists_every_flaw_in_order():
    flaws = rendering.check("{{ a | shout }}\n{{ b | upcase | default: 'x' }} {{ c[d] }}")
    assert [(flaw.line, flaw.column) for flaw in flaws] == [(1, 8), (2, 17), (2, 36)]


def test_refuses_conditions_nested_too_deep():
    assert rendering.check("{% if a %}" * 50 + "{% endif %}" * 50)
    assert not rendering.check("{% if a %}" * 5 + "{% endif %}" * 5)


@pytest.mark.parametrize(
    ("source", "positions"),
    [
        ("Hi {name}", [(1, 4)]),
        ("Hi {{ name }} ((name))\n{ city }", [(1, 15), (2, 1)]),
        ("a }} b", [(1, 3)]),
        ("a\r\n{x}", [(2, 1)]),
        ("Hi {{ name }}, {1} (see (below)) {} 5 { 6 }", []),
        ("{{ broken", []),
    ],
)
def test_warns_of_text_that_looks_like_a_field(source, positions):
    assert [(flaw.line, flaw.column) for flaw in rendering.warnings(source)] == positions


def test_lists_the_fields_in_order_of_appearance():
    source = (
        "{% if vip %}{{ first_name }}{% else %}{{ c.name | default: alias }}{% endif %}"
        "{{ first_name | upcase }}{{ custom.city }}"
    )
    assert rendering.fields_used(source) == ("vip", "first_name", "c.name", "alias", "custom.city")


_NAMES = st.sampled_from(["a", "b", "custom.a", "custom.c", "d.e"])
_TEXTS = st.text(alphabet="xyz \nłñ😀{}%|", max_size=10).filter(
    lambda text: "{{" not in text and "{%" not in text and not text.endswith("{")
)
_OUTPUTS = st.builds(
    lambda name, default: f"{{{{ {name} }}}}" if default is None else f'{{{{ {name} | default: "{default}" }}}}',
    _NAMES,
    st.none() | st.text(alphabet="xyz é", max_size=5),
)
_VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=120)
    | st.decimals() | st.lists(st.integers(), max_size=2)
)  # fmt: skip
_FIELDS = st.dictionaries(st.sampled_from(["a", "b", "c"]), _VALUES).flatmap(
    lambda top: st.builds(
        lambda custom, d: {**top, "custom": custom, "d": d},
        st.dictionaries(st.sampled_from(["a", "c"]), _VALUES),
        _VALUES | st.dictionaries(st.just("e"), _VALUES),
    )
)


def _outcome(source, fields):
    try:
        return _render(source, **fields)
    except MissingField as error:
        return ("missing", error.name)


@settings(deadline=None)
@given(parts=st.lists(_TEXTS | _OUTPUTS, max_size=6), fields=_FIELDS)
def test_gives_the_same_text_with_and_without_liquid(parts, fields):
    source = "".join(parts)
    assert rendering.compile_text(source).parts is not None
    by_liquid = "{% if nothing %}{% endif %}" + source
    assert rendering.compile_text(by_liquid).parts is None
    assert _outcome(source, fields) == _outcome(by_liquid, fields)


@settings(deadline=None)
@given(source=st.text(alphabet="{}%| ifabend.:'\"()[]-0\n", max_size=60), fields=_FIELDS)
def test_fails_only_in_its_own_words(source, fields):
    if rendering.check(source):
        with pytest.raises(BadTemplate):
            rendering.compile_text(source)
        return
    rendering.warnings(source)
    with contextlib.suppress(RenderError):
        assert isinstance(_render(source, **fields), str)
