"""Where in the files of a log a range of records begins and ends."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from audit_emit._format.chain import body_of, leaf_hash
from audit_emit._format.line_splitter import Lines, last_line, split_lines
from audit_emit._format.link import TS, link_of
from audit_emit._readers.files.logfiles import BLOCK, LogFile
from audit_emit._readers.files.packing import broken, unpacked

_LONGEST = 64 * 1024
"""The approximate size of a record: this many bytes at the end of a file are read for its last."""


def leads_to(file: LogFile, following: LogFile) -> bool:
    """Whether a file ends with the record that the first one of another file links to.

    False for a packed file, unless its last record is known without reading it.
    """
    if file.last is not None:
        return (file.last.seq + 1, file.last.hash) == (following.first_seq, following.first_prev)
    if file.packed or file.path == "-":
        return False
    with file.opened() as descriptor:
        data = os.pread(descriptor, _LONGEST, max(0, file.size - _LONGEST))
    line = last_line(data)
    link = link_of(line)
    if link is None or leaf_hash(body_of(line)) != following.first_prev:
        return False
    return link[4].decode() == following.first_prev and int(link[2]) + 1 == following.first_seq


def until(files: Sequence[LogFile], last: str) -> Sequence[LogFile]:
    """The files up to the last record that is not later than ``last``.

    The order of a log is that of ``seq``, not of ``ts``, so a later record with a ``ts`` that fits
    still counts. Standard input, which cannot be read twice, is not cut.
    """
    if any(file.path == "-" for file in files):
        return files
    for number in range(len(files) - 1, -1, -1):
        file = files[number]
        if file.span[0] > last:
            continue
        end = _end_in(file, last.encode())
        if end:
            cut = file._replace(end=end) if file.packed else file._replace(size=end, end=end)
            return [*files[:number], cut]
    return []


def _end_in(file: LogFile, last: bytes) -> int:
    """Where the last such record of a file ends; 0 when there is none. A torn end is part of it."""
    end = position = 0
    lines = Lines()
    for data in _read(file):
        for block in lines.feed(data):
            if not isinstance(block, bytes):
                position += block.size + 1
                continue
            for line in split_lines(block):
                position += len(line) + 1
                if line[TS] <= last and link_of(line) is not None:
                    end = position
    return end


def _read(file: LogFile) -> Iterator[bytes]:
    with file.opened() as descriptor:
        if not file.packed:
            for position in range(0, file.size, BLOCK):
                yield os.pread(descriptor, min(BLOCK, file.size - position), position)
            return
        try:
            with unpacked(file, descriptor) as stream:
                while data := stream.read(BLOCK):
                    yield data
        except broken():
            return  # reading the file reports the damage
