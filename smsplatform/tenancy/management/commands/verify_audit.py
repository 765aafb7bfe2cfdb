"""`manage.py verify_audit`: is everything in the trail still as it was written? Exit code 1 if not."""

import re
from argparse import ArgumentParser
from typing import Any, Final

from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand, Table
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import seals

_IS_DIGEST: Final = re.compile(r"[0-9a-f]{64}").fullmatch


class Command(OperatorCommand):
    """Computes every hash again, in pages; seals first what is not sealed yet, and changes nothing else."""

    help = "Check that no event of the trail was changed, deleted or slipped in."

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--head", action="append", default=[], help="an end of a chain that was noted: it must still be there"
        )

    def act(self, options: dict[str, Any]) -> Answer:
        """Go through all chains of all ledgers."""
        for head in options["head"]:
            if not _IS_DIGEST(head):
                raise InvalidInput(f"{head!r} is no hash of a seal: it has 64 digits and letters a to f", field="head")
        found = {}
        for name, ledger in seals.LEDGERS.items():
            seals.seal(ledger, database.now())
            found[name] = seals.verify(ledger)
        breaks = [each for one in found.values() for each in one.breaks]
        lost = [
            head
            for head in options["head"]
            if not any(seals.has_head(ledger, head) for ledger in seals.LEDGERS.values())
        ]
        wrong = [*map(str, breaks), *(f"no chain has the seal {head} any more: its end was cut off" for head in lost)]
        shown = [(name, one.rows, one.seals, one.unsealed) for name, one in found.items()]
        heads = [
            (name, "the installation" if tenant is None else f"tenant {tenant}", head)
            for name, one in found.items()
            for tenant, head in one.heads.items()
        ]
        data = {
            "clean": not wrong,
            "ledgers": {
                name: {"rows": one.rows, "seals": one.seals, "unsealed": one.unsealed} for name, one in found.items()
            },
            "heads": [{"ledger": name, "of": whose, "head": head} for name, whose, head in heads],
            "flaws": wrong,
        }
        tables = [
            Table("", ("ledger", "rows", "seals", "not sealed yet"), shown),
            Table("Ends of the chains: note them elsewhere", ("ledger", "of", "head"), heads),
        ]
        problem = f"{len(wrong):,} chain(s) do not hold; the first flaw: {wrong[0]}" if wrong else ""
        return Answer(data, [] if wrong else ["everything is as it was written"], tables, problem, after=wrong[1:])
