"""`manage.py deactivate_numbers`: a carrier's file of numbers that were given back: no consent holds, and nobody texts them."""

import re
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

from django.db import transaction

from compliance import consent, hygiene
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import audit

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}").fullmatch
_AT_ONCE: Final = 10_000


class Command(OperatorCommand):
    """Whoever gets such a number next never consented to anything (CTIA 5.1.5). Running it again changes nothing.

    Transactional texts and brands that keep consent elsewhere would reach that person, too: no text goes to the number
    until its brand has a younger consent, or `clear_number` says so.
    """

    help = "End the consent for numbers that a carrier has deactivated, and text them no more."
    option_names: ClassVar = {"file": "FILE", "on": "--on"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("file", help="one number a line, like +12125550123")
        parser.add_argument("--on", metavar="DATE", help="when they were deactivated, like 2026-11-21 (now)")

    def act(self, options: dict[str, Any]) -> Answer:
        """Read the file; all of it or nothing."""
        now = database.now()
        at = now if options["on"] is None else _day(options["on"])
        if at > now:
            raise InvalidInput("lies in the future; give the day on which the carrier took them back", field="on")
        numbers = self._read(Path(options["file"]))
        with transaction.atomic():
            ended = marked = 0
            for start in range(0, len(numbers), _AT_ONCE):
                part = numbers[start : start + _AT_ONCE]
                ended += consent.deactivate(numbers=part, occurred_at=at, now=now)
                marked += hygiene.mark_for_all(
                    numbers=part, reason=hygiene.Reason.DEACTIVATED, by=options["actor"], since=at, now=now
                )
            audit.record(
                actor=options["actor"],
                verb="consent.deactivated",
                target=f"{len(numbers)} numbers",
                at=now,
                ended=ended,
                marked=marked,
            )
        data = {"numbers": len(numbers), "ended": ended, "marked": marked}
        told = f"{len(numbers):,} numbers read; {ended:,} consents have ended; {marked:,} numbers are texted no more"
        return Answer(data, [told])

    def _read(self, path: Path) -> list[str]:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror}", field="file") from None
        found = [line.strip() for line in lines]
        for place, line in enumerate(found, start=1):
            if line and not _E164(line):
                raise InvalidInput(f"line {place} is no number; write each like +12125550123", field="file")
        return sorted({line for line in found if line})


def _day(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is no date; write it like 2026-11-21", field="on") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
