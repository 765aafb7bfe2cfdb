"""What a person's text is: the ordered rules R0 to R10 of the facts (§1.3). The first that fits decides.

    R0 empty · R1 exact · R2 first line · R3 help · R4 start, yes, a brand's word      these read the whole text
    R5 stretched · R6 typo · R7 phrase · R8 intent                                     opt-outs in a person's own words
    R9 review                                                                          looks like one
    R10 none                                                                           for the inbox

Pure: what is known of the conversation comes as a `Context`. R7 to R9 read in the languages of the brand's audience,
everything before in all of them. A text that stops is never anything else, whatever a brand configures.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from compliance.keywords import editions, text
from compliance.keywords.lexicon import Lexicon, lexicon
from compliance.keywords.rules import ENGLISH, Edition, Kind, Rule, Scope

_HOME: Final = "+1"
_SATURDAY: Final = 5


@dataclass(frozen=True, slots=True)
class BrandWord:
    """A word a brand has given a meaning, such as its JOIN; it counts only if it is the whole text."""

    word: str
    kind: Kind = Kind.OPT_IN


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of the conversation a text belongs to.

    `day` is when it came in and picks the edition; `number` is the person's, E.164. English is always among the
    languages. `is_intent_reviewed` is the tenant's wish to look at R8 first; it is ignored for +1 and where the number
    is not known.
    """

    day: date
    languages: frozenset[str] = editions.LANGUAGES
    words: tuple[BrandWord, ...] = ()
    is_opt_in_pending: bool = False
    is_intent_reviewed: bool = False
    number: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """What a text is, by which rule of which edition. `keyword` is the word that decided, `language` whose it is."""

    kind: Kind
    rule: str
    name: str
    version: int
    keyword: str = ""
    language: str = ""
    scope: Scope = Scope.BRAND

    def __str__(self) -> str:
        return f"{self.rule}_{self.name}@{self.version}"

    @property
    def holds_marketing(self) -> bool:
        """Whether nothing more may be marketed to the person: for good, or until somebody has looked."""
        return self.kind in (Kind.OPT_OUT, Kind.REVIEW)


class _Hit(NamedTuple):
    """What a rule found; `kind` where it differs from the rule's own."""

    keyword: str = ""
    language: str = ""
    scope: Scope = Scope.BRAND
    kind: Kind | None = None


_NOTHING: Final = _Hit()


def match(body: str, *, context: Context) -> Match:
    """What this text is."""
    edition = editions.in_force(context.day)
    reading = _Reading(body, context, lexicon(edition.version, context.languages))
    for rule in edition.rules:
        hit = _TESTS[rule.name](reading)
        if hit is not None:
            return _result(rule, hit, edition)
    raise LookupError(f"edition {edition.version} has no last rule")


def is_exact_stop(body: str) -> bool:
    """Whether the text, or its first line with words, is nothing but a word that stops texts (R1, R2).

    It needs no context, so it can run inside the webhook.
    """
    out = lexicon(editions.EDITIONS[-1].version, editions.LANGUAGES).out
    return text.compact(text.normalise(body)) in out or text.compact(text.first_line(body)) in out


def taken(word: BrandWord, *, context: Context) -> Match | None:
    """What the platform itself reads in a brand's word, so that the brand cannot have it; None: the word is free.

    What only looks like an opt-out may be made one.
    """
    alone = Context(day=context.day, languages=context.languages, is_opt_in_pending=True)
    reading = match(word.word, context=alone)
    is_sharper = word.kind is Kind.OPT_OUT and reading.kind is Kind.REVIEW
    return None if reading.name == "none" or is_sharper else reading


def review_ends_on(received_on: date) -> date:
    """The last day to look at a text for review; after it, the text is an opt-out.

    Business days without regard to holidays, so never later than the law has it ([CFR](a)(10)).
    """
    day, left = received_on, editions.in_force(received_on).review_days
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < _SATURDAY
    return day


def _result(rule: Rule, hit: _Hit, edition: Edition) -> Match:
    return Match(
        kind=hit.kind or rule.kind,
        rule=rule.id,
        name=rule.name,
        version=edition.version,
        keyword=hit.keyword,
        language=hit.language,
        scope=hit.scope,
    )


@lru_cache(maxsize=1024)
def _brand_words(words: tuple[BrandWord, ...], day: date, languages: frozenset[str]) -> Mapping[str, BrandWord]:
    """The words a brand may have, normalised. One that means something to the platform is ignored, whoever stored it."""
    context = Context(day=day, languages=languages)
    # Of two meanings for one word, the last is kept: the opt-out.
    free = [each for each in words if taken(each, context=context) is None]
    free.sort(key=lambda each: each.kind is Kind.OPT_OUT)
    return MappingProxyType({text.normalise(each.word): each for each in free})


# -- the rules --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reading:
    """A text under the rules: its words in the forms they ask for."""

    body: str
    context: Context
    known: Lexicon

    @cached_property
    def words(self) -> str:
        return text.normalise(self.body)

    @cached_property
    def each(self) -> list[str]:
        return self.words.split()

    @cached_property
    def squeezed(self) -> list[str]:
        return text.squeeze(self.words).split()

    @cached_property
    def stretched(self) -> list[str]:
        """The single words squeezed, but a word of its own, like "stoop", is left as it is."""
        real = self.known.real
        return [word if word in real else short for word, short in zip(self.each, self.squeezed, strict=True)]


def _is_empty(reading: _Reading) -> _Hit | None:
    return None if reading.words else _NOTHING


def _is_exact(reading: _Reading) -> _Hit | None:
    return _look_up(text.compact(reading.words), reading.known.out)


def _is_first_line(reading: _Reading) -> _Hit | None:
    return _look_up(text.compact(text.first_line(reading.body)), reading.known.out)


def _is_help(reading: _Reading) -> _Hit | None:
    return _look_up(reading.words, reading.known.help)


def _is_start(reading: _Reading) -> _Hit | None:
    return _look_up(reading.words, reading.known.start)


def _is_yes(reading: _Reading) -> _Hit | None:
    return _look_up(reading.words, reading.known.yes) if reading.context.is_opt_in_pending else None


def _is_brand_word(reading: _Reading) -> _Hit | None:
    context = reading.context
    if not context.words:
        return None
    found = _brand_words(context.words, context.day, context.languages).get(reading.words)
    return _Hit(found.word, kind=found.kind) if found else None


def _is_stretched(reading: _Reading) -> _Hit | None:
    """One word with a letter held down: "stopppp"."""
    return _look_up(reading.stretched[0], reading.known.stretched_out) if len(reading.each) == 1 else None


def _is_typo(reading: _Reading) -> _Hit | None:
    word = reading.known.slips.get(reading.words)
    return _Hit(word, ENGLISH) if word else None


def _is_phrase(reading: _Reading) -> _Hit | None:
    """An opt-out among courtesies: "Stop. Thank you"."""
    core = _first(reading.stretched, reading.known.core)
    return core if core and reading.known.courteous.issuperset(reading.stretched) else None


def _is_intent(reading: _Reading) -> _Hit | None:
    """What a reasonable person reads as a wish to be left alone; abroad, a tenant may want to look first."""
    hit = _intent(reading)
    if hit is not None and reading.context.is_intent_reviewed and _is_abroad(reading.context.number):
        return hit._replace(kind=Kind.REVIEW)
    return hit


def _intent(reading: _Reading) -> _Hit | None:
    known = reading.known
    wrong_person = _look_up(known.wrong_person.first(reading.words, reading.each), known.wrong_person.language)
    if wrong_person:
        return wrong_person._replace(scope=Scope.PLATFORM)
    return _opened(reading) or _look_up(known.intent.first(reading.words, reading.each), known.intent.language)


def _opened(reading: _Reading) -> _Hit | None:
    """An opener with an object anywhere after it. What follows any opener also follows the first one."""
    opener = reading.known.opener.place(reading.each)
    if opener is None or reading.known.object.place(reading.each[opener.stop :]) is None:
        return None
    return _look_up(" ".join(reading.each[opener]), reading.known.opener.language)


def _needs_review(reading: _Reading) -> _Hit | None:
    """A word that may stop texts, among words that leave it open: "The bus stop is closed"."""
    return _first(reading.squeezed, reading.known.core) or _first(reading.squeezed, reading.known.ending)


def _anything(_reading: _Reading) -> _Hit | None:
    return _NOTHING


def _look_up(words: str, known: Mapping[str, str]) -> _Hit | None:
    language = known.get(words)
    return None if language is None else _Hit(words, language)


def _first(words: Iterable[str], known: Mapping[str, str]) -> _Hit | None:
    if known.keys().isdisjoint(words):
        return None
    return next(_Hit(word, known[word]) for word in words if word in known)


def _is_abroad(number: str) -> bool:
    return bool(number) and not number.startswith(_HOME)


_TESTS: Final[Mapping[str, Callable[[_Reading], _Hit | None]]] = MappingProxyType(
    {
        "empty": _is_empty,
        "exact": _is_exact,
        "first_line": _is_first_line,
        "help": _is_help,
        "start": _is_start,
        "yes": _is_yes,
        "brand_word": _is_brand_word,
        "stretched": _is_stretched,
        "typo": _is_typo,
        "phrase": _is_phrase,
        "intent": _is_intent,
        "review": _needs_review,
        "none": _anything,
    }
)
