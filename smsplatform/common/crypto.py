"""Secrets at rest: a JSON field encrypted with Fernet, its tenant bound inside; and what is left of erased numbers.

Keys come from CREDENTIAL_KEYS only, newest first; every listed key still decrypts, so rotation is: put a new key in
front, save every row again, drop the old key.

A number that must be known again, and by nobody else, is kept as its HMAC under a pepper of NUMBER_PEPPERS, newest
first. Nobody can write such a hash again under a new pepper (the number is gone), so a pepper stays in the list for as
long as there are hashes under it; `manage.py doctor` says when one is missing.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from smsplatform.common import mailbox

_SHORTEST_PEPPER: Final = 32  # characters


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


# -- numbers that must be known again ---------------------------------------------------------------------------------


class _Pepper(NamedTuple):
    version: str  # what it is called: nothing can be told from it
    secret: bytes


@cache
def _peppers(secrets: tuple[str, ...]) -> tuple[_Pepper, ...]:
    if not secrets or min(map(len, secrets)) < _SHORTEST_PEPPER:
        raise ImproperlyConfigured(
            f"NUMBER_PEPPERS: give at least one secret, each of {_SHORTEST_PEPPER} characters or more; make one with"
            " `openssl rand -hex 32`"
        )
    return tuple(_Pepper(hashlib.sha256(secret.encode()).hexdigest()[:8], secret.encode()) for secret in secrets)


def pepper_versions() -> list[str]:
    """Return the names of the peppers we have, newest first."""
    return [pepper.version for pepper in _peppers(tuple(settings.NUMBER_PEPPERS))]


def keyed(number: str) -> str:
    """Return what a number (E.164) or e-mail address is kept as when it must be forgotten: version:hash, 73 characters."""
    return _keyed(_peppers(tuple(settings.NUMBER_PEPPERS))[0], mailbox.spelled(number))


def all_keyed(numbers: Sequence[str]) -> dict[str, str]:
    """Return each number by what it may be kept as: under the present pepper, and under each earlier one."""
    peppers = _peppers(tuple(settings.NUMBER_PEPPERS))
    return {_keyed(pepper, mailbox.spelled(number)): number for number in numbers for pepper in peppers}


def _keyed(pepper: _Pepper, number: str) -> str:
    return f"{pepper.version}:{hmac.digest(pepper.secret, number.encode(), 'sha256').hex()}"
