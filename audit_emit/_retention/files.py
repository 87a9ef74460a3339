"""Removes the oldest closed segments of a log of files.

The steps have this order:

1. Verify the whole log, and read what is to go once more, against the tree that was signed.
2. Write the hash tiles of it, sync them, and read them again.
3. Append ``audit.pruned`` to the chain, durably, with a statement signed by the log's key.
4. Delete the files, oldest first, each durably.

Whatever ends it in between, the log verifies, and the next run goes on from there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, NamedTuple

from audit_emit._checkpoints.beginning import Start, newest_start, start_of
from audit_emit._checkpoints.signer_state import SignerFiles
from audit_emit._checkpoints.tiles import Store
from audit_emit._format.chain import Frontier
from audit_emit._format.record import ns_of
from audit_emit._format.removal import RECORD, Removal, fields_of
from audit_emit._readers.files.logfiles import LogFile, segment_paths
from audit_emit._readers.files.opening import readers_of
from audit_emit._readers.files.reader import FilesReader
from audit_emit._retention.holds import Holds
from audit_emit._retention.statement import (
    Limits,
    keep_tiles,
    refuse_another,
    signer_of,
    statement,
    tree_of,
)
from audit_emit._retention.walk import Boundary, Passed, Progress, Walk, boundaries
from audit_emit._runtime.files import sync_directory
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._stores.jsonl.directory import Layout, open_file
from audit_emit._stores.jsonl.lockfile import LockFile
from audit_emit._verify.verify import Options, verify_log
from audit_emit.errors import RetentionError

LOCK_SECONDS = 10.0
LOCK = "prune.lock"
PENDING = "prune.pending"
"""Is there from before the record is written until the last file is gone."""

Record = Callable[[str, dict[str, Any]], None]
"""Appends a record about the log to its chain, durably: event type and fields."""


class Part(NamedTuple):
    """A file, and ``seq`` of the last record in it or in one before it."""

    file: LogFile
    last: int


class Outcome(NamedTuple):
    """What was removed, or would be.

    Attributes:
        removal: the statement; ``None`` where nothing new goes.
        record_seq: of the record that says so; 0 in a rehearsal.
        files: names of the files that went, oldest first.
        bytes: that they took.
        oldest_seq: of the first record that is there afterwards.
        stopped: why no more went.
        chain: of the log.
        before: the last record that went earlier, as a signed record says; 0 for none.
    """

    removal: Removal | None
    record_seq: int
    files: tuple[str, ...]
    bytes: int
    oldest_seq: int
    stopped: str
    chain: str = ""
    before: int = 0


class Pruner:
    """Removes old segments of one log.

    Args:
        layout: where the log is.
        ring: the trusted keys; the newest one must be the log's, and able to sign.
        record: see ``Record``.
        jobs: how many processes may verify.
        progress: see there.
    """

    def __init__(
        self,
        layout: Layout,
        ring: KeyRing,
        record: Record,
        *,
        jobs: int = 1,
        progress: Progress | None = None,
    ) -> None:
        self._layout = layout
        self._ring = ring
        self._record = record
        self._jobs = jobs
        self._progress = progress
        self._store = Store(layout.directory)
        self._pending = os.path.join(layout.directory, PENDING)

    def run(self, limits: Limits, *, rehearse: bool = False) -> Outcome:
        """Remove what may go.

        Args:
            limits: what that is.
            rehearse: change nothing.

        Raises:
            RetentionError: nothing was removed, or not all that was declared; see ``reason``.
            OSError: a file cannot be read or written; what is there still verifies.
        """
        if rehearse:
            return self._run(limits, rehearse=True)
        with _locked(os.path.join(self._layout.directory, LOCK)):
            try:
                return self._run(limits, rehearse=False)
            finally:
                self._store.close()

    def _run(self, limits: Limits, *, rehearse: bool) -> Outcome:
        with self._opened() as reader:
            self._verify(reader)
            holds = Holds.of(reader, self._ring)
            key, origin = signer_of(reader, self._ring)
            chain = origin.rpartition("/")[2]
            start = self._start(reader, chain)
            known = start.removal.last_seq if start is not None else 0
            parts = list(_closed(reader.files, self._layout.active))
            first = max(reader.files[0].first_seq, 1)
            held = holds.is_held(first, known) if first <= known else None
            if held is not None:
                why = f"hold {held.name} is on records that were being removed"
                return Outcome(None, 0, (), 0, first, why, chain, known)
            if limits.like is not None and limits.like.seq > known:
                refuse_another(reader, limits.like)
            ends, stopped = self._wanted(reader, parts, known, holds, limits)
            passed, young = self._read(reader, start, ends, limits, rehearse=rehearse)
            removal = None
            if passed is not None:
                removal = statement(passed, known + 1, origin, key, limits.reason)
        seq = 0 if removal is None or rehearse else self._declare(removal)
        last = known if removal is None else removal.last_seq
        gone = [part.file for part in parts if part.last <= last]
        if not rehearse:
            self._delete(gone, last)
        names, size = tuple(file.name for file in gone), sum(file.size for file in gone)
        return Outcome(removal, seq, names, size, last + 1, young or stopped, chain, known)

    def _opened(self) -> FilesReader:
        (reader,) = readers_of([self._layout.active])
        return reader

    def _verify(self, reader: FilesReader) -> None:
        """Evidence is not deleted: nothing goes of a log that does not verify.

        Raises:
            RetentionError: it does not.
        """
        options = Options(ring=self._ring, jobs=self._jobs, progress=self._progress)
        report = verify_log(reader, options).report
        if report.tampered:
            found = ", ".join(f"{count} {kind}" for kind, count in sorted(report.counts.items()))
            why = f"the log does not verify ({found}); see: audit-emit verify"
            raise RetentionError("tampered", why)

    def _start(self, reader: FilesReader, chain: str) -> Start | None:
        """What was removed already, or declared by a run that did not come to its end.

        Raises:
            RetentionError: no trusted key signed it.
        """
        found = start_of(reader, self._ring)
        if found is None and os.path.lexists(self._pending):
            found = newest_start(reader, self._ring, chain)
        if found is not None and found.verdict(self._ring) != "ok":
            why = "the key that signed the last removal is not given; give it beside the newest one"
            raise RetentionError("no-key", why)
        return found

    def _wanted(
        self,
        reader: FilesReader,
        parts: Sequence[Part],
        known: int,
        holds: Holds,
        limits: Limits,
    ) -> tuple[list[Boundary], str]:
        """The ends of the parts that may go, whatever their age, and why no more."""
        ends, stopped, before = [], "the newest segment stays", known
        for part in parts:
            if part.last <= before:
                continue
            held = holds.is_held(before + 1, part.last)
            if held is not None:
                stopped = f"hold {held.name} is on records from {held.first_seq} on"
                break
            if limits.allowed is not None and part.last > limits.allowed:
                stopped = f"only records up to {limits.allowed} may go"
                break
            ends.append(part.last)
            before = part.last
        covered = boundaries(reader, self._ring, ends)
        if len(covered) < len(ends):
            stopped = "no checkpoint covers more"
        return covered, stopped

    def _read(
        self,
        reader: FilesReader,
        start: Start | None,
        ends: Sequence[Boundary],
        limits: Limits,
        *,
        rehearse: bool,
    ) -> tuple[Passed | None, str]:
        """Read what may go up to the first part that is too young; the last that is old enough."""
        if not ends or not _may_be_old(ends[0], reader, limits):
            return None, "the oldest segment is not old enough" if ends else ""
        tiled = None if rehearse else tree_of(self._store, start)
        walk = Walk(reader, start, ends, tiled, self._progress)
        last, young = None, ""
        for passed in walk.parts():
            if not _is_old(passed, limits):
                young = f"records up to {passed.boundary.last} are not old enough"
                break
            last = passed
        if last is not None and tiled is not None:
            walk.go_on(last.boundary.checkpoint.head_seq)
            before = start.removal.tree if start is not None else Frontier()
            keep_tiles(self._store, tiled, before)
        return last, young

    def _declare(self, removal: Removal) -> int:
        """Write the record; its number.

        Raises:
            RetentionError: the log has another key by now, or the record is not in the log.
        """
        os.close(open_file(self._pending, append=False))
        sync_directory(self._layout.directory)
        with _locked(SignerFiles(self._layout).lock), self._opened() as reader:
            # Nobody changes the key meanwhile, so that the record is by the log's newest one.
            signer_of(reader, self._ring)
            self._record(RECORD, fields_of(removal))
        with self._opened() as reader:
            found = newest_start(reader, self._ring, removal.chain)
        if found is None or found.removal != removal:
            raise RetentionError("not-told", "the log does not hold the record of the removal")
        return found.record.seq

    def _delete(self, files: Sequence[LogFile], last: int) -> None:
        """Delete files, oldest first, and what was renamed or packed since they were listed.

        Raises:
            OSError: one cannot be deleted; the next run does it.
        """
        for file in files:
            self._unlink(file)
        if files:
            with self._opened() as reader:
                again = list(_closed(reader.files, self._layout.active))
            for part in again:
                if part.last <= last:
                    self._unlink(part.file)
        with suppress(FileNotFoundError):
            os.unlink(self._pending)

    def _unlink(self, file: LogFile) -> None:
        for path in _names_of(self._layout, file):
            with suppress(FileNotFoundError):
                os.unlink(path)
        sync_directory(self._layout.directory)


def _closed(files: Sequence[LogFile], active: str) -> Iterator[Part]:
    """The closed segments, but for the newest file of the log, each with its last record."""
    for number, file in enumerate(files[:-1]):
        if file.path == active or file.size < 0:
            return
        following = next((one.first_seq for one in files[number + 1 :] if one.first_seq > 0), 0)
        if not following:
            return
        yield Part(file, following - 1)


def _names_of(layout: Layout, file: LogFile) -> list[str]:
    """All names of a file, and the packed copies that are being made of it."""
    found = []
    for path in [*segment_paths(layout), file.path]:
        with suppress(FileNotFoundError):
            there = os.lstat(path)
            if (there.st_dev, there.st_ino) == file.identity and path not in found:
                found.append(path)
    packed = [path + ending for path in found for ending in (".gz", ".zst")]
    return [*(path for path in packed if os.path.lexists(path)), *found]


def _may_be_old(end: Boundary, reader: FilesReader, limits: Limits) -> bool:
    """Whether reading is worth it: a part is at least as young as its first record."""
    signed = end.signed_ns
    if signed is not None and signed <= limits.cutoff_ns:
        return True
    first = next((file.first_ts for file in reader.files if file.first_ts), "")
    return not first or _is_before(first, limits.cutoff_ns)


def _is_old(passed: Passed, limits: Limits) -> bool:
    """Whether all records of a part are old, by their own time or by that of the signature.

    A clock that was ahead must not keep a record for ever: what was signed so long ago is as old.
    """
    signed = passed.boundary.signed_ns
    if signed is not None and signed <= limits.cutoff_ns:
        return True
    return _is_before(passed.latest, limits.cutoff_ns)


def _is_before(ts: str, cutoff_ns: int) -> bool:
    try:
        return ns_of(ts) <= cutoff_ns
    except ValueError:
        return False


def locked(directory: str) -> AbstractContextManager[None]:
    """Keep everything that removes records of a log waiting, while its holds change.

    Raises:
        RetentionError: ``busy``: something is being removed.
    """
    return _locked(os.path.join(directory, LOCK))


@contextmanager
def _locked(path: str) -> Iterator[None]:
    lock = LockFile(path)
    lock.open()
    try:
        if not lock.acquire(time.monotonic() + LOCK_SECONDS):
            raise RetentionError("busy", f"another process holds {os.path.basename(path)}")
        yield
    finally:
        lock.close()
