"""Smart encoding: typographic characters become the plain ones of GSM-7, so that one of them does not halve a text's room.

The table is ours and small (facts §4.3): larger ones swap angle quotes and turn a space into two. Letters are never
touched by it, for that would change names; `accents` does so, where a tenant asks for it.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from compliance import segments

VERSION: Final = "smart-encoding@1"
SINCE: Final = "2026-11-21"

_SPACES: Final = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t"
# U+200D joins emoji into one and stays.
_NOTHING: Final = "\u200b\u200c\u2060\ufeff\u00ad"
TABLE: Final[Mapping[str, str]] = (
    dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\u00b4`", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2022", "-")
    | {"\u2026": "..."}
    | dict.fromkeys(_SPACES, " ")
    | dict.fromkeys(_NOTHING, "")
    | dict.fromkeys("\r\u2028\u2029", "\n")
    | {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    | {"\uff40": "'"}  # a back-tick, which GSM-7 lacks in either width
)
_TOUCHED: Final = frozenset(TABLE)

# Latin letters that do not come apart into a letter and an accent.
_LETTERS: Final[Mapping[str, str]] = {
    "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "ħ": "h", "Ħ": "H", "\u0131": "i", "ŧ": "t", "Ŧ": "T",
    "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "Th", "ĸ": "k", "ŋ": "n", "Ŋ": "N", "\u017f": "s", "ẞ": "ß", "ŉ": "'n",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """One character of the text as written, where it stands (from 0), and what is sent instead."""

    at: int
    before: str
    after: str


def encode(text: str, *, smart: bool = True, accents: bool = False) -> str:
    """Return the text as it is sent. `smart` applies the table; `accents` writes Latin letters without what GSM-7 lacks."""
    if smart:
        text = _smart(text)
    return _without_accents(text) if accents and not text.isascii() else text


def changes(text: str, *, smart: bool = True, accents: bool = False) -> Iterator[Change]:
    """Yield what `encode` changes, for people to see."""
    place = 0
    while place < len(text):
        before = "\r\n" if text.startswith("\r\n", place) else text[place]
        after = encode(before, smart=smart, accents=accents)
        if after != before:
            yield Change(place, before, after)
        place += len(before)


def _smart(text: str) -> str:
    # Nearly all texts are ASCII: three quick looks.
    if text.isascii() and "`" not in text and "\t" not in text and "\r" not in text:
        return text
    found = _TOUCHED.intersection(text)
    if found:
        text = text.replace("\r\n", "\n")
        for character in found:  # few of many, so quicker than a look at each
            text = text.replace(character, TABLE[character])
    return text


def _without_accents(text: str) -> str:
    return "".join(map(_plain, unicodedata.normalize("NFC", text)))


@lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    """The letter without its accent, if GSM-7 lacks it; é stays, as it costs nothing."""
    if character.isascii() or character in segments.GSM:
        return character
    if character in _LETTERS:
        return _LETTERS[character]
    base = "".join(mark for mark in unicodedata.normalize("NFD", character) if not unicodedata.combining(mark))
    return base if base.isascii() and base.isalpha() else character
