import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tracking.shortening import (
    CODE_ALPHABET,
    CODE_LENGTH,
    BadDestination,
    check_destination,
    fill_in,
    find_urls,
    new_code,
    with_placeholders,
    with_query,
)

BASE = "https://go.acme.example"


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("no link", []),
        ("see https://shop.example/a.", ["https://shop.example/a"]),
        ("(https://shop.example/a?x=1#f)!", ["https://shop.example/a?x=1#f"]),
        ("HTTP://Shop.example, https://b.example;", ["HTTP://Shop.example", "https://b.example"]),
        (
            '"https://shop.example/q" <https://b.example>',
            ["https://shop.example/q", "https://b.example"],
        ),
        ("https://shop.example/a_(b)", ["https://shop.example/a_(b)"]),
        ("[https://shop.example/a_(b)].", ["https://shop.example/a_(b)"]),
        ("«https://shop.example/é»", ["https://shop.example/é"]),
        ("https://shop.example/a…", ["https://shop.example/a"]),
        ("https:// http://. www.shop.example ftp://x.example", []),
        ("https://shop.example/\nnext", ["https://shop.example/"]),
    ],
)
def test_finds_urls_without_the_punctuation_around_them(text, urls):
    found = list(find_urls(text))
    assert [each.url for each in found] == urls
    assert all(text[each.start : each.end] == each.url for each in found)


def test_puts_a_placeholder_for_each_url_by_position():
    text = "A https://shop.example/a, b https://SHOP.example/b! Again: https://shop.example/a"
    placed, destinations = with_placeholders(text, BASE)
    assert placed == (f"A {BASE}/0000000000, b {BASE}/0000000001! Again: {BASE}/0000000002")
    assert destinations == [
        "https://shop.example/a",
        "https://shop.example/b",
        "https://shop.example/a",
    ]


@pytest.mark.parametrize("base", [BASE, BASE + "/", "go.acme.example", "https://go.acme.example:8443/l"])
def test_fills_in_codes_of_the_same_length(base):
    placed, destinations = with_placeholders("x https://a.example y https://b.example.", base)
    codes = [new_code() for _ in destinations]
    filled = fill_in(placed, codes)
    assert filled == f"x {base.rstrip('/')}/{codes[0]} y {base.rstrip('/')}/{codes[1]}."
    assert len(filled) == len(placed)


def test_leaves_alone_what_is_a_link_of_ours_already():
    text = f"{BASE}/BcDfGhJkMn and https://GO.acme.example/x and https://shop.example"
    placed, destinations = with_placeholders(text, BASE)
    assert placed == f"{BASE}/BcDfGhJkMn and https://GO.acme.example/x and {BASE}/0000000000"
    assert destinations == ["https://shop.example"]


def test_leaves_a_text_without_links_as_it_is():
    assert with_placeholders("call 1/0000000001", BASE) == ("call 1/0000000001", [])
    assert fill_in("call 1/0000000001", []) == "call 1/0000000001"


@pytest.mark.parametrize(
    "text",
    [
        "https://shop.example tel/0000000001",
        f"{BASE}/0000000000 https://shop.example",
        "https://shop.example/?to=https://user@evil.example https://user@evil.example",
        "http://shop.example",
        " ".join(["https://shop.example"] * 101),
    ],
)
def test_refuses_a_text_whose_links_it_cannot_place(text):
    with pytest.raises(BadDestination):
        with_placeholders(text, BASE)


def test_allows_plain_http_where_that_is_wanted():
    _, destinations = with_placeholders("http://shop.example:80/x", BASE, allow_http=True)
    assert destinations == ["http://shop.example/x"]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (f"{BASE}/0000000000", ["BcDfGhJkMn", "BcDfGhJkMp"]),
        (f"{BASE}/0000000000 {BASE}/0000000001", ["BcDfGhJkMn"]),
        (f"{BASE}/0000000001", ["BcDfGhJkMn"]),
        ("nothing", ["BcDfGhJkMn"]),
    ],
)
def test_refuses_codes_that_do_not_fit_the_placeholders(text, codes):
    with pytest.raises(ValueError, match="placeholders"):
        fill_in(text, codes)


def test_makes_codes_nobody_can_guess_or_read_wrong():
    codes = {new_code() for _ in range(2_000)}
    assert len(codes) == 2_000
    assert {len(code) for code in codes} == {CODE_LENGTH}
    assert set("".join(codes)) == set(CODE_ALPHABET)
    assert len(set(CODE_ALPHABET)) == 48
    assert set(CODE_ALPHABET).isdisjoint("01aeiouAEIOUlI")


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://shop.example/a?x=1#f", "https://shop.example/a?x=1#f"),
        ("HTTPS://SHOP.EXAMPLE", "https://shop.example"),
        ("https://Shop.Example.:443/A%20b", "https://shop.example/A%20b"),
        ("https://shop.example:8443/", "https://shop.example:8443/"),
        ("https://münchen.example/straße?q=ü#ö",
         "https://xn--mnchen-3ya.example/stra%C3%9Fe?q=%C3%BC#%C3%B6"),
        ("https://shop.example/a'(b)[c]", "https://shop.example/a'(b)%5Bc%5D"),
        ("https://shop.example/?a[]=1&b=%C3%A9", "https://shop.example/?a[]=1&b=%C3%A9"),
        ("https://user.example/@handle", "https://user.example/@handle"),
    ],
)  # fmt: skip
def test_accepts_a_destination_in_its_normal_form(url, normal):
    assert check_destination(url) == normal
    assert check_destination(normal) == normal


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("javascript:alert(1)", "does not begin"),
        ("//evil.example", "does not begin"),
        ("shop.example", "does not begin"),
        ("http://shop.example", "does not begin"),
        ("ftp://shop.example", "does not begin"),
        ("https://user:pw@evil.example", "user name"),
        ("https://shop.example@evil.example/", "user name"),
        (r"https://shop.example\@evil.example", "backslash"),
        ("https://shop.example/a b", "space"),
        ("https://shop.example/\x00", "control"),
        ("https://shop.example/\r\nSet-Cookie: a", "control"),
        ("https://shop.example/\u202egpj", "control"),
        ("https://10.0.0.1/", "IP address"),
        ("https://203.0.113.9:8443/", "IP address"),
        ("https://[::1]/", "IP address"),
        ("https://[::ffff:10.0.0.1]/", "IP address"),
        ("https://2130706433/", "IP address"),
        ("https://0x7f.1/", "IP address"),
        ("https://0x7f000001/", "IP address"),
        ("https://127.1./", "IP address"),
        ("https://１２７.0.0.１/", "IP address"),  # noqa: RUF001
        ("https://localhost/", "public"),
        ("https://shop/", "public"),
        ("https://db.internal/", "public"),
        ("https://app.localhost", "public"),
        ("https://printer.local", "public"),
        ("https://1.0.0.10.in-addr.arpa", "public"),
        ("https://", "host"),
        ("https:///path", "host"),
        ("https://shop..example", "domain"),
        ("https://-shop.example", "domain"),
        ("https://%65vil.example", "domain"),
        ("https://shop.example:99999/", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://" + "a" * 64 + ".example", "domain"),
        ("https://bit.ly/x", "shortener"),
        ("https://www.tinyurl.com/x", "shortener"),
        ("https://shop.example/" + "a" * 2_048, "longer"),
        ("https://shop.example/" + "é" * 400, "longer"),
    ],
)
def test_refuses_a_destination(url, reason):
    with pytest.raises(BadDestination, match=reason):
        check_destination(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://shop.example/a?x=1#f", "https://shop.example/a?x=1&utm_source=sms#f"),
        ("https://shop.example", "https://shop.example?utm_source=sms"),
        ("https://shop.example/?utm_source=mail&y=", "https://shop.example/?utm_source=mail&y="),
    ],
)
def test_adds_parameters_without_doubling_them(url, expected):
    assert with_query(url, {"utm_source": "sms"}) == expected


@settings(deadline=None)
@given(st.text(max_size=80) | st.text(alphabet="htps:/.@\\[]0x1%localexmp", max_size=40).map("https://".__add__))
def test_accepts_only_plain_public_https(url):
    try:
        normal = check_destination(url)
    except BadDestination:
        return
    assert normal.startswith("https://")
    assert normal.isascii()
    assert check_destination(normal) == normal


@settings(deadline=None)
@given(
    words=st.lists(
        st.sampled_from(
            [
                "Hi",
                "https://a.example/x",
                "https://b.example?q=1,",
                "(https://c.example)",
                "2/00000000",
            ]
        ),
        max_size=12,
    ),
    separator=st.sampled_from([" ", "\n", " - "]),
)
def test_loses_nothing_between_placing_and_filling(words, separator):
    text = separator.join(words)
    placed, destinations = with_placeholders(text, BASE)
    assume(destinations)
    codes = [new_code() for _ in destinations]
    filled = fill_in(placed, codes)
    for code, destination in zip(codes, destinations, strict=True):
        assert filled.count(f"{BASE}/{code}") == 1
        filled = filled.replace(f"{BASE}/{code}", destination)
    assert filled == text
