"""Does an account work? Asked of the vendor without sending anything."""

from dataclasses import dataclass

from providers import reconcile
from providers.adapters.base import Adapter, Unreadable
from providers.models import UNUSABLE, ProviderAccount
from smsplatform.common.crypto import UndecryptableSecret


@dataclass(frozen=True, slots=True)
class Checked:
    """What came out: `is_fine` None where nobody could say."""

    is_fine: bool | None
    told: str


def check(account: ProviderAccount) -> Checked:
    """Ask the vendor whether it knows our credentials; one harmless request."""
    try:
        adapter = account.adapter()
    except UndecryptableSecret as error:
        return Checked(False, f"{error}; enter the credentials again")
    except UNUSABLE as error:
        return Checked(False, f"its settings cannot be used: {error}")
    return _ask(adapter)


def _ask(adapter: Adapter) -> Checked:
    call = adapter.check()
    if call is None:
        return Checked(None, f"{adapter.title} cannot be asked without sending something; send yourself a message")
    try:
        reply = reconcile.fetch(call)
    except Unreadable as error:
        return Checked(False, f"{error}; is the address {adapter.base_url} right, and can this machine reach it?")
    if 200 <= reply.status < 300:  # noqa: PLR2004 - the success class of HTTP
        return Checked(True, f"{adapter.title} knows these credentials")
    if reply.status in (401, 403):
        return Checked(False, f"{adapter.title} refuses these credentials (HTTP {reply.status}); enter them again")
    return Checked(None, f"{adapter.title} answered HTTP {reply.status}, which says nothing about the credentials")
