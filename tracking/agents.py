"""What a user agent says of itself: a preview, a scanner, a library; or a browser, and whether a modern one.

The list is that of the package crawler-user-agents, and our own of what it lacks. Pure.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import version
from typing import Final
from zlib import crc32

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

PREVIEW: Final = "preview"
SCANNER: Final = "scanner"
LIBRARY: Final = "library"

# Found in any case, anywhere in the user agent; the first that is found counts.
OWN: Final[Mapping[str, str]] = {
    "googlemessages": PREVIEW,  # documented by Google in January 2026, fetched by its servers
    "google-pagerenderer": SCANNER,
    "barracuda": SCANNER,
    "proofpoint": SCANNER,
    "mimecast": SCANNER,
    "urldefense": SCANNER,
    "safelinks": SCANNER,
    "ciscosecure": SCANNER,
    "preview": PREVIEW,
}
# What the package's tags mean to us; whatever has none of these is a scanner.
_KINDS: Final[Mapping[str, str]] = {"social-preview": PREVIEW, "http-library": LIBRARY}
_AT_ONCE: Final = 25  # patterns of one expression: many small ones are faster than a huge one

VERSION: Final = f"cua{version('crawler-user-agents')}+own{crc32(repr(sorted(OWN.items())).encode()):08x}"
"""Names both lists; changes when one of them does."""


def _compiled(patterns: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    every = list(patterns)
    return tuple(re.compile("|".join(every[i : i + _AT_ONCE])) for i in range(0, len(every), _AT_ONCE))


def _kind_of(tags: Iterable[str]) -> str:
    return next((kind for tag, kind in _KINDS.items() if tag in tags), SCANNER)


_LISTED: Final = tuple(
    (kind, _compiled(one["pattern"] for one in CRAWLER_USER_AGENTS_DATA if _kind_of(one.get("tags", ())) == kind))
    for kind in (PREVIEW, LIBRARY, SCANNER)
)


@lru_cache(maxsize=20_000)
def machine(user_agent: str) -> str:
    """Return what kind of machine it names: preview, scanner or library; empty where none."""
    lower = user_agent.lower()
    for word, kind in OWN.items():
        if word in lower:
            return kind
    for kind, expressions in _LISTED:
        if any(expression.search(user_agent) for expression in expressions):
            return kind
    return ""


# Which browsers send Sec-Fetch-Mode with every page they open, over https.
_CHROMIUM: Final = re.compile(r"(?<![A-Za-z])(?:Chrome|Chromium)/(\d+)")
_FIREFOX: Final = re.compile(r"(?<![A-Za-z])Firefox/(\d+)")
_SAFARI: Final = re.compile(r"(?<![A-Za-z])Version/(\d+)(?:\.(\d+))?.* Safari/")
_FIRST_CHROMIUM: Final = 80
_FIRST_FIREFOX: Final = 90
_FIRST_SAFARI: Final = (16, 4)


@lru_cache(maxsize=20_000)
def claims_fetch_metadata(user_agent: str) -> bool:
    """Return whether it says that it is a browser which tells how a page is being opened."""
    if found := _CHROMIUM.search(user_agent):  # before Safari: an Android WebView has a Version, too
        return int(found[1]) >= _FIRST_CHROMIUM
    if found := _FIREFOX.search(user_agent):
        return int(found[1]) >= _FIRST_FIREFOX
    if found := _SAFARI.search(user_agent):
        return (int(found[1]), int(found[2] or 0)) >= _FIRST_SAFARI
    return False
