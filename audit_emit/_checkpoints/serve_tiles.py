"""Answers the requests of C2SP tlog-tiles: checkpoint, hash tiles and entry bundles of one log.

Every tile that is given out was checked against the newest signed checkpoint, every entry against
its tile. No path is made of what a client sends: it is read as numbers, and those name a tile.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from audit_emit._checkpoints.build_tiles import signed_by
from audit_emit._checkpoints.entries import bundle_of
from audit_emit._checkpoints.notes import newest_note
from audit_emit._checkpoints.prove import signer_directory, tile_stores
from audit_emit._checkpoints.signed_tiles import SignedTiles
from audit_emit._checkpoints.tiles import WIDTH
from audit_emit._readers.base import LogReader
from audit_emit._runtime.http_server import Answer, Request, told
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import CheckpointError

_PATH = re.compile(
    r"/tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?",
    re.ASCII,
)
_LOOK_SECONDS = 1.0
"""Seconds between two looks for a newer checkpoint."""

BUNDLES = 8
"""The most entry bundles in memory at once: one may have 16 MiB, and a client may be slow."""

BUNDLE_SECONDS = 5.0
"""Seconds that a request waits until there is room for one more bundle."""

_FOR_EVER = "public, max-age=31536000, immutable"


class TileService:
    """See the module. Several threads may use it at once.

    Args:
        opened: opens the log; called for each look, and for each bundle.
        ring: the trusted keys, at least one of them Ed25519: others have no signed notes.
        entries: give out records, too, and not only their hashes.
    """

    def __init__(
        self, opened: Callable[[], LogReader], ring: KeyRing, *, entries: bool = True
    ) -> None:
        self._opened = opened
        self._ring = ring
        self._entries = entries
        self._lock = threading.Lock()
        self._bundles = threading.BoundedSemaphore(BUNDLES)
        self._tiles: SignedTiles | None = None
        self._note = b""
        self._looked = -_LOOK_SECONDS

    def answer(self, request: Request) -> Answer:
        """The answer to one request."""
        if request.path == "/checkpoint":
            with self._lock:
                self._look()
                return Answer(200, self._note, cached="no-cache")
        found = _PATH.fullmatch(request.path)
        number = _number(found[2]) if found is not None else None
        if found is None or number is None or int(found[3] or 1) >= WIDTH:
            return told(404, "here are /checkpoint, /tile/<L>/<N> and /tile/entries/<N>")
        level = 0 if found[1] == "entries" else int(found[1])
        width = int(found[3] or WIDTH)
        try:
            with self._lock:
                row = self._row(level, number, width)
            if found[1] != "entries":
                return Answer(200, row, "application/octet-stream", _FOR_EVER)
            if not self._entries:
                return told(404, "this server gives out hashes only")
            return self._bundle(number, row)
        except LookupError as error:
            return told(404, f"it is not here: {error.args[0]}")

    def _bundle(self, number: int, row: bytes) -> Answer:
        if not self._bundles.acquire(timeout=BUNDLE_SECONDS):
            return told(503, f"{BUNDLES} others are getting records; ask again")
        try:
            with self._opened() as reader:
                bundle = bundle_of(reader, number, row)
        except BaseException:
            self._bundles.release()
            raise
        return Answer(
            200, bundle, "application/octet-stream", _FOR_EVER, over=self._bundles.release
        )

    def look(self) -> int:
        """Find the newest checkpoint that has its tiles; its size.

        Raises:
            ValueError: there is none, or it is signed with a shared key.
            LookupError: a tile is missing.
            CheckpointError: the tiles are not those that were signed.
            OSError: the log cannot be read.
        """
        with self._lock:
            self._looked = -_LOOK_SECONDS
            self._look()
            return self._tiles.size if self._tiles is not None else 0

    def _row(self, level: int, number: int, width: int) -> bytes:
        if self._tiles is not None:
            with suppress(LookupError):
                return self._tiles.row(level, number, width)
        self._look()  # a tile of a newer tree
        assert self._tiles is not None  # noqa: S101 - _look raises
        return self._tiles.row(level, number, width)

    def _look(self) -> None:
        now = time.monotonic()
        if self._tiles is not None and now - self._looked < _LOOK_SECONDS:
            return
        with self._opened() as reader:
            newest = signed_by(reader, self._ring)
            self._looked = now
            if self._tiles is None or newest.head_seq != self._tiles.size:
                self._tiles = _tiles_of(reader, newest.head_seq, bytes.fromhex(newest.root_hash))
            self._note = newest_note(signer_directory(reader), newest, self._ring)


def _tiles_of(reader: LogReader, size: int, root: bytes) -> SignedTiles:
    why: Exception = LookupError("the tiles")
    for store in tile_stores(reader):
        try:
            return SignedTiles(store, size, root)
        except CheckpointError as error:
            why = error
        except LookupError as error:
            why = error if isinstance(why, LookupError) else why
    raise why


def _number(path: str) -> int | None:
    """The number of a tile; ``None`` where it is not written as it has to be."""
    groups = path.replace("x", "").split("/")
    number = int("".join(groups))
    return number if len(groups) == 1 or groups[0] != "000" else None
