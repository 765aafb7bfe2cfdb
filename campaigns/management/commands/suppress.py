"""`manage.py suppress`: never text a number (or e-mail address) again, for a brand or for the whole platform."""

import re
from argparse import ArgumentParser
from typing import Any, ClassVar, Final

import phonenumbers
from django.db import transaction

from compliance import suppression
from compliance.data import npa
from compliance.policy import Category
from smsplatform.common import database, mailbox, phone
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import access, audit

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}").fullmatch
_ADDRESS: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+").fullmatch
_EVERYWHERE: Final = frozenset(phonenumbers.SUPPORTED_REGIONS)
_ONE_BRAND_WORDS: Final = 3
_LONGEST_REASON: Final = 60


class Command(OperatorCommand):
    """Holds from the next claim on, also for what is being sent right now."""

    help = "Store that a number must not be texted."
    option_names: ClassVar = {"number": "NUMBER", "category": "--category", "reason": "--reason", "brand": "BRAND"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("words", nargs="+", metavar="WORD", help="TENANT BRAND NUMBER, or NUMBER with --platform")
        parser.add_argument("--platform", action="store_true", help="for every tenant")
        parser.add_argument("--category", default="", help=f"only one of {', '.join(Category)} (all of them)")
        parser.add_argument("--reason", default="operator", help="why, for the record (%(default)s)")

    def act(self, options: dict[str, Any]) -> Answer:
        """Store it, unless it is stored."""
        words, reason, category = options["words"], options["reason"], options["category"]
        if len(reason) > _LONGEST_REASON or not reason:
            raise InvalidInput("give 1 to 60 characters", field="reason")
        if category and category not in list(Category):
            raise InvalidInput(f"{category!r} is none of {', '.join(Category)}", field="category")
        if options["platform"]:
            return self._everywhere(words, reason, category, options["actor"])
        if len(words) != _ONE_BRAND_WORDS:
            raise InvalidInput("write TENANT BRAND NUMBER, or NUMBER with --platform", field="number")
        tenant = access.access_tenant(words[0])
        brand = access.access_brand(tenant, words[1])
        number = _number(words[2])
        with transaction.atomic():
            is_new = suppression.suppress(
                brand=brand,
                number=number,
                reason=reason,
                source=f"operator: {options['actor']}",
                category=category,
                now=database.now(),
            )
            if is_new:
                audit.record(
                    actor=options["actor"],
                    verb="number.suppressed",
                    target=_masked(number),
                    tenant=tenant,
                    brand=brand.slug,
                )
        return _answer(number, f"brand {brand.slug}", is_new=is_new)

    def _everywhere(self, words: list[str], reason: str, category: str, actor: str) -> Answer:
        if len(words) != 1:
            raise InvalidInput("with --platform give the number only", field="number")
        if category:
            raise InvalidInput(
                "a number suppressed for the platform is suppressed for every category", field="category"
            )
        number = _number(words[0])
        with transaction.atomic():
            is_new = suppression.suppress_everywhere(
                number=number, reason=reason, source=f"operator: {actor}"[:_LONGEST_REASON], now=database.now()
            )
            if is_new:
                audit.record(actor=actor, verb="number.suppressed", target=_masked(number), scope="platform")
        return _answer(number, "everybody", is_new=is_new)


def _number(text: str) -> str:
    """Return the number as E.164, or the e-mail address. Any may be suppressed, also one that may not be texted anyway."""
    if _ADDRESS(text):
        return mailbox.spelled(text)
    found = phone.parse(text, countries=_EVERYWHERE, known_npas=npa.COUNTRY)
    if isinstance(found, phone.Number):
        return found.e164
    if _E164(text):
        return text
    raise InvalidInput(f"{text!r}: {found.message}; write it like +12125550123", field="number")


def _masked(number: str) -> str:
    return mailbox.masked(number) if "@" in number else phone.masked(number)


def _answer(number: str, whom: str, *, is_new: bool) -> Answer:
    line = (
        f"{number} is not texted by {whom} any more"
        if is_new
        else f"{number} is suppressed for {whom} already: nothing to do"
    )
    return Answer({"number": number, "scope": whom, "made": is_new}, [line])
