"""`manage.py state_diagram`: the life of a message, drawn from the table that the code obeys.

Needs no database: `make check` asks whether the diagram in the documentation is still the code's.
"""

import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from campaigns.states import PROOF_RANK, SETTLED, TRANSITIONS, State
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.common.errors import InvalidInput

_MARKED: Final = re.compile(r"(<!-- states -->\n).*?(<!-- /states -->)", re.DOTALL)


class Command(OperatorCommand):
    """Prints the Mermaid text; --check and --write work on a file that has the two markers."""

    help = "Draw the state machine of a message."

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument("--check", metavar="FILE", help="fail if the diagram in the file is stale")
        choice.add_argument("--write", metavar="FILE", help="renew the diagram in the file")

    def act(self, options: dict[str, Any]) -> Answer:
        """Draw."""
        name = options["check"] or options["write"]
        if name is None:
            return Answer({"diagram": diagram()}, [diagram()])
        path = Path(name)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            option = "--check" if options["check"] else "--write"
            raise InvalidInput(
                f"{name} cannot be read: {error.strerror}; name the file with the markers", field=option
            ) from None
        if len(_MARKED.findall(text)) != 1:
            raise InvalidInput(
                f"{name} must have the markers <!-- states --> and <!-- /states --> once, each on a line of its own"
            )
        fresh = _MARKED.sub(lambda found: f"{found[1]}```mermaid\n{diagram()}\n```\n{found[2]}", text)
        is_fresh = fresh == text
        data = {"file": name, "fresh": is_fresh}
        if options["check"]:
            problem = (
                "" if is_fresh else f"the diagram in {name} is stale; run `manage.py state_diagram --write {name}`"
            )
            return Answer(data, [f"{name} is fresh"] if is_fresh else (), problem=problem)
        if not is_fresh:
            path.write_text(fresh, encoding="utf-8")
        return Answer({**data, "written": not is_fresh}, [f"{name} is fresh" if is_fresh else f"{name} is renewed"])


def diagram() -> str:
    """Return the Mermaid text: the moves of the table, and the proof that beats them."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.QUEUED}"]
    for origin, targets in TRANSITIONS.items():
        lines += [f"    {origin} --> {to}" for to in State if to in targets]
    lines += [
        f"    {weaker} --> {stronger}: proof"
        for weaker, rank in PROOF_RANK.items()
        for stronger in PROOF_RANK
        if rank < PROOF_RANK[stronger]
    ]
    lines += [f"    {state} --> [*]" for state in State if state in SETTLED]
    lines += [
        f"    note right of {State.ACCEPTED}",
        "        Proof that a try was taken (a late answer, a delivery report) leads here,",
        f"        to {State.UNDELIVERED} or to {State.DELIVERED} from every state with weaker proof.",
        "    end note",
    ]
    return "\n".join(lines)
