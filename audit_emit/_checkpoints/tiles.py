"""Hash tiles of a log's Merkle tree: the files of C2SP tlog-tiles, below ``tile/`` in a directory.

A tile holds 256 hashes of one row of the tree. Every eighth row has tiles, and a full tile never
changes. A proof needs only a few tiles and not the log. Tiles are not trusted: whoever reads them
compares the root that they give with one that was signed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress

from audit_emit._format.chain import Frontier, merkle_root, node_hash
from audit_emit._format.merkle_ranges import nodes_of

WIDTH = 256
"""Hashes of a full tile."""

_ROWS = 8
_HASH = 32
_FULL = WIDTH * _HASH
_TOP = 63 // _ROWS
"""The highest level of tiles that a tree of 64-bit size can have."""

_ANY = 1 << 63
_KEPT = 64
"""The number of tiles that are cached in memory: 512 KiB."""

_FILE_MODE, _DIRECTORY_MODE = 0o640, 0o750
_AT = {os.open, os.mkdir, os.unlink, os.rmdir} <= os.supports_dir_fd
_DIRECTORY = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_DIRECTORY", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


def path_of(level: int, number: int, width: int = WIDTH) -> tuple[str, ...]:
    """The path of a tile as C2SP tlog-tiles has it: ``tile/0/x001/067``, ``tile/0/000.p/5``.

    Args:
        level: 0 for leaves; each level has 1/256 of the hashes of the level below.
        number: the number of the tile in its level, from 0.
        width: the number of hashes in it; less than 256 for a partial tile, at the end of a level.
    """
    parts = [f"{number % 1000:03}"]
    while number >= 1000:
        number //= 1000
        parts.append(f"x{number % 1000:03}")
    name, *above = parts
    partial = () if width == WIDTH else (f"{name}.p", str(width))
    return ("tile", str(level), *reversed(above), *(partial or (name,)))


class Store:
    """The tiles below one directory.

    Args:
        directory: the parent of ``tile``. It must exist before a tile is written.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._open: tuple[tuple[str, ...], int] | None = None

    def close(self) -> None:
        """Close the descriptor of the directory that was used last."""
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def read(self, level: int, number: int, width: int) -> bytes | None:
        """The first ``width`` hashes of a tile, from the full tile or from the widest partial one.

        Returns:
            ``None`` when there is no such file, or it cannot be read.
        """
        full = path_of(level, number)
        found = self._content(full, width)
        if found is not None or width == WIDTH:
            return found
        partial = os.path.join(self.directory, *full) + ".p"
        with suppress(OSError):
            widths = [int(name) for name in os.listdir(partial) if name.isdecimal()]
            for there in sorted(widths, reverse=True):
                if width <= there < WIDTH:
                    found = self._content(path_of(level, number, there), width)
                    if found is not None:
                        return found
        return None

    def _content(self, parts: Sequence[str], width: int) -> bytes | None:
        flags = os.O_RDONLY | os.O_CLOEXEC | _NOFOLLOW | _NONBLOCK
        try:
            descriptor = os.open(os.path.join(self.directory, *parts), flags)
        except OSError:
            return None
        try:
            data = os.read(descriptor, width * _HASH)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return data if len(data) == width * _HASH else None

    def write(self, level: int, number: int, data: bytes) -> None:
        """Write a tile.

        It is neither written atomically nor synced: readers treat an incomplete tile as a missing
        one, and a missing one is made again.

        Args:
            level, number: see ``path_of``.
            data: the hashes of the tile, concatenated.

        Raises:
            OSError: it cannot be written, or a symbolic link is in its path.
        """
        *above, name = path_of(level, number, len(data) // _HASH)
        self._put(self._directory(tuple(above)), name, data)

    def touch(self) -> None:
        """Check that tiles can be written.

        Raises:
            OSError: they cannot be written.
        """
        directory = self._directory(path_of(0, 0)[:-1])
        self._put(directory, "new", b"")
        os.unlink("new", dir_fd=directory)

    def _put(self, directory: int, name: str, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | _NOFOLLOW
        try:
            descriptor = os.open(name, flags, _FILE_MODE, dir_fd=directory)
        except FileExistsError:
            # Make a new file instead of changing this one, which may be a hard link to another.
            os.unlink(name, dir_fd=directory)
            descriptor = os.open(name, flags, _FILE_MODE, dir_fd=directory)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)

    def remove_parts(self, level: int, number: int) -> None:
        """Remove all partial versions of a tile."""
        *above, name = path_of(level, number)
        with suppress(OSError):
            directory = self._directory((*above, f"{name}.p"), make=False)
            for other in os.listdir(directory):
                os.unlink(other, dir_fd=directory)
            os.rmdir(f"{name}.p", dir_fd=self._directory(tuple(above)))

    def remove(self, level: int, number: int, width: int) -> None:
        """Remove one partial version of a tile."""
        *above, name = path_of(level, number, width)
        with suppress(OSError):
            os.unlink(name, dir_fd=self._directory(tuple(above), make=False))

    def _directory(self, parts: tuple[str, ...], *, make: bool = True) -> int:
        """A descriptor of a directory below ours, reached without following symbolic links."""
        if self._open is not None and self._open[0] == parts:
            return self._open[1]
        if not _AT:
            raise OSError("tiles are not written on this platform")
        self.close()
        here = os.open(self.directory, _DIRECTORY)
        for part in parts:
            try:
                following = _subdirectory(part, here, make=make)
            finally:
                os.close(here)
            here = following
        self._open = parts, here
        return here


def _subdirectory(name: str, within: int, *, make: bool) -> int:
    flags = _DIRECTORY | _NOFOLLOW
    try:
        return os.open(name, flags, dir_fd=within)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):
        os.mkdir(name, _DIRECTORY_MODE, dir_fd=within)
    return os.open(name, flags, dir_fd=within)


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

    def take(self, leaves: Sequence[bytes]) -> None:
        """Add leaves: 32-byte hashes."""
        leaves = leaves[: self._limit - self.size]
        at = 0
        while at < len(leaves):
            start = self.size % WIDTH
            part = leaves[at : at + WIDTH - start]
            at += len(part)
            self._add(0, b"".join(part), self.size + len(part))
            self.extend(nodes_of(start, part))

    def append(self, leaf: bytes) -> None:
        """See ``Frontier``."""
        self.take([leaf])

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
                if before is not None and before[0] == number:
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
                self._store.remove_parts(level, number)
                del self._parts[level]
            row.clear()

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
    row = bytes(row)
    return [row[at : at + _HASH] for at in range(0, len(row), _HASH)]
