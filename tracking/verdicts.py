"""Was it a person? The verdict on one hit, from what was stored of it and what happened around it. Pure.

A machine that says so is believed: method, prefetch headers, user agent. Of the rest each sign has points, and enough of
them make it suspected. Everybody is sent on alike, whatever the verdict; it only decides what is counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from tracking import agents
from tracking.ranges import Ranges, is_private

HUMAN: Final = "human"
BOT: Final = "bot"
SUSPECTED: Final = "bot_suspected"
PREFETCH: Final = "prefetch"
DUPLICATE: Final = "duplicate"

RULES: Final = 1
"""Raise it when a rule below changes: what was judged by the former ones can then be judged again."""

POINTS: Final[Mapping[str, int]] = {
    "no_user_agent": 3,
    "data_centre": 2,
    "at_once": 2,
    "soon": 1,
    "all_links": 3,
    "many_people": 3,
    "no_language": 1,
    "no_navigation": 1,
    "accepts_anything": 1,
}
SUSPECT_FROM: Final = 3

WORDS: Final[Mapping[str, str]] = {
    "method": "asked with HEAD or OPTIONS, not GET",
    "prefetch": "the browser said that it fetches ahead",
    "user_agent": "the user agent is on the list of machines",
    "repeat": "the same visitor followed the same link within 10 seconds before",
    "no_user_agent": "no user agent",
    "data_centre": "from the network of a data centre or a known scanner",
    "at_once": "within 2 seconds after the provider took the message",
    "soon": "2 to 5 seconds after the provider took the message",
    "all_links": "every link of the message was followed within 2 seconds",
    "many_people": "links of three people or more were followed from this address within 10 seconds",
    "no_language": "no Accept-Language",
    "no_navigation": "a modern browser by its name, but no Sec-Fetch-Mode: navigate",
    "accepts_anything": "no Accept, or */* only",
}
"""Each reason in words."""

AT_ONCE: Final = timedelta(seconds=2)
SOON: Final = timedelta(seconds=5)
_METHODS: Final = frozenset(("HEAD", "OPTIONS"))
_AHEAD: Final = frozenset(("prefetch", "preview"))
_NO_RANGES: Final = Ranges()


@dataclass(frozen=True, slots=True)
class Hit:
    """What is known of a hit. `headers` are in lower case, as stored; `accepted_at` is when a provider took the message."""

    method: str
    user_agent: str
    at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)
    ip: str | None = None
    accepted_at: datetime | None = None
    is_https: bool = True


@dataclass(frozen=True, slots=True)
class Around:
    """What happened around a hit (`surroundings`)."""

    is_repeat: bool = False
    is_all_links: bool = False
    is_many_people: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a hit is taken for, and why; `subtype` says of a bot whether it is a preview, a scanner or a library."""

    verdict: str
    subtype: str
    reasons: tuple[str, ...]
    points: int
    version: str


ALONE: Final = Around()


def version(ranges: Ranges = _NO_RANGES) -> str:
    """Return the name of the rules and lists that a verdict was made with."""
    return f"{RULES}+{agents.VERSION}+net{ranges.version}"


def is_click(*, method: str, headers: Mapping[str, str]) -> bool:
    """Return whether somebody asked for the page itself: not for its head, and not ahead of time."""
    return method not in _METHODS and not _is_prefetch(headers)


def may_be_own_device(*, user_agent: str, headers: Mapping[str, str]) -> bool:
    """Return whether the person's own device may have fetched it unasked, beside the person: a preview, a prefetch."""
    return _is_prefetch(headers) or agents.machine(user_agent) == agents.PREVIEW


def classify(hit: Hit, around: Around = ALONE, ranges: Ranges = _NO_RANGES) -> Verdict:
    """Return the verdict on a hit."""
    machine = agents.machine(hit.user_agent)
    if hit.method in _METHODS:
        return Verdict(BOT, machine, ("method",), 0, version(ranges))
    if _is_prefetch(hit.headers):
        return Verdict(PREFETCH, "", ("prefetch",), 0, version(ranges))
    if machine:
        return Verdict(BOT, machine, ("user_agent",), 0, version(ranges))
    reasons = _signs(hit, around, ranges)
    # The two signs of a sweep are one sign.
    counted = reasons if "all_links" not in reasons else [name for name in reasons if name != "many_people"]
    points = sum(POINTS[name] for name in counted)
    if points >= SUSPECT_FROM:
        return Verdict(SUSPECTED, "", tuple(reasons), points, version(ranges))
    if around.is_repeat:
        return Verdict(DUPLICATE, "", ("repeat", *reasons), points, version(ranges))
    return Verdict(HUMAN, "", tuple(reasons), points, version(ranges))


def in_words(reasons: str) -> str:
    """Return reasons as they are stored, separated by spaces, in words with the points of each."""
    told = (
        f"{WORDS.get(name, name)} ({POINTS[name]})" if name in POINTS else WORDS.get(name, name)
        for name in reasons.split()
    )
    return "; ".join(told)


def _is_prefetch(headers: Mapping[str, str]) -> bool:
    if headers.get("sec-purpose", "").strip().lower().startswith("prefetch"):
        return True
    return any(headers.get(name, "").strip().lower() in _AHEAD for name in ("purpose", "x-purpose", "x-moz"))


def _signs(hit: Hit, around: Around, ranges: Ranges) -> list[str]:
    found = []
    if not hit.user_agent.strip():
        found.append("no_user_agent")
    if hit.ip and ranges.networks and not is_private(hit.ip) and hit.ip in ranges:
        found.append("data_centre")
    if hit.accepted_at is not None:
        found += _haste(hit.at - hit.accepted_at)
    if around.is_all_links:
        found.append("all_links")
    if around.is_many_people:
        found.append("many_people")
    if not hit.headers.get("accept-language", "").strip():
        found.append("no_language")
    if (
        hit.is_https
        and hit.headers.get("sec-fetch-mode", "").strip().lower() != "navigate"
        and agents.claims_fetch_metadata(hit.user_agent)
    ):
        found.append("no_navigation")
    if hit.headers.get("accept", "").partition(";")[0].strip() in ("", "*/*"):
        found.append("accepts_anything")
    return found


def _haste(after: timedelta) -> list[str]:
    # A message is on phones a moment before its provider's answer is here. Much earlier is no haste: then it was taken
    # without an answer, and the instant is that of a later proof.
    if -SOON <= after <= AT_ONCE:
        return ["at_once"]
    return ["soon"] if AT_ONCE < after <= SOON else []
