"""The files of one log as a ``LogReader``: plain and packed segments, and standard input."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Self

from audit_emit._format.line_splitter import Lines, TooLong, may_be_chained
from audit_emit._format.record import Head, head_of
from audit_emit._format.tail import read_end
from audit_emit._readers.base import (
    CUT,
    DAMAGED,
    LONGEST_CHECKPOINT,
    MISSING,
    UNREAD,
    Block,
    Bounds,
    CheckpointLine,
    Flaw,
    Place,
    ProvedBlock,
    Prover,
)
from audit_emit._readers.files import parts
from audit_emit._readers.files.logfiles import BLOCK, Log, LogFile
from audit_emit._readers.files.packing import broken, refuse_wide
from audit_emit._readers.files.parts import Pool, is_worth_it
from audit_emit._readers.files.places import Found, find_seq, last_record
from audit_emit._readers.files.quarantine import Quarantine
from audit_emit._readers.files.ranges import leads_to, until
from audit_emit._readers.files.regular import open_regular
from audit_emit._readers.files.stream import Stream, whole_lines
from audit_emit._readers.files.times import Row, Times
from audit_emit._readers.files.unpacked import damage_raises
from audit_emit._stores.jsonl.directory import Layout
from audit_emit.errors import ArchiveError

_FOREIGN = rb'(?:(?:(?!"v"|\\)[^\n])*'
_LINES = re.compile(_FOREIGN + rb"(?<!\})\n){1,4096}|" + _FOREIGN + rb"\}\n){1,4096}|[^\n]*\n")
"""Matches many lines without a member ``v`` at once, or one line."""

_LINE_SECONDS = 0.5
"""Seconds that writing a record may take on a busy machine; then a line without an end is torn."""


class FilesReader:
    """See ``LogReader``.

    Args:
        log: its files, which are closed with the reader.
        layout: of its directory; ``None`` where single files were named.
    """

    def __init__(self, log: Log, layout: Layout | None = None) -> None:
        self.log: Log = log
        self.layout: Layout | None = layout
        self.name = log.name
        self.whole = log.whole
        self.files: Sequence[LogFile] = log.files
        """Oldest first."""
        known = all(file.size >= 0 for file in log.files)
        self.size: int = sum(file.size for file in log.files) if known else -1
        self.directory = os.path.abspath(layout.directory) if layout is not None else ""
        self._near = self.directory or os.path.dirname(log.name)
        self._quarantine = Quarantine(layout) if layout is not None else None
        self._read = 0

    # The log in its order.

    def blocks(self, *, from_seq: int = 0, until: str = "") -> Iterator[Block | Flaw]:
        """See ``LogReader``."""
        yield from self._flaws()
        self._read = 0
        for file in self._wanted(from_seq, until):
            yield from self._of_file(file)

    def proved(
        self, prover: Prover, jobs: int, *, from_seq: int = 0, until: str = ""
    ) -> Iterator[Block | Flaw | ProvedBlock]:
        """See ``ProvingReader``."""
        files = self._wanted(from_seq, until)
        if jobs < 2 or not is_worth_it(files):
            yield from self.blocks(from_seq=from_seq, until=until)
            return
        yield from self._flaws()
        self._read = 0
        with Pool(files, jobs, **prover._asdict()) as pool:
            for file in files:
                yield from self._proved(file, pool)

    def _flaws(self) -> Iterator[Flaw]:
        if self.log.missing:
            yield Flaw(self.log.missing, MISSING, "the active segment is gone")
        for name, why in self.log.strange:
            yield Flaw(name, MISSING, f"was not read: it {why}")

    def _wanted(self, from_seq: int, last: str) -> Sequence[LogFile]:
        """The files without those that certainly end before the record with which to begin.

        A file is only left out if the next one continues from its last record, so that foreign
        files are read. A time cannot exclude a file, as records of one time may be in any.
        """
        first = 0
        for file, following in pairwise(self.files):
            if not 1 < following.first_seq <= from_seq or not leads_to(file, following):
                break
            first += 1
        wanted = self.files[first:]
        return until(wanted, last) if last else wanted

    def _of_file(self, file: LogFile) -> Iterator[Block | Flaw]:
        yield self._block(file, 0, b"")
        with Stream(file) as stream:
            yield from self._rest(stream, 0)
        self._read += max(file.size, 0)

    def _rest(self, stream: Stream, position: int) -> Iterator[Block | Flaw]:
        """What is in a file from a place on, to the end of its last line."""
        try:
            while data := stream.read(position):
                yield self._block(stream.file, position, data)
                position += len(data)
        except _unreadable() as error:
            yield _damage(error, stream.file)
            return
        if stream.may_grow and stream.inside_line:
            yield from self._finished_line(stream, position)

    def _block(self, file: LogFile, position: int, data: bytes) -> Block:
        done = min(position + len(data), max(file.size, 0))
        return Block(file.name, position, data, self._read + done)

    def _finished_line(self, stream: Stream, position: int) -> Iterator[Block]:
        """A record that was being written when the file's size was taken is read to its end.

        A line to which nothing was written for as long is torn, and is not waited for.
        """
        deadline = time.monotonic() + _LINE_SECONDS - max(stream.idle_seconds(), 0.0)
        while stream.inside_line and time.monotonic() < deadline:
            data = stream.more(position)
            if data:
                yield self._block(stream.file, position, data)
                position += len(data)
            else:
                time.sleep(_LINE_SECONDS / 100)

    def _proved(self, file: LogFile, pool: Pool) -> Iterator[Block | Flaw | ProvedBlock]:
        yield self._block(file, 0, b"")
        position, ended = 0, False
        with Stream(file) as stream:
            try:
                for part in pool.proved(file):
                    for block in part.blocks:
                        if block.start != position:
                            break  # a part was not proved: all from there on is read here
                        yield self._one(stream, block)
                        position += block.size
                    ended = part.ended
            except _unreadable() as error:
                yield _damage(error, file)
                ended = True
            if not ended:
                yield from self._rest(stream, position)
        self._read += max(file.size, 0)

    def _one(self, stream: Stream, block: parts.Block) -> Block | ProvedBlock:
        file, position, size = stream.file, block.start, block.size
        if block.proof is None:
            return self._block(file, position, stream.at(position, size))
        stream.inside_line = False
        done = self._read + min(position + size, max(file.size, 0))
        load = partial(_loaded, stream)
        return ProvedBlock(file.name, position, size, block.proof, load, done)

    # A part of it.

    def search(self, *, seq: int = 0, since: str = "", until: str = "") -> Iterator[Block]:
        """See ``LogReader``."""
        self._read = 0
        timed = not seq and (since or until) and all(file.size >= 0 for file in self.files)
        times = Times(self._near) if timed else None
        for file in reversed(self.files):
            if not 0 < seq < file.first_seq and not (file.last and file.last.seq < seq):
                with damage_raises(file):
                    for position, data in self._searched(file, seq, since, until, times):
                        yield self._block(file, position, data)
            self._read += max(file.size, 0)
        if times is not None:
            times.save()

    def _searched(
        self, file: LogFile, seq: int, since: str, until: str, times: Times | None
    ) -> Iterator[tuple[int, bytes]]:
        if seq and file.size >= 0 and not file.packed:
            found = _by_number(file, seq)
            if found is not None:
                yield found.offset, found.line + b"\n"
            return
        rows = [Row(0, sys.maxsize, *file.span)]
        if times is not None and file.fetch is None:
            rows = times.rows(file)
        with Stream(file) as stream:
            for row in rows:
                if row.within(since, until):
                    yield from whole_lines(stream, row.begin, row.end)

    def since(self, head: Head | None) -> Iterator[Block | Flaw]:
        """See ``LogReader``."""
        if head is None:
            yield from self.blocks()
            return
        number, position = self._after(head)
        self._read = sum(max(file.size, 0) for file in self.files[:number])
        file = self.files[number]
        with Stream(file) as stream:
            yield from self._rest(stream, position)
        self._read += max(file.size, 0)
        for following in self.files[number + 1 :]:
            yield from self._of_file(following)

    def _after(self, head: Head) -> tuple[int, int]:
        """The file that holds a record, and where that ends there.

        Raises:
            LookupError: it is in none.
        """
        for number, file in enumerate(self.files[:-1], 1):
            if file.last is not None and file.last[:3] == head[:3]:
                return number, 0
        numbers = range(len(self.files) - 1, -1, -1)
        for number in sorted(numbers, key=lambda each: self.files[each].first_seq > head.seq):
            for offset, line in _with_number(self.files[number], head.seq):
                found = head_of(line)
                if found is not None and found.hash == head.hash:
                    return number, offset + len(line) + 1
        raise LookupError(f"record {head.seq} with this hash is not in {self.name}")

    # What is beside the records.

    def checkpoints(self) -> Iterator[CheckpointLine] | None:
        """See ``LogReader``."""
        return self._each_checkpoint() if self.log.checkpoints else None

    def _each_checkpoint(self) -> Iterator[CheckpointLine]:
        part = os.path.basename(self.log.checkpoints)
        lines = Lines(longest=LONGEST_CHECKPOINT)
        offset, number = 0, 1
        descriptor = open_regular(self.log.checkpoints)
        try:
            while data := os.read(descriptor, BLOCK):
                for block in lines.feed(data):
                    for line, size, count in _split(block):
                        late = offset >= self.log.checkpoints_size
                        place = Place(part, offset, number)
                        yield CheckpointLine(place, line, late=late, size=size, lines=count)
                        offset, number = offset + size + 1, number + count
        finally:
            os.close(descriptor)
        rest, size = lines.rest()
        if size:
            yield CheckpointLine(Place(part, offset, number), rest, torn=True, size=size)

    def kept(self, size: int, digest: str) -> bool:
        """See ``LogReader``."""
        return self._quarantine is not None and self._quarantine.has(size, digest)

    def bounds(self) -> Bounds:
        """See ``LogReader``."""
        if any(file.size < 0 for file in self.files):
            return Bounds(None, None)
        first = next(filter(None, map(_first_of, self.files)), None)
        last = next(filter(None, map(_last_of, reversed(self.files))), None)
        return Bounds(first, last)

    def close(self) -> None:
        """See ``LogReader``."""
        for file in self.files:
            file.close()
        self.files = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _split(block: bytes | TooLong) -> Iterator[tuple[bytes, int, int]]:
    """Lines without their newline, their bytes, and how many they are."""
    if isinstance(block, TooLong):
        yield b"", block.size, 1
        return
    for found in _LINES.finditer(block):
        line = found[0][:-1]
        yield line, len(line), line.count(b"\n") + 1


def _unreadable() -> tuple[type[BaseException], ...]:
    """The exceptions for a file that is damaged."""
    return (*broken(), ArchiveError)


def _damage(error: BaseException, file: LogFile) -> Flaw:
    """The flaw for a packed file that cannot be read further.

    Raises:
        UnsupportedError: it takes more memory than a reader may take.
    """
    if isinstance(error, ArchiveError):
        kinds = {"missing": MISSING, "unvouched": UNREAD}
        return Flaw(file.name, kinds.get(error.reason, DAMAGED), str(error))
    refuse_wide(error, file.name)
    cut = isinstance(error, EOFError)
    why = "it is cut off" if cut else type(error).__name__
    return Flaw(file.name, CUT if cut else DAMAGED, f"cannot be unpacked: {why}")


def _loaded(stream: Stream, position: int, size: int) -> bytes:
    with damage_raises(stream.file):
        return stream.at(position, size)


def _by_number(file: LogFile, seq: int) -> Found | None:
    """The record with a number, where the order of a plain file says that it is."""
    with file.opened() as descriptor:
        last = read_end(descriptor, file.size, far=False).head
        if last is not None and last.seq < seq:
            return None
        return find_seq(descriptor, file.size, seq)


def _with_number(file: LogFile, seq: int) -> Iterator[tuple[int, bytes]]:
    """The lines that may be this record, and where they begin."""
    if file.size >= 0 and not file.packed:
        found = _by_number(file, seq)
        if found is not None:
            yield found.offset, found.line
        return
    mark = b',"seq":%d,' % seq
    for start, line in _chained(file):
        if mark in line:
            yield start, line


def _chained(file: LogFile) -> Iterator[tuple[int, bytes]]:
    with damage_raises(file), Stream(file) as stream:
        for start, block in whole_lines(stream):
            for end, line in may_be_chained(block):
                yield start + end - len(line) - 1, line


def _first_of(file: LogFile) -> Head | None:
    return next(filter(None, (head_of(line) for _, line in _chained(file))), None)


def _last_of(file: LogFile) -> Head | None:
    if file.last is not None:
        return file.last
    if file.packed:
        heads = deque(filter(None, (head_of(line) for _, line in _chained(file))), maxlen=1)
        return heads[0] if heads else None
    with file.opened() as descriptor:
        found = last_record(descriptor, file.size)
    return head_of(found.line) if found is not None else None
