"""The form in which a person's text is compared: N of the facts (§1.3), and what else is done to letters.

Letters of every script are kept. Folding works character by character, so each code point is looked up once in
a process and then stands in a table.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

# What people type as an apostrophe. Deleted before decomposition, which makes spaces of some, and after it.
_APOSTROPHES: Final = frozenset("'`´‘’‛ʼʹ′＇")  # noqa: RUF001
# Letters to Unicode, yet drawn as nothing; the other fillers of Hangul decompose to these.
_BLANK_LETTERS: Final = frozenset("\u115f\u1160")
# Unassigned, and reserved for characters that are drawn as nothing (Default_Ignorable_Code_Point).
_RESERVED_BLANKS: Final = (range(0x2065, 0x2066), range(0xFFF0, 0xFFF9), range(0xE0000, 0xE1000))
_INVISIBLE: Final = frozenset({"Mn", "Mc", "Me", "Cf"})
# Enough for every letter of the scripts people write in; whoever sends all of Unicode does not fill the memory.
_ROOM: Final = 8192
_LAST_LATIN: Final = 0x24F
_RUN: Final = re.compile(r"([^\W\d_])\1+")
_KEYBOARD: Final = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")


class _Folds(dict[int, str]):
    """What becomes of each code point; a missing one is worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        folded = _fold(chr(code))
        if len(self) < _ROOM:
            self[code] = folded
        return folded


def normalise(body: str) -> str:
    """The words of a text: lower case, no accents, nothing invisible, no punctuation, single spaces."""
    return " ".join(body.translate(_FOLDS).split())


def first_line(body: str) -> str:
    """The words of the first line that has any; signatures follow in later ones."""
    return next(filter(None, map(normalise, body.splitlines())), "")


def compact(words: str) -> str:
    """The words without the spaces, as in "S T O P"."""
    return words.replace(" ", "")


def squeeze(words: str) -> str:
    """The words with each run of one letter written once, as in "stopppp"."""
    return _RUN.sub(r"\1", words)


def slips_of(word: str) -> frozenset[str]:
    """What a slip of the finger makes of a word: one key beside the right one, or two letters in the wrong order."""
    return frozenset((*_neighbours_hit(word), *_swapped(word))) - {word}


def _neighbours_hit(word: str) -> Iterator[str]:
    for at, letter in enumerate(word):
        for beside in _BESIDE[letter]:
            yield word[:at] + beside + word[at + 1 :]


def _swapped(word: str) -> Iterator[str]:
    for at, (left, right) in enumerate(pairwise(word)):
        yield word[:at] + right + left + word[at + 2 :]


def _beside() -> dict[str, str]:
    """The keys that touch each key of a QWERTY keyboard; each row begins half a key to the right of the one above."""
    place = {key: (row, column) for row, keys in enumerate(_KEYBOARD) for column, key in enumerate(keys)}
    steps = ((0, -1), (0, 1), (-1, 0), (-1, 1), (1, -1), (1, 0))
    at = {where: key for key, where in place.items()}
    return {
        key: "".join(at.get((row + down, column + right), "") for down, right in steps)
        for key, (row, column) in place.items()
    }


def _fold(character: str) -> str:
    """What is left of one character: letters and digits, a space, or nothing."""
    if character in _APOSTROPHES:
        return ""
    drawn = "".join(part for part in unicodedata.normalize("NFKD", character) if not _is_invisible(part))
    kept = (part for part in drawn.casefold() if part not in _APOSTROPHES)
    return "".join(part if part.isalnum() else " " for part in kept)


def _is_invisible(part: str) -> bool:
    return (
        unicodedata.category(part) in _INVISIBLE
        or part in _BLANK_LETTERS
        or any(ord(part) in blanks for blanks in _RESERVED_BLANKS)
    )


_BESIDE: Final = _beside()
_FOLDS: Final = _Folds({code: _fold(chr(code)) for code in range(_LAST_LATIN + 1)})
