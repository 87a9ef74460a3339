"""The proof of one record, made of hash tiles: of the log itself only the record is read.

Tiles that are missing, or do not make the root that was signed, are made again from the log, beside
it or, where that cannot be written, in a place of this user's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from audit_emit._checkpoints.new_leaves import Growth, Place, read_growth
from audit_emit._checkpoints.ordered_segments import blocks, open_segments
from audit_emit._checkpoints.signer_state import Records
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
"""Bytes of a log that is read whole for every proof: that takes no time, and shows what was changed
anywhere before the checkpoint. Of a longer one only the record is looked at."""

_CHUNK = 128 * 1024
_TRIES = 1000
"""Checkpoints, the newest first, at which tiles may end."""

_SIZE = re.compile(rb'","head_seq":([1-9][0-9]{0,18}),"')


def prove_record(layout: Layout, seq: int, ring: KeyRing) -> Evidence:
    """The proof of a record under the smallest checkpoint that is right about the log.

    Args:
        seq: of the record.
        ring: keys that are trusted; a checkpoint that one of them did not sign is passed over.

    Raises:
        CheckpointError: the log is not what was signed.
        LookupError: the record is not in the log.
        ValueError: no checkpoint covers the record and agrees with the log.
        OSError: a file cannot be read, or there is no place for tiles.
    """
    line = find_record(layout, seq)
    last = max((size for size, _ in _lines(layout)), default=0)
    if last < seq:
        raise ValueError(f"no checkpoint covers record {seq}")
    small = _bytes_of(layout) <= SMALL
    for store in () if small else _there(layout):
        with suppress(LookupError, CheckpointError):
            made = _proved(layout, seq, line, Tiles(store), ring)
            if made is not None:
                return made
        grown = _grown(layout, store, last)
        with suppress(LookupError, CheckpointError):
            made = _proved(layout, seq, line, Tiles(store), ring) if grown else None
            if made is not None:
                return made
    made = _proved(layout, seq, line, Tiles(_made(layout, last)), ring)
    if made is None:
        raise ValueError(f"no checkpoint covers record {seq} and agrees with the log")
    return made


def _proved(layout: Layout, seq: int, line: bytes, tiles: Tiles, ring: KeyRing) -> Evidence | None:
    checkpoint = _smallest(layout, seq, tiles, ring)
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


def _smallest(layout: Layout, seq: int, tiles: Tiles, ring: KeyRing) -> Checkpoint | None:
    found: Checkpoint | None = None
    for size, line in _lines(layout):
        if size < seq or (found is not None and size >= found.head_seq):
            continue
        with suppress(LookupError, ValueError):
            each = Checkpoint.from_line(line)
            root = tiles.root(0, each.head_seq).hex()
            if root == each.root_hash and check(each, ring) != "mismatch":
                found = each
    return found


def _lines(layout: Layout) -> Iterator[tuple[int, bytes]]:
    """The lines that may be checkpoints, in their order, with the size that each one states."""
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
        LookupError: it is not there.
        OSError: a file cannot be read.
    """
    with open_segments(layout) as segments:
        low, high = 0, len(segments)
        while high - low > 1:  # segments are in the order of their records
            middle = (low + high) // 2
            with segments.opened(middle) as descriptor:
                first = first_seq(descriptor)
            if first is not None and first <= seq:
                low = middle
            else:
                high = middle
        # Those around it, too: a segment may begin with what is no record.
        for number in sorted(range(len(segments)), key=lambda each: (abs(each - low), each)):
            with segments.opened(number) as descriptor:
                found = find_seq(descriptor, os.fstat(descriptor).st_size, seq)
            if found is not None:
                return found.line
    raise LookupError(f"there is no record {seq}")


def find_id(layout: Layout, mark: bytes) -> Iterator[bytes]:
    """The lines that hold a text, as it is written there."""
    with open_segments(layout) as segments:
        for number in range(len(segments)):
            with segments.opened(number) as descriptor:
                for block, _ in blocks(descriptor, 0, _CHUNK):
                    if mark in block:
                        yield from (line for line in block.split(b"\n") if mark in line)


def _bytes_of(layout: Layout) -> int:
    size = 0
    with open_segments(layout) as segments:
        for number in range(len(segments)):
            with segments.opened(number) as descriptor:
                size += os.fstat(descriptor).st_size
    return size


def _there(layout: Layout) -> Iterator[Store]:
    """Where tiles may be by now."""
    yield Store(layout.directory)
    with suppress(OSError):
        yield Store(private_directory(layout.directory))


def _grown(layout: Layout, store: Store, last: int) -> bool:
    """Whether tiles that end earlier could be continued up to record ``last``.

    They are if they make the root of one of the last checkpoints before. What is in front of it
    need not be in the log any more.
    """
    tiles = Tiles(store)
    try:
        for before in islice(Records(layout).backward(), _TRIES):
            size = before.head_seq
            with suppress(LookupError, CheckpointError, OSError):
                if size > last or tiles.root(0, size).hex() != before.root_hash:
                    continue
                tree = TiledFrontier.resume(store, tiles.frontier(size), limit=last)
                if tree is not None:
                    place = Place(before.chain, tree, before.head_hash, 0)
                    _read(layout, Growth(place, tiled=tree), last)
                    tree.flush()
                    return tree.error is None
    finally:
        store.close()
    return False


def _made(layout: Layout, last: int) -> Store:
    """New tiles over the log up to record ``last``, as far as that is there.

    Raises:
        CheckpointError: a record before that does not follow the one before it.
        OSError: the log cannot be read, or tiles nowhere be written.
    """
    beside = Store(layout.directory)
    if _tiled(layout, beside, last) is None:
        return beside
    elsewhere = Store(private_directory(layout.directory))
    error = _tiled(layout, elsewhere, last)
    if error is not None:
        raise error
    return elsewhere


def _tiled(layout: Layout, store: Store, last: int) -> OSError | None:
    """Write the tiles; what kept them from being written."""
    # Other readers of tiles want those of exactly the size that was signed.
    tree = TiledFrontier(store, Frontier(), limit=last)
    try:
        store.touch()  # a directory that cannot be written is known before the log is read
    except OSError as error:
        return error
    try:
        _read(layout, Growth(Place.genesis(), tiled=tree), last)
        tree.flush()
    finally:
        store.close()
    return tree.error


def _read(layout: Layout, growth: Growth, last: int) -> None:
    try:
        read_growth(layout, growth, up_to=last)
    except CheckpointError:
        if growth.frontier.size < last:
            raise
