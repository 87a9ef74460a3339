"""Makes the proof of one record from hash tiles, so that of the log only that record is read.

Tiles that are missing, or do not give the root that was signed, are made again from the log. They
are written to the log's directory, or, if that is not writable, to a cache directory of the user.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

from audit_emit._checkpoints.beginning import Start, after, leaves_after, position_of, start_of
from audit_emit._checkpoints.kept_tiles import rebuilt
from audit_emit._checkpoints.new_leaves import GrowingTree, Position
from audit_emit._checkpoints.signer_state import state_of
from audit_emit._checkpoints.tiles import Store, TiledFrontier, Tiles
from audit_emit._format.chain import Frontier
from audit_emit._format.checkpoint import CHAIN, Checkpoint, check
from audit_emit._format.line_splitter import may_be_chained
from audit_emit._format.merkle_proofs import inclusion_ranges, roots_after
from audit_emit._format.proof_file import VERSION, Evidence
from audit_emit._format.record import head_of
from audit_emit._readers.base import LogReader
from audit_emit._readers.files.cache_directory import private_directory
from audit_emit._readers.whole_lines import whole_lines_of
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import CheckpointError

_SMALLEST = 3
"""How many checkpoints are tried where every try reads the log."""

_TRIES = 1000
"""How many checkpoints, newest first, are tried as the end of existing tiles."""

_LONGEST = 4096
"""The most bytes of a line that is read as a checkpoint whose signature can be checked."""

Progress = Callable[[int, int], None]

_SIZE = re.compile(rb'","head_seq":([1-9][0-9]{0,18}),"')


def prove_record(reader: LogReader, seq: int, ring: KeyRing) -> Evidence:
    """Prove a record with the smallest checkpoint that covers it and agrees with the log.

    Args:
        reader: of the log.
        seq: the number of the record.
        ring: the trusted keys; a checkpoint with a wrong signature of one of them is skipped.

    Raises:
        CheckpointError: the log is not what was signed.
        LookupError: the record is not in the log.
        ValueError: no checkpoint covers the record and agrees with the log.
        OSError: a file cannot be read, or tiles cannot be written anywhere.
    """
    start = start_of(reader, ring)
    if start is not None and seq <= start.removal.last_seq:
        raise LookupError(
            f"record {seq} was removed: records up to {start.removal.last_seq} were, "
            f"as record {start.record.seq} says"
        )
    line = find_record(reader, seq)
    last = max((size for size, _ in _checkpoint_lines(reader)), default=0)
    if last < seq:
        raise ValueError(f"no checkpoint covers record {seq}")
    for store in tile_stores(reader):
        with suppress(LookupError, CheckpointError):
            made = _proof_from(reader, seq, line, Tiles(store), ring)
            if made is not None:
                return made
        grown = extend_tiles(reader, store, last)
        with suppress(LookupError, CheckpointError):
            made = _proof_from(reader, seq, line, Tiles(store), ring) if grown else None
            if made is not None:
                return made
    try:
        made = _proof_from(reader, seq, line, Tiles(make_tiles(reader, last, start)), ring)
    except LookupError:
        if start is None:
            raise
        made = _proof_without_tiles(reader, seq, line, start, ring)
    if made is None:
        raise ValueError(f"no checkpoint covers record {seq} and agrees with the log")
    return made


def _proof_from(
    reader: LogReader, seq: int, line: bytes, tiles: Tiles, ring: KeyRing
) -> Evidence | None:
    checkpoint = _smallest_checkpoint(reader, seq, tiles, ring)
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


def _proof_without_tiles(
    reader: LogReader, seq: int, line: bytes, start: Start, ring: KeyRing
) -> Evidence | None:
    """The proof of a record after a removal, where no tiles have the hashes of removed records.

    The subtrees of the removed records that the proof needs are in ``audit.pruned``.
    """
    for checkpoint in _covering(reader, seq, ring):
        size, before = checkpoint.head_seq, start.removal.tree
        leaves = leaves_after(reader, start)
        path = roots_after(before, inclusion_ranges(seq - 1, size), leaves)
        made = Evidence(
            VERSION,
            line.decode("utf-8", "surrogatepass"),
            seq - 1,
            size,
            [node.hex() for node in path],
            checkpoint,
        )
        if made.judge(KeyRing()).verdict != "mismatch":
            return made
    raise CheckpointError("hash-mismatch", f"record {seq} is not the one that was signed")


def _covering(reader: LogReader, seq: int, ring: KeyRing) -> list[Checkpoint]:
    """The smallest checkpoints that cover a record, the smallest first."""
    found: dict[int, Checkpoint] = {}
    for size, line in _checkpoint_lines(reader):
        if size < seq or (len(found) >= _SMALLEST and size >= max(found)):
            continue
        with suppress(ValueError):
            each = Checkpoint.from_line(line)
            if check(each, ring) != "mismatch":
                found.setdefault(size, each)
                if len(found) > _SMALLEST:
                    del found[max(found)]
    return [found[size] for size in sorted(found)]


def _smallest_checkpoint(
    reader: LogReader, seq: int, tiles: Tiles, ring: KeyRing
) -> Checkpoint | None:
    found: Checkpoint | None = None
    for size, line in _checkpoint_lines(reader):
        if size < seq or (found is not None and size >= found.head_seq):
            continue
        with suppress(LookupError, ValueError):
            each = Checkpoint.from_line(line)
            root = tiles.root(0, each.head_seq).hex()
            if root == each.root_hash and check(each, ring) != "mismatch":
                found = each
    return found


def _checkpoint_lines(reader: LogReader) -> Iterator[tuple[int, bytes]]:
    """The lines that may be checkpoints, in order, each with the tree size that it states."""
    for one in reader.checkpoints() or ():
        stated = _SIZE.search(one.line) if one.lines == 1 and one.size <= _LONGEST else None
        if stated is not None:
            yield int(stated[1]), one.line


def find_record(reader: LogReader, seq: int) -> bytes:
    """The line of a record, without its newline.

    Raises:
        LookupError: the log has no such record.
        OSError: it cannot be read.
    """
    for block in reader.search(seq=seq):
        for _, line in may_be_chained(block.data):
            head = head_of(line)
            if head is not None and head.seq == seq:
                return line
    raise LookupError(f"there is no record {seq}")


def signer_directory(reader: LogReader) -> str:
    """The directory where the signer of a log keeps its files; empty if it is not known.

    That is the directory of the log; of a chain of a database, the default place of its state.
    """
    chain = reader.name.rpartition("#chain=")[2]
    if reader.directory or not CHAIN.fullmatch(chain):
        return reader.directory
    return os.path.dirname(state_of(chain))


def tile_stores(reader: LogReader) -> Iterator[Store]:
    """The places where tiles may exist."""
    if directory := signer_directory(reader):
        yield Store(directory)
    with suppress(OSError):
        yield Store(private_directory(reader.directory or reader.name))


def extend_tiles(reader: LogReader, store: Store, last: int) -> bool:
    """Extend tiles that end before record ``last`` up to it; whether that was possible.

    It is if they give the root of one of the last checkpoints. Records before that checkpoint need
    not be in the log any more.
    """
    tiles = Tiles(store)
    try:
        for before in _newest(reader):
            size = before.head_seq
            with suppress(LookupError, CheckpointError, OSError):
                if size > last or tiles.root(0, size).hex() != before.root_hash:
                    continue
                tree = TiledFrontier.resume(store, tiles.frontier(size), limit=last)
                if tree is not None:
                    position = Position(before.chain, tree, before.head_hash, 0)
                    _read(reader, GrowingTree(position, tiled=tree, bare=True), last)
                    tree.flush()
                    return tree.error is None
    finally:
        store.close()
    return False


def _newest(reader: LogReader) -> Iterator[Checkpoint]:
    """The last checkpoints, newest first, with good and bad signatures."""
    for _, line in reversed(deque(_checkpoint_lines(reader), maxlen=_TRIES)):
        with suppress(ValueError):
            yield Checkpoint.from_line(line)


def newest_checkpoint(reader: LogReader, ring: KeyRing | None) -> Checkpoint | None:
    """The last checkpoint that a key of the ring has signed; ``None`` where there is none.

    Args:
        ring: ``None`` for the last one with any signature.

    Raises:
        OSError: they cannot be read.
    """
    for found in _newest(reader):
        if ring is None or check(found, ring) == "ok":
            return found
    newest = None
    for _, line in _checkpoint_lines(reader):
        with suppress(ValueError):
            found = Checkpoint.from_line(line)
            newest = found if ring is None or check(found, ring) == "ok" else newest
    return newest


def make_tiles(
    reader: LogReader, last: int, start: Start | None, progress: Progress = lambda *_: None
) -> Store:
    """Make new tiles over the log up to record ``last``, or to the end of the log.

    Args:
        start: the records that were removed, whose tiles must be there.
        progress: called with the records that were read, and with ``last``.

    Raises:
        LookupError: they are not.
        CheckpointError: a record before that does not follow the one before it.
        OSError: the log cannot be read, or tiles cannot be written anywhere.
    """
    if reader.directory:
        in_log_directory = Store(reader.directory)
        if _write_tiles(reader, in_log_directory, last, start, progress) is None:
            return in_log_directory
    in_cache = Store(private_directory(reader.directory or reader.name))
    error = _write_tiles(reader, in_cache, last, start, progress)
    if error is not None:
        raise error
    return in_cache


def _write_tiles(
    reader: LogReader, store: Store, last: int, start: Start | None, progress: Progress
) -> OSError | None:
    """Write the tiles to a store; the error if that failed."""
    try:
        store.touch()  # find out that the directory is not writable before reading the log
    except OSError as error:
        return error
    # Exactly up to the size that was signed: other programs that read tiles expect that.
    position = position_of(start)
    if start is None:
        tree = TiledFrontier(store, Frontier(), limit=last)
    else:
        found = rebuilt(store, position.frontier, limit=last)
        if found is None:
            raise LookupError("the tiles of removed records")
        tree = found
    try:
        grown = GrowingTree(position._replace(frontier=tree), tiled=tree, bare=True)
        _read(reader, grown, last, progress)
        tree.flush()
    finally:
        store.close()
    return tree.error


def _read(
    reader: LogReader, tree: GrowingTree, last: int, progress: Progress = lambda *_: None
) -> None:
    try:
        for block in whole_lines_of(after(reader, tree.position)):
            tree.feed(block, 0)
            progress(min(tree.frontier.size, last), last)
            if tree.frontier.size >= last:
                return
    except CheckpointError:
        if tree.frontier.size < last:
            raise
