"""Verify the files of a log: finds them, reads them, and spreads long ones over several processes.

The verdict is ``verify.Verifier``'s alone. Other processes only prove blocks (``proof``); a block
that they cannot prove is read again here, line by line, so the findings are the same however many
processes there are.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import IO, NamedTuple

from audit_emit._format.line_splitter import Lines, TooLong
from audit_emit._readers.files.logfiles import (
    BLOCK,
    CHECKPOINTS,
    Log,
    LogFile,
    Quarantine,
    broken,
    in_order,
    is_segment_alone,
    look_at,
    open_log,
    open_regular,
    refuse_wide,
    unpacked,
)
from audit_emit._readers.files.parts import Block, Pool, is_worth_it
from audit_emit._readers.files.ranges import leads_to, until
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._stores.jsonl.directory import Layout
from audit_emit._verify.findings import Report
from audit_emit._verify.known_heads import LONGEST, Place
from audit_emit._verify.verifier import Boundary, Demand, Verifier

_PATIENCE = 0.05
"""Seconds that a record may take to be written to its end."""

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes that there are."""


class Options(NamedTuple):
    """What to verify with, and how; see ``Verifier``.

    Attributes:
        until: the range ends with the last record that is not later, as records have ``ts``.
        anchor_required: with keys, the newest signature must be near enough to the end.
        max_unanchored, max_age: how near; see ``Demand``.
        as_of: the time for that, in nanoseconds since 1970; now when it is not given.
    """

    ring: KeyRing = KeyRing()
    heads: Mapping[int, str] = {}
    chain: str = ""
    origin: str = ""
    legacy: Boundary = Boundary()
    from_seq: int = 0
    since: str = ""
    until: str = ""
    strict: bool = False
    anchor_required: bool = True
    max_unanchored: int | None = None
    max_age: float | None = None
    as_of: int | None = None
    jobs: int = 1
    progress: Progress | None = None


class Verified(NamedTuple):
    """The verdict on one log."""

    log: str
    files: int
    report: Report


def verify_paths(paths: Sequence[str], options: Options | None = None) -> list[Verified]:
    """Verify each log that is named.

    Args:
        paths: a directory or an active segment stands for its whole log. Everything else (closed
            or packed segments, ``-`` for standard input, a file of checkpoints) makes up one log
            more.

    Raises:
        OSError: a file cannot be read.
        UnsupportedError: a file is packed in a way that cannot be read here.
    """
    options = options or Options()
    whole = [path for path in paths if _is_whole(path, alone=len(paths) == 1)]
    parts = [path for path in paths if path not in whole]
    # What is written from here on may be signed later than the files are looked at.
    as_of = time.time_ns() if options.as_of is None else options.as_of
    options = options._replace(as_of=as_of)
    logs = [_whole(path) for path in whole]
    if parts:
        logs.append(_log_of(parts))
    try:
        return [Verified(log.name, len(log.files), verify_log(log, options)) for log in logs]
    finally:
        for log in logs:
            for file in log.files:
                file.close()


def _is_whole(path: str, *, alone: bool) -> bool:
    if path == "-":
        return False
    return os.path.isdir(path) or (alone and not is_segment_alone(os.path.basename(path)))


def _whole(path: str) -> Log:
    """The log of a directory, or around an active segment.

    Raises:
        FileNotFoundError: the path is not there, and nothing that was there before is, either.
    """
    log = open_log(layout_of(path), path)
    if not log.files and not os.path.lexists(path):
        raise FileNotFoundError(errno.ENOENT, "is not there", path)
    return log


def layout_of(path: str) -> Layout:
    """The log of a directory, or around an active segment."""
    return Layout.of(os.path.join(path, "audit.jsonl") if os.path.isdir(path) else path)


def _log_of(paths: Sequence[str]) -> Log:
    checkpoints = [path for path in paths if os.path.basename(path) == CHECKPOINTS]
    files = [look_at(path) for path in paths if path not in checkpoints]
    name = paths[0] if len(paths) == 1 else f"{len(files)} files"
    there = checkpoints[0] if checkpoints else ""
    return Log(name, in_order(files), there, os.path.getsize(there) if there else 0)


def verify_log(log: Log, options: Options) -> Report:
    """Verify one log.

    Raises:
        OSError: a file cannot be read.
    """
    demand = Demand(options.as_of or 0, options.max_unanchored, options.max_age)
    verifier = Verifier(
        options.ring,
        heads=options.heads,
        chain=options.chain,
        origin=options.origin,
        legacy=options.legacy,
        from_seq=options.from_seq,
        since=options.since,
        ends_early=bool(options.until),
        strict=options.strict,
        whole=log.whole,
        demand=demand if options.anchor_required and (log.whole or log.checkpoints) else None,
        kept=Quarantine(layout_of(log.name)).has if log.whole else None,
    )
    if log.checkpoints:
        _read_checkpoints(verifier, log)
    if log.missing:
        verifier.missing(log.missing, "the active segment is gone")
    for name, why in log.strange:
        verifier.missing(name, f"was not read: it {why}")
    wanted = _wanted(log.files, options)
    if options.until:
        wanted = until(wanted, options.until)
    with ExitStack() as stack:
        reader = _Reader(verifier, sum(max(file.size, 0) for file in wanted), options.progress)
        if options.jobs > 1 and is_worth_it(wanted):
            reader.pool = stack.enter_context(
                Pool(
                    wanted,
                    options.jobs,
                    verifier.named,
                    tree=verifier.wants_tree,
                    strict=options.strict,
                    watch=verifier.watch,
                )
            )
        for file in wanted:
            reader.read(file)
    return verifier.finish()


def _wanted(files: Sequence[LogFile], options: Options) -> Sequence[LogFile]:
    """Without the files that certainly end before the record with which to begin.

    The next one must go on from the last record of each: what is not of the chain is not skipped.
    A time says nothing here, as records of one time may be anywhere.
    """
    first = 0
    for file, following in pairwise(files):
        if not 1 < following.first_seq <= options.from_seq or not leads_to(file, following):
            break
        first += 1
    return files[first:]


def _read_checkpoints(verifier: Verifier, log: Log) -> None:
    """All of them; those that came after the log was looked at are marked as late."""
    checkpoints = verifier.checkpoints
    checkpoints.file = os.path.basename(log.checkpoints)
    lines = Lines(longest=LONGEST)
    offset, number = 0, 1
    descriptor = open_regular(log.checkpoints)
    try:
        while data := os.read(descriptor, BLOCK):
            for part in lines.feed(data):
                place = Place(checkpoints.file, offset, number)
                if isinstance(part, TooLong):
                    checkpoints.too_long(part.size, place)
                    offset, number = offset + part.size + 1, number + 1
                    continue
                for line in part.split(b"\n")[:-1]:
                    place = Place(checkpoints.file, offset, number)
                    checkpoints.add(line, place, late=offset >= log.checkpoints_size)
                    offset, number = offset + len(line) + 1, number + 1
    finally:
        os.close(descriptor)
    rest = lines.rest()[1]
    if rest:
        checkpoints.torn(rest, Place(checkpoints.file, offset, number))


class _Reader:
    """Feeds files to a verifier."""

    def __init__(self, verifier: Verifier, total: int, progress: Progress | None) -> None:
        self.pool: Pool | None = None
        self._verifier = verifier
        self._total = total
        self._progress = progress
        self._done = 0
        self._ended = False

    def read(self, file: LogFile) -> None:
        """One whole file.

        Raises:
            OSError: it cannot be read.
        """
        self._verifier.begin(file.name)
        with file.opened() as descriptor:
            if file.packed:
                self._read_packed(file, descriptor)
            elif file.path == "-":
                while data := os.read(descriptor, BLOCK):
                    self._verifier.feed(data)
            else:
                self._read_plain(file, descriptor)
        self._verifier.end()
        self._done += max(file.size, 0)
        self._tell(0)

    def _tell(self, position: int) -> None:
        if self._progress is not None:
            self._progress(self._done + position, self._total)

    def _read_plain(self, file: LogFile, descriptor: int) -> None:
        position = 0
        for block in self._proved(file):
            if not self._absorbed(block):
                self._feed(descriptor, position, position + block.size)
            position += block.size
            self._tell(position)
        self._feed(descriptor, position, file.size)
        if file.end < 0:
            self._finish_line(descriptor, max(position, file.size))

    def _proved(self, file: LogFile) -> Iterator[Block]:
        """What other processes know of a file, from its beginning on and without a hole."""
        position = 0
        self._ended = False
        for part in self.pool.proved(file) if self.pool is not None else ():
            for block in part.blocks:
                if block.start != position:
                    return
                yield block
                position += block.size
            self._ended = part.ended

    def _absorbed(self, block: Block) -> bool:
        return block.proof is not None and self._verifier.absorb(block.proof, block.size)

    def _feed(self, descriptor: int, position: int, end: int) -> None:
        while position < end:
            data = os.pread(descriptor, min(BLOCK, end - position), position)
            if not data:
                break
            # Whole lines, where there are any: the rest of the last one is read again.
            data = data[: data.rfind(b"\n") + 1] or data
            self._verifier.feed(data)
            position += len(data)
            self._tell(position)

    def _finish_line(self, descriptor: int, position: int) -> None:
        """A record that was being written when the file's size was taken is read to its end."""
        deadline = time.monotonic() + _PATIENCE
        while self._verifier.inside_line and time.monotonic() < deadline:
            data = os.pread(descriptor, BLOCK, position)
            if data:
                end = data.find(b"\n") + 1
                self._verifier.feed(data[:end] if end else data)
                position += len(data)
            else:
                time.sleep(_PATIENCE / 10)

    def _read_packed(self, file: LogFile, descriptor: int) -> None:
        try:
            with ExitStack() as stack:
                stream: _Forward | None = None
                position = 0
                for block in self._proved(file):
                    if not self._absorbed(block):
                        stream = stream or _Forward(stack.enter_context(unpacked(file, descriptor)))
                        stream.go_to(position)
                        self._verifier.feed(stream.read(block.size))
                    position += block.size
                if self._ended:
                    return
                stream = stream or _Forward(stack.enter_context(unpacked(file, descriptor)))
                stream.go_to(position)
                left = file.end - position if file.end >= 0 else sys.maxsize
                while data := stream.read(min(BLOCK, left)):
                    self._verifier.feed(data)
                    left -= len(data)
        except broken() as error:
            refuse_wide(error, file.name)
            cut = isinstance(error, EOFError)
            note = f"cannot be unpacked: {'it is cut off' if cut else type(error).__name__}"
            self._verifier.damaged(note, cut=cut)


class _Forward:
    """A stream that can only go on."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._position = 0

    def go_to(self, position: int) -> None:
        """Pass over what is before a position."""
        while self._position < position and self.read(min(BLOCK, position - self._position)):
            pass

    def read(self, size: int) -> bytes:
        """The next bytes: as many, unless the stream ends before."""
        parts = []
        while size > 0 and (data := self._stream.read(size)):
            parts.append(data)
            size -= len(data)
            self._position += len(data)
        return b"".join(parts)
