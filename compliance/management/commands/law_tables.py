"""`manage.py law_tables`: the rules of states and countries for counsel, written from the data that the code obeys.

Needs no database: `make check` asks whether the tables in the documentation are still the code's.
"""

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any, Final

from compliance import limit_rules
from compliance.data import frequency, states, statutes
from smsplatform.common import marked
from smsplatform.common.console import Answer, OperatorCommand

_LAW: Final = (
    "place",
    "Monday to Friday",
    "Saturday",
    "Sunday",
    "holidays",
    "other rules",
    "rule id",
    "since",
    "source",
)
_SINCE_UNKNOWN: Final = f"before {statutes.RULES_VERSION}"
_YEARS: Final = range(2026, statutes.holidays_known_until().year + 1)


class Command(OperatorCommand):
    """Prints the tables; --check and --write work on a file that has their markers."""

    help = "Write the tables of what the law of states and countries says."

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        marked.declare(parser, "tables")

    def act(self, options: dict[str, Any]) -> Answer:
        """Write."""
        parts = {"states": of_states(), "countries": of_countries(), "holidays": of_holidays(), "caps": of_caps()}
        if marked.page(options) is None:
            return Answer(parts, ["\n\n".join(parts.values())])
        return marked.renew(options, parts, what="tables", command="law_tables")


def of_states() -> str:
    """Return the hours of the United States, of each row that ever held: federal first, then by state."""
    rows = [each for each in statutes.STATUTES if statutes.is_state(each.jurisdiction)]
    rows.sort(key=lambda row: "" if row.jurisdiction == statutes.FEDERAL else states.NAMES[row.jurisdiction])
    return _table(_LAW, map(_cells, rows))


def of_countries() -> str:
    """Return the hours of other countries, the one for all the rest last."""
    rows = [each for each in statutes.STATUTES if not statutes.is_state(each.jurisdiction)]
    rows.sort(key=lambda row: (row.jurisdiction == statutes.ABROAD, row.jurisdiction))
    return _table(_LAW, map(_cells, rows))


def of_holidays() -> str:
    """Return the names of the days that are barred, in the order of the year."""
    places = sorted({each.jurisdiction for each in statutes.STATUTES if each.bars_holidays})
    return _table(("place", "no texts on"), ((_place(each), ", ".join(_holidays(each))) for each in places))


def of_caps() -> str:
    """Return how often the law lets one person be texted, where it sets a number."""
    return _table(
        ("place", "marketing messages to one person", "rule id", "since", "source"),
        (
            (
                _place(cap.state),
                f"at most {cap.amount} in {cap.hours} hours, rolling",
                str(limit_rules.of_state(cap).rule),
                _since(cap.effective_from, cap.effective_to and cap.effective_to - timedelta(days=1)),
                f"{cap.citation} ({cap.confidence})",
            )
            for cap in frequency.RULES
        ),
    )


def _cells(row: statutes.Statute) -> Sequence[str]:
    return (
        _place(row.jurisdiction),
        statutes.spelled(row.weekdays),
        statutes.spelled(row.saturday),
        statutes.spelled(row.sunday),
        "none" if row.bars_holidays else "as other days",
        "; ".join(_others(row)),
        row.id,
        _since(row.effective_from, row.effective_to),
        f"{row.source} ({row.confidence})",
    )


def _others(row: statutes.Statute) -> Iterator[str]:
    for cap in frequency.BY_STATE.get(row.jurisdiction, ()):
        yield f"{cap.amount} in {cap.hours} hours ({limit_rules.of_state(cap).rule.code})"
    if row.note:
        yield row.note
    if row.jurisdiction == statutes.FEDERAL:
        own = {each.jurisdiction for each in statutes.STATUTES}
        yield f"without a row: {', '.join(sorted(states.NAMES.keys() - own))}"
    if row.consent_relaxes:
        yield "counsel may read consent as lifting it; nothing acts on that"


def _place(jurisdiction: str) -> str:
    special = {statutes.FEDERAL: "United States", statutes.ABROAD: "other countries"}
    if jurisdiction in special:
        return special[jurisdiction]
    name = states.NAMES.get(jurisdiction)
    return f"{name} ({jurisdiction})" if name else f"country {jurisdiction.upper()}"


def _since(first: date | None, last: date | None) -> str:
    """Return the first day, and the last one where it is known."""
    told = str(first or _SINCE_UNKNOWN)
    return f"{told}, until {last}" if last else told


def _holidays(jurisdiction: str) -> Iterable[str]:
    named = [
        (f"{day:%m-%d}", name.removesuffix(" (observed)"))
        for year in _YEARS
        for day, name in statutes.holidays(jurisdiction, year)
        if not name.endswith("(observed)")
    ]
    return dict.fromkeys(name for _, name in sorted(named))


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
