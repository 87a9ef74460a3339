"""Ranges of leaves that are hashed apart and joined later (RFC 6962, section 2.1).

A range is kept as the roots of the complete subtrees that it is made of, from left to right, each
with its level: a leaf has level 0. Ranges that touch are joined without their leaves
(``chain.Frontier.extend``), so parts of a log can be verified in any order. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

Nodes = list[tuple[int, bytes]]
"""Level and root of each subtree."""


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
