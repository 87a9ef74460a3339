"""Merkle proofs: that a record is in a log, and that one log continues another (RFC 9162, 2.1).

Pure. Every hash of a proof is the root of a range of leaves, and the ranges of one proof do not
overlap, so one pass over the leaves makes it, with memory for the proof only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hmac import compare_digest
from itertools import islice

from audit_emit._format.chain import Frontier, node_hash

__all__ = [
    "consistency_proof",
    "consistency_ranges",
    "inclusion_proof",
    "inclusion_ranges",
    "roots_after",
    "verify_consistency",
    "verify_inclusion",
]

Range = tuple[int, int]
"""Leaves from the first number up to, not including, the second."""


def inclusion_proof(index: int, size: int, leaves: Iterable[bytes]) -> list[bytes]:
    """The audit path of one leaf (RFC 9162, section 2.1.3.1), from the leaf to the root.

    Args:
        index: of the leaf, from 0: ``seq`` - 1.
        size: number of leaves in the tree.
        leaves: 32-byte leaf hashes from the first on; those beyond ``size`` are ignored.

    Raises:
        ValueError: the leaf is not in a tree of that size, or there are fewer leaves.
    """
    return _roots(inclusion_ranges(index, size), leaves)


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The leaves under each hash of ``inclusion_proof``, in its order.

    Raises:
        ValueError: the leaf is not in a tree of that size.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    ranges: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_proof(first: int, second: int, leaves: Iterable[bytes]) -> list[bytes]:
    """The proof that a tree of ``second`` leaves begins with one of ``first`` (RFC 9162, 2.1.4.1).

    Args:
        first, second: sizes, 0 < first <= second.
        leaves: as in ``inclusion_proof``.

    Raises:
        ValueError: there is no such proof, or there are fewer leaves.
    """
    return _roots(consistency_ranges(first, second), leaves)


def consistency_ranges(first: int, second: int) -> list[Range]:
    """The leaves under each hash of ``consistency_proof``, in its order.

    Raises:
        ValueError: there is no such proof.
    """
    if not 0 < first <= second:
        raise ValueError(f"no proof leads from a tree of {first} to one of {second}")
    ranges: list[Range] = []
    start, end = 0, second
    while end != first:
        middle = start + _split(end - start)
        if first <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:
        # Otherwise the last range is the whole first tree, whose root the verifier has.
        ranges.append((start, end))
    return ranges[::-1]


def verify_inclusion(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether ``proof`` shows ``leaf`` at ``index`` of the tree (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes(leaf, root, *proof):
        return False
    sides = _sides(index, size - 1, len(proof))
    if sides is None:
        return False
    for sibling, left in zip(proof, sides, strict=True):
        leaf = node_hash(sibling, leaf) if left else node_hash(leaf, sibling)
    return compare_digest(leaf, root)


def verify_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether ``proof`` leads from one root to the other (RFC 9162, section 2.1.4.2)."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and compare_digest(first_root, second_root)
    if not proof or not _are_hashes(first_root, second_root, *proof):
        return False
    number, last = first - 1, second - 1
    while number & 1:
        number >>= 1
        last >>= 1
    first_hash, *siblings = proof if first & (first - 1) else (first_root, *proof)
    sides = _sides(number, last, len(siblings))
    if sides is None:
        return False
    old = new = first_hash
    for sibling, left in zip(siblings, sides, strict=True):
        if left:
            old = node_hash(sibling, old)
        new = node_hash(sibling, new) if left else node_hash(new, sibling)
    return compare_digest(old, first_root) and compare_digest(new, second_root)


def _sides(number: int, last: int, count: int) -> list[bool] | None:
    """For each sibling on the way from a node to the root, whether it is on the left.

    Args:
        number, last: index of the node, and of the last one in its row.
        count: how many siblings a proof has.

    Returns:
        ``None`` when the way has another length.
    """
    sides: list[bool] = []
    while last and len(sides) < count:
        left = bool(number & 1) or number == last
        sides.append(left)
        if left:
            while not number & 1 and number:
                number >>= 1
                last >>= 1
        number >>= 1
        last >>= 1
    return sides if last == 0 and len(sides) == count else None


def _split(size: int) -> int:
    """The largest power of two below ``size``, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == 32 for value in values)


def roots_after(before: Frontier, ranges: Sequence[Range], leaves: Iterable[bytes]) -> list[bytes]:
    """The root of each range of a proof, where the first leaves were removed.

    Args:
        before: the tree over the leaves that were removed.
        ranges: of one proof. In a proof for a leaf that is still there, or between two trees of at
            least that size, no range ends inside ``before``, except as one of its peaks.
        leaves: the leaves after those; the ones beyond the ranges are ignored.

    Raises:
        LookupError: a range needs a leaf that was removed.
        ValueError: there are fewer leaves.
    """
    peaks: dict[Range, tuple[int, bytes]] = {}
    at = 0
    for peak in before.peaks:
        level = (before.size - at).bit_length() - 1
        peaks[at, at + (1 << level)] = (level, peak)
        at += 1 << level
    found: dict[Range, bytes] = {}
    left = iter(leaves)
    position = before.size
    for start, end in sorted(ranges):
        tree = Frontier()
        for (begin, stop), node in peaks.items():
            if start <= begin and stop <= end:
                tree.push(*node)
        if start + tree.size != min(end, max(start, before.size)):
            raise LookupError(f"the leaves from {start} on are gone")
        skipped = max(start, before.size) - position
        for leaf in islice(left, max(skipped, 0), max(end - position, 0)):
            tree.append(leaf)
        if tree.size != end - start:
            raise ValueError(f"there are fewer than {end} leaves")
        position = max(position, end)
        found[start, end] = tree.root()
    return [found[each] for each in ranges]


def _roots(ranges: Sequence[Range], leaves: Iterable[bytes]) -> list[bytes]:
    """The root of each range, in the order of ``ranges``."""
    found: dict[Range, bytes] = {}
    left = iter(leaves)
    position = 0
    for start, end in sorted(ranges):
        tree = Frontier()
        for leaf in islice(left, start - position, end - position):
            tree.append(leaf)
        if tree.size != end - start:
            raise ValueError(f"there are fewer than {end} leaves")
        position = end
        found[start, end] = tree.root()
    return [found[each] for each in ranges]
