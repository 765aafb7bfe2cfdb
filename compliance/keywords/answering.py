"""Whether we answer a keyword: never two answers, and none where it would only be refused (facts §1.5).

    A0 not a keyword · A1 the toll-free network answered · A2 the vendor answered · A3 the vendor would refuse ours
    A4 too late · A5 a repeated STOP · A6 answered within a day · A7 nothing changed · A8 ours

Pure: the caller knows the number that was written to (`Line`) and what was before (`Past`). It sends what is ours
once per inbound event, and never later than `until` (R35 of the design).
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from compliance.keywords import editions, text
from compliance.keywords.matching import Match
from compliance.keywords.rules import AnswerRule, Edition, Field, Kind, Purpose

PURPOSES: Final[Mapping[Kind, Purpose]] = MappingProxyType(
    {Kind.OPT_OUT: Purpose.OPT_OUT, Kind.HELP: Purpose.HELP, Kind.OPT_IN: Purpose.OPT_IN}
)
"""The text that answers each kind. A brand's other words are answered by whoever configured them."""


class OptOutMode(enum.StrEnum):
    """Who handles keywords on one of our numbers; asked when a sender is set up."""

    PROVIDER_DEFAULT = "provider_default"
    PROVIDER_ADVANCED = "provider_advanced"
    SELF = "self"
    NETWORK_TOLLFREE = "network_tollfree"


@dataclass(frozen=True, slots=True)
class Line:
    """The number a person wrote to.

    `vendor_words` are those the vendor itself answers there, of every kind, as people write them; some vendors look
    only at how a message begins.
    """

    mode: OptOutMode
    is_short_code: bool = False
    vendor_words: frozenset[str] = frozenset()
    is_prefix: bool = False


@dataclass(frozen=True, slots=True)
class Past:
    """What held for this person and brand just before the text came.

    `answered_at` is when a text of the same kind was last answered. `is_blocked`: the vendor refuses what we send.
    """

    is_opted_out: bool = False
    is_opted_in: bool = False
    is_blocked: bool = False
    answered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The text to send, if any, and until when; `rule` of edition `version` decided."""

    rule: str
    name: str
    version: int
    purpose: Purpose | None = None
    until: datetime | None = None

    def __str__(self) -> str:
        return f"{self.rule}_{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class _Case:
    match: Match
    words: str
    line: Line
    past: Past
    until: datetime | None
    now: datetime
    edition: Edition
    has_vendor_answered: bool

    @property
    def is_answered_lately(self) -> bool:
        at = self.past.answered_at
        return at is not None and self.now - at < self.edition.answer_again_after


def answer(
    match: Match,
    *,
    body: str,
    line: Line,
    past: Past,
    received_at: datetime,
    now: datetime,
    has_vendor_answered: bool = False,
) -> Answer:
    """Whether we answer this text, with what, and until when.

    `has_vendor_answered` is what the vendor's webhook says; where it says nothing, its words and `line.mode` tell.
    """
    edition = editions.in_force(received_at.date())
    purpose = PURPOSES.get(match.kind)
    # An opt-in may be confirmed late: the confirmation has to come before any other text.
    until = received_at + edition.confirm_within if purpose in (Purpose.OPT_OUT, Purpose.HELP) else None
    case = _Case(match, text.normalise(body), line, past, until, now, edition, has_vendor_answered)
    rule = next(rule for rule in edition.answer_rules if _TESTS[rule.name](case))
    return _result(rule, purpose, until, edition)


def _result(rule: AnswerRule, purpose: Purpose | None, until: datetime | None, edition: Edition) -> Answer:
    if not rule.is_ours:
        return Answer(rule.id, rule.name, edition.version)
    return Answer(rule.id, rule.name, edition.version, purpose, until)


def _is_no_keyword(case: _Case) -> bool:
    return case.match.kind not in PURPOSES


def _has_network_answered(case: _Case) -> bool:
    """The toll-free network answers these few words itself, whatever the vendor."""
    words = {
        text.normalise(word)
        for row in case.edition.words
        if row.field in (Field.NETWORK_OUT, Field.NETWORK_IN)
        for word in row.words
    }
    return case.line.mode is OptOutMode.NETWORK_TOLLFREE and case.words in words


def _has_vendor_answered(case: _Case) -> bool:
    """By its own word, or because the text is in its list.

    Lists are compared without punctuation, which vendors do not document (§9.2): rather no answer than two.
    """
    if case.has_vendor_answered:
        return True
    if case.line.mode is OptOutMode.SELF:
        return False
    words = {text.normalise(word) for word in case.line.vendor_words}
    return case.words in words or (case.line.is_prefix and any(case.words.startswith(f"{word} ") for word in words))


def _does_vendor_block(case: _Case) -> bool:
    return case.past.is_blocked


def _is_late(case: _Case) -> bool:
    return case.until is not None and case.now > case.until


def _is_repeated(case: _Case) -> bool:
    """A second STOP: silence from a long code, and from a short code one answer a day."""
    if case.match.kind is not Kind.OPT_OUT or not case.past.is_opted_out:
        return False
    return not case.line.is_short_code or case.is_answered_lately


def _is_answered_lately(case: _Case) -> bool:
    return case.match.kind is Kind.HELP and case.is_answered_lately


def _has_nothing_changed(case: _Case) -> bool:
    return case.match.kind is Kind.OPT_IN and case.past.is_opted_in and not case.past.is_opted_out


def _is_ours(_case: _Case) -> bool:
    return True


_TESTS: Final[Mapping[str, Callable[[_Case], bool]]] = MappingProxyType(
    {
        "not_a_keyword": _is_no_keyword,
        "network_answered": _has_network_answered,
        "vendor_answered": _has_vendor_answered,
        "vendor_blocks": _does_vendor_block,
        "late": _is_late,
        "repeated": _is_repeated,
        "answered_lately": _is_answered_lately,
        "nothing_changed": _has_nothing_changed,
        "ours": _is_ours,
    }
)
