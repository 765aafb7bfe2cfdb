"""`manage.py test_account`: does a provider know our credentials? Sends nothing."""

from argparse import ArgumentParser
from typing import Any, ClassVar

from providers import checking
from providers.models import ProviderAccount
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.tenancy import access


class Command(OperatorCommand):
    """One harmless request."""

    help = "Ask a provider whether it knows an account's credentials; nothing is sent."
    option_names: ClassVar = {"provideraccount": "ACCOUNT"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("tenant", help="slug of the tenant")
        parser.add_argument("account", help="name of the provider account")

    def act(self, options: dict[str, Any]) -> Answer:
        """Ask."""
        tenant = access.access_tenant(options["tenant"])
        account = access.access(ProviderAccount, tenant, name=options["account"])
        checked = checking.check(account)
        data = {"account": account.name, "provider": account.provider, "is_fine": checked.is_fine, "told": checked.told}
        told = f"{account.name}: {checked.told}"
        return Answer(data, problem=told) if checked.is_fine is False else Answer(data, [told])
