"""Reads whom somebody wants to be suppressed: one number or address, or a pasted or uploaded list of them.

Any number may be suppressed, also one that may not be texted anyway: rather one too many than one too few.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import phonenumbers

from compliance.data import npa
from smsplatform.common import mailbox, phone
from smsplatform.common.errors import InvalidInput

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII).fullmatch
_ADDRESS: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+").fullmatch
_SEPARATOR: Final = re.compile(r"[,;\t|]")
_EVERYWHERE: Final = frozenset(phonenumbers.SUPPORTED_REGIONS)
_RULES: Final = phone.Rules(_EVERYWHERE, known_npas=npa.COUNTRY)
_LONGEST: Final = 254
_FEWEST_DIGITS: Final = 3


class Entry(NamedTuple):
    """A line that names somebody."""

    line: int
    number: str


class Flaw(NamedTuple):
    """A line that names nobody, and why."""

    line: int
    problem: str


def read_number(text: str) -> str:
    """Return the number as E.164, or the e-mail address in its one spelling; raises InvalidInput."""
    text = text.strip()
    if len(text) <= _LONGEST and _ADDRESS(text):
        return mailbox.spelled(text)
    found = _RULES.parse(text)
    if isinstance(found, phone.Number):
        return found.e164
    bare = re.sub(r"[\s().-]", "", text)
    if _E164(bare):
        return bare
    raise InvalidInput(f"{text[:40]!r}: {found.message}; write it like +12125550123", field="number")


def read_list(lines: Iterable[str]) -> Iterator[Entry | Flaw]:
    """Yield what each line says: its first cell is the number, whatever follows is not looked at.

    Empty lines say nothing, nor does a first line that names columns.
    """
    for place, line in enumerate(lines, start=1):
        cell = _SEPARATOR.split(line.removeprefix("\ufeff").strip(), maxsplit=1)[0].strip().strip("\"'").strip()
        if not cell or (place == 1 and _names_a_column(cell)):
            continue
        try:
            yield Entry(place, read_number(cell))
        except InvalidInput as error:
            yield Flaw(place, error.message)


def _names_a_column(cell: str) -> bool:
    return "@" not in cell and sum(mark.isdigit() for mark in cell) < _FEWEST_DIGITS and any(map(str.isalpha, cell))
