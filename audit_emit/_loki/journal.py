"""A journal of what was pushed to Loki recently, in a file beside the log.

Loki may have stored a record without returning it in queries: a record older than
``query_ingesters_within`` (3 hours by default) is found only when its chunk has been written. If it
were pushed a second time, Loki would count it twice. So every batch is written to the journal
before it is sent, and withdrawn only if Loki certainly has not stored it.
"""

from __future__ import annotations

import errno
import fcntl
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Literal, Self

import msgspec

from audit_emit._format.record import ts_of
from audit_emit._loki.disagreement import Run, Runs
from audit_emit._loki.labels import time_of
from audit_emit._loki.records import LoggedRecord
from audit_emit._runtime.files import write_all
from audit_emit.errors import BusyError

HORIZON = 3 * 3600 * 10**9
"""After this time, in nanoseconds, everything that Loki has stored is visible. It writes a chunk
when nothing was added for 30 minutes (``chunk_idle_period``), and after 2 hours at the latest
(``max_chunk_age``)."""

VISIBLE_AT_ONCE = 2 * 3600 * 10**9
"""A record younger than this, in nanoseconds, is visible at once, because
``query_ingesters_within`` is never shorter than ``max_chunk_age``."""


class JournalEntry(msgspec.Struct, omit_defaults=True):
    """One line of the journal: a batch that is about to be sent, or one that is withdrawn.

    Attributes:
        at: when, in the format of records.
        loki: address and tenant.
        batch: the number of the batch in its backfill.
        state: ``sent`` or ``withdrawn``.
        runs: chain, first and last ``seq`` of its records; times for records without a chain.
    """

    at: str
    loki: str
    batch: int
    state: Literal["sent", "withdrawn"]
    runs: list[tuple[str, int, int]] = []


_DECODER = msgspec.json.Decoder(JournalEntry)


class RecentlyPushed:
    """The records that were pushed within ``HORIZON``, and need not be visible in Loki yet.

    Args:
        path: the journal; it need not exist.
        loki: address and tenant; entries about another Loki do not count.
        now: nanoseconds since 1970.

    Raises:
        OSError: the journal cannot be read.
    """

    def __init__(self, path: str, loki: str, now: int) -> None:
        self._now = now
        self._ranges: dict[str, list[tuple[int, int]]] = {}
        try:
            with open(path, "rb") as file:
                notes = list(_lately(file, loki, now - HORIZON))
        except FileNotFoundError:
            return
        withdrawn = {(entry.at, entry.batch) for entry in notes if entry.state == "withdrawn"}
        for entry in notes:
            if entry.state == "sent" and (entry.at, entry.batch) not in withdrawn:
                for chain, first, last in entry.runs:
                    self._ranges.setdefault(chain, []).append((first, last))
        for chain, ranges in self._ranges.items():
            self._ranges[chain] = _merged(sorted(ranges))

    def __call__(self, one: LoggedRecord) -> bool:
        """Whether Loki may have stored this record without returning it in queries."""
        ranges = self._ranges.get(one.chain)
        if ranges is None or one.ts > self._now - VISIBLE_AT_ONCE:
            return False
        number = one.seq if one.chain else one.ts
        at = bisect_right(ranges, (number, 1 << 64)) - 1
        return at >= 0 and number <= ranges[at][1]


def _lately(lines: Iterable[bytes], loki: str, since: int) -> Iterator[JournalEntry]:
    for line in lines:
        try:
            entry = _DECODER.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # incomplete: its writer died before it sent the batch
        at = time_of(entry.at)
        if entry.loki == loki and at is not None and at >= since:
            yield entry


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for first, last in ranges:
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return found


def _streams(path: str) -> int:
    """Open the journal for appending; a new one gets the owner of its directory."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, 0o640)
    except PermissionError:
        owner = os.stat(path, follow_symlinks=False).st_uid
        reason = (
            f"belongs to uid {owner}; give it to the user of the log, or name another --journal"
        )
        raise PermissionError(errno.EACCES, reason, path) from None
    if os.geteuid() == 0:
        # If it belonged to root, the user of the service could not run the next backfill.
        place = os.stat(os.path.dirname(path) or ".")
        os.fchown(descriptor, place.st_uid, place.st_gid)
    return descriptor


class Journal:
    """Writes the journal. A lock on the file admits one backfill at a time.

    Args:
        path: the journal; created if it does not exist.
        loki: address and tenant.

    Raises:
        BusyError: another backfill has the lock.
        OSError: the file cannot be written. Then nothing may be pushed.
    """

    def __init__(self, path: str, loki: str) -> None:
        self._loki = loki
        self._batch = 0
        self._descriptor = _streams(path)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise BusyError(f"another backfill is at work; it holds {path}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def begin(self, batch: Iterable[LoggedRecord], now: int) -> JournalEntry:
        """Write a batch to the journal before it is sent.

        Raises:
            OSError: the journal cannot be written.
        """
        entry = self._entry(batch, ts_of(now))
        self._write(entry)
        return entry

    def resolve(self, entry: JournalEntry, kept: Iterable[LoggedRecord] = ()) -> None:
        """Withdraw a batch from the journal, except for the records in ``kept``.

        Raises:
            OSError: the journal cannot be written.
        """
        still = self._entry(kept, entry.at)
        if still.runs == entry.runs:
            return
        if still.runs:
            self._write(still)
        self._write(JournalEntry(entry.at, entry.loki, entry.batch, "withdrawn"))

    def _entry(self, batch: Iterable[LoggedRecord], at: str) -> JournalEntry:
        self._batch += 1
        runs = Runs()
        for one in batch:
            runs.add(one.chain, one.seq, one.ts)
        return JournalEntry(at, self._loki, self._batch, "sent", [_numbers(run) for run in runs])

    def _write(self, entry: JournalEntry) -> None:
        # Begin with a newline: a writer that died may have left an incomplete line.
        data = b"\n" + msgspec.json.encode(entry) + b"\n"
        write_all(self._descriptor, data)
        os.fsync(self._descriptor)


def _numbers(run: Run) -> tuple[str, int, int]:
    return (run.chain, run.first, run.last) if run.chain else ("", run.low, run.high)
