"""The tiles of records that are not in the log any more, which proofs still need."""

from __future__ import annotations

import os
from collections.abc import Iterator

from audit_emit._checkpoints.tiles import WIDTH, Store, TiledFrontier, path_of
from audit_emit._format.chain import Frontier
from audit_emit._format.merkle_ranges import nodes_of

_LEVELS = 8
_ROWS = 8
_ANY = 1 << 63


def leaves_of(store: Store, size: int, begin: int = 0) -> Iterator[bytes]:
    """The leaf hashes of the first records of a log, concatenated, at most 256 at a time.

    Args:
        store: of the tiles.
        size: the number of leaves from the first one on.
        begin: the number of leaves to skip, a multiple of 256.

    Raises:
        LookupError: a tile is not there, or cannot be read.
    """
    for number in range(begin // WIDTH, (size + WIDTH - 1) // WIDTH):
        width = min(WIDTH, size - number * WIDTH)
        found = store.read(0, number, width)
        if found is None:
            raise LookupError("/".join(path_of(0, number, width)))
        yield found


def rebuilt(store: Store, frontier: Frontier, limit: int = _ANY) -> TiledFrontier | None:
    """A tree whose tiles are made again from the lowest row, to be continued.

    Args:
        store: of the tiles.
        frontier: the tree that they must give.
        limit: see ``TiledFrontier``.

    Returns:
        ``None`` where the tiles of the lowest row are not those of this tree.

    Raises:
        OSError: tiles cannot be written.
    """
    checked = Frontier()
    try:
        for row in leaves_of(store, frontier.size):
            checked.extend(nodes_of(checked.size, row))
    except LookupError:
        return None
    if checked.peaks != frontier.peaks:
        return None
    tree = TiledFrontier(store, Frontier(), limit=limit)
    for row in leaves_of(store, frontier.size):
        tree.take(row)
    tree.flush()
    if tree.error is not None:
        raise tree.error
    return tree


def sync_tiles(store: Store, begin: int, size: int) -> None:
    """Make the tiles of a tree durable, and the names of their directories.

    Args:
        store: of the tiles.
        begin: the number of leaves whose tiles are durable already.
        size: of the tree.

    Raises:
        OSError: that failed, or a tile is missing.
    """
    for level in range(_LEVELS):
        count = size >> (_ROWS * level)
        for number in range((begin >> (_ROWS * level)) // WIDTH, (count + WIDTH - 1) // WIDTH):
            store.sync(level, number, min(WIDTH, count - number * WIDTH))
    store.close()
    for directory, _, _ in os.walk(os.path.join(store.directory, "tile")):
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
