"""`manage.py audit_caps`: is each cap's counter the number of its permits? Exit code 1 if not."""

from typing import Any

from compliance import caps
from smsplatform.common.console import Answer, OperatorCommand, Table


class Command(OperatorCommand):
    """Counts from the facts; changes nothing."""

    help = "Check that caps count what was really reserved."

    def act(self, options: dict[str, Any]) -> Answer:  # noqa: ARG002
        """Count."""
        wrong = caps.audit()
        data = {
            "clean": not wrong,
            "windows": [
                {"subject": subject, "starts_at": starts_at, "counter": used, "permits": permits}
                for subject, starts_at, used, permits in wrong
            ],
        }
        if not wrong:
            return Answer(data, ["every cap's counter is the number of its permits"])
        return Answer(
            data,
            tables=[Table("", ("limit", "from", "counter", "permits"), wrong)],
            problem=f"{len(wrong):,} counter(s) are wrong",
        )
