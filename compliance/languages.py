"""Languages of recipients: what people write for them, as one tag; and in which order texts are tried.

A tag is a language with an optional region, in small letters: "es", "es-mx".
"""

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final

# Version 1, 2026-11-21. What forms and address books say instead of a tag.
NAMES: Final = {
    "english": "en", "eng": "en", "american": "en",
    "spanish": "es", "español": "es", "espanol": "es", "castellano": "es", "spa": "es",
    "french": "fr", "français": "fr", "francais": "fr", "fra": "fr", "fre": "fr",
    "portuguese": "pt", "português": "pt", "portugues": "pt", "por": "pt",
    "german": "de", "deutsch": "de", "deu": "de", "ger": "de",
    "chinese": "zh", "mandarin": "zh", "中文": "zh",
    "vietnamese": "vi", "tagalog": "tl", "filipino": "tl", "korean": "ko", "russian": "ru", "arabic": "ar",
    "haitian creole": "ht", "kreyòl": "ht", "polish": "pl", "italian": "it", "hindi": "hi", "japanese": "ja",
}  # fmt: skip
# Version 1, 2026-11-21. Which other languages these people read, tried after their own and before the default.
ALSO_READ: Final = {"nb": ("no",), "nn": ("no",), "fil": ("tl",), "zh-hk": ("zh-tw",), "zh-tw": ("zh-hk",)}

_TAG: Final = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{2,8}){0,2}").fullmatch


@lru_cache(maxsize=4096)
def tag(text: str) -> str:
    """Return the tag that a text means, or "" where it means none."""
    spoken = text.strip().casefold()
    found = NAMES.get(spoken, spoken.replace("_", "-").partition(".")[0])
    return found if _TAG(found) else ""


@lru_cache(maxsize=4096)
def order(language: str) -> tuple[str, ...]:
    """Return the tags to look for: the exact one, what these people read too, the language without its region."""
    found = tag(language)
    if not found:
        return ()
    base = found.partition("-")[0]
    return tuple(dict.fromkeys((found, *ALSO_READ.get(found, ()), base, *ALSO_READ.get(base, ()))))


def choose(language: str, texts: Collection[str]) -> str:
    """Return the tag of the text for a person of this language, or "" for the default text."""
    return next((each for each in order(language) if each in texts), "") if texts else ""
