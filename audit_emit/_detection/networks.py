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
"""Characters of what may be an address, or a network; who writes more fills no memory with it."""


def part_of_network(field: str, text: Text) -> str:
    """The text for the network of an address as a part of the name of a group."""
    known: dict[str, str | None] = {}

    def network_in(value: Any) -> str | None:
        found = short(network_of(value))
        if type(value) is str and len(value) <= _LONGEST:
            if len(known) >= _NETWORKS:
                known.clear()
            known[value] = found
        return found

    value, find, unknown = text.field(field), text.value(known.get), text.value(network_in)
    if "(" in value:
        return f"{unknown}({value})"
    return f"(type({value}) is str and {find}({value}) or {unknown}({value}))"


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
