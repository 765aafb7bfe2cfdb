"""E-mail addresses: one spelling for each mailbox, so that a STOP finds whoever it is about.

RFC 5321 (2.4) lets a server tell `Ana@` from `ana@`; none that people use does, and answers come in either.
"""

from contextlib import suppress


def spelled(address: str) -> str:
    """Return an address in lower case, its domain in ASCII; what is no address (a number, a keyword) as it is."""
    local, at, domain = address.strip().rpartition("@")
    if not at:
        return address
    with suppress(UnicodeError):  # no server has such a name: the adapter refuses it
        domain = domain.encode("idna").decode("ascii")
    return f"{local}@{domain}".lower()


def masked(address: str) -> str:
    """Return the address with its mailbox hidden, but for the first letter."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}***@{domain}"
