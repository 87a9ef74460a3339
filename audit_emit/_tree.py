"""Merkle roots over ranges of leaves that are hashed apart and joined (RFC 6962, section 2.1).

A range is kept as the roots of the complete subtrees that it is made of, from left to right, each
with its level: a leaf has level 0. Ranges that touch can be joined without their leaves, which is
what lets parts of a log be verified in any order. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

Nodes = list[tuple[int, bytes]]


def nodes_of(start: int, leaves: Sequence[bytes]) -> Nodes:
    """The subtrees over ``leaves``, the first of which has the index ``start``."""
    left: Nodes = []
    right: Nodes = []
    row, level = list(leaves), 0
    while row:
        if start & 1:
            left.append((level, row.pop(0)))
            start += 1
        if len(row) & 1:
            right.append((level, row.pop()))
        pairs = iter(row)
        row = [sha256(b"\1" + a + b).digest() for a, b in zip(pairs, pairs, strict=True)]
        start >>= 1
        level += 1
    return left + right[::-1]


class Tree:
    """The complete subtrees of the leaves so far, largest first."""

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add one leaf."""
        self.push(0, leaf)

    def push(self, level: int, node: bytes) -> None:
        """Add a complete subtree; ``size`` is a multiple of its ``2**level`` leaves."""
        row = self.size >> level
        while row & 1:
            node = sha256(b"\1" + self._peaks.pop() + node).digest()
            row >>= 1
        self._peaks.append(node)
        self.size += 1 << level

    def extend(self, nodes: Nodes) -> None:
        """Add the range of leaves that begins at ``size``."""
        for level, node in nodes:
            self.push(level, node)

    def root(self) -> bytes:
        """The root over all leaves; SHA-256 of nothing without any."""
        if not self._peaks:
            return sha256(b"").digest()
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = sha256(b"\1" + peak + root).digest()
        return root
