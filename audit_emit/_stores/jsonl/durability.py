"""Makes records in the file survive a loss of power, and writes them again when a sync fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from audit_emit._format.record import ns_of, unchained_prefix
from audit_emit._runtime.files import sync_directory
from audit_emit._runtime.interrupts import let_through, quietly
from audit_emit._runtime.nonblocking_fd import close_quietly, error_word
from audit_emit._runtime.observer import id_in
from audit_emit._runtime.threads import weak_callback
from audit_emit._stores.base import Draft
from audit_emit._stores.jsonl import self_records
from audit_emit._stores.jsonl.critical import CriticalSection
from audit_emit._stores.jsonl.group_commit import MOST, MOST_BYTES, WAKE, GroupCommit
from audit_emit._stores.jsonl.retired import fdatasync
from audit_emit._stores.jsonl.rotation import rotate
from audit_emit._stores.jsonl.segment import Segment
from audit_emit._stores.jsonl.unsynced import Unsynced
from audit_emit.errors import SinkError

__all__ = ["Durability"]


class Durability:
    """Syncs the records of one store: never, together on a thread, or each by itself.

    Args:
        how: ``os``, ``group`` or ``always``.
        directory: of the log.

    Attributes:
        group: the thread that syncs, where there is one.
        fault: why written records may not survive a loss of power; ``None`` when they do.
    """

    def __init__(self, how: str, directory: str) -> None:
        self.group: GroupCommit | None = (
            GroupCommit(
                weak_callback(self._duplicate),
                weak_callback(self._failed),
                weak_callback(self._worked),
            )
            if how == "group"
            else None
        )
        self.fault: str | None = None
        self._how = how
        self._directory = directory
        self.lines: list[bytes] | None = self.group.lines if self.group is not None else None
        """Lines that wait for a sync of the group, and their bytes."""
        self.size: int = 0
        self._due = 1
        """The length of ``lines`` at which the group has to hear of them next."""
        self._unsynced = Unsynced()
        self._section: CriticalSection | None = None

    def serve(self, section: CriticalSection) -> None:
        """Take the critical section whose records are to be synced; called once."""
        self._section = section

    @property
    def retire(self) -> Callable[[int], object]:
        """Takes the descriptor of a file that is no longer active."""
        return close_quietly if self.group is None else self.group.retire

    @property
    def crowded(self) -> Callable[[], bool]:
        """Whether too many files wait for a sync (``retired.CROWD``) to begin a further one."""
        return bool if self.group is None else self.group.is_crowded

    def names_changed(self) -> None:
        """Sync the directory with the next records: a file in it was made or renamed."""
        if self.group is not None:
            self.group.names_changed(self._directory)
        elif self._how == "always":
            sync_directory(self._directory)

    def keep(self, line: bytes) -> None:
        """Make a line that was just written durable. Called with the locks held."""
        self.note(line)
        if self._how == "always":
            self._sync_now([line])

    def note(self, line: bytes) -> None:
        """Queue a line for the sync of its group. It is in the file, whatever fails here."""
        lines = self.lines
        if lines is None:
            return
        try:
            lines.append(line)
            self.size = size = self.size + len(line)
            if len(lines) >= self._due or size > MOST_BYTES:
                self._wake()
        except Exception as error:  # noqa: BLE001 - anything may fail
            let_through(error)

    def sync(self, section: CriticalSection, seconds: float) -> bool:
        """Make everything written so far durable; whether it is. See ``ChainStore.sync``."""
        if self.group is not None:
            if section.is_inside():
                # What this thread writes would have to come to its end first.
                raise SinkError("re-entrant")
            return self.group.sync(seconds) and self.fault is None
        if section.segment.descriptor >= 0 and self._how == "os":
            section.held(lambda _: self._sync_now([]))
        elif self._unsynced.lines:
            fault = self.fault or "fsync-failed"
            section.held(lambda segment: self._distrust([], fault, segment))
        return self.fault is None

    def trouble(self) -> str | None:
        """Why written records may not survive a loss of power, as one word; else ``None``."""
        return self.fault or (self.group.trouble() if self.group is not None else None)

    def close(self, seconds: float) -> bool:
        """Sync what waits and let the thread end; whether everything is synced."""
        if self.group is None:
            return True
        synced = self.group.sync(seconds)
        self.group.stop()
        return synced

    def abandon(self) -> None:
        """Forget everything in a forked child: the parent syncs its own records."""
        if self.group is not None:
            self.group.abandon()

    def heal(self) -> None:
        """Give back a lock that an interrupt left behind."""
        if self.group is not None:
            self.group.heal()

    def _wake(self) -> None:
        """Let the group commit hear of the lines, and forget the oldest when they are too many."""
        group, lines = self.group, self.lines
        if group is None or lines is None:
            return
        if len(lines) >= MOST or self.size > MOST_BYTES:
            # A sync hangs. They are in the file; should it fail, they cannot be written again.
            half = (len(lines) + 1) // 2
            del lines[:half]
            group.forgotten += half
            self.size = sum(map(len, lines))
        # Where there is no thread to be had, the next line asks for one again.
        self._due = next((n for n in WAKE if n > len(lines)), MOST) if group.wake() else 0

    def _sync_now(self, lines: list[bytes]) -> None:
        """Sync; the records are in the file either way."""
        section = self._section
        assert section is not None  # noqa: S101 - for the type checker
        try:
            if self._unsynced.lines:
                raise OSError(errno.EIO, "what failed to sync once is not trusted again")
            fdatasync(section.segment.descriptor)
            self.fault = None
        except OSError as error:
            let_through(error)
            self._distrust(lines, error_word(error), section.segment)

    def _duplicate(self, take: Callable[[], None], seconds: float) -> int:
        """See ``GroupCommit``."""
        section = self._section
        assert section is not None  # noqa: S101 - for the type checker
        mutex = section.mutex
        if not mutex.acquire(timeout=seconds):
            raise TimeoutError(errno.ETIMEDOUT, "another thread writes, and comes to no end")
        try:
            descriptor = section.segment.descriptor
            copy = os.dup(descriptor) if descriptor >= 0 else -1
            self._due = 1  # first: an interrupt may come once the lines are taken
            take()
            self.size = 0
            return copy
        finally:
            mutex.release()

    def _worked(self) -> None:
        self.fault = None
        self._unsynced = Unsynced()

    def _failed(self, lines: list[bytes], forgotten: int) -> bool:
        """A group sync failed, or was not trusted; whether all is written once more."""
        self.fault = self.fault or "fsync-failed"
        unsynced, group, section = self._unsynced, self.group, self._section
        unsynced.add(lines, forgotten)
        again = False
        if unsynced.is_due() and section is not None:
            with quietly(SinkError):
                section.held(lambda segment: self._write_again(segment, list(unsynced.lines)))
                # They wait for a sync of the new segment now, which has not failed yet.
                unsynced.forget()
                again = True
        if group is not None:
            group.suspect = not again
        return again

    def _distrust(self, lines: list[bytes], fault: str, segment: Segment) -> None:
        """Write records that may not survive into a new segment; keep them until that is synced."""
        self.fault = fault
        self._unsynced.add(lines)
        if self._unsynced.is_due():
            with quietly(OSError):
                self._write_again(segment, list(self._unsynced.lines))
                fdatasync(segment.descriptor)
                self._worked()

    def _write_again(self, segment: Segment, lines: list[bytes]) -> None:
        """Write records again, with their time and id, into a segment that can be trusted.

        Raises:
            OSError: there is none to be had.
        """
        if not rotate(segment):
            raise OSError("no new segment after a failed sync")
        gap = self_records.rewritten(lines, self._unsynced.forgotten)
        written = [segment.declare("audit.gap", gap).line]
        for line in lines:
            prefix = unchained_prefix(line.decode())
            draft = Draft(prefix, ns_of(prefix[7:37]), id_in(prefix) or "", "")
            written.append(segment.link(draft).line)
        if self.lines is not None:
            self.lines += written
            self.size += sum(map(len, written))
