"""Senders whose texts US carriers block: long codes that no 10DLC campaign is registered for.

It is a warning and no refusal: a number may be registered at the provider and not be entered here, and is then only
missing the campaign's rate and status.
"""

import re
from collections.abc import Sequence
from typing import Final

from providers import adapters
from providers.models import TOLL_FREE, Sender
from smsplatform.common import phone

# Since February 2025, for every carrier of the United States (research note §3.5).
WORDS: Final = "US carriers block texts from long codes that no 10DLC campaign is registered for"
REMEDY: Final = (
    "register the brand's campaign with the provider, enter it under Registrations, and choose it as the sender's"
    " registration"
)
_LONG_CODES: Final = ("", Sender.Kind.LONG_CODE)
_NORTH_AMERICAN: Final = re.compile(r"\+1[2-9][0-9]{9}").fullmatch


def warning(sender: Sender) -> str:
    """Return what to tell about a sender that carriers block; "" for any other."""
    return f"{sender.address}: {WORDS}; {REMEDY}." if _is_blocked(sender) else ""


def blocked() -> Sequence[Sender]:
    """Return the active senders that carriers block, of all tenants."""
    rows = Sender.objects.filter(is_active=True, registration=None, kind__in=_LONG_CODES, address__startswith="+1")
    return [each for each in rows.select_related("account").order_by("tenant_id", "address") if _is_blocked(each)]


def _is_blocked(sender: Sender) -> bool:
    """Return whether it is a US long code, without a registration, at a provider that reaches US carriers."""
    if sender.registration_id is not None or sender.kind not in _LONG_CODES:
        return False
    if not sender.is_active or (sender.countries and "US" not in sender.countries):
        return False
    kind = adapters.ADAPTERS.get(sender.account.provider)
    if kind is None or kind.is_simulated or kind.channel != "sms":
        return False
    address = sender.address
    return bool(_NORTH_AMERICAN(address)) and not TOLL_FREE(address) and phone.country(address) == "US"
