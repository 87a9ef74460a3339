"""The network of an address: what is somebody's usual place. Pure."""

from __future__ import annotations

import ipaddress
from typing import Any

from audit_emit._detection.values import Get, Record, text_of
from audit_emit._runtime.interrupts import let_through

_NETWORKS = 10_000
_LONGEST = 50
"""Characters of what may be an address, or a network; who writes more fills no memory with it."""


def networks(get: Get) -> Get:
    """What reads the network of an address; the networks of many are at hand."""
    known: dict[str, str | None] = {}

    def network(record: Record) -> str | None:
        value = get(record)
        if type(value) is not str or len(value) > _LONGEST:
            return network_of(value)
        found = known.get(value)
        if found is None:
            if len(known) >= _NETWORKS:
                known.clear()
            found = known[value] = network_of(value)
        return found

    return network


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
