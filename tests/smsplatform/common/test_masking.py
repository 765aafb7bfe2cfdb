"""Nothing that is shown names a person: each way in which a number, an address or a text may come along."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsplatform.common import masking

CANARY = "+12025550123"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("+12025550123", "+1*******0123"),  # facts §8.1
        ("+442079460123", "+44*******0123"),
        ("+35312345678", "+353*******5678"),
        ("+79161234567", "+7*******4567"),
        ("+6831234", "+683*******4"),  # so short that four digits would be most of it
        ("12025550123", "*******0123"),
        ("(202) 555-0123", "*******0123"),
        ("Ana.B@example.com", "A***@example.com"),
        ("CUBICLE", "CUBICLE"),
        ("", ""),
        ("#17", "(erased)"),
        ("1a2b3c4d:00ff", "(erased)"),
    ],
)
def test_a_number_shows_its_country_and_its_end(raw, shown):
    assert masking.number(raw) == shown


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("192.168.100.200", "192.168.100.0"),
        ("2001:db8:1:2::5", "2001:db8:1::"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("nowhere", "nowhere"),
        ("", ""),
    ],
)
def test_an_address_shows_its_network(raw, shown):
    assert masking.ip(raw) == shown


@pytest.mark.parametrize(
    "written",
    [
        "+12025550123",
        "12025550123",
        "2025550123",
        "(202) 555-0123",
        "+1 (202) 555-0123",
        "+1-202-555-0123",
        "+1.202.555.0123",
        "202.555.0123",
        "1 202 555 0123",
        "%2B12025550123",
        "%2b1%20202%20555%200123",
        "\\u002b12025550123",
        "tel:+12025550123",
        "number=12025550123&x=1",
        "n12025550123n",
        "phone_12025550123",
        '{"number": "+12025550123"}',
        "Key (number)=(+12025550123) already exists.",
        "+12025550123,+12025550123",
        "+12025550123 +12025550123",
        "Message(reference='x', to='+12025550123', text='')",
        "GET /admin/campaigns/recipient/?q=%2B12025550123 HTTP/1.1",
    ],
)
def test_a_number_is_found_however_it_is_written(written):
    shown = masking.text(f"at 10:00:00 {written} went wrong")
    digits = "".join(mark for mark in shown if mark.isdigit())
    assert "2025550" not in digits
    assert "202555" not in digits
    assert shown.startswith("at 10:00:00 ")
    assert shown.endswith(" went wrong")


@pytest.mark.parametrize(
    "harmless",
    [
        '{"timestamp": "2026-11-22T00:42:29.123456Z", "level": "info"}',
        "2026-11-22 00:42:29,123 INFO",
        "2026-11-22 00:42:29+00:00",
        "run 7381234567890123456, batch 12",
        "01234567-89ab-cdef-0123-456789abcdef",
        "00000000-1111-2222-3333-444444444444",
        "5f0e1d2c3b4a59687786950403020100aabbccdd",
        "127.0.0.1:8000",
        "arguments [12345, 3, 'bulk']",
        "took 1234567.891 ms",
        "10:00:00 and 23:59:59.999",
        "1,000,000 rows in 0.5 s",
    ],
)
def test_ids_and_instants_pass(harmless):
    assert masking.text(harmless) == harmless


def test_what_else_names_a_person_is_masked_in_texts():
    shown = masking.text("ana.b@example.com from 203.0.113.77 and 2001:db8:aaaa:bbbb::1")
    assert shown == "a***@example.com from 203.0.113.0 and 2001:db8:aaaa::"


def test_values_that_the_database_tells_are_hidden():
    error = (
        'null value in column "text"\nDETAIL:  Failing row contains (1, Dear Ana,\n\nyour balance is 3).\n\n'
        "The above exception was the direct cause of the following exception:\n\nTraceback …"
    )
    shown = masking.text(error)
    assert "Ana" not in shown
    assert "balance" not in shown
    assert "Traceback …" in shown


def test_a_statement_loses_its_values():
    assert (
        masking.sql("UPDATE x SET text = 'it''s\n+12025550123' WHERE id = 3") == "UPDATE x SET text = '…' WHERE id = 3"
    )


@pytest.mark.parametrize(
    "name", ["text", "body", "fields", "password", "api_token", "webhook_secret", "Cookie", "merge_data"]
)
def test_what_is_nobodys_business_is_hidden_by_its_name(name):
    assert masking.value({name: "anything"}) == {name: masking.HIDDEN}
    assert masking.value({name: ""}) == {name: ""}


def test_values_are_masked_inside_of_others():
    found = masking.value({"to": [CANARY, {"deep": (CANARY,)}], "count": 3, "id": 12025550123, "raw": b"x", "ok": True})
    assert found == {
        "to": ["+1*******0123", {"deep": ["+1*******0123"]}], "count": 3, "id": "*******0123", "raw": "(hidden)", "ok": True,
    }  # fmt: skip


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(["+12025550123", "+442079460123", "+4915112345678"]))
def test_no_text_around_a_number_uncovers_it(before, after, number):
    # Digits that touch it make it another number; what does not touch it must not save it.
    shown = masking.text(f"{before} {number} {after}")
    assert number not in shown
    assert number[3:-4] not in shown.replace(before, "").replace(after, "")


@given(st.text())
def test_masks_whatever_comes(text):
    assert isinstance(masking.text(text), str)
