"""The network of an address: what is somebody's usual place. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

from audit_emit._detection.groups import CUT, Key, keyed, short
from audit_emit._detection.values import Record, getter, text_of
from audit_emit._runtime.interrupts import let_through

_NETWORKS = 10_000
_LONGEST = 50
"""Characters of what may be an address, or a network; who writes more fills no memory with it."""


def with_network(fields: Sequence[str], field: str) -> Callable[[Record], Key]:
    """What names the group of a record: the values of fields, and the network of an address."""
    key_of, get = keyed(fields), getter(field)
    known: dict[str, str | None] = {}

    def network_in(value: Any) -> str | None:
        found = short(network_of(value))
        if type(value) is str and len(value) <= _LONGEST:
            if len(known) >= _NETWORKS:
                known.clear()
            known[value] = found
        return found

    def key(record: Record) -> Key:
        return (*key_of(record), network_in(get(record)))

    outer, _, inner = field.partition(".")
    if len(fields) != 1 or "." in fields[0] or not inner or "." in inner:
        return key
    (name,) = fields

    def usual(record: Record) -> Key:
        """The same, with what is called above written out."""
        found, actor = record.get(outer), record.get(name)
        value = found.get(inner) if type(found) is dict else None
        network = known.get(value) if type(value) is str else None
        if network is None:
            network = network_in(value)
        if type(actor) is str and len(actor) <= CUT and actor.isascii():
            return actor, network
        return short(actor), network

    return usual


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
