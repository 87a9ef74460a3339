"""Makes the tiles of a log complete up to its newest checkpoint, and checks all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from audit_emit._checkpoints.beginning import start_of
from audit_emit._checkpoints.prove import (
    extend_tiles,
    make_tiles,
    newest_checkpoint,
    tile_stores,
)
from audit_emit._checkpoints.signed_tiles import SignedTiles, Wrong, count, edges, wrong_tile
from audit_emit._checkpoints.tiles import Store
from audit_emit._format.checkpoint import Checkpoint, check
from audit_emit._readers.base import LogReader
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import CheckpointError

_SHOWN = 1000
"""The largest number of wrong tiles that a result names."""

Progress = Callable[[int, int], None]


class Looked(NamedTuple):
    """The result of checking the tiles of a log.

    Attributes:
        directory: the parent of ``tile``; empty where there are none at all.
        checkpoint: the one that they were compared with.
        trusted: a key that was given signed it.
        tiles: how many there should be.
        wrong: those that are not as they were signed, at most 1,000, the highest level first.
    """

    directory: str
    checkpoint: Checkpoint
    trusted: bool
    tiles: int
    wrong: tuple[Wrong, ...]


def signed_by(reader: LogReader, ring: KeyRing) -> Checkpoint:
    """The newest checkpoint that a key of the ring signed; without keys, the newest of all.

    Raises:
        ValueError: there is none.
        OSError: they cannot be read.
    """
    found = newest_checkpoint(reader, ring if ring.keys else None)
    if found is None:
        by = " by a key that is given" if ring.keys else ""
        raise ValueError(f"there is no checkpoint{by}: nothing says what the tiles must be")
    return found


def look(reader: LogReader, ring: KeyRing, progress: Progress = lambda *_: None) -> Looked:
    """Compare every tile with the signed root. Of the log only the checkpoints are read.

    Args:
        reader: of the log.
        ring: the trusted keys.
        progress: called with the tiles that were read and that there are.

    Raises:
        ValueError: there is no checkpoint.
        OSError: they cannot be read.
    """
    newest = signed_by(reader, ring)
    trusted = check(newest, ring) == "ok"
    size, total = newest.head_seq, count(newest.head_seq) + len(list(edges(newest.head_seq)))
    nothing = tuple(wrong_tile(*edge, missing=True) for edge in edges(size))
    found = Looked("", newest, trusted, total, nothing)
    for store in tile_stores(reader):
        wrong = tuple(islice(_wrong(store, newest, total, progress), _SHOWN))
        if not wrong:
            return Looked(store.directory, newest, trusted, total, ())
        if not found.directory and store.read(0, 0, 1) is not None:
            found = Looked(store.directory, newest, trusted, total, wrong)
    return found


def _wrong(store: Store, newest: Checkpoint, total: int, progress: Progress) -> Iterator[Wrong]:
    size = newest.head_seq
    try:
        tiles = SignedTiles(store, size, bytes.fromhex(newest.root_hash))
    except LookupError:
        yield from (
            wrong_tile(*edge, missing=True) for edge in edges(size) if store.read(*edge) is None
        )
        return
    except CheckpointError:
        yield from (wrong_tile(*edge, missing=False) for edge in edges(size))
        return
    for number, one in enumerate(tiles.wrong(), 1):
        progress(number, total)
        if one is not None:
            yield one


def build(reader: LogReader, ring: KeyRing, progress: Progress = lambda *_: None) -> Looked:
    """Write the tiles that are missing, or all tiles if some are wrong.

    Args:
        reader: of the log.
        ring: the trusted keys.
        progress: called with the records that were read and that there are.

    Returns:
        The result of checking the tiles afterwards.

    Raises:
        ValueError: there is no checkpoint.
        CheckpointError: the log is not what was signed.
        LookupError: records were removed, and their tiles are not here.
        OSError: the log cannot be read, or tiles cannot be written anywhere.
    """
    found = look(reader, ring)
    if not found.wrong:
        return found
    last = found.checkpoint.head_seq
    for store in tile_stores(reader):
        with suppress(LookupError, CheckpointError, OSError):
            if extend_tiles(reader, store, last):
                found = look(reader, ring)
                if not found.wrong:
                    return found
    store = make_tiles(reader, last, start_of(reader, ring), progress)
    try:
        SignedTiles(store, last, bytes.fromhex(found.checkpoint.root_hash))
    except CheckpointError:
        why = f"the first {last} records are not those that were signed"
        raise CheckpointError("not-extended", why) from None
    return found._replace(directory=store.directory, wrong=())
