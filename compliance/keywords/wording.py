"""The automatic texts: written from a brand's facts, and checked for what they must and must not hold (facts §1.4).

A brand may write its own; `check()` then says what is missing or forbidden, and nothing unfit is ever sent. The
signs by which an element is seen are English; a text in another language shows the English keywords all the same.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from string import Formatter
from types import MappingProxyType
from typing import Final

from compliance import segments
from compliance.keywords import editions
from compliance.keywords.rules import Edition, Element, Fault, Purpose
from compliance.keywords.text import normalise

_QUESTION: Final = re.compile(r"[^.!?]*\?")
_NOT_DIGITS: Final = re.compile(r"\D")
_AREA_LENGTH: Final = 3
_NANP_LENGTH: Final = 10
_HOME: Final = "1"


@dataclass(frozen=True, slots=True)
class Program:
    """What a brand's automatic texts say of it: its name, at most how many texts a month, and where to get help."""

    name: str
    monthly: int | None = None
    page: str = ""
    phone: str = ""
    email: str = ""

    @property
    def contact(self) -> str:
        """Where to get help, in words."""
        return " or ".join(filter(None, (self.page, self.phone, self.email)))


@dataclass(frozen=True, slots=True)
class Wording:
    """A text for one purpose, what it lacks, and what it holds against the rules of edition `version`."""

    text: str
    purpose: Purpose
    version: int
    missing: tuple[Element, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def is_fit(self) -> bool:
        """Whether it may be sent."""
        return not self.missing and not self.faults


def render(purpose: Purpose, *, program: Program, day: date) -> Wording:
    """Return our own text for a purpose; what the brand has not told is left out, and is then missing."""
    facts = {"program": program.name, "monthly": str(program.monthly or ""), "contact": program.contact}
    told = {name: " ".join(fact.split()) for name, fact in facts.items() if fact.strip()}
    parts = editions.in_force(day).content(purpose).parts
    text = " ".join(part.format_map(told) for part in parts if _names(part) <= told.keys())
    return check(text, purpose=purpose, program=program, day=day)


def check(text: str, *, purpose: Purpose, program: Program, day: date) -> Wording:
    """Return a text with what it lacks and what it must not hold."""
    edition = editions.in_force(day)
    content = edition.content(purpose)
    reading = _Reading(text, program, edition)
    return Wording(
        text=text,
        purpose=purpose,
        version=edition.version,
        missing=tuple(element for element in content.must if not reading.shows(element)),
        faults=tuple(fault for fault in content.must_not if reading.shows(fault)),
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """A text under the rules of an edition."""

    text: str
    program: Program
    edition: Edition

    def shows(self, what: Element | Fault) -> bool:
        """Whether it holds this, by a test of its own or by a sign."""
        if what in _TESTS:
            return _TESTS[what](self)
        return any(sign.search(self.words) for sign in _signs(self.edition.version, what))

    @property
    def words(self) -> str:
        """The normalised text without the program's name, which may sound like an offer."""
        name = normalise(self.program.name)
        return f" {normalise(self.text)} ".replace(f" {name} ", " ").strip() if name else normalise(self.text)


@lru_cache(maxsize=64)
def _signs(version: int, what: Element | Fault) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(sign.pattern) for sign in editions.of_version(version).signs if sign.of is what)


def _names(part: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(part) if name}


def _has_program(reading: _Reading) -> bool:
    name = normalise(reading.program.name)
    return bool(name) and f" {name} " in f" {normalise(reading.text)} "


def _has_contact(reading: _Reading) -> bool:
    """A support e-mail, or a phone number that costs the caller nothing; a page alone is not enough ([TELNYX-DOC])."""
    email = reading.program.email.strip().lower()
    if email and email in reading.text.lower():
        return True
    phone = _NOT_DIGITS.sub("", reading.program.phone)
    if not _is_free_of_charge(phone, reading.edition):
        return False
    return phone[-_NANP_LENGTH:] in _NOT_DIGITS.sub("", reading.text)


def _is_free_of_charge(digits: str, edition: Edition) -> bool:
    """Abroad we cannot tell, and believe the brand."""
    national = digits.removeprefix(_HOME)
    if len(national) != _NANP_LENGTH:
        return bool(digits)
    return national[:_AREA_LENGTH] in edition.toll_free


def _has_link(reading: _Reading) -> bool:
    """A brand may be called like its page; its name within another address is one, as in "acme.com" of Acme."""
    name, text = reading.program.name.strip().lower(), reading.text.lower()
    if name:
        text = re.sub(rf"(?<![\w./-]){re.escape(name)}(?![\w-]|[./]\w)", " ", text)
    return re.search(reading.edition.link, text) is not None


def _has_question(reading: _Reading) -> bool:
    """Any but which texts are meant ([CFR](a)(12))."""
    questions = map(normalise, _QUESTION.findall(reading.text))
    return any(not any(allowed in question for allowed in reading.edition.allowed_questions) for question in questions)


def _is_too_long(reading: _Reading) -> bool:
    return segments.count(reading.text).segments > reading.edition.segments


_TESTS: Final[Mapping[Element | Fault, Callable[[_Reading], bool]]] = MappingProxyType(
    {
        Element.PROGRAM: _has_program,
        Element.CONTACT: _has_contact,
        Fault.LINK: _has_link,
        Fault.QUESTION: _has_question,
        Fault.TOO_LONG: _is_too_long,
    }
)
