"""`manage.py create_provider_account`: a tenant's credentials at a provider, with its limits."""

import os
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from providers import adapters
from providers.adapters import UnknownProvider
from providers.adapters.base import Adapter
from providers.models import ProviderAccount
from smsplatform.common import crypto
from smsplatform.common.console import Answer, OperatorCommand, made, make_once
from smsplatform.common.errors import Conflict, InvalidInput
from smsplatform.tenancy import access, audit


class Command(OperatorCommand):
    """Running it again with the same values changes nothing and prints the webhook addresses again."""

    help = "Make an account at a provider and print the addresses of its webhooks."
    option_names: ClassVar = {
        "name": "--name",
        "provider": "--provider",
        "credential": "--credential",
        "credential_env": "--credential-env",
        "options": "--option",
        "base_url": "--base-url",
        "segments_per_second": "--rate",
        "concurrency": "--concurrency",
        "timeout": "--timeout",
    }

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("tenant", help="slug of the tenant")
        parser.add_argument("--name", required=True, help="the account's name, like main")
        parser.add_argument("--provider", required=True, help=f"one of {', '.join(sorted(adapters.ADAPTERS))}")
        parser.add_argument("--credential", action="append", default=[], metavar="KEY=VALUE", help="may be repeated")
        parser.add_argument(
            "--credential-env",
            action="append",
            default=[],
            metavar="KEY=ENVVAR",
            help="read the value from an environment variable: secrets stay out of the shell's history",
        )
        parser.add_argument(
            "--option",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="what this account does otherwise than the vendor's defaults; @FILE as the value reads a file",
        )
        parser.add_argument("--base-url", help="where its API is (the vendor's)")
        parser.add_argument("--rate", type=float, help="segments per second (the vendor's)")
        parser.add_argument("--concurrency", type=int, help="requests in the air (the vendor's)")
        parser.add_argument("--timeout", type=float, help="seconds to wait for an answer (the vendor's)")

    def act(self, options: dict[str, Any]) -> Answer:
        """Make it, or find the same one."""
        tenant = access.access_tenant(options["tenant"])
        try:
            kind = adapters.get(options["provider"])
        except UnknownProvider as error:
            raise InvalidInput(str(error), field="provider") from None
        credentials = _credentials(kind, options["credential"], options["credential_env"])
        chosen = _options(options["option"])
        with transaction.atomic():
            account, is_new = make_once(
                ProviderAccount,
                by={"tenant": tenant, "name": options["name"]},
                given={
                    "provider": kind.slug,
                    "base_url": options["base_url"],
                    "options": chosen or None,
                    "segments_per_second": options["rate"],
                    "concurrency": options["concurrency"],
                    "timeout": options["timeout"],
                },
                finish=lambda account: _finish(account, credentials),
            )
            if is_new:
                audit.record(
                    actor=options["actor"],
                    verb="provider_account.created",
                    target=account.name,
                    tenant=tenant,
                    provider=kind.slug,
                )
            elif crypto.decrypt(account.secret, tenant_id=tenant.pk) != credentials:
                raise Conflict(
                    f"the account {account.name} exists with other credentials. Nothing was changed; change them in"
                    " the admin, or choose another name",
                    field="credential",
                )
        address = f"{settings.PUBLIC_URL}/webhooks/{account.provider}/{account.key}"
        data = {
            "tenant": tenant.slug,
            "account": account.name,
            "provider": account.provider,
            "key": account.key,
            "base_url": account.base_url or kind.default_base_url,
            "status_url": f"{address}/status",
            "inbound_url": f"{address}/inbound",
            "made": is_new,
        }
        lines = [
            made("provider account", account.name, is_new=is_new),
            f"  delivery reports  {data['status_url']}   (sent along with every message)",
            f"  replies           {data['inbound_url']}   (enter this at the provider, for each number)",
        ]
        if account.has_webhook_token:
            lines.append("  End both with ?token= and the credential webhook_token, unless the provider signs with it.")
        if (urlsplit(settings.PUBLIC_URL).hostname or "") in ("127.0.0.1", "localhost", "::1"):
            lines.append("  PUBLIC_URL is this machine: only a provider that runs here can reach these addresses.")
        return Answer(data, lines)


def _credentials(kind: type[Adapter], plain: Sequence[str], named: Sequence[str]) -> dict[str, str]:
    """Return the values that the adapter declares; raises InvalidInput, which never repeats a value."""
    declared = {each.name: each for each in fields(kind.Credentials)}
    pairs = [("credential", *_pair(text, "credential", "KEY=VALUE")) for text in plain]
    pairs += [("credential_env", *_pair(text, "credential_env", "KEY=ENVVAR")) for text in named]
    found: dict[str, str] = {}
    for option, key, text in pairs:
        if key not in declared:
            raise InvalidInput(f"{kind.slug} has no credential {key!r}; give {', '.join(declared)}", field=option)
        if key in found:
            raise InvalidInput(f"{key} is given twice; give it once", field=option)
        if option == "credential_env" and not os.environ.get(text):
            raise InvalidInput(f"the environment variable for {key} is not set; export {text} first", field=option)
        found[key] = os.environ[text] if option == "credential_env" else text
        if not found[key]:
            raise InvalidInput(f"{key} is empty; give its value", field=option)
    missing = [name for name, each in declared.items() if each.default is MISSING and name not in found]
    if missing:
        told = " ".join(f"--credential-env {name}=ENVVAR" for name in missing)
        raise InvalidInput(f"{kind.slug} needs {', '.join(missing)} too; add {told}", field="credential")
    return found


def _finish(account: ProviderAccount, credentials: dict[str, str]) -> None:
    account.set_credentials(credentials)
    account.check_options()


def _options(given: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        key, value = _pair(text, "options", "KEY=VALUE")
        if key in found:
            raise InvalidInput(f"{key} is given twice; give it once", field="options")
        if value.startswith("@"):
            value = _content(key, Path(value[1:]))
        found[key] = value
    return found


def _content(key: str, file: Path) -> str:
    """Return a file's text without the end of its last line, which editors add."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{key}: {file} cannot be read: {error.strerror}; name a file", field="options") from None
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InvalidInput(f"{key}: {file} is no text; write it as UTF-8", field="options")
    return text.removesuffix("\n")


def _pair(text: str, field: str, form: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise InvalidInput(f"write it as {form}", field=field)
    return key.strip(), value
