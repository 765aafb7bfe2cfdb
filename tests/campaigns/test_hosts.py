import pytest

from campaigns.hosts import find, forbidden
from tracking.shortening import PUBLIC_SHORTENERS


@pytest.mark.parametrize("host", sorted(PUBLIC_SHORTENERS))
def test_finds_every_public_shortener_bare_and_in_links(host):
    assert forbidden(f"See {host}/abc now", [], ()) == host
    assert forbidden(f"See {host.upper()}.", [], ()) == host
    assert forbidden(f"({host})", [], ()) == host


@pytest.mark.parametrize(
    "text",
    [
        "See internet.com and at.company.com", "t.company", "t.co.uk", "habit.ly", "a-bit.ly", "rb.gym", "",
        "no host. At all.", "bit.lyx", "is.gda",
    ],
)  # fmt: skip
def test_lets_alone_what_only_looks_like_one(text):
    assert forbidden(text, [], ()) == ""
    assert find(text, ()) == []


@pytest.mark.parametrize(
    ("text", "destinations", "banned", "found"),
    [
        ("x", ["https://xn--pypal-4ve.com/a"], (), "xn--pypal-4ve.com"),
        ("pay at XN--pypal-4ve.com", [], (), "xn--pypal-4ve.com"),
        ("x", ["https://www.rival.example/a"], ("rival.example",), "www.rival.example"),
        ("x", ["https://rival.example"], ("rival.example",), "rival.example"),
        ("x", ["https://notrival.example"], ("rival.example",), ""),
        ("see rival.example", [], ("rival.example",), "rival.example"),
        ("see rival.example.org", [], ("rival.example",), ""),
        ("x", ["https://shop.example/bit.ly"], (), ""),
    ],
)
def test_look_alikes_and_what_a_tenant_bans(text, destinations, banned, found):
    assert forbidden(text, destinations, banned) == found


def test_says_where_they_stand():
    assert find("a bit.ly/x\nand T.CO", ()) == [(2, "bit.ly"), (15, "t.co")]
