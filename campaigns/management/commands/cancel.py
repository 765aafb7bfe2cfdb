"""`manage.py cancel`: end a run; what was not sent yet never is."""

from argparse import ArgumentParser
from typing import Any

from campaigns import launch
from campaigns.management.commands import _lookup
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand


class Command(OperatorCommand):
    """For good: a cancelled run cannot be resumed."""

    help = "Cancel a run for good."

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        _lookup.declare_run(parser)

    def act(self, options: dict[str, Any]) -> Answer:
        """Set the fence, unless it is set."""
        run = _lookup.access_run(options["run"])
        name = _lookup.described(run)
        data = {"run": run.pk, "cancelled": True}
        if run.cancelled_at is not None:
            return Answer(
                {**data, "changed": False}, [f"{name} is cancelled already, since {run.cancelled_at:%F %T %Z}"]
            )
        launch.cancel(run, now=database.now(), actor=options["actor"])
        lines = [f"{name} is cancelled. What is in the air is settled; what waits ends as cancelled, batch by batch."]
        return Answer({**data, "changed": True}, lines)
