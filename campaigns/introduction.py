"""Who we are: what a text needs to say when it comes from a number that the person does not know (R69)."""

import re
from typing import Final

from compliance import segments
from compliance.policy import Category

_STOP_LINE: Final = "Reply STOP to opt out."
_TELLS_STOP: Final = re.compile(r"\bSTOP\b").search


def is_needed(category: str) -> bool:
    """Return whether texts of this category introduce themselves; what a person asked for a moment ago does not."""
    return Category(category) not in (Category.TRANSACTIONAL, Category.KEYWORD_REPLY)


def introduce(text: str, brand: str) -> tuple[str, int]:
    """Return the text with the brand's name and the way out, as far as it lacks them, and its segments."""
    if brand.casefold() not in text.casefold():
        text = f"{brand}: {text}"
    if not _TELLS_STOP(text):
        text = f"{text.rstrip()} {_STOP_LINE}"
    return text, segments.count(text).segments
