"""Reading the end of a segment: where the chain stands, and what was left there half done."""

from __future__ import annotations

import hashlib
import os
from typing import NamedTuple

import msgspec

from audit_emit.chain import body_of, leaf_hash
from audit_emit.record import Head, head_of

_WINDOW = 128 * 1024
_FARTHEST = 8 * 1024 * 1024
"""How far back a record is looked for; an end of so many foreign bytes is no log."""


class Dirt(NamedTuple):
    """Bytes after the last record that are no record: torn, or written by somebody else."""

    offset: int
    length: int
    sha256: str
    closed: bool
    """Whether they end in a newline already."""


class End(NamedTuple):
    """What the end of a segment says."""

    head: Head | None
    dirt: Dirt | None
    unended: bool
    """A whole last record lacks only its newline."""


def read_end(descriptor: int, size: int) -> End:
    """Find the last record and what follows it, reading from the end only.

    Args:
        descriptor: an open segment.
        size: its length in bytes.

    Raises:
        OSError: the file cannot be read.
    """
    window = _WINDOW
    while True:
        start = max(0, size - window)
        data = _read(descriptor, start, size)
        end = _parse(data, start)
        if end.head is not None or start == 0 or window >= _FARTHEST:
            return end
        window *= 8


def first_seq(descriptor: int) -> int | None:
    """The ``seq`` of the first chained record of a segment, when it is among the first lines."""
    for line in os.pread(descriptor, _WINDOW, 0).split(b"\n")[:-1]:
        head = head_of(line)
        if head is not None:
            return head.seq
    return None


def read_growth(descriptor: int, start: int, size: int) -> Head | None:
    """The head after other processes appended whole records; ``None`` when it is not that simple.

    Args:
        start: the size that was known, the end of a record.
        size: the size now.
    """
    if not 0 <= start < size <= start + _WINDOW:
        return None
    data = _read(descriptor, start, size)
    if data[-1:] != b"\n":
        return None
    return head_of(data[data.rfind(b"\n", 0, -1) + 1 : -1])


def _read(descriptor: int, start: int, size: int) -> bytes:
    parts = []
    while start < size:
        part = os.pread(descriptor, size - start, start)
        if not part:
            break
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def _parse(data: bytes, base: int) -> End:
    """The end of a segment, from its last bytes, which begin at offset ``base``."""
    clean = len(data)
    stop = len(data)
    head = None
    while stop > 0:
        begin = data.rfind(b"\n", 0, stop - 1) + 1
        line = data[begin:stop]
        ended = line.endswith(b"\n")
        head = head_of(line.removesuffix(b"\n"))
        if head is not None and (ended or _whole(line, head)):
            break
        head = None
        if not (ended and _legacy(line)):
            clean = begin
        stop = begin
    tail = data[clean:]
    if not tail:
        return End(head, None, unended=bool(data) and not data.endswith(b"\n"))
    dirt = Dirt(base + clean, len(tail), hashlib.sha256(tail).hexdigest(), tail.endswith(b"\n"))
    return End(head, dirt, unended=False)


def _whole(line: bytes, head: Head) -> bool:
    """Whether a record without its newline is complete: only its hash can tell."""
    try:
        return leaf_hash(body_of(line)) == head.hash
    except ValueError:
        return False


def _legacy(line: bytes) -> bool:
    """Whether a line is a record from before there was a chain."""
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(found, dict) and "event_type" in found and "ts" in found
