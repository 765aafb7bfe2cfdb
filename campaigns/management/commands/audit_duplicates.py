"""`manage.py audit_duplicates`: was any message accepted twice? Exit code 1 if so."""

from typing import Any

from campaigns import audits
from smsplatform.common.console import Answer, OperatorCommand


class Command(OperatorCommand):
    """Counts acceptances per message twice: from the ledger, and from the providers' reports."""

    help = "Check that no message was accepted more than once."

    def act(self, options: dict[str, Any]) -> Answer:  # noqa: ARG002
        """Count."""
        ledger, reported = ([str(found) for found in each] for each in audits.duplicates())
        twice = sorted({*ledger, *reported})
        return Answer(
            {"clean": not twice, "accepted_twice": ledger, "reported_twice": reported},
            ["no message was accepted twice"]
            if not twice
            else [f"  {each}: `manage.py explain {each}`" for each in twice],
            problem=f"{len(twice):,} message(s) were accepted more than once" if twice else "",
        )
