"""`manage.py suppress`: never text a number (or e-mail address) again, for a brand or for the whole platform."""

from argparse import ArgumentParser
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Final

from django.db import transaction

from compliance import do_not_text, reasons, suppression
from compliance.policy import Category
from compliance.reasons import Reach
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand, Table
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import access, audit
from smsplatform.tenancy.models import Brand

_BRAND_WORDS: Final = 2
_LONGEST_EVIDENCE: Final = 200
_AT_ONCE: Final = 10_000
_SHOWN_FLAWS: Final = 20
_CATEGORIES: Final = tuple(value for value, _ in Category.choices())
_REASONS: Final = tuple(code for code, _ in reasons.typed())


class Command(OperatorCommand):
    """Holds from the next claim on, also for what is being sent right now."""

    help = "Store that a number, or everybody on a list, must not be texted."
    option_names: ClassVar = {
        "number": "NUMBER",
        "category": "--category",
        "reason": "--reason",
        "source": "--source",
        "evidence": "--evidence",
        "brand": "BRAND",
        "file": "--file",
    }

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("words", nargs="*", metavar="WORD", help="TENANT BRAND NUMBER, or NUMBER with --platform")
        parser.add_argument("--platform", action="store_true", help="for every tenant")
        parser.add_argument(
            "--file", help="everybody in this file instead of NUMBER: one a line, the first column counts"
        )
        parser.add_argument("--category", default="", help=f"only one of {', '.join(_CATEGORIES)} (all of them)")
        parser.add_argument(
            "--reason", default=reasons.OPERATOR, help=f"why: one of {', '.join(_REASONS)} (%(default)s)"
        )
        parser.add_argument(
            "--source", default="operator", help=f"how you know: one of {', '.join(reasons.SOURCES)} (%(default)s)"
        )
        parser.add_argument("--evidence", default="", help="what proves it, so that it can be found again")

    def act(self, options: dict[str, Any]) -> Answer:
        """Store it, unless it is stored."""
        _check(options)
        words = list(options["words"])
        number = None if options["file"] else _last(words, options)
        brand = None if options["platform"] else _brand(words)
        if options["platform"] and words:
            raise InvalidInput("with --platform give the number only", field="number")
        if brand is None and options["category"]:
            raise InvalidInput(
                "a number suppressed for the platform is suppressed for every category", field="category"
            )
        if brand is not None and options["category"] and reasons.reach_of(options["reason"]) is Reach.PLATFORM:
            raise InvalidInput(
                f"{options['reason']} holds for every tenant and so for every category", field="category"
            )
        if number is None:
            return self._list(brand, options)
        return self._one(brand, do_not_text.read_number(number), options)

    def _one(self, brand: Brand | None, number: str, options: dict[str, Any]) -> Answer:
        with transaction.atomic():
            is_new = bool(_store(brand, [number], options))
            if is_new:
                audit.record(
                    actor=options["actor"],
                    verb="number.suppressed",
                    target=suppression.masked(number),
                    **_told(brand, options),
                )
        whom = _whom(brand, options)
        line = (
            f"{number} is not texted by {whom} any more"
            if is_new
            else f"{number} is suppressed for {whom} already: nothing to do"
        )
        return Answer({"number": number, "scope": whom, "made": is_new}, [line])

    def _list(self, brand: Brand | None, options: dict[str, Any]) -> Answer:
        """Go through the file in pieces; one that is stopped is run again, and what is stored is stored."""
        read = new = 0
        flaws: list[do_not_text.Flaw] = []
        refused = 0
        try:
            file = Path(options["file"]).open(encoding="utf-8", errors="replace")  # noqa: SIM115 - closed below
        except OSError as error:
            raise InvalidInput(
                f"{options['file']}: {error.strerror}; give the path of a text file", field="file"
            ) from None
        with file:
            entries = do_not_text.read_list(file)
            while piece := list(islice(entries, _AT_ONCE)):
                numbers = [each.number for each in piece if isinstance(each, do_not_text.Entry)]
                wrong = [each for each in piece if isinstance(each, do_not_text.Flaw)]
                refused += len(wrong)
                flaws += wrong[: max(_SHOWN_FLAWS - len(flaws), 0)]
                read += len(numbers)
                new += _store(brand, numbers, options)
                self.tell(f"{read:,} numbers read, {new:,} of them new, {refused:,} lines not understood")
        audit.record(
            actor=options["actor"],
            verb="numbers.suppressed",
            target=f"{read} numbers, {new} of them new",
            refused=refused,
            **_told(brand, options),
        )
        whom = _whom(brand, options)
        data = {
            "scope": whom,
            "numbers": read,
            "new": new,
            "refused": refused,
            "flaws": [each._asdict() for each in flaws],
        }
        lines = [f"{new:,} numbers are not texted by {whom} any more; {read - new:,} were suppressed already"]
        tables = [Table("\nNot understood", ("line", "problem"), flaws)] if flaws else []
        more = f"; the first {_SHOWN_FLAWS} are shown" if refused > _SHOWN_FLAWS else ""
        problem = f"{refused:,} lines were not understood{more}: correct them and run this again" if refused else ""
        return Answer(data, lines, tables, problem)


def _check(options: dict[str, Any]) -> None:
    if options["reason"] not in _REASONS:
        raise InvalidInput(f"{options['reason']!r} is none of {', '.join(_REASONS)}", field="reason")
    if options["source"] not in reasons.SOURCES:
        raise InvalidInput(f"{options['source']!r} is none of {', '.join(reasons.SOURCES)}", field="source")
    if options["category"] and options["category"] not in _CATEGORIES:
        raise InvalidInput(f"{options['category']!r} is none of {', '.join(_CATEGORIES)}", field="category")
    if len(options["evidence"]) > _LONGEST_EVIDENCE:
        raise InvalidInput(f"is longer than {_LONGEST_EVIDENCE} characters; shorten it", field="evidence")


def _last(words: list[str], options: dict[str, Any]) -> str:
    """Take the number off the end of what was given."""
    if len(words) != (1 if options["platform"] else _BRAND_WORDS + 1):
        told = "with --platform give the number only" if options["platform"] else ""
        raise InvalidInput(told or "write TENANT BRAND NUMBER, or NUMBER with --platform", field="number")
    return words.pop()


def _brand(words: list[str]) -> Brand:
    if len(words) != _BRAND_WORDS:
        raise InvalidInput("write TENANT BRAND, or --platform, before --file", field="number")
    return access.access_brand(access.access_tenant(words[0]), words[1])


def _store(brand: Brand | None, numbers: list[str], options: dict[str, Any]) -> int:
    tenant_id, brand_id = (None, None) if brand is None else (brand.tenant_id, brand.pk)
    return suppression.suppress_all(
        [suppression.Person(tenant_id, brand_id, number, options["evidence"]) for number in numbers],
        reason=options["reason"],
        source=options["source"],
        category=options["category"],
        by=options["actor"],
        now=database.now(),
    )


def _whom(brand: Brand | None, options: dict[str, Any]) -> str:
    is_for_all = brand is None or reasons.reach_of(options["reason"]) is Reach.PLATFORM
    return "everybody" if is_for_all or brand is None else f"brand {brand.slug}"


def _told(brand: Brand | None, options: dict[str, Any]) -> dict[str, Any]:
    told = {name: options[name] for name in ("reason", "source", "evidence", "category") if options[name]}
    where = {} if brand is None else {"tenant": brand.tenant_id, "brand": brand.slug}
    return {**told, **where, "scope": _whom(brand, options)}
