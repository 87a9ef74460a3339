"""The tiles of a tree whose root was signed: each is checked against that root when it is read.

A full tile hashes to one hash of the tile above it, and the last tile of each level gives, with
those of the other levels, the root. So one tile is checked with a few others, and a check of all
names each wrong one. Nothing of the log is read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from audit_emit._checkpoints.tiles import WIDTH, Store, Tiles, hashes, path_of
from audit_emit._format.chain import merkle_root
from audit_emit.errors import CheckpointError

_ROWS = 8
_KEPT = 256
"""How many tiles are kept in memory: 2 MiB."""


class Wrong(NamedTuple):
    """A tile that is not as it was signed.

    Attributes:
        path: as C2SP tlog-tiles has it.
        missing: it is not there, or too short.
        first_seq, last_seq: the records below it.
    """

    path: str
    missing: bool
    first_seq: int
    last_seq: int


class SignedTiles:
    """See the module. To be used by one thread.

    Args:
        store: of the tiles.
        size, root: of the tree, as they were signed; at least one record.

    Raises:
        LookupError: the last tile of a level is not there.
        CheckpointError: the last tiles do not give the root.
    """

    def __init__(self, store: Store, size: int, root: bytes) -> None:
        self._store = store
        self.size = size
        self._edges: dict[int, bytes] = {}
        self._full: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        for level, number, width in edges(size):
            self._edges[level] = self._read(level, number, width)
        if Tiles(_Rows(store.directory, self._edges, size)).root(0, size) != root:
            raise CheckpointError("not-extended", "the tiles do not give the root that was signed")

    def row(self, level: int, number: int, width: int = WIDTH) -> bytes:
        """The first hashes of a tile.

        Raises:
            LookupError: the tree has no such tile, or it is not there.
            CheckpointError: it is not the one that was signed.
        """
        last, rest = divmod(self.size >> (_ROWS * level), WIDTH)
        if number > last or (number == last and width > rest) or not 0 < width <= WIDTH:
            raise LookupError("/".join(path_of(level, number, width)))
        if number == last:
            return self._edges[level][: width * 32]
        return self._checked(level, number)[: width * 32]

    def _checked(self, level: int, number: int) -> bytes:
        found = self._full.get((level, number))
        if found is None:
            found = self._read(level, number, WIDTH)
            above = self.row(level + 1, number // WIDTH, number % WIDTH + 1)
            if merkle_root(hashes(found)) != above[-32:]:
                path = "/".join(path_of(level, number))
                raise CheckpointError("not-extended", f"{path} is not the one that was signed")
            self._full[level, number] = found
            if len(self._full) > _KEPT:
                self._full.popitem(last=False)
        return found

    def _read(self, level: int, number: int, width: int) -> bytes:
        found = self._store.read(level, number, width)
        if found is None:
            raise LookupError("/".join(path_of(level, number, width)))
        return found

    def wrong(self) -> Iterator[Wrong | None]:
        """Check every full tile, from the top: a finding for a wrong one, ``None`` for others.

        The tiles below a wrong one cannot be checked, and are skipped.
        """
        bad: set[tuple[int, int]] = set()
        for level in range(max(self._edges, default=0), -1, -1):
            for number in range((self.size >> (_ROWS * level)) // WIDTH):
                if (level + 1, number // WIDTH) in bad:
                    bad.add((level, number))
                    continue
                try:
                    self._checked(level, number)
                except (LookupError, CheckpointError) as error:
                    bad.add((level, number))
                    yield wrong_tile(level, number, WIDTH, missing=isinstance(error, LookupError))
                else:
                    yield None


def edges(size: int) -> Iterator[tuple[int, int, int]]:
    """Level, number and width of the partial tiles of a tree, from the lowest level."""
    for level in range((size.bit_length() + _ROWS - 1) // _ROWS):
        number, width = divmod(size >> (_ROWS * level), WIDTH)
        if width:
            yield level, number, width


def count(size: int) -> int:
    """How many full tiles a tree has."""
    return sum(size >> (_ROWS * level) for level in range(1, 9))


def wrong_tile(level: int, number: int, width: int, *, missing: bool) -> Wrong:
    """A tile as a finding."""
    below = 1 << (_ROWS * level)
    first = number * WIDTH * below
    return Wrong("/".join(path_of(level, number, width)), missing, first + 1, first + width * below)


class _Rows(Store):
    """The last tiles of the levels, as they were read."""

    def __init__(self, directory: str, rows: dict[int, bytes], size: int) -> None:
        super().__init__(directory)
        self._rows = rows
        self._size = size

    def read(self, level: int, number: int, width: int) -> bytes | None:
        """See ``Store``."""
        if number != (self._size >> (_ROWS * level)) // WIDTH:
            return None
        return self._rows.get(level, b"")[: width * 32] or None
