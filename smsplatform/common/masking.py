"""What may be shown of a number, an address or a text: the one place that knows, for logs, errors, trail and screens.

A telephone number shows its country code and its last four digits, an e-mail address its first letter and its domain,
an IP address its network (/24, /48). Pure. `text` finds all of these in any text, in whatever way they are written; ids
(uuids, runs, hashes) and instants pass.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

HIDDEN: Final = "(hidden)"
ERASED: Final = "(erased)"  # what is left of a number is a mark, or a keyed hash
_STARS: Final = "*******"  # however many digits it hides
_SHOWN: Final = 4
_FEWEST_HIDDEN: Final = 3
_LONGEST: Final = 15  # digits of an E.164 number
_SHORTEST: Final = 10  # digits of what is taken for a number without a plus sign
_SHORTEST_WITH_PLUS: Final = 7
_DEEPEST: Final = 6
# ITU-T E.164: country codes of two digits. Those of one are 1 and 7, all others have three.
_TWO_DIGITS: Final = re.compile("2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]").match
# What a key of a log line, or a field of a row, is called when its value is nobody's business.
_NEVER: Final = re.compile(
    r"(?:^|_)(?:text|texts|body|bodies|fields|pieces|password|secret|secrets|token|tokens|digest|credentials|authorization|"
    r"cookie|cookies|signature|merge_data)$",
    re.IGNORECASE,
)


def number(raw: str) -> str:
    """Return a number as it may be shown, like +1*******0123; an e-mail address with its mailbox hidden."""
    if raw.startswith("#") or ":" in raw:
        return ERASED
    if "@" in raw:
        return email(raw)
    digits = re.sub(r"\D", "", raw)
    if not digits:
        return raw  # a name of a sender, or what is left of a person who was erased
    code = _country_code(digits) if raw.lstrip().startswith("+") else 0
    shown = max(min(_SHOWN, len(digits) - code - _FEWEST_HIDDEN), 0)
    plus = "+" if code else ""
    return f"{plus}{digits[:code]}{_STARS}{digits[len(digits) - shown :]}"


def _country_code(digits: str) -> int:
    """Return how many digits the country code has."""
    if digits[0] in "17":
        return 1
    return 2 if _TWO_DIGITS(digits) else 3


def email(address: str) -> str:
    """Return the address with its mailbox hidden, but for the first letter."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}***@{domain}"


def ip(address: str) -> str:
    """Return the network that an address is in; this machine's own is shown. What is no address is returned as it is."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.is_loopback or found.is_unspecified:
        return address
    length = 24 if found.version == 4 else 48  # noqa: PLR2004 - the version of the protocol
    return str(ipaddress.ip_network(f"{address}/{length}", strict=False).network_address)


# -- any text --------------------------------------------------------------------------------------------------------

# The first that fits at a place is taken, so what is to pass stands before what is hidden.
_FOUND: Final = re.compile(
    r"""
      (?P<pass>
          [0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}                          # uuid
        | (?<![\w-])(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{16,}(?!\w)                      # hash, our reference
        | (?<![\w-])(?:19|20)\d\d-[01]\d-[0-3]\d(?!\d)
          (?:(?:[T\ ]|%20)[0-2]\d(?::|%3A)[0-5]\d(?:(?::|%3A)[0-6]\d(?:[.,]\d{1,9})?)?
            (?:Z|[+-][01]\d:?[0-5]\d|\ UTC)?)?                                          # instant
      )
    | (?P<email>[\w.+%-]+@[\w-]+(?:\.[\w-]+)+)
    | (?P<ipv4>(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d))
    | (?P<ipv6>(?<![\w:.])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:]))
    | (?P<plus>(?:\+|%2[Bb]|\\u002[Bb])(?:\d(?:(?:%20|[-\s().+])*))+\d)
    | (?P<plain>\d(?:(?:%20|[-\s().])*\d){9,})
    """,
    re.VERBOSE,
)
# What the database adds to an error: the values of the row that it is about.
_VALUES: Final = re.compile(
    r"^((?:DETAIL|CONTEXT|STATEMENT|QUERY|PARAMETERS):\s).*?(?=^\s*The above exception|^\s*During handling|^Traceback|\Z)",
    re.MULTILINE | re.DOTALL,
)
_LITERAL: Final = re.compile(r"'(?:[^']|'')*'")


def text(raw: str) -> str:
    """Return a text with every number, e-mail and IP address in it masked, and no values of rows the database named."""
    if "DETAIL:" in raw or "CONTEXT:" in raw:
        raw = _VALUES.sub(rf"\1{HIDDEN}\n", raw)
    return _FOUND.sub(_masked, raw)


def _masked(match: re.Match[str]) -> str:
    kind = match.lastgroup or "pass"
    return _MASKS[kind](match[0])


def _plus(raw: str) -> str:
    mark = "+" if raw[0] == "+" else raw[: 6 if raw[0] == "\\" else 3]
    digits = re.sub(r"%20|\D", "", raw[len(mark) :])
    return raw if len(digits) < _SHORTEST_WITH_PLUS else mark + number(f"+{digits}")[1:]


def _plain(raw: str) -> str:
    digits = re.sub(r"%20|\D", "", raw)
    # So many digits in a row are an id: a run's, a message's.
    is_id = len(digits) > _LONGEST and len(digits) == len(raw)
    is_decimal = len(digits) == len(raw) - 1 and raw.count(".") == 1
    return raw if is_id or is_decimal or len(digits) < _SHORTEST else number(digits)


_MASKS: Final[Mapping[str, Callable[[str], str]]] = {
    "pass": str,
    "email": email,
    "ipv4": ip,
    "ipv6": ip,
    "plus": _plus,
    "plain": _plain,
}


def sql(statement: str) -> str:
    """Return a statement without the values in it."""
    return _LITERAL.sub("'…'", statement)


def value(raw: Any, name: str = "", depth: int = 0) -> Any:
    """Return any value as it may be shown: texts masked, also inside lists and mappings; secrets and bodies hidden."""
    is_secret = bool(name) and _NEVER.search(name) is not None and raw not in (None, "", [], {})
    if is_secret or depth >= _DEEPEST or isinstance(raw, bytes | bytearray | memoryview):
        return HIDDEN
    if isinstance(raw, Mapping):
        return {text(str(key)): value(one, str(key), depth + 1) for key, one in raw.items()}
    if isinstance(raw, list | tuple | set | frozenset):
        return [value(one, "", depth + 1) for one in raw]
    if isinstance(raw, int) and not isinstance(raw, bool):
        return number(str(raw)) if _SHORTEST <= len(str(raw)) <= _LONGEST else raw
    return raw if raw is None or isinstance(raw, bool | float) else text(str(raw))
