"""Networks of data centres and known scanners, from a file of the operator's: one CIDR a line, `#` begins a comment.

None are built in: clouds publish theirs as JSON and change them every week.
"""

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final
from zlib import crc32

# Whoever calls from one of these stands behind a proxy or a test: the address says nothing about the visitor.
_PRIVATE: Final = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "::1/128", "fc00::/7",
                 "fe80::/10")
)  # fmt: skip

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(maxsize=20_000)
def is_private(address: str) -> bool:
    """Return whether it is an address of a private network, or this machine's own."""
    found = ipaddress.ip_address(address)
    return any(found in network for network in _PRIVATE if network.version == found.version)


@dataclass(frozen=True)
class Ranges:
    """Networks that an address is looked up in, by halving; `version` changes when they do."""

    networks: tuple[Network, ...] = ()

    @cached_property
    def version(self) -> str:
        """Return a name of the list: 0 where it is empty."""
        return f"{crc32(' '.join(map(str, self.networks)).encode()):08x}" if self.networks else "0"

    @cached_property
    def _by_version(self) -> dict[int, tuple[list[int], list[int]]]:
        """The first and last numbers of each range, by version of the protocol; ranges do not overlap."""
        found = {}
        for version in (4, 6):
            own = [network for network in self.networks if network.version == version]
            merged = list(ipaddress.collapse_addresses(own))  # type: ignore[type-var]
            found[version] = (
                [int(network.network_address) for network in merged],
                [int(network.broadcast_address) for network in merged],
            )
        return found

    def __contains__(self, address: str) -> bool:
        found = ipaddress.ip_address(address)
        firsts, lasts = self._by_version[found.version]
        place = bisect_right(firsts, int(found)) - 1
        return place >= 0 and int(found) <= lasts[place]


def parse(lines: Iterable[str]) -> Ranges:
    """Return the ranges of these lines. Raises ValueError that names the line which is no network."""
    networks = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    return Ranges(tuple(sorted(networks, key=lambda network: (network.version, network))))


def read(path: str) -> Ranges:
    """Return the ranges of a file; none where there is no path."""
    if not path:
        return Ranges()
    with Path(path).open(encoding="utf-8") as lines:
        return parse(lines)
