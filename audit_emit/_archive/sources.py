"""The parts of a log that can be archived: closed segments of files, ranges of rows in a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, Protocol

from audit_emit._checkpoints.beginning import following
from audit_emit._format.line_splitter import Lines, placed_lines
from audit_emit._format.link import link_of
from audit_emit._format.record import Head
from audit_emit._readers.base import Block, CheckpointLine, Flaw, LogReader
from audit_emit._readers.files.logfiles import LogFile
from audit_emit._readers.files.reader import FilesReader
from audit_emit._readers.files.stream import Stream
from audit_emit._readers.files.unpacked import damage_raises
from audit_emit.errors import ArchiveError


class Part(NamedTuple):
    """A part of a log that becomes one object.

    Attributes:
        name: for people.
        path: of the file that holds it and nothing else; empty for rows.
        data: its bytes, cut anywhere; can be asked for again.
    """

    name: str
    path: str
    data: Callable[[], Iterator[bytes]]


class Source(Protocol):
    """A log that is archived; see ``Segments`` and ``Rows``."""

    @property
    def reader(self) -> LogReader: ...

    @property
    def ended(self) -> bool:
        """Whether nothing is appended to it any more, and nobody signs what is left."""
        ...

    def parts(self, after: Head | None, signed: int) -> Iterator[Part]:
        """The parts after a record that can be archived, in order.

        Args:
            after: the last record that is in the archive; ``None`` for none.
            signed: the newest record that a checkpoint covers.
        """
        ...


class Segments:
    """The closed segments of a log of files.

    Args:
        reader: of the whole log.
        active: the path of the segment that is being written.
        pause: seconds of sleep after each block, to leave time to other threads.
    """

    ended = False

    def __init__(self, reader: FilesReader, active: str, *, pause: float = 0.0) -> None:
        self.reader = reader
        self._active = active
        self._pause = pause

    def parts(self, after: Head | None, signed: int) -> Iterator[Part]:
        """See ``Source``; files without a record are left where they are."""
        begin = after.seq if after is not None else 0
        closed = [file for file in self.reader.files if file.path != self._active]
        for file in closed:
            if not begin < file.first_seq <= signed:
                continue
            yield Part(file.name, file.path, partial(data_of, file, self._pause))


def data_of(file: LogFile, pause: float = 0.0) -> Iterator[bytes]:
    """All unpacked bytes of a file.

    Args:
        pause: seconds of sleep after each block.

    Raises:
        OSError: it cannot be read, or is damaged.
    """
    with damage_raises(file), Stream(file) as stream:
        position = 0
        while data := stream.read(position):
            yield data
            position += len(data)
            if pause:
                time.sleep(pause)


class Rows:
    """The rows of one chain of a database, cut into ranges.

    Args:
        reader: of the chain.
        most: the approximate number of bytes in a range.
        ended: see ``Source``.
    """

    def __init__(self, reader: LogReader, most: int, *, ended: bool = False) -> None:
        self.reader = reader
        self.ended = ended
        self._most = most
        self._end: Head | None = None

    def parts(self, after: Head | None, signed: int) -> Iterator[Part]:
        """See ``Source``."""
        self._end = after
        while (self._end.seq if self._end is not None else 0) < signed:
            before = self._end
            first = before.seq + 1 if before is not None else 1
            yield Part(f"records from {first} on", "", partial(self._data, before, signed))
            if self._end == before:
                return  # nobody read it, or there is nothing more

    def _data(self, after: Head | None, signed: int) -> Iterator[bytes]:
        size = 0
        for data in whole_blocks(following(self.reader, after)):
            kept, last = _up_to(data, signed)
            if kept:
                yield kept
                self._end = last
                size += len(kept)
            if len(kept) < len(data) or size >= self._most:
                return


def whole_blocks(
    items: Iterator[Block | Flaw], turned: Callable[[], object] = bool
) -> Iterator[bytes]:
    """Blocks of whole lines, as far as they can be read.

    Args:
        turned: called where one file of the log ends and the next begins.

    Raises:
        ArchiveError: something of the log is missing or damaged.
    """
    lines, part = Lines(), ""
    for item in items:
        if isinstance(item, Flaw):
            raise ArchiveError("damaged", f"{item.part}: {item.note}")
        if item.part != part or not item.offset:
            lines.rest()
            part = item.part
            turned()
        for block in lines.feed(item.data):
            if isinstance(block, bytes):
                yield block


def _up_to(block: bytes, last: int) -> tuple[bytes, Head | None]:
    """The lines of a block up to a record, and the last record among them."""
    end, found = 0, None
    for stop, line in placed_lines(block):
        link = link_of(line)
        if link is not None:
            if int(link[2]) > last:
                break
            found = Head(link[1].decode(), int(link[2]), link[4].decode(), "")
        end = stop
    return block[:end], found


def checkpoint_lines(reader: LogReader) -> Iterator[CheckpointLine]:
    """The complete lines of the checkpoints; none where the log has no file of them."""
    for line in reader.checkpoints() or ():
        if not line.torn:
            yield line
