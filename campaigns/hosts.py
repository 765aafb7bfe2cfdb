"""Hosts that no text may name: public shorteners, look-alikes in punycode, and what a tenant has banned (facts §5.1).

Carriers filter texts with a public shortener, link or not, so a bare `bit.ly/x` is found too. Nobody can switch this off;
where a link leads, and that it is no IP address, `tracking.shortening` checks.
"""

import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from tracking.shortening import PUBLIC_SHORTENERS

RULE: Final = "link_hosts@1"
SINCE: Final = "2026-11-21"
_PUNYCODE: Final = "xn--"


def forbidden(text: str, destinations: Iterable[str], banned: Collection[str]) -> str:
    """Return the first host in a text, or of its links, that must not be there; "" where there is none."""
    for destination in destinations:
        host = (urlsplit(destination).hostname or "").rstrip(".")
        if _PUNYCODE in host or _is_below(host, banned):
            return host
    # Nearly no text has an end of a host that is looked for: one look for that is cheap, the whole search is not.
    if _ends(frozenset(banned)).search(text) is None and _PUNYCODE not in text.lower():
        return ""
    match = _named(frozenset(banned)).search(text)
    return match[0].lower() if match else ""


def find(text: str, banned: Collection[str]) -> list[tuple[int, str]]:
    """Return where in a text such hosts stand, and which they are."""
    return [(match.start(), match[0].lower()) for match in _named(frozenset(banned)).finditer(text)]


def _is_below(host: str, banned: Collection[str]) -> bool:
    return any(host == each or host.endswith(f".{each}") for each in banned)


@lru_cache(maxsize=256)
def _ends(banned: frozenset[str]) -> re.Pattern[str]:
    """What finds the last label of one of these hosts; it begins with a dot, which the search leaps to."""
    labels = "|".join(sorted({re.escape(host.rpartition(".")[2]) for host in PUBLIC_SHORTENERS | banned}))
    return re.compile(rf"\.(?i:{labels})(?![\w-])")


@lru_cache(maxsize=256)
def _named(banned: frozenset[str]) -> re.Pattern[str]:
    """What finds these hosts: not `internet.com` for t.co, nor `t.co.uk`."""
    hosts = "|".join(re.escape(host) for host in sorted(PUBLIC_SHORTENERS | banned))
    return re.compile(rf"(?<![\w-])(?:(?:{hosts})(?![\w-]|\.\w)|(?:[\w-]+\.)*xn--[\w.-]+)", re.IGNORECASE)
