"""Why somebody must not be texted, and how far each reason reaches: dated, versioned data (facts §1.6).

A suppression stores the code of its reason. What people may choose by hand is `typed`; the others the platform finds
out. A tag names the source (facts §9.1), a mark how sure it is (§0.1: Q law as quoted, B several sources, D ours).
"""

import enum
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final


class Reach(enum.StrEnum):
    """Whom a reason forbids to text: a brand, or everybody on the platform."""

    BRAND = "brand"
    PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason. `is_own_word`: the person asked for it, so it counts as an opt-out.

    `ends_with_start`: it rests on what the person said to the brand, so what they say later may end it.
    """

    code: str
    told: str
    reach: Reach
    is_own_word: bool
    is_typed: bool
    ends_with_start: bool
    effective_from: date
    citation: str
    confidence: str
    version: int = 1


OPT_OUT: Final = "opt_out"
PROVIDER_BLOCKED: Final = "provider_blocked"
REVIEW: Final = "review"
OPERATOR: Final = "operator"
LIST: Final = "do_not_text_list"

_REVOCATION: Final = date(2025, 4, 11)
_OURS: Final = date(2026, 11, 22)

_ALL: Final = (
    #      code, in words, reach, own word, typed, ends with START, since, source, mark
    Reason(OPT_OUT, "asked for no more texts", Reach.BRAND, True, True, True, _REVOCATION, "CFR (a)(10)-(11)", "Q"),
    Reason(PROVIDER_BLOCKED, "has opted out at the provider", Reach.BRAND, True, False, True, _OURS, "§1.6", "D"),
    Reason(REVIEW, "may have asked for no more texts", Reach.BRAND, False, False, True, _OURS, "§1.3", "D"),
    Reason(LIST, "is on a do-not-text list", Reach.BRAND, False, True, False, _OURS, "ICO", "A"),
    Reason(OPERATOR, "a decision of ours", Reach.BRAND, False, True, False, _OURS, "§1.6", "D"),
    Reason("wrong_number", "is somebody else's number", Reach.PLATFORM, True, True, False, _OURS, "§1.6", "D"),
    Reason("complaint", "complained about spam", Reach.PLATFORM, True, True, False, _OURS, "§1.6", "D"),
    Reason("legal_threat", "threatened to go to court", Reach.PLATFORM, True, True, False, _OURS, "§1.6", "D"),
    Reason("litigator", "is a known litigator", Reach.PLATFORM, False, True, False, _OURS, "§1.6", "D"),
)
REASONS: Final = MappingProxyType({reason.code: reason for reason in _ALL})

SOURCES: Final = MappingProxyType(
    {
        "email": "by e-mail",
        "voice": "on the phone or by voice mail",
        "letter": "by letter",
        "person": "in person",
        "website": "on a website or form of the client",
        "list": "in a list from another system",
        "operator": "nobody asked: our own decision",
    }
)
"""How word came to whoever enters it by hand. The platform's own are reply, web (the opt-out page) and provider."""


def reach_of(code: str) -> Reach:
    """Return how far a reason reaches; what is not listed, like the words of old rows, reaches one brand."""
    reason = REASONS.get(code)
    return reason.reach if reason else Reach.BRAND


def told(code: str) -> str:
    """Return a reason in words."""
    reason = REASONS.get(code)
    return reason.told if reason else code


def own_words() -> list[str]:
    """Return the codes that count as opt-outs."""
    return [reason.code for reason in _ALL if reason.is_own_word]


def typed() -> list[tuple[str, str]]:
    """Return the reasons that people may give, with their words, for forms and commands."""
    return [
        (reason.code, f"{reason.told}{' (holds for every client)' if reason.reach is Reach.PLATFORM else ''}")
        for reason in _ALL
        if reason.is_typed
    ]
