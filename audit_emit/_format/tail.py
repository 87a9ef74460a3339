"""Reads the end of a segment: the head of the chain, and bytes after it that are no record."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from typing import NamedTuple

import msgspec

from audit_emit._format.chain import body_of, leaf_hash
from audit_emit._format.link import HASH
from audit_emit._format.record import MAX_SEQ, Head
from audit_emit._format.record import head_of as any_head_of
from audit_emit._runtime.interrupts import let_through

_WINDOW = 128 * 1024
_FARTHEST = 8 * 1024 * 1024
"""How many bytes before the end are searched for a record in memory."""

_FAR_SECONDS = 0.015
"""How long the search continues before that, together with the hash of the bytes after the record.
If there are more foreign bytes than that, only the last ``_FARTHEST`` are declared."""

_BLOCK = 1024 * 1024

_LONGEST = 256 * 1024
"""The most bytes of a line that is examined as a record; the emitter writes a quarter of that."""

_CANDIDATES = 1000
_LEGACY = 64


class Dirt(NamedTuple):
    """Bytes after the last record that are no record: a torn one, or written by other programs."""

    offset: int
    length: int
    sha256: str
    closed: bool
    """Whether they end in a newline already."""


class End(NamedTuple):
    """The end of a segment: the last record, and the bytes after it."""

    head: Head | None
    dirt: Dirt | None
    unended: bool
    """Whether the last record is whole but has no newline."""

    @property
    def closed(self) -> bool:
        """Whether a record can be appended without closing the last line first."""
        return not self.unended and (self.dirt is None or self.dirt.closed)


def pread(descriptor: int, length: int, offset: int) -> bytes:
    """Read at an offset of a file; with two calls on a platform that has no ``pread``.

    No other thread may use the descriptor then, and all writers must have it in append mode.
    """
    if hasattr(os, "pread"):
        return os.pread(descriptor, length, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, length)


def read_end(descriptor: int, size: int, *, far: bool = True, deadline: float = 0.0) -> End:
    """Find the last record and what follows it, reading from the end only.

    Args:
        descriptor: an open segment.
        size: its length in bytes.
        far: search for the record before the last 8 MiB, too.
        deadline: when to give that up (``time.monotonic()``); 0 for never.

    Raises:
        OSError: the file cannot be read; ``ETIMEDOUT`` if not by the deadline.
    """
    window = _WINDOW
    while True:
        start = max(0, size - window)
        data = _read(descriptor, start, size)
        head, after = _last_record(data)
        if head is not None or start == 0:
            return _end(data, start, head, after)
        if window >= _FARTHEST:
            if far and deadline and time.monotonic() + _FAR_SECONDS > deadline:
                raise TimeoutError(errno.ETIMEDOUT, "too much to read for what is left of the time")
            found = _far_end(descriptor, start, data) if far else None
            return found or _end(data, start, head, after)
        window *= 8


def head_of(line: bytes) -> Head | None:
    """The head that a line states; ``None`` if its ``seq`` is so high that it must be forged."""
    head = any_head_of(line)
    return head if head is not None and head.seq < MAX_SEQ else None


def first_seq(descriptor: int) -> int | None:
    """The ``seq`` of the first chained record of a segment, when it is among the first lines."""
    data = pread(descriptor, _WINDOW, 0)
    at = -1
    for _ in range(_CANDIDATES):
        at = data.find(HASH, at + 1)
        end = data.find(b"\n", at)
        if at < 0 or end < 0:
            break
        head = head_of(data[data.rfind(b"\n", 0, at) + 1 : end])
        if head is not None:
            return head.seq
    return None


def read_growth(descriptor: int, start: int, size: int) -> Head | None:
    """The head after other processes appended; ``None`` if ``read_end`` must look at the file.

    Args:
        start: the size that was known, the end of a record.
        size: the size now.
    """
    if not 0 <= start < size:
        return None
    data = _read(descriptor, max(start, size - _WINDOW), size)
    begin = data.rfind(b"\n", 0, -1) + 1
    if data[-1:] != b"\n" or (begin == 0 and size > start + _WINDOW):
        return None
    return head_of(data[begin:-1])


def _read(descriptor: int, start: int, size: int) -> bytes:
    parts = []
    while start < size:
        part = pread(descriptor, size - start, start)
        if not part:
            break
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def _end(data: bytes, base: int, head: Head | None, after: int) -> End:
    """The end of a segment, from its last bytes, which begin at offset ``base``."""
    clean = after + (_foreign_from(data[after:]) if head is None or after < len(data) else 0)
    rest = data[clean:]
    if not rest:
        return End(head, None, unended=bool(data) and not data.endswith(b"\n"))
    dirt = Dirt(base + clean, len(rest), hashlib.sha256(rest).hexdigest(), rest.endswith(b"\n"))
    return End(head, dirt, unended=False)


def _far_end(descriptor: int, start: int, data: bytes) -> End | None:
    """The end of a segment with no record from ``start`` on; ``None`` if there is no time."""
    if _foreign_from(data):
        return None  # records from before there was a chain: what follows them is near
    deadline = time.monotonic() + _FAR_SECONDS
    found = _record_before(descriptor, start + _LONGEST, deadline)
    if found is None:
        return None
    head, clean = found
    hashed = hashlib.sha256()
    for position in range(clean, start, _BLOCK):
        if time.monotonic() > deadline:
            return None
        hashed.update(_read(descriptor, position, min(position + _BLOCK, start)))
    hashed.update(data[max(0, clean - start) :])
    length = start + len(data) - clean
    return End(head, Dirt(clean, length, hashed.hexdigest(), data.endswith(b"\n")), unended=False)


def _record_before(descriptor: int, stop: int, deadline: float) -> tuple[Head | None, int] | None:
    """The last record before an offset, and the offset of its end; ``None`` if out of time."""
    while stop > 0:
        if time.monotonic() > deadline:
            return None
        # Blocks overlap, so a record that is cut off in one is whole in the one before it.
        start = max(0, stop - _BLOCK - _LONGEST)
        head, after = _last_record(_read(descriptor, start, stop))
        if head is not None:
            return head, start + after
        stop = start + _LONGEST if start else 0
    return None, 0


def _last_record(data: bytes) -> tuple[Head | None, int]:
    """The last record, and the place of the bytes after it.

    Only bytes that look like the end of a record are examined, so that megabytes of foreign lines
    cost no more than one search.
    """
    stop = len(data)
    for _ in range(_CANDIDATES):
        at = data.rfind(HASH, 0, stop)
        if at < 0:
            break
        stop = at
        end = at + len(HASH) + 64 + len(b'"}')
        if data[end - 2 : end] != b'"}' or data[end : end + 1] not in {b"", b"\n"}:
            continue
        begin = data.rfind(b"\n", max(0, at - _LONGEST), at) + 1
        line = data[begin:end]
        head = head_of(line)
        if head is not None and (end < len(data) or _whole(line, head)):
            return head, min(end + 1, len(data))
    return None, 0


def _foreign_from(data: bytes) -> int:
    """Where the first of the last ``_LEGACY`` lines begins that is no record without a chain.

    0 if none of these lines is a record, as versions without chains wrote it.
    """
    clean = begin = len(data)
    seen_legacy = False
    for _ in range(_LEGACY):
        if not begin:
            return clean
        stop = begin
        begin = data.rfind(b"\n", 0, stop - 1) + 1
        line = data[begin:stop]
        if line.endswith(b"\n") and len(line) <= _LONGEST and _legacy(line):
            seen_legacy = True
        else:
            clean = begin
    return clean if seen_legacy else 0


def _whole(line: bytes, head: Head) -> bool:
    """Whether a record without its newline is complete: only its hash can tell."""
    try:
        return leaf_hash(body_of(line)) == head.hash
    except ValueError as error:
        let_through(error)
        return False


def _legacy(line: bytes) -> bool:
    """Whether a line is a record from before there was a chain."""
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        let_through(error)
        return False
    return isinstance(found, dict) and "event_type" in found and "ts" in found
