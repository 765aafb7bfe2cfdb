"""`manage.py audit`: every standing audit; exit code 1 when something is not as it must be."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any, Final

from campaigns import audits
from campaigns.management.commands import _lookup
from smsplatform.common.console import Answer, OperatorCommand, Table

_MEANING: Final = {
    "accepted_twice": "accepted more than once, by the ledger",
    "reported_twice": "reported for more than one try, by the receipts",
    "open_in_closed_batches": "open, though the batch is closed",
    "wrong_totals": "totals that are not the sum of the messages",
    "wrong_permits": "permits that do not fit the state",
    "wrong_caps": "cap counters that are not the number of permits",
}
_SHOWN: Final = 20


class Command(OperatorCommand):
    """Counts from the facts; changes nothing."""

    help = "Check everything that must always be true."

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        _lookup.declare_run(parser, is_required=False)

    def act(self, options: dict[str, Any]) -> Answer:
        """Run the audits over one run or over all."""
        run_id = _lookup.access_run(options["run"]).pk if options["run"] else None
        findings = audits.everything(run_id=run_id)
        found = asdict(findings)
        rows = [(meaning, len(found[name])) for name, meaning in _MEANING.items()]
        shown = [f"  {name}: {line}" for name, lines in found.items() for line in lines[:_SHOWN]]
        number = sum(len(lines) for lines in found.values())
        return Answer(
            {"clean": findings.is_clean, "run": run_id, **found},
            tables=[Table("", ("audit", "found"), rows)],
            after=["clean"] if findings.is_clean else shown,
            problem=""
            if findings.is_clean
            else f"the audits found {number:,} thing(s) that must not be; see docs/operations.md",
        )
