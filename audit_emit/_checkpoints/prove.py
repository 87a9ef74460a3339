"""Makes the proof of one record from hash tiles, so that of the log only that record is read.

Tiles that are missing, or do not give the root that was signed, are made again from the log. They
are written to the log's directory, or, if that is not writable, to a cache directory of the user.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from audit_emit._checkpoints.new_leaves import GrowingTree, Position, read_new_records
from audit_emit._checkpoints.ordered_segments import blocks, open_segments
from audit_emit._checkpoints.signer_state import SignerFiles
from audit_emit._checkpoints.tiles import Store, TiledFrontier, Tiles
from audit_emit._format.chain import Frontier
from audit_emit._format.checkpoint import Checkpoint, check
from audit_emit._format.merkle_proofs import inclusion_ranges
from audit_emit._format.proof_file import VERSION, Evidence
from audit_emit._format.record import head_of
from audit_emit._format.tail import first_seq
from audit_emit._readers.files.cache_directory import private_directory
from audit_emit._readers.files.logfiles import open_regular
from audit_emit._readers.files.places import find_seq
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._stores.jsonl.directory import Layout
from audit_emit.errors import CheckpointError

SMALL = 64 * 1024 * 1024
"""A log of up to so many bytes is read as a whole for every proof. That is fast, and detects a
change anywhere before the checkpoint. Of a longer log only the record is read."""

_CHUNK = 128 * 1024
_TRIES = 1000
"""How many checkpoints, newest first, are tried as the end of existing tiles."""

_SIZE = re.compile(rb'","head_seq":([1-9][0-9]{0,18}),"')


def prove_record(layout: Layout, seq: int, ring: KeyRing) -> Evidence:
    """Prove a record with the smallest checkpoint that covers it and agrees with the log.

    Args:
        layout: where the log is.
        seq: the number of the record.
        ring: the trusted keys; a checkpoint with a wrong signature of one of them is skipped.

    Raises:
        CheckpointError: the log is not what was signed.
        LookupError: the record is not in the log.
        ValueError: no checkpoint covers the record and agrees with the log.
        OSError: a file cannot be read, or tiles cannot be written anywhere.
    """
    line = find_record(layout, seq)
    last = max((size for size, _ in _checkpoint_lines(layout)), default=0)
    if last < seq:
        raise ValueError(f"no checkpoint covers record {seq}")
    small = _bytes_of(layout) <= SMALL
    for store in () if small else _tile_stores(layout):
        with suppress(LookupError, CheckpointError):
            made = _proof_from(layout, seq, line, Tiles(store), ring)
            if made is not None:
                return made
        grown = _extend_tiles(layout, store, last)
        with suppress(LookupError, CheckpointError):
            made = _proof_from(layout, seq, line, Tiles(store), ring) if grown else None
            if made is not None:
                return made
    made = _proof_from(layout, seq, line, Tiles(_make_tiles(layout, last)), ring)
    if made is None:
        raise ValueError(f"no checkpoint covers record {seq} and agrees with the log")
    return made


def _proof_from(
    layout: Layout, seq: int, line: bytes, tiles: Tiles, ring: KeyRing
) -> Evidence | None:
    checkpoint = _smallest_checkpoint(layout, seq, tiles, ring)
    if checkpoint is None:
        return None
    head = head_of(line)
    if head is None or bytes.fromhex(head.hash) != tiles.node(0, seq - 1):
        raise CheckpointError("hash-mismatch", f"record {seq} is not the one that was signed")
    size = checkpoint.head_seq
    path = [tiles.root(*part).hex() for part in inclusion_ranges(seq - 1, size)]
    made = Evidence(VERSION, line.decode("utf-8", "surrogatepass"), seq - 1, size, path, checkpoint)
    judgement = made.judge(KeyRing())
    if judgement.verdict == "mismatch":
        raise CheckpointError("hash-mismatch", f"record {seq}: {judgement.why}")
    return made


def _smallest_checkpoint(
    layout: Layout, seq: int, tiles: Tiles, ring: KeyRing
) -> Checkpoint | None:
    found: Checkpoint | None = None
    for size, line in _checkpoint_lines(layout):
        if size < seq or (found is not None and size >= found.head_seq):
            continue
        with suppress(LookupError, ValueError):
            each = Checkpoint.from_line(line)
            root = tiles.root(0, each.head_seq).hex()
            if root == each.root_hash and check(each, ring) != "mismatch":
                found = each
    return found


def _checkpoint_lines(layout: Layout) -> Iterator[tuple[int, bytes]]:
    """The lines that may be checkpoints, in order, each with the tree size that it states."""
    try:
        descriptor = open_regular(os.path.join(layout.directory, "checkpoints.jsonl"))
    except FileNotFoundError:
        return
    try:
        for block, _ in blocks(descriptor, 0):
            for line in block.split(b"\n"):
                stated = _SIZE.search(line)
                if stated is not None:
                    yield int(stated[1]), line
    finally:
        os.close(descriptor)


def find_record(layout: Layout, seq: int) -> bytes:
    """The line of a record, without its newline.

    Raises:
        LookupError: the log has no such record.
        OSError: a file cannot be read.
    """
    with open_segments(layout) as segments:
        low, high = 0, len(segments)
        while high - low > 1:  # a binary search: segments are in the order of their records
            middle = (low + high) // 2
            with segments.opened(middle) as descriptor:
                first = first_seq(descriptor)
            if first is not None and first <= seq:
                low = middle
            else:
                high = middle
        # Also try the segments around it: one may begin with bytes that are not a record.
        for number in sorted(range(len(segments)), key=lambda each: (abs(each - low), each)):
            with segments.opened(number) as descriptor:
                found = find_seq(descriptor, os.fstat(descriptor).st_size, seq)
            if found is not None:
                return found.line
    raise LookupError(f"there is no record {seq}")


def _bytes_of(layout: Layout) -> int:
    size = 0
    with open_segments(layout) as segments:
        for number in range(len(segments)):
            with segments.opened(number) as descriptor:
                size += os.fstat(descriptor).st_size
    return size


def _tile_stores(layout: Layout) -> Iterator[Store]:
    """The places where tiles may exist."""
    yield Store(layout.directory)
    with suppress(OSError):
        yield Store(private_directory(layout.directory))


def _extend_tiles(layout: Layout, store: Store, last: int) -> bool:
    """Extend tiles that end before record ``last`` up to it; whether that was possible.

    It is if they give the root of one of the last checkpoints. Records before that checkpoint need
    not be in the log any more.
    """
    tiles = Tiles(store)
    try:
        for before in islice(SignerFiles(layout).backward(), _TRIES):
            size = before.head_seq
            with suppress(LookupError, CheckpointError, OSError):
                if size > last or tiles.root(0, size).hex() != before.root_hash:
                    continue
                tree = TiledFrontier.resume(store, tiles.frontier(size), limit=last)
                if tree is not None:
                    position = Position(before.chain, tree, before.head_hash, 0)
                    _read(layout, GrowingTree(position, tiled=tree), last)
                    tree.flush()
                    return tree.error is None
    finally:
        store.close()
    return False


def _make_tiles(layout: Layout, last: int) -> Store:
    """Make new tiles over the log up to record ``last``, or to the end of the log.

    Raises:
        CheckpointError: a record before that does not follow the one before it.
        OSError: the log cannot be read, or tiles cannot be written anywhere.
    """
    in_log_directory = Store(layout.directory)
    if _write_tiles(layout, in_log_directory, last) is None:
        return in_log_directory
    in_cache = Store(private_directory(layout.directory))
    error = _write_tiles(layout, in_cache, last)
    if error is not None:
        raise error
    return in_cache


def _write_tiles(layout: Layout, store: Store, last: int) -> OSError | None:
    """Write the tiles to a store; the error if that failed."""
    # Exactly up to the size that was signed: other programs that read tiles expect that.
    tree = TiledFrontier(store, Frontier(), limit=last)
    try:
        store.touch()  # find out that the directory is not writable before reading the log
    except OSError as error:
        return error
    try:
        _read(layout, GrowingTree(Position.genesis(), tiled=tree), last)
        tree.flush()
    finally:
        store.close()
    return tree.error


def _read(layout: Layout, tree: GrowingTree, last: int) -> None:
    try:
        read_new_records(layout, tree, up_to=last)
    except CheckpointError:
        if tree.frontier.size < last:
            raise
