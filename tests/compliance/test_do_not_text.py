"""Whom somebody wants suppressed is read as people write it, and what cannot be read is said line by line."""

import pytest

from compliance.do_not_text import Entry, Flaw, read_list, read_number
from smsplatform.common.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("(212) 234-5678", "+12122345678"),
        (" 212.234.5678 ", "+12122345678"),
        ("12122345678", "+12122345678"),
        ("+44 7911 123456", "+447911123456"),
        ("00 44 7911 123456", "+447911123456"),
        ("tel:+1-212-234-5678", "+12122345678"),
        ("+1 (202) 555-0123", "+12025550123"),  # nobody has it; suppressed all the same
        ("+8811 2345 6789", "+881123456789"),  # may not be texted anyway
        ("Ana.B@Example.com", "ana.b@example.com"),
    ],
)
def test_reads_a_number_however_it_is_written(text, number):
    assert read_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "hello", "12345", "911", "1-800-FLOWERS", "2.025550123E9", "@x", "a@b", "+0123456"]
)
def test_refuses_what_is_nobody(text):
    with pytest.raises(InvalidInput) as refusal:
        read_number(text)
    assert refusal.value.field == "number"
    assert "write it like +12125550123" in refusal.value.message


def test_reads_a_list_line_by_line():
    lines = [
        "\ufeffphone,name",
        "2122345678,Ana",
        "",
        '"+1 212 234 5679";"Bob, the second"',
        "not a number,Eve",
        "cal@example.com\tCal",
        "911",
        "2122345678",
    ]
    read = list(read_list(lines))
    assert [each for each in read if isinstance(each, Entry)] == [
        Entry(2, "+12122345678"),
        Entry(4, "+12122345679"),
        Entry(6, "cal@example.com"),
        Entry(8, "+12122345678"),
    ]
    assert [(each.line, "write it like" in each.problem) for each in read if isinstance(each, Flaw)] == [
        (5, True),
        (7, True),
    ]


@pytest.mark.parametrize("first", ["2122345678", "ana@example.com", "+1 212 234 5678,phone"])
def test_takes_a_first_line_that_is_a_person(first):
    [entry] = read_list([first])
    assert entry.line == 1


def test_says_that_a_first_line_with_a_wrong_number_is_wrong():
    [flaw] = read_list(["911911911911911911,Eve"])
    assert flaw.line == 1
