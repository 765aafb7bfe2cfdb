"""`manage.py rotate_credentials`: encrypt every account's credentials with the newest of CREDENTIAL_KEYS.

To rotate: put a new key in front of CREDENTIAL_KEYS everywhere, run this, then drop the old key.
"""

from argparse import ArgumentParser
from typing import Any, Final

from django.db import transaction

from providers.models import ProviderAccount
from smsplatform.common import crypto
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.tenancy import audit

_AT_ONCE: Final = 200


class Command(OperatorCommand):
    """May be stopped and run again: what is done already is passed over. Accounts go on sending meanwhile."""

    help = "Encrypt all credentials with the newest of CREDENTIAL_KEYS."

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--dry-run", action="store_true", help="only count")

    def act(self, options: dict[str, Any]) -> Answer:
        """Go through all accounts by id."""
        done = kept = 0
        unreadable: list[str] = []
        last = 0
        while True:
            with transaction.atomic():
                accounts = list(
                    ProviderAccount.objects.filter(pk__gt=last).order_by("pk").select_for_update()[:_AT_ONCE]
                )
                for account in accounts:
                    try:
                        if crypto.is_newest(account.secret):
                            kept += 1
                            continue
                        values = crypto.decrypt(account.secret, tenant_id=account.tenant_id)
                    except crypto.UndecryptableSecret:
                        unreadable.append(f"{account.name} of tenant {account.tenant_id}")
                        continue
                    done += 1
                    if not options["dry_run"]:
                        account.secret = crypto.encrypt(values, tenant_id=account.tenant_id)
                        account.save(update_fields=["secret"])
            if not accounts:
                break
            last = accounts[-1].pk
            self.tell(f"{done + kept + len(unreadable):,} accounts looked at")
        if done and not options["dry_run"]:
            audit.record(actor=options["actor"], verb="credentials.rotated", target="all accounts", accounts=done)
        what = "would be encrypted" if options["dry_run"] else "are encrypted"
        data = {"rotated": done, "kept": kept, "unreadable": unreadable, "dry_run": options["dry_run"]}
        lines = [f"{done:,} accounts {what} with the newest key, {kept:,} were already."]
        problem = ""
        if unreadable:
            problem = f"{len(unreadable)} fit none of CREDENTIAL_KEYS: {', '.join(unreadable[:10])}; enter them again"
        return Answer(data, lines, problem=problem)
