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


def _packed(units: list[int], *, whole: int, part: int) -> int:
    if sum(units) <= whole:
        return 1
    count, room = 1, part
    for unit in units:  # an escape pair or a surrogate pair is never split
        if unit > room:
            count, room = count + 1, part
        room -= unit
    return count
