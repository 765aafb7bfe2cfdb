"""`manage.py start_sending`: turn all automatic sending on again."""

from typing import Any

from campaigns.management.commands import _switch
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand


class Command(OperatorCommand):
    """Pauses of tenants, brands, accounts and runs stay as they are."""

    help = "Start all automatic sending again."

    def act(self, options: dict[str, Any]) -> Answer:
        """Turn the switch on."""
        changed = _switch.turn(is_sending=True, actor=options["actor"], now=database.now())
        lines = ["sending is on again; every waiting message is checked first" if changed else "sending was on already"]
        is_copy = _switch.is_copy()
        if is_copy:
            lines.append("But this database is a copy: nothing is sent until `manage.py accept_database`.")
        return Answer({"is_sending": True, "changed": changed, "is_copy": is_copy}, lines)
