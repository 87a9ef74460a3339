"""The network of an address: what is somebody's usual place. Pure."""

from __future__ import annotations

import ipaddress
from typing import Any

from audit_emit._detection.groups import short
from audit_emit._detection.unrolled import Text
from audit_emit._detection.values import text_of
from audit_emit._runtime.interrupts import let_through

_NETWORKS = 10_000
_LONGEST = 50
"""The most characters of an address or a network; longer texts are not kept in memory."""


class Networks:
    """The networks of addresses, of which the usual ones are remembered, as parts of names."""

    def __init__(self) -> None:
        self._known: dict[str, str | None] = {}

    def written(self, field: str, text: Text) -> str:
        """The text for the network of an address as a part of the name of a group."""
        value, unknown = text.field(field), text.value(self._network_in)
        if "(" in value:
            return f"{unknown}({value})"
        find = text.value(self._known.get)
        return f"(type({value}) is str and {find}({value}) or {unknown}({value}))"

    def _network_in(self, value: Any) -> str | None:
        found = short(network_of(value))
        if type(value) is str and len(value) <= _LONGEST:
            if len(self._known) >= _NETWORKS:
                self._known.clear()
            self._known[value] = found
        return found


def network_of(value: Any) -> str | None:
    """The network of an address, /24 or /48, or of a network in it; else the value as it is."""
    text = text_of(value)
    if text is None or len(text) > _LONGEST:
        return text
    bare = text.partition("/")[0]
    head, _, last = bare.rpartition(".")
    if last.isdecimal() and head.count(".") == 2 and head.replace(".", "").isdecimal():
        return head + ".0/24"  # nearly all
    try:
        address = ipaddress.ip_address(bare)
        return str(ipaddress.ip_network((bare, 24 if address.version == 4 else 48), strict=False))
    except ValueError as error:
        let_through(error)
        return text
