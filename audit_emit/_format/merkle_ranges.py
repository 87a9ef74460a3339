"""Ranges of leaves that are hashed apart and joined later (RFC 6962, section 2.1).

A range is kept as the roots of the complete subtrees that it is made of, from left to right, each
with its level: a leaf has level 0. Ranges that touch are joined without their leaves
(``chain.Frontier.extend``), so parts of a log can be verified in any order. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

Nodes = list[tuple[int, bytes]]
"""Level and 32-byte root of each subtree."""


HASH = 32
"""Bytes of a leaf, and of the root of a subtree."""

Parents = Callable[[bytes], bytes]
parents: Parents | None = None
"""A faster function in place of ``_parents``; set by ``use``."""


def use(function: Parents | None) -> None:
    """Have trees hashed by a function that does the same as ``_parents``; ``None``: by that."""
    global parents  # noqa: PLW0603 - there is one for the process, and nothing else is kept
    parents = function


def nodes_of(start: int, leaves: bytes) -> Nodes:
    """The subtrees over leaves.

    Args:
        start: index of the first leaf.
        leaves: 32-byte hashes, one after the other.

    Raises:
        ValueError: the last hash is cut off.
    """
    if len(leaves) % HASH:
        raise ValueError(f"a hash has {HASH} bytes")
    left: Nodes = []
    right: Nodes = []
    row, level = leaves, 0
    while row:
        if start & 1:
            left.append((level, row[:HASH]))
            row = row[HASH:]
            start += 1
        if len(row) // HASH & 1:
            right.append((level, row[-HASH:]))
            row = row[:-HASH]
        row = (parents or _parents)(row)
        start >>= 1
        level += 1
    return left + right[::-1]


def _parents(row: bytes) -> bytes:
    """The inner nodes over a row of pairs of hashes."""
    pairs = range(0, len(row), 2 * HASH)
    return b"".join(sha256(b"\1" + row[at : at + 2 * HASH]).digest() for at in pairs)
