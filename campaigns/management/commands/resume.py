"""`manage.py resume`: go on with a run, an account, a brand or a tenant; everything is checked again first."""

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
    """The waiting batches are due, so the next look for work takes them."""

    help = "Resume a run, or everything of a tenant, brand or provider account."

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        _lookup.declare_scope(parser)

    def act(self, options: dict[str, Any]) -> Answer:
        """End the pause, if there is one."""
        scope = _lookup.access_scope(options)
        name = _lookup.described(scope)
        data = {"scope": name, "paused": False}
        if scope.paused_at is None and not (isinstance(scope, Run) and scope.cancelled_at):
            return Answer({**data, "changed": False}, [f"{name} is not paused: nothing to do"])
        if isinstance(scope, Run):
            launch.resume(scope, now=database.now(), actor=options["actor"])
        else:
            with transaction.atomic():
                scope.paused_at = None
                scope.save(update_fields=["paused_at"])
                audit.record(
                    actor=options["actor"],
                    verb=_lookup.verb_of(scope, "resumed"),
                    target=scope,
                    tenant=_lookup.tenant_id_of(scope),
                )
        return Answer({**data, "changed": True}, [f"{name} goes on; every waiting message is checked again first."])
