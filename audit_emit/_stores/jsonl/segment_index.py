"""Which file was begun last, and after which record: what the lock file remembers.

The active segment can be renamed by anybody (logrotate), twice while a process is idle, or while
none runs. Its name says nothing then; its inode and the record that it began after do.
"""

from __future__ import annotations

import errno
import os
import time
from typing import NamedTuple

import msgspec

from audit_emit._format.record import MAX_SEQ, Head
from audit_emit._runtime.interrupts import let_through, quietly
from audit_emit._stores.jsonl.directory import Layout, read_closed
from audit_emit._stores.jsonl.lockfile import SIZE

_SEARCH_SECONDS = 0.01
"""How long one call looks through closed segments; the last file it begins takes some ms more."""


_PACKED = (".gz", ".zst", ".xz", ".bz2")


class LastSegment(NamedTuple):
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
    def from_bytes(cls, content: bytes) -> LastSegment | None:
        """What ``to_bytes`` wrote; ``None`` for anything else."""
        try:
            known = msgspec.json.decode(content, type=_Known)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            let_through(error)
            return None
        if not 0 <= known.seq < MAX_SEQ:
            return None
        return cls(Head(known.chain, known.seq, known.hash, known.ts), known.dev, known.ino)

    def find(self, directory: str) -> tuple[str, Head | None] | None:
        """The name that the file has now in ``directory``, and its last record.

        Raises:
            OSError: the file, or where it is, cannot be read now.
        """
        try:
            with os.scandir(directory) as found:
                entries = list(found)
        except (FileNotFoundError, PermissionError) as error:
            let_through(error)
            return None
        for entry in entries:
            if (
                entry.inode() == self.inode
                and entry.is_file(follow_symlinks=False)
                and entry.stat(follow_symlinks=False).st_dev == self.device
            ):
                return entry.name, read_closed(entry.path)
        return None


class Closed:
    """The closed segments of a directory, and which of them hold no record.

    Files of this name may hold anything, and there may be any number of them. So they are looked
    through newest first, for a moment per call; the next call continues where this one ended.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._barren: set[tuple[int, int, int, int]] = set()

    def last_end(self, latest: float = 0.0) -> tuple[Head, str] | None:
        """The last record in the newest file that has one, and the name of the file.

        Args:
            latest: when to be done at the latest (``time.monotonic()``), if not 0.

        Raises:
            OSError: a file cannot be read now; with ``ETIMEDOUT`` there are more than this call
                has time for. That is not the same as no record.
        """
        paths: list[str] = []
        with quietly(PermissionError):  # then the lock file has to tell
            paths = self._layout.closed_segments()
        deadline = 0.0
        for path in reversed(paths):
            seen = _version(path)
            if seen in self._barren:
                continue
            if deadline and time.monotonic() > deadline:
                raise OSError(errno.ETIMEDOUT, "too many closed segments without a record")
            if not deadline:
                deadline = time.monotonic() + _SEARCH_SECONDS
                deadline = min(deadline, latest) if latest else deadline
            head = read_closed(path)
            if head is not None:
                self._barren.clear()
                return head, os.path.basename(path)
            if seen is not None:
                self._barren.add(seen)
        self._barren.clear()
        return None


def _version(path: str) -> tuple[int, int, int, int] | None:
    """A file as it is now; ``None`` when there is none."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError as error:
        let_through(error)
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def copied_to(layout: Layout) -> tuple[Head | None, bool]:
    """The last record in the newest copy of the active segment, as ``copytruncate`` makes them.

    Returns:
        The record, ``None`` where there is no copy; and whether that is certain: what is packed
        already cannot be read here.

    Raises:
        OSError: a file, or the directory, cannot be read now.
    """
    active = os.path.basename(layout.active)
    newest, name = -1, ""
    with os.scandir(layout.directory) as found:
        entries = list(found)
    for entry in entries:
        if entry.name.startswith((f"{active}.", f"{active}-")) and entry.is_file(
            follow_symlinks=False
        ):
            suffix = entry.name[len(active) + 1 :]
            changed = entry.stat(follow_symlinks=False).st_mtime_ns
            if (suffix[:1].isdigit() or suffix.startswith("old")) and changed > newest:
                newest, name = changed, entry.name
    if not name:
        return None, True
    if name.endswith(_PACKED):
        return None, False
    return read_closed(os.path.join(layout.directory, name)), True


def furthest_end(
    layout: Layout,
    closed: Closed,
    remembered: bytes,
    known_end: tuple[str, int],
    *,
    deadline: float = 0.0,
) -> tuple[Head, str | None] | None:
    """The end of a chain that is the furthest on, and the file that holds it, if that is known.

    Args:
        closed: the closed segments of the layout.
        remembered: what the lock file holds.
        known_end: the id of the chain, empty for the one that the directory holds; and its
            ``seq``: only an end beyond this one counts.
        deadline: see ``Closed.last_end``; 0 for none.

    Raises:
        OSError: a file, or the directory, cannot be read now; see ``Closed.last_end``.
    """
    chain, seq = known_end
    ends: list[tuple[Head, str | None]] = []
    last = closed.last_end(deadline)
    if last is not None:
        ends.append(last)
    known = LastSegment.from_bytes(remembered)
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
