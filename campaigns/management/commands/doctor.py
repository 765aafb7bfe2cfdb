"""`manage.py doctor`: what runs, what is missing, what to do. Exit code 1 when something is bad."""

from collections import Counter
from dataclasses import asdict
from typing import Any, Final

from campaigns import doctor
from campaigns.findings import Finding, Level
from smsplatform.common.console import Answer, OperatorCommand

_MARK: Final = {Level.OK: "ok  ", Level.WARN: "warn", Level.BAD: "BAD "}


class Command(OperatorCommand):
    """Looks only. Works, within seconds, also when the database or Redis is down."""

    help = "Check the whole platform and say what to do."

    def act(self, options: dict[str, Any]) -> Answer:  # noqa: ARG002
        """Examine everything."""
        findings = doctor.examine()
        numbers = Counter(each.level for each in findings)
        told = f"{numbers[Level.OK]} ok, {numbers[Level.WARN]} warnings, {numbers[Level.BAD]} bad"
        return Answer(
            {"well": doctor.is_well(findings), "findings": [asdict(each) for each in findings]},
            [*(self._line(each) for each in findings), told],
            problem=""
            if doctor.is_well(findings)
            else f"{numbers[Level.BAD]} thing(s) are bad; do what stands behind the arrows",
        )

    def _line(self, each: Finding) -> str:
        paint = {Level.OK: self.style.SUCCESS, Level.WARN: self.style.WARNING, Level.BAD: self.style.ERROR}[each.level]
        line = f"{paint(_MARK[each.level])}  {each.about:20}  {each.told}"
        return f"{line}\n        -> {each.remedy}" if each.remedy else line
