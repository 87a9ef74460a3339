"""Keeps the state of each group within bounds: the group not seen for longest is forgotten.

Users whose actions are recorded choose the names of groups, so there may be any number of them.
Forgotten groups are counted, and an alert says so: nobody can flood the memory unseen.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any, Generic, Protocol, TypeVar

from audit_emit._detection.unrolled import Text
from audit_emit._detection.values import text_of

Key = tuple[str | None, ...]

CUT = 64
"""Characters of a value that are kept; what is longer is cut, with a part of its hash after it."""

GROUP_BYTES, PART_BYTES, ENTRY_BYTES = 350, 50, 150
"""About what a group takes, each part of its name besides its characters, and each entry in it.

Measured with CPython 3.11; a test holds them against what is allocated."""

TOTAL_BYTES = 48 << 20
"""For the groups of all rules together, by these figures, which leave out a third at most."""


class Sized(Protocol):
    """What is remembered for one group."""

    @property
    def size(self) -> int:
        """Entries in it."""

    @property
    def latest(self) -> int:
        """The time of what came last."""


_State = TypeVar("_State", bound=Sized)


def part_of_key(field: str, text: Text) -> str:
    """The text for the value of a field as a part of the name of a group: ``short`` of it."""
    value, cut = text.field(field), text.value(short)
    if "(" in value:
        return f"{cut}({value})"
    plain = f"type({value}) is str and len({value}) <= {CUT} and {value}.isascii()"
    return f"({value} if {plain} else {cut}({value}))"


def short(value: Any) -> str | None:
    """A value as a part of a name."""
    text = value if isinstance(value, str) else text_of(value)
    if text is None:
        return None
    if not text.isascii():
        # A lone surrogate, which a record may hold as an escape, is in no file of ours.
        text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= CUT:
        return text
    return f"{text[:CUT]}~{hashlib.sha256(text.encode()).hexdigest()[:16]}"


class Pool:
    """What the groups of all rules take together.

    Args:
        most: bytes, by the figures above. The rule that takes most forgets first, so that a flood
            of groups for one rule makes that rule forget, and no other.
    """

    def __init__(self, most: int) -> None:
        self.used = 0
        self.forgot = False
        self._most = most
        self._members: list[Groups[Any]] = []

    def join(self, groups: Groups[Any]) -> None:
        """Another rule takes part."""
        self._members.append(groups)

    def make_room(self, ns: int) -> None:
        """Forget until it fits; it is that late."""
        while self.used > self._most and max(map(len, self._members)) > 1:
            most = max((one for one in self._members if len(one) > 1), key=lambda one: one.bytes)
            most.forget(ns)


class Groups(Generic[_State]):
    """The groups of one rule.

    Args:
        pool: what all rules take.
        span: nanoseconds for which the state of a group matters after its last record.

    Attributes:
        table: the state of each, those that were not seen for longest first.
        bytes: about how much is taken.
        forgotten: groups that were dropped while they still said something.
    """

    def __init__(self, pool: Pool, span: int) -> None:
        self.forgotten = 0
        self.bytes = 0
        self.table: OrderedDict[Key, _State] = OrderedDict()
        self._span = span
        self._pool = pool
        pool.join(self)

    def __len__(self) -> int:
        return len(self.table)

    def get(self, key: Key) -> _State | None:
        """What is remembered for a group, which was seen now."""
        found = self.table.get(key)
        if found is not None:
            self.table.move_to_end(key)
        return found

    def add(self, key: Key, state: _State) -> None:
        """Begin to remember a group."""
        self.table[key] = state
        self._grow(_bytes(key, state))

    def grown(self, entries: int, ns: int) -> None:
        """So many entries came to the group that was seen last; forget others if it is too much."""
        self._grow(entries * ENTRY_BYTES)
        self._pool.make_room(ns)

    def _grow(self, size: int) -> None:
        self.bytes += size
        self._pool.used += size

    def forget(self, ns: int) -> None:
        """Drop the group that was not seen for longest."""
        key, state = self.table.popitem(last=False)
        self._grow(-_bytes(key, state))
        if abs(ns - state.latest) <= self._span:
            self.forgotten += 1
            self._pool.forgot = True


def _bytes(key: Key, state: Sized) -> int:
    name = sum(PART_BYTES + len(part or "") for part in key)
    return GROUP_BYTES + name + state.size * ENTRY_BYTES
