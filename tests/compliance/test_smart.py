"""Smart encoding: every row of the table, and nothing that changes a name."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance import segments, smart
from compliance.smart import Change, changes, encode

FAMILY = "👨\u200d👩\u200d👧\u200d👦"


@pytest.mark.parametrize(
    ("characters", "written"),
    [
        ("\u2018\u2019\u201a\u201b\u2032\u02bc\u00b4\u0060", "'"),
        ("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
        ("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        ("\u2026", "..."),
        ("\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t", " "),
        ("\u200b\u200c\u2060\ufeff\u00ad", ""),
        ("\u2022", "-"),
        ("\r\u2028\u2029", "\n"),
        ("\uff01\uff21\uff5a\uff5e", None),
    ],
)
def test_writes_the_characters_of_the_table_plainly(characters, written):
    for character in characters:
        expected = written if written is not None else unicodedata.normalize("NFKC", character)
        assert encode(f"a{character}b") == f"a{expected}b"
        assert encode(f"é{character}b") == f"é{expected}b"
        assert segments.count(encode(character)).encoding == "GSM-7"


@pytest.mark.parametrize(
    ("text", "sent", "encoding"),
    [
        ("It\u2019s", "It's", "GSM-7"),
        ("a`b", "a'b", "GSM-7"),
        ("a\tb", "a b", "GSM-7"),
        ("a\u00a0b", "a b", "GSM-7"),
        ("a\r\nb\rc", "a\nb\nc", "GSM-7"),
        ("\uff40", "'", "GSM-7"),
        ("ł", "ł", "UCS-2"),
        ("ç Ç é ñ", "ç Ç é ñ", "UCS-2"),
        (FAMILY, FAMILY, "UCS-2"),
        ("\u2039x\u203a", "\u2039x\u203a", "UCS-2"),
        ("1\u00bd", "1\u00bd", "UCS-2"),
    ],
)
def test_leaves_the_rest_alone(text, sent, encoding):
    assert encode(text) == sent
    assert segments.count(sent).encoding == encoding
    assert encode(text, smart=False) == text


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("Łukasz Ślusarczyk", "Lukasz Slusarczyk"),
        ("ç ș ī ő œ", "c s i o oe"),
        ("Nguyễn Thị", "Nguyen Thi"),
        ("é è ñ ü Ç ß ø Å", "é è ñ ü Ç ß ø Å"),
        ("e\u0301", "é"),
        ("Привет 你好 😀", "Привет 你好 😀"),
        ("", ""),
    ],
)
def test_takes_accents_away_only_where_asked_and_only_those_that_cost(text, sent):
    assert encode(text, accents=True) == sent
    assert encode(text) == text


def test_shows_what_it_changes_and_where():
    text = "\u201cHi\u201d\r\nI\u2019m\u200b Łu\u2026"
    assert list(changes(text)) == [
        Change(0, "\u201c", '"'), Change(3, "\u201d", '"'), Change(4, "\r\n", "\n"), Change(7, "\u2019", "'"),
        Change(9, "\u200b", ""), Change(13, "\u2026", "..."),
    ]  # fmt: skip
    assert [each.before for each in changes("Łu", accents=True)] == ["Ł"]
    assert list(changes("plain")) == []


@given(st.text(alphabet=[*smart.TABLE, *"ab\nł😀\u200d"], max_size=40))
def test_is_done_once_and_is_what_the_changes_say(text):
    sent = encode(text)
    assert encode(sent) == sent
    assert not set(sent) & set(smart.TABLE)
    pieces, place = [], 0
    for change in changes(text):
        pieces += [text[place : change.at], change.after]
        place = change.at + len(change.before)
    assert "".join([*pieces, text[place:]]) == sent
