"""`manage.py rotate_credentials`: encrypt every account's credentials with the newest of CREDENTIAL_KEYS.

To rotate: put a new key in front of CREDENTIAL_KEYS everywhere, run this, then drop the old key.
"""

import enum
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
        is_dry, actor = options["dry_run"], options["actor"]
        done = kept = last = 0
        unreadable: list[str] = []
        while accounts := _rotate(last, actor, is_dry=is_dry):
            done += sum(found is _Found.OLD for _, found in accounts)
            kept += sum(found is _Found.NEWEST for _, found in accounts)
            unreadable += [
                f"{each.name} of {each.tenant.slug}" for each, found in accounts if found is _Found.UNREADABLE
            ]
            last = accounts[-1][0].pk
            self.tell(f"{done + kept + len(unreadable):,} accounts looked at")
        what = "would be encrypted" if is_dry else "are encrypted"
        data = {"rotated": done, "kept": kept, "unreadable": unreadable, "dry_run": is_dry}
        lines = [f"{done:,} accounts {what} with the newest key, {kept:,} were already."]
        return Answer(data, lines, problem=_problem(unreadable))


class _Found(enum.Enum):
    NEWEST = enum.auto()
    OLD = enum.auto()
    UNREADABLE = enum.auto()


@transaction.atomic
def _rotate(last: int, actor: str, *, is_dry: bool) -> list[tuple[ProviderAccount, _Found]]:
    """Encrypt the next accounts anew where they need it; return them with what was found."""
    rows = ProviderAccount.objects.filter(pk__gt=last).select_related("tenant").order_by("pk")
    accounts = [(each, _look(each)) for each in rows.select_for_update(of=("self",), no_key=True)[:_AT_ONCE]]
    old = [each for each, found in accounts if found is _Found.OLD]
    if old and not is_dry:
        for account in old:
            values = crypto.decrypt(account.secret, tenant_id=account.tenant_id)
            account.secret = crypto.encrypt(values, tenant_id=account.tenant_id)
            account.save(update_fields=["secret"])
        audit.record(actor=actor, verb="credentials.rotated", target=f"{len(old)} accounts", accounts=len(old))
    return accounts


def _look(account: ProviderAccount) -> _Found:
    try:
        crypto.decrypt(account.secret, tenant_id=account.tenant_id)
        return _Found.NEWEST if crypto.is_newest(account.secret) else _Found.OLD
    except crypto.UndecryptableSecret:
        return _Found.UNREADABLE


def _problem(unreadable: list[str]) -> str:
    if not unreadable:
        return ""
    named = ", ".join(unreadable[:10]) + (" and others" if len(unreadable) > 10 else "")  # noqa: PLR2004 - a line's worth
    return (
        f"CREDENTIAL_KEYS: the credentials of {named} cannot be read with any of them; put the old key back, or enter"
        " the credentials again in the admin"
    )
