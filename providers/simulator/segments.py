"""How many segments a text takes (3GPP TS 23.038), counted independently of the platform."""

from typing import Final

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = frozenset("\f^{}\\[~]|€")
_BOTH: Final = _BASIC | _EXTENDED


def segments(text: str) -> int:
    """Return the number of segments; an empty text takes one."""
    if _BOTH.issuperset(text):
        units = [2 if char in _EXTENDED else 1 for char in text]
        return _packed(units, whole=160, part=153)
    units = [2 if char > "\uffff" else 1 for char in text]
    return _packed(units, whole=70, part=67)


def is_gsm(text: str) -> bool:
    """Return whether GSM 7-bit has all of the text."""
    return _BOTH.issuperset(text)


def pieces(text: str) -> list[str]:
    """Return what of the text each segment carries; an empty text is one empty piece."""
    if segments(text) == 1:
        return [text]
    gsm = is_gsm(text)
    found, room = [""], 153 if gsm else 67
    left = room
    for char in text:
        unit = 2 if (char in _EXTENDED if gsm else char > "\uffff") else 1
        if unit > left:
            found.append("")
            left = room
        found[-1] += char
        left -= unit
    return found


def _packed(units: list[int], *, whole: int, part: int) -> int:
    if sum(units) <= whole:
        return 1
    count, room = 1, part
    for unit in units:  # an escape pair or a surrogate pair is never split
        if unit > room:
            count, room = count + 1, part
        room -= unit
    return count
