"""The link of the chain, and the Merkle tree over the same hashes (docs/wire-format.md, section 2).

Pure: bytes in, bytes out. The hash covers the exact bytes on disk, so there is no canonical form to
get wrong; the ``0x00`` prefix makes the link of a record its RFC 6962 leaf hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256

from audit_emit._format.link import HASH, HASH_MEMBER

ZERO = "0" * 64
"""``prev_hash`` of the record with ``seq`` 1."""

_FRONTIER = re.compile(r"(0|[1-9][0-9]{0,18})( [0-9a-f]{64})*", re.ASCII)


def body_of(line: bytes) -> bytes:
    """What the hash covers: the line without its newline and without its last member.

    Args:
        line: one chained record, with or without its final newline.

    Raises:
        ValueError: the line does not end in a ``hash`` member.
    """
    line = line.removesuffix(b"\n")
    cut = len(line) - HASH_MEMBER
    if cut < 0 or line[cut : cut + len(HASH)] != HASH or not line.endswith(b'"}'):
        raise ValueError("not a chained record: the line does not end in a hash member")
    return line[:cut] + b"}"


def leaf_hash(body: bytes) -> str:
    """``SHA-256(0x00 || body)``, 64 lower-case hex digits (RFC 6962, section 2.1)."""
    return sha256(b"\0" + body).hexdigest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """``SHA-256(0x01 || left || right)`` of two 32-byte hashes (RFC 6962, section 2.1)."""
    return sha256(b"\1" + left + right).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root over 32-byte leaf hashes; SHA-256 of nothing for an empty tree (RFC 6962, 2.1)."""
    if not leaves:
        return sha256(b"").digest()
    # A row that pairs neighbours and lifts an odd last one splits at the largest power of two
    # below its length, which is the tree of the RFC, without its recursion.
    row = list(leaves)
    while len(row) > 1:
        paired = [node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
        row = paired + row[len(paired) * 2 :]
    return row[0]


class Frontier:
    """A tree that only grows, as the roots of its complete subtrees, largest first.

    A tree of ``size`` leaves is one complete subtree per bit that is set in ``size`` (RFC 9162,
    section 2.1.2 has the same stack): 32 bytes each, so a log of any length fits a line of text.

    Args:
        size: number of leaves.
        peaks: the subtrees' roots, one per set bit.

    Raises:
        ValueError: the two do not belong together.
    """

    __slots__ = ("_peaks", "size")

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size: int = size
        self._peaks = list(peaks)
        if size < 0 or len(self._peaks) != size.bit_count():
            raise ValueError("a frontier has one hash per bit that is set in its size")
        if any(len(peak) != 32 for peak in self._peaks):
            raise ValueError("a hash of a frontier has 32 bytes")

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """The roots of the complete subtrees, largest first."""
        return tuple(self._peaks)

    def append(self, leaf: bytes) -> None:
        """Add one 32-byte leaf hash: amortised, one ``node_hash``."""
        self.push(0, leaf)

    def push(self, level: int, node: bytes) -> None:
        """Add the root of a complete subtree.

        Args:
            level: the subtree has ``2**level`` leaves, and ``size`` is a multiple of that.
        """
        peaks = self._peaks
        row = self.size >> level
        while row & 1:
            node = sha256(b"\1" + peaks.pop() + node).digest()
            row >>= 1
        peaks.append(node)
        self.size += 1 << level

    def extend(self, subtrees: Iterable[tuple[int, bytes]]) -> None:
        """Add complete subtrees, as arguments of ``push``, from left to right."""
        for level, node in subtrees:
            self.push(level, node)

    def root(self) -> bytes:
        """The root of the tree, as ``merkle_root`` computes it from the leaves."""
        if not self._peaks:
            return sha256(b"").digest()
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root

    def copy(self) -> Frontier:
        """A copy, to which leaves may be added."""
        return Frontier(self.size, self._peaks)

    def to_text(self) -> str:
        """The size and then each hash as hex, on one line, separated by single spaces."""
        return " ".join([str(self.size), *(peak.hex() for peak in self._peaks)])

    @classmethod
    def from_text(cls, text: str) -> Frontier:
        """Read what ``to_text`` wrote.

        Raises:
            ValueError: the text is anything else.
        """
        if not _FRONTIER.fullmatch(text):
            raise ValueError("not a frontier: a decimal size and hashes of 64 hex digits")
        size, *peaks = text.split(" ")
        return cls(int(size), map(bytes.fromhex, peaks))
