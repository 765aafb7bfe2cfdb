"""What a person's text is taken for, with all that is known of the person and the brand. It runs inside the webhook."""

from datetime import UTC, datetime
from typing import Final

from campaigns.models import Keyword, Reply
from compliance import automatic_texts, consent, keywords
from compliance.keywords import BrandWord, Context, Kind, Match
from compliance.keywords.editions import LANGUAGES
from compliance.models import AutomaticTexts
from smsplatform.tenancy.models import Brand

VENDOR_STOP: Final = Match(kind=Kind.OPT_OUT, rule="vendor", name="stop", version=1)
"""What a text is that the vendor has answered as a STOP, whatever we think of it (facts §1.6)."""


class Known:
    """What has to be known of a brand, looked up once for texts that are read together."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[AutomaticTexts, tuple[BrandWord, ...]]] = {}

    def of(self, brand: Brand) -> tuple[AutomaticTexts, tuple[BrandWord, ...]]:
        """Return the brand's automatic texts and its own words."""
        if brand.pk not in self._of:
            words = Keyword.objects.filter(brand=brand, is_active=True).order_by("id").values_list("word", flat=True)
            self._of[brand.pk] = automatic_texts.of(brand), tuple(BrandWord(word) for word in words)
        return self._of[brand.pk]


def read(text: str, *, brand: Brand | None, number: str, at: datetime, known: Known) -> Match:
    """Return what a text is. Where it is not clear which brand it was meant for, only what holds for all counts."""
    day = at.astimezone(UTC).date()
    if brand is None:
        return keywords.match(text, context=Context(day=day, number=number))
    texts, words = known.of(brand)
    context = Context(
        day=day,
        languages=frozenset(texts.languages) or LANGUAGES,
        words=words,
        is_opt_in_pending=bool(consent.pending(brand=brand, numbers=[number], now=at)),
        is_intent_reviewed=texts.reviews_intent_abroad,
        number=number,
    )
    return keywords.match(text, context=context)


def stored(reply: Reply) -> Match:
    """Return what a stored reply was taken for."""
    decided, _, version = reply.rule.partition("@")
    rule, _, name = decided.partition("_")
    return Match(kind=Kind(reply.kind), rule=rule, name=name, version=int(version or 1))
