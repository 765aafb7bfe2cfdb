"""How many SMS segments a text takes, and in which encoding.

GSM-7 if every character is in the basic or extension table of 3GPP TS 23.038, else UCS-2 for the
whole text. A text of several segments loses room to the header, and a character of two units is
never split over two segments, so dividing and rounding up would be wrong.
"""

from dataclasses import dataclass
from typing import Final, Literal

Encoding = Literal["GSM-7", "UCS-2"]

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION: Final = frozenset("\f^{}\\[~]|€")
GSM: Final = _BASIC | _EXTENSION
"""Every character that a text may have without becoming UCS-2."""
_LAST_BMP: Final = "\uffff"

_GSM_ROOM: Final = (160, 153)
_UCS_ROOM: Final = (70, 67)


@dataclass(frozen=True, slots=True)
class Segments:
    """The size of a text; units are septets in GSM-7 and UTF-16 units in UCS-2."""

    encoding: Encoding
    segments: int
    units: int


def count(text: str) -> Segments:
    """The size of this text; an empty one is one segment of no units."""
    characters = set(text)
    if characters <= _BASIC:
        return Segments("GSM-7", _pieces(len(text), _GSM_ROOM), len(text))
    if characters <= GSM:
        double = characters & _EXTENSION
        encoding: Encoding = "GSM-7"
        room = _GSM_ROOM
    else:
        double = {character for character in characters if character > _LAST_BMP}
        encoding, room = "UCS-2", _UCS_ROOM
    units = len(text) + sum(map(text.count, double))
    if units == len(text) or units <= room[0]:
        return Segments(encoding, _pieces(units, room), units)
    return Segments(encoding, _walk(text, frozenset(double), room[1]), units)


def _pieces(units: int, room: tuple[int, int]) -> int:
    """Segments of a text without two-unit characters, or of a text that fits into one."""
    single, multi = room
    return 1 if units <= single else -(-units // multi)


def _walk(text: str, double: frozenset[str], room: int) -> int:
    """Segments of a longer text: a character of two units that does not fit begins the next one."""
    segments, free = 1, room
    for character in text:
        size = 2 if character in double else 1
        if size > free:
            segments += 1
            free = room
        free -= size
    return segments
