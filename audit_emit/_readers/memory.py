"""A log in memory: for tests, for records that were fetched, and as the smallest reader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Self

from audit_emit._format.record import Head, head_of
from audit_emit._readers.base import Block, Bounds, CheckpointLine, Flaw, Place

RECORDS, CHECKPOINTS = "records", "checkpoints"
"""The names of the two parts in findings."""

_BLOCK = 256 * 1024


class MemoryReader:
    """See ``LogReader``.

    Args:
        lines: of the log, oldest first, each without its newline.
        checkpoints: the lines of the checkpoints; ``None``: nothing keeps any.
        moved: what was moved aside from the log.
        name: of the log.
        whole: see ``LogReader``.
    """

    directory = ""

    def __init__(
        self,
        lines: Iterable[bytes],
        checkpoints: Iterable[bytes] | None = None,
        *,
        moved: Iterable[bytes] = (),
        name: str = "memory",
        whole: bool = True,
    ) -> None:
        self.name = name
        self.whole = whole
        self._lines = list(lines)
        self.size: int = sum(map(len, self._lines)) + len(self._lines)
        self._checkpoints = None if checkpoints is None else list(checkpoints)
        self._moved = {
            (len(data), sha256(data).hexdigest())
            for bare in moved
            for data in (bare, bare.removesuffix(b"\n"), bare + b"\n")
        }

    def blocks(self, *, from_seq: int = 0, until: str = "") -> Iterator[Block | Flaw]:
        """See ``LogReader``."""
        last = len(self._lines)
        while until and last and not self._is_until(self._lines[last - 1], until):
            last -= 1
        del from_seq  # to read all of it costs nothing
        return self._from(0, last)

    def search(self, *, seq: int = 0, since: str = "", until: str = "") -> Iterator[Block]:
        """See ``LogReader``."""
        del since, until
        for number, line in enumerate(self._lines):
            head = head_of(line) if seq else None
            if not seq or (head is not None and head.seq == seq):
                yield from self._from(number, number + 1)

    def since(self, head: Head | None) -> Iterator[Block | Flaw]:
        """See ``LogReader``."""
        first = 0 if head is None else self._after(head)
        return self._from(first, len(self._lines))

    def checkpoints(self) -> Iterator[CheckpointLine] | None:
        """See ``LogReader``."""
        return None if self._checkpoints is None else self._each_checkpoint(self._checkpoints)

    def kept(self, size: int, digest: str) -> bool:
        """See ``LogReader``."""
        return (size, digest) in self._moved

    def bounds(self) -> Bounds:
        """See ``LogReader``."""
        first = next(filter(None, map(head_of, self._lines)), None)
        last = next(filter(None, map(head_of, reversed(self._lines))), None)
        return Bounds(first, last)

    def close(self) -> None:
        """See ``LogReader``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _after(self, head: Head) -> int:
        for number in range(len(self._lines) - 1, -1, -1):
            found = head_of(self._lines[number])
            if found is not None and (found.seq, found.hash) == (head.seq, head.hash):
                return number + 1
        raise LookupError(f"record {head.seq} with this hash is not there")

    def _from(self, first: int, last: int) -> Iterator[Block]:
        offset = sum(map(len, self._lines[:first])) + first
        if not first:
            yield Block(RECORDS, 0, b"")
        data: list[bytes] = []
        size = 0
        for line in self._lines[first:last]:
            if size and size + len(line) >= _BLOCK:
                yield Block(RECORDS, offset, b"".join(data), offset + size)
                offset, size = offset + size, 0
                data.clear()
            data += (line, b"\n")
            size += len(line) + 1
        if size:
            yield Block(RECORDS, offset, b"".join(data), offset + size)

    @staticmethod
    def _is_until(line: bytes, until: str) -> bool:
        head = head_of(line)
        return head is not None and head.ts <= until

    @staticmethod
    def _each_checkpoint(lines: Iterable[bytes]) -> Iterator[CheckpointLine]:
        offset = 0
        for number, line in enumerate(lines, 1):
            yield CheckpointLine(Place(CHECKPOINTS, offset, number), line, size=len(line))
            offset += len(line) + 1
