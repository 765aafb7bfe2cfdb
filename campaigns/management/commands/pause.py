"""`manage.py pause`: no further message of a run, an account, a brand or a tenant."""

from argparse import ArgumentParser
from typing import Any

from django.db import transaction

from campaigns import launch
from campaigns.management.commands import _lookup
from campaigns.models import Run
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.tenancy import audit


class Command(OperatorCommand):
    """Takes effect at the next slice: what is in the air is settled, nothing more is posted."""

    help = "Pause a run, or everything of a tenant, brand or provider account."

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        _lookup.declare_scope(parser)

    def act(self, options: dict[str, Any]) -> Answer:
        """Set the pause, unless it is set."""
        scope = _lookup.access_scope(options)
        name = _lookup.described(scope)
        data = {"scope": name, "paused": True}
        if scope.paused_at is not None:
            return Answer({**data, "changed": False}, [f"{name} is paused already, since {scope.paused_at:%F %T %Z}"])
        now = database.now()
        if isinstance(scope, Run):
            launch.pause(scope, now=now, actor=options["actor"])
        else:
            with transaction.atomic():
                scope.paused_at = now
                scope.save(update_fields=["paused_at"])
                audit.record(
                    actor=options["actor"],
                    verb=_lookup.verb_of(scope, "paused"),
                    target=scope,
                    tenant=_lookup.tenant_id_of(scope),
                )
        lines = [f"{name} is paused. What is in the air is settled; what waits too long expires at its lateness limit."]
        return Answer({**data, "changed": True}, lines)
