"""Links in a text: found, checked, replaced by placeholders, and filled in with codes.

A rendered text gets its placeholders before its segments are counted; the codes, one for each
position in each text, come later and change no length. A placeholder is its position padded with
zeros, and no code contains a zero.
"""

import ipaddress
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

import idna

CODE_ALPHABET: Final = "23456789BCDFGHJKMNPQRSTVWXYZbcdfghjkmnpqrstvwxyz"
"""No vowels, so no code spells a word; nothing that looks like something else."""
CODE_LENGTH: Final = 10
_CODES: Final = len(CODE_ALPHABET) ** CODE_LENGTH
MAX_URL: Final = 2_048
MAX_LINKS: Final = 100
"""Links in one text; it keeps placeholders distinct from numbers people write."""


class BadDestination(ValueError):
    """The address is nowhere a short link may lead; `reason` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class FoundUrl:
    """A URL and where it stands in the text."""

    start: int
    end: int
    url: str


def new_code() -> str:
    """A code nobody can guess: 56 bits. That it is new is for the database to say."""
    # One draw for all characters: a fifth of the time of one draw each, and just as even.
    number = secrets.randbelow(_CODES)
    characters = []
    for _ in range(CODE_LENGTH):
        number, digit = divmod(number, len(CODE_ALPHABET))
        characters.append(CODE_ALPHABET[digit])
    return "".join(characters)


# Texts

_URL: Final = re.compile(r"https?://[^\s<>\"“”«»]+", re.IGNORECASE)
_CLOSING: Final = frozenset(".,;:!?)]}'’…。，！？；：）】」』")  # noqa: RUF001
_OPENING: Final = {")": "(", "]": "[", "}": "{"}
_PLACEHOLDER: Final = re.compile(rf"(?<=/)0{{{CODE_LENGTH - 2}}}\d\d(?![0-9A-Za-z])")


def find_urls(text: str) -> Iterator[FoundUrl]:
    """The http and https URLs of a text, in order, without the punctuation that follows them."""
    for match in _URL.finditer(text):
        url = match[0]
        while url and url[-1] in _CLOSING:
            # A bracket that the URL itself opened belongs to it.
            opening = _OPENING.get(url[-1])
            if opening is not None and url.count(opening) >= url.count(url[-1]):
                break
            url = url[:-1]
        if not url.endswith("//"):
            yield FoundUrl(match.start(), match.start() + len(url), url)


def with_placeholders(text: str, base: str, *, allow_http: bool = False) -> tuple[str, list[str]]:
    """The text with each URL as `base/placeholder`, and the destinations by position.

    The same URL twice has two positions; links that are on the base's host already stay as they
    are. Raises BadDestination if a URL may not be linked to, or a number looks like a placeholder.
    """
    if "://" not in text:
        return text, []
    own_host = _host(base)
    pieces: list[str] = []
    destinations: list[str] = []
    done = 0
    for found in find_urls(text):
        if _host(found.url) == own_host:
            continue
        placeholder = f"{base.rstrip('/')}/{len(destinations):0{CODE_LENGTH}d}"
        pieces += (_literal(text[done : found.start]), placeholder)
        destinations.append(check_destination(found.url, allow_http=allow_http))
        done = found.end
    if len(destinations) > MAX_LINKS:
        raise BadDestination(f"is one of more than {MAX_LINKS} in a text")
    pieces.append(_literal(text[done:]))
    return "".join(pieces), destinations


def _literal(text: str) -> str:
    if _PLACEHOLDER.search(text):
        raise BadDestination("stands beside a number that looks like a short link")
    return text


def fill_in(text: str, codes: Sequence[str]) -> str:
    """The text with the placeholder of each position replaced by its code.

    Raises ValueError if placeholders and codes do not match: such a text must not be sent.
    """
    # A text without links was never searched for numbers that look like placeholders.
    if not codes:
        return text
    found = _PLACEHOLDER.findall(text)
    if [int(placeholder) for placeholder in found] != list(range(len(codes))):
        raise ValueError(f"{len(codes)} codes for {len(found)} placeholders")
    waiting = iter(codes)
    return _PLACEHOLDER.sub(lambda _: next(waiting), text)


def _host(url: str) -> str:
    """The host of a URL, or of a base that has no scheme; empty if there is none."""
    try:
        return (urlsplit(url if "://" in url else f"https://{url}").hostname or "").rstrip(".")
    except ValueError:
        return ""


# Destinations

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PRIVATE: Final = frozenset(
    ("arpa", "corp", "home", "internal", "intranet", "invalid", "lan", "local", "localdomain",
     "localhost", "onion", "private")
)  # fmt: skip
PUBLIC_SHORTENERS: Final = frozenset(
    ("bc.vc", "bit.ly", "budurl.com", "buff.ly", "clicky.me", "cutt.ly", "goo.gl", "is.gd",
     "lc.chat", "ow.ly", "rb.gy", "rebrand.ly", "s2r.co", "soo.gd", "t.co", "tiny.cc",
     "tinyurl.com")
)  # fmt: skip
# What may stand in a path or query as it is; the percent sign so that nothing is escaped twice.
_SAFE: Final = "/%:@!$&'()*+,;=-._~?"


@lru_cache(maxsize=4096)
def check_destination(url: str, *, allow_http: bool = False) -> str:
    """The URL a short link may lead to: ASCII, host in lower case. Raises BadDestination."""
    if len(url) > MAX_URL:
        raise BadDestination(f"is longer than {MAX_URL} characters")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise BadDestination("contains a space or a control character")
    if "\\" in url:
        raise BadDestination("contains a backslash")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadDestination("is not a URL") from error
    schemes = ("https", "http") if allow_http else ("https",)
    if parts.scheme not in schemes:
        raise BadDestination(f"does not begin with {' or '.join(schemes)}://")
    if "@" in parts.netloc:
        raise BadDestination("contains a user name")
    host = _checked_host(parts.hostname or "")
    is_default = port in (None, 443 if parts.scheme == "https" else 80)
    normal = urlunsplit(
        (
            parts.scheme,
            host if is_default else f"{host}:{port}",
            quote(parts.path, safe=_SAFE),
            quote(parts.query, safe=_SAFE + "[]"),
            quote(parts.fragment, safe=_SAFE),
        )
    )
    if len(normal) > MAX_URL:
        raise BadDestination(f"is longer than {MAX_URL} characters")
    return normal


def _checked_host(host: str) -> str:
    host = host.rstrip(".")
    if not host:
        raise BadDestination("has no host")
    if _is_address(host):
        raise BadDestination("is an IP address")
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise BadDestination("has a host that is not a domain name") from error
    labels = host.split(".")
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):  # noqa: PLR2004 - RFC 1035
        raise BadDestination("has a host that is not a domain name")
    if len(labels) == 1 or labels[-1] in _PRIVATE:
        raise BadDestination("is not on the public internet")
    if _is_address(host):
        raise BadDestination("is an IP address")
    if host in PUBLIC_SHORTENERS or ".".join(labels[-2:]) in PUBLIC_SHORTENERS:
        raise BadDestination("is a public link shortener, which carriers block")
    return host


def _is_address(host: str) -> bool:
    """Whether browsers would read the host as an IP address, in whatever notation."""
    last = host.rsplit(".", maxsplit=1)[-1]
    if last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def with_query(url: str, extra: Mapping[str, str]) -> str:
    """The URL with these parameters, such as utm_source, added; one it already has stays."""
    parts: SplitResult = urlsplit(url)
    present = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    added = urlencode([(name, value) for name, value in extra.items() if name not in present])
    query = "&".join(filter(None, (parts.query, added)))
    return urlunsplit(parts._replace(query=query))
