"""The active segment: what the chain's end is, and extending it by one record at a time.

Everything here is called with the locks held (``store.py``). Invariants:

1. The chain is extended from the last record in the file, also from that of another process.
2. A record is in the file whole, with its newline, before anything refers to it.
3. Bytes that are no record are closed with a newline and declared; they are never rewritten.
4. The active segment is the file at the configured path. Whether it still is, is looked up when
   the last look is older than ``FRESH_NS``; who moves the path away keeps the lock longer than
   that, so that no process writes to a segment that another one has closed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from audit_emit._format import tail
from audit_emit._format.chain import ZERO
from audit_emit._format.record import Head, bump, ns_of, ts_of
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.nonblocking_fd import close_quietly
from audit_emit._runtime.owned_fds import Owned
from audit_emit._stores.base import Draft, Lent, Linked
from audit_emit._stores.jsonl import directory as segments
from audit_emit._stores.jsonl import takeover
from audit_emit._stores.jsonl.lockfile import LockFile
from audit_emit._stores.jsonl.rotation import may_rotate, rotate
from audit_emit._stores.jsonl.segment_index import Closed, LastSegment
from audit_emit._stores.jsonl.whole_lines import write


class Segment:
    """The file at one path, as the newest part of a chain.

    Args:
        layout: the paths. Nothing is opened before the first ``look``.
        max_bytes: size at which the file is closed and a new one begun.
        lent: what makes the log's records about itself; see ``Lent``.
        retire: takes the descriptor of a file that is no longer active, to sync and close it.
        crowded: whether too many of those wait for a sync to begin a further file.
        named: called when a file was made or renamed, so that its name becomes durable.
        lock: remembers which file was begun last.
    """

    begun_at: int = 0
    """The first ``seq`` in this file."""
    rotate_from: int = 0
    """The file is never closed before it holds a record beyond this ``seq``."""
    rotate_after: float = 0.0
    """The file is not closed before this (``time.monotonic()``), since that has failed."""

    def __init__(
        self,
        layout: segments.Layout,
        *,
        max_bytes: int,
        lent: Lent,
        retire: Callable[[int], object],
        named: Callable[[], object],
        lock: LockFile,
        crowded: Callable[[], bool] = bool,
    ) -> None:
        self.descriptor: int = -1
        self.chain: str = ""
        self.seq: int = 0
        self.hash: str = ZERO
        self.records: list[Linked] = []
        """Records that were written here and are not yet handed to their callers."""
        self.path: str = layout.active
        self.layout = layout
        self.closed = Closed(layout)
        self.max_bytes = max_bytes
        self.lent = lent
        self._retire = retire
        self.crowded = crowded
        self.named = named
        self.lock = lock
        self.last_ns: int = 0
        """The ``ts`` of the last record, in nanoseconds; 0 before there is one."""
        self.written: int = 0
        """Records that this process wrote, and how many of them about the log itself."""
        self.own_written: int = 0
        self.taken_away: int = 0
        self.last_taken_away: str | None = None
        self.link_part: str = ""
        self._begun: tuple[Draft | None, int, Linked | None] = (None, -1, None)
        """The record that was written last, as draft and as line, and the size of the file before
        it."""
        self.identity: tuple[int, int] | None = None
        self.size: int = -1
        self.fresh: int = -(1 << 62)
        """When the path was last known to be good (``time.monotonic_ns()``)."""
        self.fresh_size = 0
        self.deadline: float = 0.0
        """Until when the call that is in here may take (``time.monotonic()``); 0 for no limit."""
        self.opened = False
        self.unsettled: tuple[str | None, str] | None = None
        """A file that is not yet taken over in full: the arguments of ``_take_over``."""
        self.tears: list[tail.Dirt] = []
        """Torn ends of this file that are not yet declared."""

    def look(self, now: int) -> None:
        """Make sure that the next record extends what is in the file at the path.

        It need not be called while the file's length is ``size`` and ``fresh`` is less than
        ``FRESH_NS`` ago.

        Args:
            now: of ``time.monotonic_ns``.

        Raises:
            OSError: there is no file to write to.
        """
        size = self.length()
        try:
            there = os.stat(self.layout.active, follow_symlinks=False)
        except FileNotFoundError as error:
            let_through(error)
            there = None
        if there is None or size < 0 or (there.st_dev, there.st_ino) != self.identity:
            takeover.reopen(self)
        elif size != there.st_size:
            # Our number is somebody else's file by now: the application closed them all.
            self.descriptor = -1
            takeover.reopen(self)
        elif self.unsettled is not None:
            takeover.take_over(self, *self.unsettled)
        elif size != self.size:
            takeover.resized(self, size)
        self.fresh = now
        self.fresh_size = self.size

    def length(self) -> int:
        """Bytes in the file; less than 0 when there is none."""
        try:
            return os.lseek(self.descriptor, 0, os.SEEK_END)
        except (OSError, ValueError) as error:
            let_through(error)
            return -2

    def link(self, draft: Draft) -> Linked:
        """Extend the chain by one record, which joins ``records``.

        Raises:
            OSError: nothing of it is in the file, or a tear that the next look declares.
        """
        prefix, ns = draft.prefix, draft.ns
        if ns == self.last_ns:
            prefix = bump(prefix)
            ns += 1
        seq, before = self.seq + 1, self.hash
        body = f'{prefix}{self.link_part}{seq},"prev_hash":"{before}"'
        digest = sha256(f"\0{body}}}".encode()).hexdigest()
        line = f'{body},"hash":"{digest}"}}\n'.encode()
        size = self.size + len(line)
        # A record of the log about itself begins no file: the one of the last checkpoint of a
        # service would leave an ``audit.rotated`` that nobody signs any more.
        is_full = size > self.max_bytes and not draft.own
        if is_full and may_rotate(self) and rotate(self):
            return self.link(draft)
        linked = Linked(line, self.chain, seq, digest, before, draft.id, draft.own)
        self._begun = (draft, self.size, linked)
        written = self.written + 1
        write(self, line)
        self.records.append(linked)  # first: nothing after it takes memory
        self.size = size
        self.seq = seq
        self.hash = digest
        self.last_ns = ns
        self.written = written
        return linked

    def has_written(self, draft: Draft) -> bool:
        """Whether an interrupted ``link`` of a draft came so far."""
        begun, size, _ = self._begun
        return begun is draft and self.length() != size

    def unheard(self) -> Linked | None:
        """The record that was written last, if it is whole and not yet accounted for."""
        _, size, linked = self._begun
        if linked is None or self.seq >= linked.seq or self.length() != size + len(linked.line):
            return None
        return linked

    def declare(self, event_type: str, fields: dict[str, Any]) -> Linked:
        """Write a record of the log about itself."""
        linked = self.link(self.lent.own(event_type, fields))
        self.own_written += 1
        return linked

    @property
    def head(self) -> Head:
        """The end of the chain."""
        return Head(self.chain, self.seq, self.hash, ts_of(self.last_ns))

    def close(self) -> None:
        """Close the descriptor, if it is still ours."""
        self._let_go()
        self.descriptor = -1
        self.size = -1

    def _let_go(self) -> None:
        if self.descriptor < 0 or self.still_ours() is None:
            return
        if self._retire is close_quietly:
            # At once. An interrupt that comes in the finalizer of an object is heard by nobody.
            close_quietly(self.descriptor)
        else:
            # Later, when the application may have closed it, and its number is somebody else's.
            self._retire(Owned.of(self.descriptor, self.identity))

    def __del__(self) -> None:
        try:
            if self.still_ours() is not None:
                close_quietly(self.descriptor)
        except Exception:  # noqa: BLE001, S110 - modules are empty while the interpreter shuts down
            pass

    def abandon(self) -> None:
        """Give an inherited descriptor back; a frame that is still in here does nothing more."""
        self._retire = close_quietly
        self.close()
        self.__class__ = _Abandoned

    def still_ours(self) -> os.stat_result | None:
        try:
            found = os.fstat(self.descriptor)
        except (OSError, ValueError) as error:
            let_through(error)
            return None
        return found if (found.st_dev, found.st_ino) == self.identity else None

    def replace(self, opened: int, *, close_old: bool = True) -> bool:
        """Make a file the active one, or close it; whether it is empty."""
        try:
            found = os.fstat(opened)
            if close_old:
                self._let_go()
            # Right before the descriptor is taken: a child that was forked in here ends at it.
            self.begun_at = self.rotate_from = self.seq + 1
            self.descriptor = opened
        except BaseException:
            os.close(opened)
            raise
        self.identity = (found.st_dev, found.st_ino)
        self.size = self.fresh_size = 0
        self.tears.clear()
        return found.st_size == 0

    def adopt(self, head: Head) -> None:
        self.chain = head.chain
        self.seq = head.seq
        self.hash = head.hash
        self.last_ns = ns_of(head.ts) if head.ts else 0
        self.link_part = f',"chain":"{head.chain}","seq":'

    def continues(self, head: Head) -> bool:
        """Whether a head is our own or a later one; if not, ours continues, so that it shows."""
        if head.chain != self.chain:
            return False
        return head.seq > self.seq or (head.seq == self.seq and head.hash == self.hash)

    def remember(self) -> None:
        """Write to the lock file that this file continues after the record that is the last now."""
        if self.identity is not None:
            head = Head(self.chain, self.seq, self.hash, ts_of(self.last_ns))
            self.lock.remember(LastSegment(head, *self.identity).to_bytes())

    def last(self) -> Head:
        return Head(self.chain, self.seq, self.hash, "")


class _Abandoned(Segment):
    """What a forked child has of its parent's segment, should it go on where the parent was.

    Every further step needs an attribute, and there a signal is not seen between the look and the
    system call: the child neither writes nor renames.
    """

    def __getattribute__(self, name: str) -> Any:
        if name in _STILL_KNOWN:
            return super().__getattribute__(name)
        raise OSError(errno.EBADF, "forked in the middle of a write")


_STILL_KNOWN = frozenset({"chain", "records", "__class__"})
"""The attributes that a forked child may still read, for a record that its parent wrote."""
