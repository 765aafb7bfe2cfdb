"""The link under which one person ends one brand's texts, without a login: signed, so that nobody can make one.

It names the message it came with, and carries the beginning of an HMAC over it (64 bits). Nothing is stored for it: it
works for as long as the message is kept. It stays on the host of the brand's short links, so it is not shortened again.
"""

import base64
import binascii
import hashlib
import hmac
import uuid
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from django.conf import settings

from campaigns.rendering import CompiledText

FIELD: Final = "opt_out_link"
PATH: Final = "o"
_RUN: Final = 8  # bytes of a dispatch's id that are the run's
_SHORT: Final = 5  # of the person's number in it, as long as there are fewer than a million millions
_SIGNATURE: Final = 8
_LONG: Final = 8
_WHOLE: Final = (1 << 64) - 1


def url(base: str, dispatch_id: uuid.UUID) -> str:
    """Return the link that belongs to a message; `base` is that of the brand's short links."""
    return f"{base}/{PATH}/{token(dispatch_id)}"


def token(dispatch_id: uuid.UUID) -> str:
    """Return the signed name of a message: 28 characters, or 32 for a very large number."""
    run, person = dispatch_id.int >> 64, dispatch_id.int & _WHOLE
    width = _SHORT if person < 1 << (8 * _SHORT) else _LONG
    name = run.to_bytes(_RUN, "big") + person.to_bytes(width, "big")
    return base64.urlsafe_b64encode(name + _sign(name, settings.SECRET_KEY)).decode().rstrip("=")


def read(text: str) -> uuid.UUID | None:
    """Return the message that a token names, or None where we did not make it."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return None
    name, signature = raw[:-_SIGNATURE], raw[-_SIGNATURE:]
    if len(name) not in (_RUN + _SHORT, _RUN + _LONG):
        return None
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    if not any(hmac.compare_digest(signature, _sign(name, key)) for key in keys):
        return None
    found = uuid.UUID(int=int.from_bytes(name[:_RUN], "big") << 64 | int.from_bytes(name[_RUN:], "big"))
    # One spelling for each message: what decodes to the same bytes is not the link that we gave.
    return found if len(text) == len(token(found)) else None


def added(
    fields: Mapping[str, Any], texts: Iterable[CompiledText], base: str, dispatch_id: uuid.UUID
) -> Mapping[str, Any]:
    """Return the person's fields, with the link where one of the texts asks for it."""
    if not any((FIELD,) in text.paths for text in texts):
        return fields
    return {**fields, FIELD: url(base, dispatch_id)}


def _sign(name: bytes, key: str) -> bytes:
    return hmac.digest(_key(key), name, "sha256")[:_SIGNATURE]


@lru_cache(maxsize=8)
def _key(secret: str) -> bytes:
    return hashlib.sha256(b"opt-out link:" + secret.encode()).digest()
