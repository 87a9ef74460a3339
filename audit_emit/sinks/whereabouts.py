"""Which file was begun last, and after which record: what the lock file remembers.

The active segment can be renamed by anybody (logrotate), twice while a process is idle, or while
none runs. Its name says nothing then; its inode and the record that it began after do.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

import msgspec

from audit_emit.record import Head
from audit_emit.sinks.segments import Layout, read_closed

SIZE = 512
"""Bytes that it takes in the lock file, always: it is written in place."""


class Whereabouts(NamedTuple):
    """The file that was begun last.

    Attributes:
        head: the last record before it.
        device, inode: the file.
    """

    head: Head
    device: int
    inode: int

    def to_bytes(self) -> bytes:
        """``SIZE`` bytes: one line of JSON, padded with spaces."""
        chain, seq, digest, ts = self.head
        known = {"chain": chain, "seq": seq, "hash": digest, "ts": ts}
        text = msgspec.json.encode({**known, "dev": self.device, "ino": self.inode})
        return text.ljust(SIZE - 1) + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes) -> Whereabouts | None:
        """What ``to_bytes`` wrote; ``None`` for anything else."""
        try:
            known = msgspec.json.decode(content, type=_Known)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return cls(Head(known.chain, known.seq, known.hash, known.ts), known.dev, known.ino)

    def find(self, directory: str) -> tuple[str, Head | None] | None:
        """The name that the file has now in ``directory``, and its last record.

        Raises:
            OSError: the file, or where it is, cannot be read now.
        """
        try:
            entries = list(os.scandir(directory))
        except (FileNotFoundError, PermissionError):
            return None
        for entry in entries:
            if (
                entry.inode() == self.inode
                and entry.is_file(follow_symlinks=False)
                and entry.stat(follow_symlinks=False).st_dev == self.device
            ):
                return entry.name, read_closed(entry.path)
        return None


def furthest_end(
    layout: Layout, remembered: bytes, chain: str, seq: int
) -> tuple[Head, str | None] | None:
    """The end of a chain that is the furthest on, and the file that holds it, if that is known.

    Args:
        remembered: what the lock file holds.
        chain: its id; empty for the one that the directory holds.
        seq: only an end beyond this one counts.

    Raises:
        OSError: a file, or the directory, cannot be read now.
    """
    ends: list[tuple[Head, str | None]] = []
    closed: list[str] = []
    with suppress(PermissionError):  # then the lock file has to tell
        closed = layout.closed_segments()
    for path in reversed(closed):
        head = read_closed(path)
        if head is not None:
            ends.append((head, os.path.basename(path)))
            break
    known = Whereabouts.from_bytes(remembered)
    if known is not None:
        ends.append((known.head, None))
        found = known.find(layout.directory)
        if found is not None and found[1] is not None:
            ends.append((found[1], found[0]))
        chain = chain or known.head.chain
    elif ends:
        chain = chain or ends[0][0].chain
    ends = [end for end in ends if end[0].chain == chain and end[0].seq > seq]
    return max(ends, key=lambda end: (end[0].seq, end[1] is not None), default=None)


class _Known(msgspec.Struct):
    chain: str
    seq: int
    hash: str
    ts: str
    dev: int
    ino: int
