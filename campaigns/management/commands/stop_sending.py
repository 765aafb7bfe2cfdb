"""`manage.py stop_sending`: nothing more is sent, by nobody, until `start_sending`."""

from typing import Any

from campaigns.management.commands import _switch
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand


class Command(OperatorCommand):
    """The switch is kept in the database: it survives restarts and holds for every worker."""

    help = "Stop all automatic sending, at the next slice."

    def act(self, options: dict[str, Any]) -> Answer:
        """Turn the switch off."""
        changed = _switch.turn(is_sending=False, actor=options["actor"], now=database.now())
        line = "sending is stopped; what is in the air is settled" if changed else "sending was stopped already"
        return Answer({"is_sending": False, "changed": changed}, [f"{line}. `manage.py start_sending` goes on."])
