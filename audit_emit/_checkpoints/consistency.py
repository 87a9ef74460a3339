"""Proves that a signed tree of a log begins with an older one (RFC 9162, section 2.1.4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from audit_emit._checkpoints.beginning import leaves_after, start_of
from audit_emit._checkpoints.prove import make_tiles, tile_stores
from audit_emit._checkpoints.tiles import Tiles
from audit_emit._format.checkpoint import Checkpoint, check
from audit_emit._format.merkle_proofs import consistency_ranges, roots_after, verify_consistency
from audit_emit._readers.base import LogReader
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import CheckpointError


class Consistency(NamedTuple):
    """A proof that one checkpoint continues another.

    Attributes:
        old, new: the checkpoints.
        proof: hashes, 64 hex digits each, as RFC 9162 orders them.
    """

    old: Checkpoint
    new: Checkpoint
    proof: tuple[str, ...]

    def holds(self) -> bool:
        """Whether the proof leads from one root to the other. Signatures are not looked at."""
        return verify_consistency(
            self.old.head_seq,
            self.new.head_seq,
            bytes.fromhex(self.old.root_hash),
            bytes.fromhex(self.new.root_hash),
            [bytes.fromhex(node) for node in self.proof],
        )


def prove_consistency(reader: LogReader, old: int, new: int, ring: KeyRing) -> Consistency:
    """Prove that a checkpoint of ``new`` records continues one of ``old`` records.

    The records before the older one need not be in the log any more, as long as their tiles are.

    Args:
        reader: of the log.
        old, new: sizes, both of checkpoints.
        ring: the trusted keys; a checkpoint with a wrong signature of one of them is none.

    Raises:
        ValueError: there is no checkpoint of one of the sizes, or they are not in this order.
        LookupError: records were removed, and their tiles are not here.
        CheckpointError: the one does not continue the other.
        OSError: a file cannot be read, or tiles cannot be written anywhere.
    """
    if not 0 < old <= new:
        raise ValueError(f"no proof leads from {old} records to {new}")
    first, second = (checkpoint_of(reader, size, ring) for size in (old, new))
    for path in _paths(reader, old, new, ring):
        made = Consistency(first, second, tuple(node.hex() for node in path))
        if made.holds():
            return made
    raise CheckpointError("not-extended", f"checkpoint {new} does not continue checkpoint {old}")


def _paths(reader: LogReader, old: int, new: int, ring: KeyRing) -> Iterator[list[bytes]]:
    """Possible proofs, of which the first may come from wrong tiles; the last are made anew."""
    ranges = consistency_ranges(old, new)
    for store in tile_stores(reader):
        with suppress(LookupError):
            tiles = Tiles(store)
            yield [tiles.root(*part) for part in ranges]
    start = start_of(reader, ring)
    try:
        tiles = Tiles(make_tiles(reader, new, start))
        yield [tiles.root(*part) for part in ranges]
    except LookupError:
        if start is None:
            raise
        yield roots_after(start.removal.tree, ranges, leaves_after(reader, start))


def checkpoint_of(reader: LogReader, size: int, ring: KeyRing) -> Checkpoint:
    """The checkpoint over ``size`` records; one that a key of the ring shows to be forged is none.

    Raises:
        ValueError: there is none.
        OSError: they cannot be read.
    """
    wanted = b'","head_seq":%d,"' % size
    for one in reader.checkpoints() or ():
        if wanted in one.line:
            with suppress(ValueError):
                found = Checkpoint.from_line(one.line)
                if found.head_seq == size and check(found, ring) != "mismatch":
                    return found
    raise ValueError(f"there is no checkpoint of {size} records")


def proof_between(reader: LogReader, old: int, new: Checkpoint, ring: KeyRing) -> list[bytes]:
    """The proof from any smaller size to a checkpoint, as a witness needs it.

    Args:
        reader: of the log.
        old: from 1 to the size of the checkpoint.
        new: the checkpoint.
        ring: the trusted keys.

    Raises:
        LookupError: records were removed, and their tiles are not here.
        CheckpointError: the log is not what was signed.
        OSError: a file cannot be read, or tiles cannot be written anywhere.
    """
    size, root = new.head_seq, bytes.fromhex(new.root_hash)
    ranges = consistency_ranges(old, size)
    for store in (*tile_stores(reader), None):
        tiles = Tiles(store or make_tiles(reader, size, start_of(reader, ring)))
        with suppress(LookupError):
            path = [tiles.root(*part) for part in ranges]
            if verify_consistency(old, size, tiles.root(0, old), root, path):
                return path
    raise CheckpointError(
        "not-extended", f"the first {size} records are not those that were signed"
    )
