"""A brand's automatic texts: its own where it wrote some, else ours made of its facts; and why one cannot be sent.

The rules on what they must hold are `keywords.wording`'s; nothing that breaks them is ever sent.
"""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

from django.utils import timezone

from compliance.keywords import Purpose, editions, wording
from compliance.keywords.rules import Element, Fault
from compliance.keywords.wording import Program, Wording
from compliance.models import AutomaticTexts
from smsplatform.tenancy.models import Brand

FIELDS: Final[Mapping[Purpose, str]] = MappingProxyType(
    {
        Purpose.OPT_OUT: "opt_out_text",
        Purpose.HELP: "help_text",
        Purpose.OPT_IN: "opt_in_text",
        Purpose.ASK: "ask_text",
    }
)
_LACKS: Final[Mapping[Element, str]] = MappingProxyType(
    {
        Element.PROGRAM: "the name {program}",
        Element.NO_MORE: "that no more messages will come, like “You will get no more messages”",
        Element.COME_BACK: "how to come back, like “Reply START to resubscribe”",
        Element.RECURRING: "that the texts are recurring",
        Element.FREQUENCY: "how often you text, like “Up to 4 msgs/month” (give the texts a month)",
        Element.RATES: "“Msg&data rates may apply”",
        Element.CONTACT: "a toll-free number or an e-mail address for help (enter it, and name it in the text)",
        Element.HELP: "the word HELP",
        Element.STOP: "the word STOP",
        Element.YES: "the word YES",
    }
)
_HOLDS: Final[Mapping[Fault, str]] = MappingProxyType(
    {
        Fault.OFFER: "an offer",
        Fault.LINK: "a link",
        Fault.QUESTION: "a question, unless it asks which texts are meant",
        Fault.TOO_LONG: "more than one segment (160 plain characters, or 70 with others)",
    }
)


def of(brand: Brand) -> AutomaticTexts:
    """Return the brand's automatic texts, or the defaults."""
    found = AutomaticTexts.objects.filter(brand=brand).first()
    return found or AutomaticTexts(tenant_id=brand.tenant_id, brand=brand)


def program_of(texts: AutomaticTexts) -> Program:
    """Return what the texts say of the brand."""
    return Program(
        name=texts.program.strip() or texts.brand.name,
        monthly=texts.monthly,
        page=texts.help_page,
        phone=texts.help_phone,
        email=texts.help_email,
    )


def text(texts: AutomaticTexts, *, purpose: Purpose, day: date) -> Wording:
    """Return the text for a purpose, with what it lacks; the brand's own, or ours."""
    own: str = getattr(texts, FIELDS[purpose]).strip()
    if own:
        return wording.check(own, purpose=purpose, program=program_of(texts), day=day)
    return wording.render(purpose, program=program_of(texts), day=day)


def flaws(texts: AutomaticTexts) -> dict[str, list[str]]:
    """Return, by field, what is wrong with what a brand wrote; its facts may be missing, its own texts not unfit."""
    day = timezone.now().date()
    found = {}
    for purpose, name in FIELDS.items():
        own = text(texts, purpose=purpose, day=day)
        if getattr(texts, name).strip() and not own.is_fit:
            found[name] = explain(own, program=program_of(texts))
    unknown = sorted(set(texts.languages) - editions.LANGUAGES)
    if unknown:
        known = ", ".join(sorted(editions.LANGUAGES))
        found["languages"] = [f"we read no {', '.join(unknown)}; choose from {known}"]
    return found


def explain(worded: Wording, *, program: Program) -> list[str]:
    """Return what is wrong with a text, in sentences that say what to do."""
    return [
        *(f"It must say {_LACKS[element].format(program=program.name)}." for element in worded.missing),
        *(f"It must not hold {_HOLDS[fault]}." for fault in worded.faults),
    ]
