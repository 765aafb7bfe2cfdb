"""Words of what carriers restrict (CTIA: SHAFT, and what came after it). A text with one is for a person to look at.

The list finds subjects, not wrongs: a wine shop may text those who proved their age. Versioned, so that a decision can
say by which list it was made.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

VERSION: Final = "content-terms@1"
SINCE: Final = "2026-11-21"

TERMS: Final[Mapping[str, tuple[str, ...]]] = {
    "sex": ("sex", "sexy", "xxx", "porn", "porno", "nude", "nudes", "erotic", "escort", "escorts", "onlyfans", "hookup"),
    "hate": ("kkk", "white power", "white supremacy", "neo-nazi", "heil"),
    "alcohol": (
        "alcohol", "beer", "beers", "wine", "wines", "vodka", "whiskey", "whisky", "tequila", "bourbon", "liquor",
        "cocktail", "cocktails", "booze", "brewery", "happy hour",
    ),
    "firearms": (
        "gun", "guns", "handgun", "rifle", "rifles", "pistol", "pistols", "shotgun", "firearm", "firearms", "ammo",
        "ammunition",
    ),
    "tobacco": (
        "tobacco", "cigarette", "cigarettes", "cigar", "cigars", "vape", "vapes", "vaping", "e-cig", "nicotine", "hookah",
    ),
    "cannabis": ("cannabis", "marijuana", "cbd", "thc", "delta-8", "kratom", "dispensary"),
    "gambling": ("casino", "gambling", "betting", "sportsbook", "free spins", "lottery", "jackpot"),
    "lending": ("payday loan", "payday loans", "debt relief", "debt forgiveness", "credit repair", "cash advance"),
}  # fmt: skip

_SUBJECTS: Final = {term: subject for subject, terms in TERMS.items() for term in terms}
_ANY: Final = re.compile(
    r"(?<![\w-])(?:{})(?![\w-])".format("|".join(re.escape(term) for term in sorted(_SUBJECTS, key=len, reverse=True))),
    re.IGNORECASE,
)


def find(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield where a term stands, the term as written, and its subject."""
    for match in _ANY.finditer(text):
        yield match.start(), match[0], _SUBJECTS[match[0].casefold()]


OFFERS: Final = (
    "on sale", "flash sale", "special offer", "limited time", "limited-time", "shop now", "buy now",
    "discount code", "promo code", "coupon", "coupons", "save up to", "black friday", "cyber monday",
    "buy one get one", "bogo", "free gift", "oferta especial", "rebajas", "cupón", "compra ahora", "tiempo limitado",
)  # fmt: skip
"""What is said to sell. A text about an order or an account with one of these is an offer (CTIA: mixed is marketing)."""

_OFFER: Final = re.compile(
    r"\d\s?%\s(?:off|discount|de descuento)\b|(?<![\w-])(?:{})(?![\w-])".format(
        "|".join(re.escape(term) for term in sorted(OFFERS, key=len, reverse=True))
    ),
    re.IGNORECASE,
)


def find_offers(text: str) -> Iterator[tuple[int, str]]:
    """Yield where a text sells, and the words that do."""
    for match in _OFFER.finditer(text):
        yield match.start(), match[0]
