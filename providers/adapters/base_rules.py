"""The small language in which an account's options say what an answer or a report means, line by line.

A rule: conditions, all of which must hold, an arrow, a meaning; the first rule that fits counts.

    status=400,422 field=error.code value=E12 -> rejected_permanent

A line of a status table: the vendor's words, an arrow, ours.

    DELIVRD "handed over" -> delivered

`value=*` is any value that is not empty. `opted_out` after a meaning: the person has opted out. Texts with spaces
stand in quotes, `#` begins a comment, empty lines are skipped.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from providers.adapters.base import InvalidOption, Outcome, ReceiptStatus

OUTCOMES: Final = (
    Outcome.REJECTED_PERMANENT,
    Outcome.REJECTED_RETRYABLE,
    Outcome.REJECTED_PROVIDER,
    Outcome.UNKNOWN,
)
Lookup = Callable[[str], str]  # the text at a path
_OPTED_OUT: Final = "opted_out"
_ANYTHING: Final = "*"


@dataclass(frozen=True, slots=True)
class When:
    """Conditions that must all hold; without statuses any HTTP status will do."""

    statuses: frozenset[int]
    fields: Sequence[tuple[str, str]]

    def holds(self, look: Lookup, status: int = 0) -> bool:
        """Return whether the conditions hold for an answer or event."""
        if self.statuses and status not in self.statuses:
            return False
        return all(bool(look(path)) if value == _ANYTHING else look(path) == value for path, value in self.fields)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an answer means for which the conditions hold."""

    when: When
    outcome: Outcome
    opted_out: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What a vendor's status means."""

    status: ReceiptStatus
    opted_out: bool = False


def read_when(option: str, text: str) -> When:
    """Return the conditions in an option; raises InvalidOption."""
    return _when(option, _words(option, text))


def read_refusals(option: str, text: str) -> tuple[Refusal, ...]:
    """Return the rules in an option; raises InvalidOption for those that would prove nothing, too."""
    found = []
    for place, words in _lines(option, text):
        left, meaning, opted_out = _arrow(place, words, [str(outcome) for outcome in OUTCOMES])
        conditions = _when(place, left)
        if not conditions.statuses or not conditions.fields:
            raise InvalidOption(
                f"{place}: a status alone could come from anybody's server, and a field under any status too; "
                "write status=… and field=… value=… with a field that only this vendor sends"
            )
        found.append(Refusal(conditions, Outcome(meaning), opted_out))
    return tuple(found)


def read_statuses(option: str, text: str) -> Mapping[str, Report]:
    """Return the meaning of each of a vendor's statuses, in small letters; raises InvalidOption.

    The words of ReceiptStatus mean themselves unless the table says otherwise.
    """
    found = {str(status): Report(status) for status in ReceiptStatus}
    for place, words in _lines(option, text):
        left, meaning, opted_out = _arrow(place, words, [str(status) for status in ReceiptStatus])
        if not left:
            raise InvalidOption(f"{place}: no word of the vendor's; write at least one before the arrow")
        found |= {word.casefold(): Report(ReceiptStatus(meaning), opted_out) for word in left}
    return MappingProxyType(found)


def _lines(option: str, text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the words of each line that says something, with its place as people call it."""
    for number, line in enumerate(text.splitlines(), start=1):
        place = f"{option}, line {number}"
        if words := _words(place, line):
            yield place, words


def _words(place: str, line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        problem = str(error).lower()
        raise InvalidOption(f"{place}: {problem}; open and close quotes in the same line") from None


def _arrow(place: str, words: Sequence[str], meanings: Sequence[str]) -> tuple[Sequence[str], str, bool]:
    """Return what stands before the arrow, the meaning after it, and whether it is an opt-out."""
    if words.count("->") != 1:
        raise InvalidOption(f"{place}: must have one arrow; write … -> {meanings[0]}")
    arrow = words.index("->")
    left, right = words[:arrow], words[arrow + 1 :]
    if not right or right[0] not in meanings:
        given = repr(right[0]) if right else "nothing"
        raise InvalidOption(f"{place}: {given} is no meaning; write one of {', '.join(meanings)}")
    if right[1:] not in ([], [_OPTED_OUT]):
        raise InvalidOption(f"{place}: {' '.join(right[1:])!r} after the meaning; leave it out, or write {_OPTED_OUT}")
    return left, right[0], len(right) > 1


def _when(place: str, words: Sequence[str]) -> When:
    statuses: set[int] = set()
    fields: list[tuple[str, str]] = []
    waiting = ""  # the field whose value comes next
    for word in words:
        name, _, given = word.partition("=")
        if (name == "value") is not bool(waiting) or name not in {"status", "field", "value"} or not given:
            raise InvalidOption(f"{place}: {word!r} stands wrong; write status=200,201 or field=a.path value=text")
        if name == "status":
            statuses |= _statuses(place, given)
        elif name == "value":
            fields.append((waiting, given))
        waiting = given if name == "field" else ""
    if waiting:
        raise InvalidOption(f"{place}: field={waiting} has no value; write field={waiting} value=text, or value=*")
    return When(frozenset(statuses), tuple(fields))


def _statuses(place: str, given: str) -> set[int]:
    known = {str(status): status for status in range(200, 600)}
    if strange := [each for each in given.split(",") if each not in known]:
        raise InvalidOption(f"{place}: {strange[0]!r} is no HTTP status; write numbers from 200 to 599: status=400,422")
    return {known[each] for each in given.split(",")}
