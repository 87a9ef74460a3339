"""The first members of the containers of the standard library, also while another thread writes."""

from __future__ import annotations

import gc
from collections import ChainMap, deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from audit_emit._fields.values import MAX_ITEMS, MAX_TABLE, UNKNOWN, Again, Members
from audit_emit._runtime import foreign as _foreign
from audit_emit._runtime.interrupts import let_through

__all__ = [
    "of_chain",
    "of_deque",
    "of_dict",
    "of_frozenset",
    "of_list",
    "of_mapping",
    "of_proxy",
    "of_set",
    "of_tuple",
    "of_view",
]

_MAX_CHAINED = 1024


def _snapshot(
    kind: str, entries: Callable[[], Iterable[Any]], total: int, table: int = 0
) -> Members:
    """The first entries of what another thread may be changing."""
    if table > MAX_TABLE or not total:
        return Members(kind, [], total)
    for _ in range(3):
        try:
            return Members(kind, list(islice(entries(), MAX_ITEMS)), total, table=table)
        except RuntimeError as error:
            let_through(error)
            continue
    found: list[Any] = []
    try:
        for entry in islice(entries(), MAX_ITEMS):
            found.append(entry)  # noqa: PERF402 - what came before the failure counts
    except RuntimeError as error:
        let_through(error)
    return Members(kind, found, total, racy=True, table=table)


def of_dict(value: dict[Any, Any]) -> Members:
    table = dict.__sizeof__(value)
    return _snapshot("dict", lambda: dict.items(value), dict.__len__(value), table)


def of_list(value: list[Any]) -> Members:
    return Members("list", list.__getitem__(value, slice(0, MAX_ITEMS)), list.__len__(value))


def of_tuple(value: tuple[Any, ...]) -> Members:
    entries = tuple.__getitem__(value, slice(0, MAX_ITEMS))
    return Members("list", list(entries), tuple.__len__(value))


def of_set(value: set[Any]) -> Members:
    table = set.__sizeof__(value)
    return _snapshot("set", lambda: set.__iter__(value), set.__len__(value), table)


def of_frozenset(value: frozenset[Any]) -> Members:
    table = frozenset.__sizeof__(value)
    return _snapshot("set", lambda: frozenset.__iter__(value), frozenset.__len__(value), table)


def of_deque(value: deque[Any]) -> Members:
    return _snapshot("list", lambda: deque.__iter__(value), deque.__len__(value))


def of_view(value: Any) -> Members:
    behind = gc.get_referents(value)
    table = sum(dict.__sizeof__(seen) for seen in behind if issubclass(type(seen), dict))
    return _snapshot("list", lambda: value, len(value), table)


def of_proxy(value: Any) -> Again:
    """A ``MappingProxyType`` stands for the mapping behind it, which it does not give."""
    return Again(gc.get_referents(value)[0])


def of_chain(value: Any) -> Members:
    """A ``ChainMap``, which would copy all of its maps to be iterated."""
    return _foreign.call(_read_chain, value)


def _read_chain(value: Any) -> Members:
    found: dict[Any, Any] = {}
    maps = [value]
    total = table = at = 0
    racy = cut = False
    while at < len(maps) and total <= _MAX_CHAINED:
        part = maps[at]
        at += 1
        if issubclass(type(part), ChainMap):
            if len(maps) < _MAX_CHAINED:
                maps[at:at] = object.__getattribute__(part, "__dict__")["maps"][:MAX_ITEMS]
            continue
        members = of_dict(part) if issubclass(type(part), dict) else _read_mapping(part)
        table += members.table
        racy = racy or members.racy
        total += max(len(members.entries), members.total)
        cut = cut or len(members.entries) != members.total
        for key, item in members.entries:
            found.setdefault(key, item)
    entries = list(islice(found.items(), MAX_ITEMS))
    whole = len(entries) == len(found) and at == len(maps) and not cut
    return Members("dict", entries, len(entries) if whole else UNKNOWN, racy=racy, table=table)


def of_mapping(value: Any) -> Members:
    return _foreign.call(_read_mapping, value)


def _read_mapping(value: Any) -> Members:
    pairs: list[Any] = []
    try:
        for key in islice(iter(value), MAX_ITEMS + 1):
            if len(pairs) == MAX_ITEMS:
                return Members("dict", pairs, _length(value))
            pairs.append((key, value[key]))
    except Exception as error:  # noqa: BLE001 - a foreign mapping; what came before the failure counts
        let_through(error)
        return Members("dict", pairs, len(pairs), racy=True)
    return Members("dict", pairs, len(pairs))


def _length(value: Any) -> int:
    """The length of a mapping with more than ``MAX_ITEMS``, if what it says can be true."""
    try:
        length = len(value)
    except Exception as error:  # noqa: BLE001 - a foreign mapping
        let_through(error)
        return UNKNOWN
    return length if length > MAX_ITEMS else UNKNOWN
