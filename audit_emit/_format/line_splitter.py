"""Whole lines out of bytes that are cut anywhere. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, NamedTuple

from audit_emit._format.link import HASH

MAX_LINE = 1024 * 1024
"""Bytes; a record has at most 64 KiB."""


def may_be_chained(block: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines of a block that hold what every chained record ends in; without their newline.

    What else is there costs no more than its bytes, however many lines they are.

    Args:
        block: whole lines.

    Returns:
        Where each line ends, newline included, and the line.
    """
    at = block.find(HASH)
    while at >= 0:
        end = block.index(b"\n", at)
        yield end + 1, block[block.rfind(b"\n", 0, at) + 1 : end]
        at = block.find(HASH, end)


class TooLong(NamedTuple):
    """A line of which only this is kept: its bytes without the newline, and what hashed them."""

    size: int
    hashed: Any


class Lines:
    """Cuts one file after the other; what is kept of a line is bounded.

    Args:
        hasher: what the next line is hashed into, should it be too long to be kept.
        longest: bytes of a line that is kept.
    """

    def __init__(self, hasher: Callable[[], Any] = sha256, longest: int = MAX_LINE) -> None:
        self._hasher = hasher
        self._longest = longest
        self._rest: list[bytes] = []
        self._hash: Any = None
        self._size = 0

    @property
    def inside(self) -> bool:
        """Whether what was fed so far ends inside a line."""
        return self._size > 0

    def feed(self, data: bytes) -> Iterator[bytes | TooLong]:
        """Blocks of whole lines, with their newlines."""
        cut = data.rfind(b"\n") + 1
        if cut and self._size:
            first = data.find(b"\n") + 1
            yield self._close(data[:first])
            data, cut = data[first:], cut - first
        if cut:
            yield data[:cut]
        if cut < len(data):
            self._keep(data[cut:])

    def rest(self) -> tuple[bytes, int]:
        """What has no end, and how long it is; of a line that is too long nothing is left.

        The next bytes are another file's.
        """
        left = b"".join(self._rest), self._size
        self._rest, self._hash, self._size = [], None, 0
        return left

    def _keep(self, data: bytes) -> None:
        self._rest.append(data)
        self._size += len(data)
        if self._size > self._longest:
            if self._hash is None:
                self._hash = self._hasher()
            self._hash.update(b"".join(self._rest))
            self._rest = []

    def _close(self, end: bytes) -> bytes | TooLong:
        hashed = self._hash
        line, size = self.rest()
        if hashed is None and size + len(end) - 1 <= self._longest:
            return line + end
        if hashed is None:
            hashed = self._hasher()
            hashed.update(line)
        hashed.update(end[:-1])
        return TooLong(size + len(end) - 1, hashed)
