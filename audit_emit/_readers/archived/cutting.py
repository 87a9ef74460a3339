"""The beginning of an archived object: its records that are not in the database any more.

Rows are removed from a database by months, and archived by size. So an object may hold records that
the database has, too, and a reader must give each record once.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO

from audit_emit._format.line_splitter import Lines, split_lines
from audit_emit._format.link import link_of
from audit_emit._readers.files.logfiles import BLOCK, LogFile
from audit_emit._readers.files.packing import unpacked

PACKED = "gzip"
_GZIP = 16 + zlib.MAX_WBITS


def before(file: LogFile, seq: int) -> LogFile:
    """The same file without the records from a number on.

    Args:
        file: packed, and kept elsewhere.
        seq: of the first record that is left out.
    """
    if file.fetch is None or file.last is None or file.last.seq < seq:
        return file
    cut = partial(_cut, file, file.fetch, seq)
    return file._replace(packed=PACKED, fetch=cut, ahead=None, last=None)


def _cut(file: LogFile, fetch: Callable[[], int], seq: int) -> int:
    """A descriptor of a packed copy of what is before a record, which is the caller's.

    Raises:
        ArchiveError, ObjectStoreError: see ``fetched``.
    """
    descriptor = fetch()
    try:
        with tempfile.TemporaryFile() as target, unpacked(file, descriptor) as stream:
            compressor = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
            for data in _lines_before(stream, seq):
                target.write(compressor.compress(data))
            target.write(compressor.flush())
            target.flush()
            return os.dup(target.fileno())
    finally:
        os.close(descriptor)


def _lines_before(stream: IO[bytes], seq: int) -> Iterator[bytes]:
    lines = Lines()
    while data := stream.read(BLOCK):
        for block in lines.feed(data):
            if not isinstance(block, bytes):
                continue
            end = _end_before(block, seq)
            yield block[:end]
            if end < len(block):
                return


def _end_before(block: bytes, seq: int) -> int:
    """Where the first record with this number, or a later one, begins in a block of whole lines."""
    lines = split_lines(block)
    if _is_before(lines[-1], seq):
        return len(block)
    end = 0
    for line in lines:
        if link_of(line) is not None and not _is_before(line, seq):
            break
        end += len(line) + 1
    return end


def _is_before(line: bytes, seq: int) -> bool:
    link = link_of(line)
    return link is not None and int(link[2]) < seq
