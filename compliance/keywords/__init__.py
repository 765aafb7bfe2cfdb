"""Words that stop, start and ask: what a person's text is, who answers it, and with what.

`match()` reads a text by dated rules (`editions`, shapes in `rules`); `answering` says whether the answer is ours;
`wording` writes it and checks what a brand wrote instead. All pure, no database: they run inside the webhook.
"""

from compliance.keywords.matching import BrandWord, Context, Match, is_exact_stop, match, review_ends_on, taken
from compliance.keywords.rules import Kind, Purpose, Scope
from compliance.keywords.text import normalise

__all__ = [
    "BrandWord",
    "Context",
    "Kind",
    "Match",
    "Purpose",
    "Scope",
    "is_exact_stop",
    "match",
    "normalise",
    "review_ends_on",
    "taken",
]
