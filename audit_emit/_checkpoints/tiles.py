"""Hash tiles of a log's Merkle tree: the files of C2SP tlog-tiles, below ``tile/`` in a directory.

A tile holds 256 hashes of one row of the tree. Every eighth row has tiles, and a full tile never
changes. A proof needs only a few tiles and not the log. Tiles are not trusted: the root that
they give is compared with one that was signed.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

from audit_emit._checkpoints.tile_files import HASH as _HASH
from audit_emit._checkpoints.tile_files import WIDTH, Store, path_of
from audit_emit._format.chain import Frontier, merkle_root, node_hash
from audit_emit._format.merkle_ranges import nodes_of

__all__ = ["WIDTH", "Store", "TiledFrontier", "Tiles", "hashes", "path_of"]

_EACH = Struct(f"{_HASH}s")
_ROWS = 8
_FULL = WIDTH * _HASH
_TOP = 63 // _ROWS
"""The highest level of tiles that a tree of 64-bit size can have."""

_ANY = 1 << 63
_KEPT = 64
"""The number of tiles that are cached in memory: 512 KiB."""


class TiledFrontier(Frontier):
    """A tree that grows, and writes each of its tiles when it is full.

    After an error no more tiles are written, but the tree still grows; ``error`` holds the error.

    Args:
        store: writes the tiles.
        frontier: the tree so far.
        edge: for each level, the hashes of its last, partial tile, which is written already.
        limit: leaves beyond this size are ignored.
        most: when more leaves than this are added, no more tiles are written: one file per 256
            leaves would slow down a caller that reads a long log for another purpose.
    """

    __slots__ = ("_edge", "_limit", "_parts", "_stop", "_store", "error")

    def __init__(
        self,
        store: Store,
        frontier: Frontier,
        edge: Iterable[bytes] = (),
        limit: int = _ANY,
        most: int = _ANY,
    ) -> None:
        super().__init__(frontier.size, frontier.peaks)
        self.error: OSError | None = None
        self._limit = limit
        self._stop = frontier.size + most
        self._store = store
        self._edge = [bytearray(row) for row in edge]
        # For each level: number and width of the partial tile that is written.
        self._parts: dict[int, tuple[int, int]] = {}
        for level, row in enumerate(self._edge):
            if row:
                self._parts[level] = divmod(frontier.size >> (_ROWS * level), WIDTH)

    @classmethod
    def resume(
        cls, store: Store, frontier: Frontier, *, limit: int = _ANY, most: int = _ANY
    ) -> TiledFrontier | None:
        """Continue the tree whose tiles exist; ``None`` if they are missing, or of another tree.

        Args:
            store, frontier, limit, most: as for the class.
        """
        made, edge = Frontier(), []
        for level in range(_TOP, -1, -1):
            count = frontier.size >> (_ROWS * level)
            number, width = divmod(count, WIDTH)
            row = store.read(level, number, width) if width else b""
            if row is None:
                return None
            for node in hashes(row):
                made.push(_ROWS * level, node)
            edge.append(row)
        if made.root() != frontier.root():
            return None
        return cls(store, frontier, edge[::-1], limit, most)

    def take(self, leaves: bytes) -> None:
        """Add leaves: hashes of 32 bytes, one after the other."""
        leaves = leaves[: (self._limit - self.size) * _HASH]
        at = 0
        while at < len(leaves):
            start = self.size % WIDTH
            part = leaves[at : at + (WIDTH - start) * _HASH]
            at += len(part)
            self._add(0, part, self.size + len(part) // _HASH)
            self.extend(nodes_of(start, part))

    def append(self, leaf: bytes) -> None:
        """See ``Frontier``."""
        self.take(leaf)

    def push(self, level: int, node: bytes) -> None:
        """See ``Frontier``. Every eighth row is also added to a tile."""
        peaks, size = self._peaks, self.size + (1 << level)
        row = self.size >> level
        while True:
            if level and level % _ROWS == 0:
                self._add(level // _ROWS, node, size >> level)
            if not row & 1:
                break
            node = node_hash(peaks.pop(), node)
            row >>= 1
            level += 1
        peaks.append(node)
        self.size = size

    def flush(self) -> None:
        """Write the partial tiles at the end of the tree, and remove those that they replace."""
        for level, row in enumerate(self._edge):
            number, width = divmod(self.size >> (_ROWS * level), WIDTH)
            before = self._parts.get(level)
            if width and before != (number, width) and self._write(level, number, row):
                if (
                    before is not None
                    and before[0] == number
                    and self._is_safe(level, number, width)
                ):
                    self._store.remove(level, *before)
                self._parts[level] = number, width
        self._store.close()

    def _add(self, level: int, nodes: bytes, count: int) -> None:
        """Add hashes to a level, which then has ``count`` hashes; write its last tile if full."""
        while len(self._edge) <= level:
            self._edge.append(bytearray())
        row = self._edge[level]
        row += nodes
        if len(row) == _FULL:
            number = count // WIDTH - 1
            if self._write(level, number, row) and level in self._parts:
                if self._is_safe(level, number, WIDTH):
                    self._store.remove_parts(level, number)
                del self._parts[level]
            row.clear()

    def _is_safe(self, level: int, number: int, width: int) -> bool:
        """Whether a tile is durable, so that the one which it replaces may go.

        That one may hold hashes of records that are not in the log any more.
        """
        try:
            self._store.sync(level, number, width)
        except OSError:
            return False
        return True

    def _write(self, level: int, number: int, row: bytearray) -> bool:
        if self.size > self._stop:
            self.error = self.error or OSError("too many leaves came at once")
        if self.error is None:
            try:
                self._store.write(level, number, bytes(row))
            except OSError as error:
                self.error = error
        return self.error is None


class Tiles:
    """Reads the tree of a log from its tiles.

    Args:
        store: reads the tiles.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: dict[tuple[int, int], bytes] = {}

    def node(self, level: int, index: int) -> bytes:
        """The root of the complete subtree number ``index`` of ``2**level`` leaves.

        Raises:
            LookupError: the tile does not exist.
        """
        above, below = divmod(level, _ROWS)
        number, first = divmod(index << below, WIDTH)
        end = first + (1 << below)
        row = self._rows.get((above, number), b"")
        if len(row) < end * _HASH:
            found = self._store.read(above, number, end)
            if found is None:
                raise LookupError("/".join(path_of(above, number, end)))
            if len(self._rows) >= _KEPT:
                self._rows.clear()
            self._rows[above, number] = row = found
        return merkle_root(hashes(row[first * _HASH : end * _HASH]))

    def root(self, start: int, end: int) -> bytes:
        """The root over the leaves from ``start`` up to, not including, ``end``.

        Args:
            start: a multiple of the largest power of two that is at most ``end - start``, as it is
                for every range of a proof.

        Raises:
            LookupError: a tile does not exist.
        """
        return self.frontier(end - start, start).root()

    def frontier(self, size: int, start: int = 0) -> Frontier:
        """The tree over ``size`` leaves from ``start`` on; see ``root``."""
        tree = Frontier()
        for level in range(size.bit_length() - 1, -1, -1):
            if size >> level & 1:
                tree.push(level, self.node(level, (start + tree.size) >> level))
        return tree


def hashes(row: bytes | bytearray) -> list[bytes]:
    """Split concatenated hashes."""
    return [one for (one,) in _EACH.iter_unpack(row)]
