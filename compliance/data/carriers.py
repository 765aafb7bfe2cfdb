"""Which carriers have limits of their own, and by which names they are known. Data only."""

import re
from collections.abc import Mapping
from typing import Final

from compliance.data import npa

T_MOBILE: Final = "t-mobile"
OTHER: Final = "other"
# As look-up services write them, letters only: "T-Mobile USA, Inc." is "tmobileusainc".
_NAMES: Final[Mapping[str, str]] = {"tmobile": T_MOBILE}
# What counts as T-Mobile's network here has no numbers abroad.
_NANP_AREA: Final = slice(2, 5)


def group(name: str | None) -> str:
    """Return the carrier group of a name: "" where nothing is known, OTHER for one without a limit of its own."""
    letters = re.sub(r"[^a-z]", "", (name or "").lower())
    if not letters:
        return ""
    return next((carrier for known, carrier in _NAMES.items() if known in letters), OTHER)


def is_possible(number: str) -> bool:
    """Return whether a number of unknown carrier may be at one of these: those of the United States."""
    return number.startswith("+1") and number[_NANP_AREA] in npa.STATE
