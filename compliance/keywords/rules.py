"""The shapes of the rules on keywords: what an edition of them is made of.

An edition is everything that held from one date on. A decision names its rule and the edition's version, so it can
be explained years later. Each row says where it comes from: a tag of the facts (§9.1) and a mark (§0.1: A a vendor's
own page, Q law as quoted, B several sources, C one source, D our decision).
"""

import enum
from dataclasses import dataclass
from datetime import date, timedelta

ENGLISH = "en"


class Kind(enum.StrEnum):
    """What a person's text is."""

    NONE = "none"
    OPT_OUT = "opt_out"
    HELP = "help"
    OPT_IN = "opt_in"
    KEYWORD = "keyword"  # a brand's word that asks for something else, such as its opening hours
    REVIEW = "review"  # looks like an opt-out: nothing more is marketed until a person has read it


class Scope(enum.StrEnum):
    """Who must not text the number any more (facts §1.6)."""

    BRAND = "brand"
    PLATFORM = "platform"  # it is somebody else's number, for every tenant


class Field(enum.StrEnum):
    """What a row of words is for; the names of the sets of facts §1.3."""

    OUT = "out"
    HELP = "help"
    IN = "in"
    YES = "yes"
    CORE = "core"  # an opt-out among courtesies, and worth a look among anything else
    ENDING = "ending"  # worth a look, but no opt-out even among courtesies
    FILLER = "filler"
    OPENER = "opener"  # an intent if followed by an object
    OBJECT = "object"
    INTENT = "intent"
    WRONG_PERSON = "wrong_person"
    SLIP = "slip"  # words whose typos are known
    REAL = "real"  # words that look like a typo and are none
    NETWORK_OUT = "network_out"  # what the toll-free network itself answers
    NETWORK_IN = "network_in"


@dataclass(frozen=True, slots=True)
class Words:
    """Words and phrases of one use in one language, as people write them."""

    field: Field
    language: str
    words: tuple[str, ...]
    citation: str
    confidence: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the matcher. `name` tells apart what shares an id, and says how the text was recognised."""

    id: str
    name: str
    kind: Kind
    citation: str
    confidence: str


class Purpose(enum.StrEnum):
    """What one of our automatic texts is for."""

    OPT_OUT = "opt_out"
    HELP = "help"
    OPT_IN = "opt_in"
    ASK = "ask"  # for the YES of a double opt-in


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """One reason to answer a keyword, or not to (facts §1.5)."""

    id: str
    name: str
    is_ours: bool
    citation: str
    confidence: str


class Element(enum.StrEnum):
    """What an automatic text must hold."""

    PROGRAM = "program"
    NO_MORE = "no_more"
    COME_BACK = "come_back"
    RECURRING = "recurring"
    FREQUENCY = "frequency"
    RATES = "rates"
    CONTACT = "contact"
    HELP = "help"
    STOP = "stop"
    YES = "yes"


class Fault(enum.StrEnum):
    """What an automatic text must not hold."""

    OFFER = "offer"
    LINK = "link"
    QUESTION = "question"
    TOO_LONG = "too_long"


@dataclass(frozen=True, slots=True)
class Content:
    """What the text for one purpose must and must not hold, and the text for brands that wrote none.

    That text is its parts in a row. They may name {program}, {monthly} and {contact}; a part whose fact the brand
    has not given is left out.
    """

    purpose: Purpose
    must: tuple[Element, ...]
    must_not: tuple[Fault, ...]
    parts: tuple[str, ...]
    citation: str
    confidence: str


@dataclass(frozen=True, slots=True)
class Sign:
    """By which an element or a fault is seen: a pattern over the normalised text, without the program's name."""

    of: Element | Fault
    pattern: str


@dataclass(frozen=True, slots=True)
class Edition:
    """Everything that holds from a date on, until the next edition does."""

    version: int
    effective_from: date
    rules: tuple[Rule, ...]  # in the order in which they are tried; the last one fits everything
    words: tuple[Words, ...]
    unspaced: frozenset[str]  # languages written without spaces between words
    review_days: int  # business days after which what nobody looked at is an opt-out
    answer_rules: tuple[AnswerRule, ...]
    confirm_within: timedelta  # of the receipt of a STOP or HELP; later, no answer is sent
    answer_again_after: timedelta
    segments: int  # how many an automatic text may take
    toll_free: frozenset[str]  # area codes
    contents: tuple[Content, ...]
    signs: tuple[Sign, ...]
    link: str  # a pattern over the text itself, in lower case
    allowed_questions: tuple[str, ...]  # one of these is in every question that may be asked

    def content(self, purpose: Purpose) -> Content:
        """What this edition asks of the text for a purpose."""
        return next(content for content in self.contents if content.purpose is purpose)
