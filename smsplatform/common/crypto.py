"""Secrets at rest: a JSON field encrypted with Fernet, its tenant bound inside.

Keys come from CREDENTIAL_KEYS only, newest first; every listed key still decrypts, so rotation is: put a new key in
front, save every row again, drop the old key.
"""

import json
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


class UndecryptableSecret(Exception):
    """The stored secret fits none of CREDENTIAL_KEYS, or belongs to another tenant."""


@cache
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as error:
        raise ImproperlyConfigured(
            "CREDENTIAL_KEYS: each key must be 32 url-safe base64 bytes; make one with "
            "`python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'`"
        ) from error


def encrypt(value: dict[str, Any], *, tenant_id: int) -> str:
    """Return the value as a token that only this tenant's row can be read from."""
    body = json.dumps({"tenant": tenant_id, "value": value}, separators=(",", ":"))
    return _fernet(tuple(settings.CREDENTIAL_KEYS)).encrypt(body.encode()).decode()


def is_newest(token: str) -> bool:
    """Return whether the token was written with the first of CREDENTIAL_KEYS; raises UndecryptableSecret for none."""
    keys = tuple(settings.CREDENTIAL_KEYS)
    try:
        _fernet(keys[:1]).decrypt(token.encode())
    except InvalidToken:
        try:
            _fernet(keys).decrypt(token.encode())
        except InvalidToken:
            raise UndecryptableSecret(
                "the stored secret was written with a key that is not in CREDENTIAL_KEYS"
            ) from None
        return False
    return True


def decrypt(token: str, *, tenant_id: int) -> dict[str, Any]:
    """Return the value; raises UndecryptableSecret."""
    try:
        body = json.loads(_fernet(tuple(settings.CREDENTIAL_KEYS)).decrypt(token.encode()))
    except InvalidToken:
        raise UndecryptableSecret("the stored secret was written with a key that is not in CREDENTIAL_KEYS") from None
    if body["tenant"] != tenant_id:
        raise UndecryptableSecret("the stored secret belongs to another tenant")
    value: dict[str, Any] = body["value"]
    return value
