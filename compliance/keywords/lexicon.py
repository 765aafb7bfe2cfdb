"""The words of an edition, normalised and arranged for looking them up. Made once per audience."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from compliance.keywords import editions
from compliance.keywords.rules import ENGLISH, Edition, Field
from compliance.keywords.text import compact, normalise, slips_of, squeeze


@dataclass(frozen=True, slots=True)
class Phrases:
    """Phrases and their languages. They are found by their first word, which most texts do not have."""

    language: Mapping[str, str]
    by_first: Mapping[str, Sequence[Sequence[str]]]
    unspaced: Sequence[str]

    def first(self, words: str, each: Sequence[str]) -> str:
        """The first phrase in a text, which is given whole and word by word; empty if there is none."""
        place = self.place(each)
        if place is not None:
            return " ".join(each[place])
        return next((phrase for phrase in self.unspaced if phrase in words), "")

    def place(self, each: Sequence[str]) -> slice | None:
        """Which of these words are the first phrase of whole words."""
        if self.by_first.keys().isdisjoint(each):
            return None
        for at, word in enumerate(each):
            for phrase in self.by_first.get(word, ()):
                place = slice(at, at + len(phrase))
                if each[place] == phrase:
                    return place
        return None


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words of an edition. Each mapping leads from a word to its language."""

    out: Mapping[str, str]  # without spaces
    stretched_out: Mapping[str, str]
    slips: Mapping[str, str]  # to what was meant
    help: Mapping[str, str]
    start: Mapping[str, str]
    yes: Mapping[str, str]
    real: frozenset[str]
    core: Mapping[str, str]  # squeezed, as the next two
    ending: Mapping[str, str]
    courteous: frozenset[str]  # what may stand in R7: these and fillers
    opener: Phrases
    object: Phrases
    intent: Phrases
    wrong_person: Phrases


@lru_cache(maxsize=256)
def lexicon(version: int, languages: frozenset[str]) -> Lexicon:
    """The words of an edition for an audience, which always understands English."""
    edition = editions.of_version(version)
    known = _Known(edition, languages | {ENGLISH})
    out = {compact(word): language for word, language in known.everywhere(Field.OUT).items()}
    real = frozenset(known.everywhere(Field.REAL))
    slips = {slip: word for word in known.everywhere(Field.SLIP) for slip in slips_of(word) - real}
    return Lexicon(
        out=MappingProxyType(out),
        stretched_out=MappingProxyType(_squeezed(out)),
        slips=MappingProxyType(slips),
        help=MappingProxyType(known.everywhere(Field.HELP)),
        start=MappingProxyType(known.everywhere(Field.IN)),
        yes=MappingProxyType(known.everywhere(Field.YES)),
        real=real,
        core=MappingProxyType(_squeezed(known.spoken(Field.CORE))),
        ending=MappingProxyType(_squeezed(known.spoken(Field.ENDING))),
        courteous=frozenset(_squeezed(known.spoken(Field.CORE, Field.ENDING, Field.FILLER))),
        opener=known.phrases(Field.OPENER),
        object=known.phrases(Field.OBJECT),
        intent=known.phrases(Field.INTENT),
        wrong_person=known.phrases(Field.WRONG_PERSON),
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """An edition as an audience knows it."""

    edition: Edition
    languages: frozenset[str]

    def everywhere(self, *fields: Field) -> dict[str, str]:
        """The words of every language; one that two languages share belongs to the one the audience speaks."""
        rows = [row for row in self.edition.words if row.field in fields]
        rows.sort(key=lambda row: row.language not in self.languages)
        found: dict[str, str] = {}
        for row in rows:
            for word in row.words:
                found.setdefault(normalise(word), row.language)
        return found

    def spoken(self, *fields: Field) -> dict[str, str]:
        """The words of the audience's languages."""
        return {word: language for word, language in self.everywhere(*fields).items() if language in self.languages}

    def phrases(self, field: Field) -> Phrases:
        """The phrases of the audience's languages."""
        language = self.spoken(field)
        by_first: dict[str, list[list[str]]] = {}
        for phrase, its in language.items():
            if its not in self.edition.unspaced:
                words = phrase.split()
                by_first.setdefault(words[0], []).append(words)
        return Phrases(
            language=MappingProxyType(language),
            by_first=MappingProxyType(by_first),
            unspaced=tuple(phrase for phrase, its in language.items() if its in self.edition.unspaced),
        )


def _squeezed(words: Mapping[str, str]) -> dict[str, str]:
    return {squeeze(word): language for word, language in words.items()}
