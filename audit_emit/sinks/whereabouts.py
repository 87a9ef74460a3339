"""Which file was begun last, and after which record: what the lock file remembers.

The active segment can be renamed by anybody (logrotate), twice while a process is idle, or while
none runs. Its name says nothing then; its inode and the record that it began after do.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import msgspec

from audit_emit.record import Head
from audit_emit.sinks.segments import read_closed

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
            OSError: the file is there and cannot be read now.
        """
        try:
            entries = list(os.scandir(directory))
        except OSError:
            return None
        for entry in entries:
            if (
                entry.inode() == self.inode
                and entry.is_file(follow_symlinks=False)
                and entry.stat(follow_symlinks=False).st_dev == self.device
            ):
                return entry.name, read_closed(entry.path)
        return None


class _Known(msgspec.Struct):
    chain: str
    seq: int
    hash: str
    ts: str
    dev: int
    ino: int
