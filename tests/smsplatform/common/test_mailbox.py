"""Each mailbox has one spelling."""

import pytest

from smsplatform.common import mailbox


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("ana@example.com", "ana@example.com"),
        (" Ana.B@Example.COM ", "ana.b@example.com"),
        ("ana@MÜNCHEN.de", "ana@xn--mnchen-3ya.de"),
        ("ana@..", "ana@.."),
        ("Odd@Name@example.com", "odd@name@example.com"),
        ("+12025550123", "+12025550123"),
        ("PIZZA", "PIZZA"),
    ],
)
def test_is_spelled_one_way(written, stored):
    assert mailbox.spelled(written) == stored
    assert mailbox.spelled(stored) == stored


def test_hides_whose_it_is():
    assert mailbox.masked("ana@example.com") == "a***@example.com"
