"""How many passwords may be hashed for whom at a time, so that nobody holds up all others.

Hashing a password takes 16 MiB and 0.2 s of a processor, and anybody may ask for it. Who sends more
than a few at a time is told to come back, before anything is hashed.
"""

from __future__ import annotations

import ipaddress
from collections import Counter

OF_ONE = 6
"""At a time of one client: as many as a browser has connections to one host."""

OF_ALL = 64
"""At a time of all clients: those who come later would wait for seconds."""

RETRY_SECONDS = 2


class Attempts:
    """Counts the passwords that are being hashed. It belongs to one event loop."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()
        self._all = 0

    def begin(self, client: str) -> int:
        """Take room for one password; ``end`` gives it back.

        Args:
            client: its address; empty where it is not known.

        Returns:
            0, or the status of HTTP where there is none: 429 if the client has too many (RFC 6585,
            section 4), 503 if all have (RFC 9110, section 15.6.4).
        """
        whose = _network(client)
        if self._of[whose] >= OF_ONE:
            return 429
        if self._all >= OF_ALL:
            return 503
        self._of[whose] += 1
        self._all += 1
        return 0

    def end(self, client: str) -> None:
        """Give the room for one password back."""
        whose = _network(client)
        self._all -= 1
        self._of[whose] -= 1
        if not self._of[whose]:
            del self._of[whose]


def _network(client: str) -> str:
    """Whom an address belongs to: of IPv6 anybody has 2**64 of them (RFC 6177).

    A server of both versions writes ``::ffff:192.0.2.1`` for a client of IPv4 (RFC 4291, section
    2.5.5.2): all of them are in one such network, and are told from each other.
    """
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv4Address):
        return client
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))
