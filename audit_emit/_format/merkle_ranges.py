"""Ranges of leaves that are hashed apart and joined later (RFC 6962, section 2.1).

A range is kept as the roots of the complete subtrees that it is made of, from left to right, each
with its level: a leaf has level 0. Ranges that touch are joined without their leaves
(``chain.Frontier.extend``), so parts of a log can be verified in any order. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

Nodes = list[tuple[int, bytes]]
"""Level and root of each subtree."""


HASH = 32
"""Bytes of a leaf, and of the root of a subtree."""

Subtrees = Callable[[int, bytes], Nodes]
subtrees: Subtrees | None = None
"""What does the work of ``nodes_of`` faster; set by ``use``."""


def use(function: Subtrees | None) -> None:
    """Have trees hashed by this; ``None``: by Python."""
    global subtrees  # noqa: PLW0603 - there is one for the process, and nothing else is kept
    subtrees = function


def nodes_of(start: int, leaves: bytes) -> Nodes:
    """The subtrees over leaves, one hash after the other; the first has the index ``start``."""
    return subtrees(start, leaves) if subtrees is not None else _nodes_of(start, leaves)


def _nodes_of(start: int, leaves: bytes) -> Nodes:
    left: Nodes = []
    right: Nodes = []
    row, level = [leaves[at : at + HASH] for at in range(0, len(leaves), HASH)], 0
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
