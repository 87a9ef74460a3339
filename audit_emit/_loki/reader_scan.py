"""The same pass as ``log_scan`` over logs that are no files of this machine: rows of a table.

Where a block is in such a log, the record before it says: who wants it again reads from there.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence

from audit_emit._format.line_splitter import split_lines
from audit_emit._format.record import Head, head_of
from audit_emit._loki.log_scan import LogScan, Progress
from audit_emit._readers.base import MISSING, Block, Flaw, LogReader


class ReaderScan(LogScan):
    """Any logs, by their readers, which it closes; see ``LogScan``.

    Args:
        readers: of the logs. They give no blocks that end within a line.
        fresh: see ``LogScan``.
    """

    def __init__(self, readers: Sequence[LogReader], fresh: tuple[int, int]) -> None:
        super().__init__((), fresh)
        self._readers = readers
        self._ends: dict[int, tuple[int, Head | None]] = {}
        self._before: dict[tuple[int, int], Head | None] = {}

    @property
    def count(self) -> int:
        """How many logs there are."""
        return len(self._readers)

    def close(self) -> None:
        """Close all readers."""
        for reader in self._readers:
            reader.close()

    def has_grown(self) -> bool:
        """Whether a log has other records at its end since the last ``update``; cheap."""
        return any(
            reader.bounds().last != self._ends[number][1]
            for number, reader in enumerate(self._readers)
        )

    def update(self, progress: Progress | None) -> None:
        """Read what was added since the last call.

        Raises:
            OSError: a log cannot be read, or what was read of it before is not there any more.
        """
        done = 0
        for number, reader in enumerate(self._readers):
            position, head = self._ends.get(number, (0, None))
            for data in _data(reader, head):
                self._before[number, position] = head
                row = self._row(number, position, data)
                if row is not None:
                    self.rows.append(row)
                position += len(data)
                done += len(data)
                head = _last(data) or head
                if progress is not None:
                    progress(done, done)
            self._ends[number] = position, head

    def read(self, number: int, offset: int, size: int) -> bytes:
        """The bytes of a block that was there.

        Raises:
            OSError: the log cannot be read, or they are not there any more.
        """
        found = b""
        for data in _data(self._readers[number], self._before[number, offset]):
            found += data
            if len(found) >= size:
                return found[:size]
        raise OSError(errno.EIO, "the log has become shorter", self._readers[number].name)


def _data(reader: LogReader, head: Head | None) -> Iterator[bytes]:
    try:
        items: Iterable[Block | Flaw] = reader.since(head)
        for item in items:
            if isinstance(item, Block):
                if item.data:
                    yield item.data
            elif item.kind != MISSING:
                raise OSError(errno.EIO, item.note, item.part)
    except LookupError as error:
        raise OSError(errno.EIO, str(error), reader.name) from None


def _last(data: bytes) -> Head | None:
    """The last record of some lines."""
    for line in reversed(split_lines(data)):
        found = head_of(line)
        if found is not None:
            return found
    return None
