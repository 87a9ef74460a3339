"""The link of the chain, and the Merkle tree over the same hashes (docs/wire-format.md, section 2).

Pure: bytes in, bytes out. The hash covers the exact bytes on disk, so there is no canonical form to
get wrong; the ``0x00`` prefix makes the link of a record its RFC 6962 leaf hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

ZERO = "0" * 64
"""``prev_hash`` of the record with ``seq`` 1."""

_HASH_MEMBER = len(',"hash":"') + 64 + len('"}')


def body_of(line: bytes) -> bytes:
    """What the hash covers: the line without its newline and without its last member.

    Args:
        line: one chained record, with or without its final newline.

    Raises:
        ValueError: the line does not end in a ``hash`` member.
    """
    line = line.removesuffix(b"\n")
    cut = len(line) - _HASH_MEMBER
    if cut < 0 or line[cut : cut + 9] != b',"hash":"' or not line.endswith(b'"}'):
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
