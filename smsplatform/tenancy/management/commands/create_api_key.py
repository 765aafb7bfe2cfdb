"""`manage.py create_api_key`: an integrator's key. The token is shown once; only its hash is stored."""

from argparse import ArgumentParser
from typing import Any, ClassVar, Final

from django.db import transaction

from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.common.errors import Conflict, InvalidInput
from smsplatform.tenancy import access, audit
from smsplatform.tenancy.models import ApiKey

_LONGEST_NAME: Final = 120


class Command(OperatorCommand):
    """A token cannot be shown twice, so running it again is refused unless the old key is to be replaced."""

    help = "Make an API key of a tenant and print its token, once."
    option_names: ClassVar = {"name": "--name"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("tenant", help="slug of the tenant")
        parser.add_argument("--name", required=True, help="what it is for, like shop")
        parser.add_argument("--replace", action="store_true", help="end the keys of this name: rotation")

    def act(self, options: dict[str, Any]) -> Answer:
        """Issue the key."""
        tenant = access.access_tenant(options["tenant"])
        name = options["name"].strip()
        if not 0 < len(name) <= _LONGEST_NAME:
            raise InvalidInput("give 1 to 120 characters that say what the key is for", field="name")
        with transaction.atomic():
            old = ApiKey.objects.filter(tenant=tenant, name=name, is_active=True)
            if old.exists() and not options["replace"]:
                raise Conflict(
                    f"{tenant.slug} has a key {name!r}, and its token cannot be shown again; choose another name, or"
                    " add --replace to end the old key",
                    field="name",
                )
            ended = old.update(is_active=False)
            key, token = ApiKey.issue(tenant=tenant, name=name)
            audit.record(
                actor=options["actor"], verb="api_key.created", target=key.prefix, tenant=tenant, name=name, ended=ended
            )
        data = {"tenant": tenant.slug, "name": name, "prefix": key.prefix, "token": token, "ended": ended}
        lines = [token, "Keep it now: only its hash is stored, so nobody can show it again."]
        return Answer(data, [*lines, f"{ended} older key(s) of this name ended."] if ended else lines)
