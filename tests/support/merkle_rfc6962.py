"""The trees of RFC 6962, section 2.1, written down word for word: slow, and easy to believe."""

from __future__ import annotations

import hashlib
import random

EMPTY = hashlib.sha256(b"").digest()


def leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\0" + data).digest()


def _split(leaves: list[bytes]) -> int:
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return k


def root(leaves: list[bytes]) -> bytes:
    """MTH."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return leaves[0]
    k = _split(leaves)
    return hashlib.sha256(b"\1" + root(leaves[:k]) + root(leaves[k:])).digest()


def path(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH."""
    if len(leaves) == 1:
        return []
    k = _split(leaves)
    if index < k:
        return [*path(index, leaves[:k]), root(leaves[k:])]
    return [*path(index - k, leaves[k:]), root(leaves[:k])]


def proof(first: int, leaves: list[bytes]) -> list[bytes]:
    """PROOF."""
    return _subproof(first, leaves, whole=True)


def _subproof(first: int, leaves: list[bytes], *, whole: bool) -> list[bytes]:
    if first == len(leaves):
        return [] if whole else [root(leaves)]
    k = _split(leaves)
    if first <= k:
        return [*_subproof(first, leaves[:k], whole=whole), root(leaves[k:])]
    return [*_subproof(first - k, leaves[k:], whole=False), root(leaves[:k])]


def numbered(count: int) -> list[bytes]:
    """Leaf hashes that are all different."""
    return [leaf(b"record %d" % number) for number in range(count)]


def flipped(value: bytes, draw: random.Random) -> bytes:
    """One bit changed."""
    bit = draw.randrange(len(value) * 8)
    return (int.from_bytes(value, "big") ^ 1 << bit).to_bytes(len(value), "big")
