"""`manage.py state_diagram`: the life of a message, drawn from the table that the code obeys.

Needs no database: `make check` asks whether the diagram in the documentation is still the code's.
"""

from argparse import ArgumentParser
from typing import Any

from campaigns.states import PROOF_RANK, SETTLED, TRANSITIONS, State
from smsplatform.common import marked
from smsplatform.common.console import Answer, OperatorCommand


class Command(OperatorCommand):
    """Prints the Mermaid text; --check and --write work on a file that has the two markers."""

    help = "Draw the state machine of a message."

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        marked.declare(parser, "diagram")

    def act(self, options: dict[str, Any]) -> Answer:
        """Draw."""
        if marked.page(options) is None:
            return Answer({"diagram": diagram()}, [diagram()])
        parts = {"states": f"```mermaid\n{diagram()}\n```"}
        return marked.renew(options, parts, what="diagram", command="state_diagram")


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
