"""Archiving in the service: a thread that archives the service's own log, once a day.

It never deletes anything. It works in small steps with pauses between them, so that the threads of
the application are not delayed, and it holds no lock that an event needs.
"""

from __future__ import annotations

import os
import queue
import random
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from audit_emit._archive.daily import (
    JITTER_SECONDS,
    LONGEST_SLEEP,
    due,
    pause_after,
    seconds_until,
    utc,
)
from audit_emit._archive.guard import guard_of, note, noted
from audit_emit._archive.journal import NAME, Journal
from audit_emit._archive.run import Archiver, Done
from audit_emit._archive.sources import Segments
from audit_emit._checkpoints.checkpointer import Record
from audit_emit._format.record import ts_of
from audit_emit._objects.bucket import Bucket
from audit_emit._readers.files.opening import readers_of
from audit_emit._retention.holds import Holds
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.threads import Background
from audit_emit._settings.archive import ArchiveSettings
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import ArchiveError, AuditEmitError, BusyError

PAUSE = 0.001
"""Seconds of sleep after each block of a segment."""

_BUSY_SECONDS = 60.0

_AT_THE_END = "interpreter shutdown"
"""Part of CPython's error message when a thread is started while the interpreter ends, which is no
failure."""

DORMANT, WAITING, WORKING, FAILING, ENDED = "dormant", "waiting", "working", "failing", "ended"


class ArchiverThread:
    """Archives one log every day, until it is stopped or the process ends.

    Of several such threads, also in other processes, one does a day's work: the lock of the journal
    admits one, and the file beside it says that the day is done. A forked child does not archive:
    its parent does.

    Args:
        path: of the active segment.
        settings: of the archive; without ``enabled`` there is no thread.
        ring: its newest key signs the manifests.
        hour: hour and minute, UTC.
        record: appends a record about the log to its chain.
        tell: prints a sentence, at most once a minute for each kind.
        jitter: seconds after the hour within which it begins.
    """

    def __init__(
        self,
        path: str,
        settings: ArchiveSettings,
        ring: KeyRing,
        hour: tuple[int, int],
        record: Record,
        tell: Callable[[str, str], object],
        *,
        jitter: float = JITTER_SECONDS,
    ) -> None:
        self._path = os.path.abspath(path)
        self._settings = settings
        self._ring = ring
        self._hour = hour
        self._record = record
        self._tell = tell
        self._jitter = jitter
        self._failures = 0
        self._state = WAITING if settings.enabled else DORMANT
        self._error: str | None = None
        self._day: str | None = None
        self._last = 0
        self._asked = False
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._pid = os.getpid()
        self._thread = Background()

    def start(self) -> None:
        """Start the thread, where archiving is enabled.

        Raises:
            RuntimeError: no thread can be started.
        """
        if self._settings.enabled:
            self._thread.start(_go_on, weakref.ref(self), self._calls)

    def is_for(self, settings: ArchiveSettings, hour: tuple[int, int]) -> bool:
        """Whether this thread is alive in this process, with these settings and this hour."""
        goes_on = self._thread.is_alive() if self._settings.enabled else True
        here = self._pid == os.getpid() and not self._asked
        return here and goes_on and (self._settings, self._hour) == (settings, hour)

    def __del__(self) -> None:
        try:
            self._calls.put(None)
        except Exception:  # noqa: BLE001, S110 - modules are empty while the interpreter shuts down
            pass

    def stop(self, seconds: float = 2.0) -> bool:
        """End after the current part; whether it has ended within this many seconds.

        If not, the current part continues until the process ends, which may interrupt it anywhere.
        """
        self._asked = True
        self._calls.put(None)
        self._thread.join(seconds)
        ended = not self._thread.is_alive()
        self._state = ENDED if ended else self._state
        return ended

    def report(self) -> dict[str, Any]:
        """The state of the thread.

        Returns:
            ``state``: ``dormant`` (``AUDIT_EMIT_ARCHIVE_ENABLED`` is not 1, or this is a forked
            child), ``waiting`` (for its hour), ``working``, ``failing``, or ``ended``;
            ``archive``; ``daily``; ``last_day``, that was done, and ``last_seq``, up to which this
            process knows the log to be archived; ``last_error``, one word.
        """
        here = self._pid == os.getpid()
        return {
            "state": self._state if here else DORMANT,
            "archive": self._settings.shown,
            "daily": f"{self._hour[0]:02d}:{self._hour[1]:02d}",
            "last_day": self._day,
            "last_seq": self._last or None,
            "last_error": self._error if here else None,
        }

    def round(self) -> float:
        """Do the work that is due; seconds until the next look."""
        guard = guard_of(os.path.dirname(self._path), self._settings.shown)
        now = utc(time.time_ns())
        try:
            day = self._due(guard)
            if day:
                self._state = WORKING
                self._work(guard)
        except BusyError:
            self._state = WAITING
            return _BUSY_SECONDS * random.uniform(0.5, 1)  # noqa: S311 - another one does it
        except (AuditEmitError, OSError, ModuleNotFoundError) as error:
            return self._failed(guard, error)
        except Exception as error:  # noqa: BLE001 - nobody else would begin again
            let_through(error)
            if isinstance(error, RuntimeError) and _AT_THE_END in str(error):
                self._state = ENDED
                return LONGEST_SLEEP
            # An unexpected exception may quote a line of the log: only its type is named.
            return self._failed(
                guard, ArchiveError(bare_name(type(error)), "it is a fault of audit_emit")
            )
        self._state, self._error, self._failures = WAITING, None, 0
        wait = seconds_until(now, self._hour) + random.uniform(0, self._jitter)  # noqa: S311
        return min(wait, LONGEST_SLEEP)

    def _due(self, guard: str) -> str:
        done = noted(guard).day
        self._day = done or None
        return due(utc(time.time_ns()), self._hour, done)

    def _work(self, guard: str) -> None:
        place = os.path.dirname(self._path)
        if not os.path.exists(self._path):
            return
        with Journal(os.path.join(place, NAME), self._settings.shown) as journal:
            day = self._due(guard)  # another one may have done it until the lock was free
            if not day:
                return
            with Bucket(self._settings) as bucket, readers_of([place])[0] as reader:
                archiver = Archiver(
                    bucket,
                    Segments(reader, self._path, pause=PAUSE),
                    self._ring,
                    journal,
                    self._record,
                    holds=self._holds,
                    stop=lambda: self._asked,
                )
                done = archiver.run()
            self._last = done.last
            if self._asked:
                return
            self._refuse(done)
            note(guard, day)
            self._day = day

    def _holds(self) -> Holds:
        (reader,) = readers_of([os.path.dirname(self._path)])
        with reader:
            return Holds.of(reader, self._ring)

    def _refuse(self, done: Done) -> None:
        """Refuse to count a day as done where the run found something wrong.

        Raises:
            ArchiveError: it did.
        """
        for reason, why in (("lost", done.lost), ("unsigned", done.late)):
            if why:
                raise ArchiveError(reason, why)

    def _failed(self, guard: str, error: Exception) -> float:
        word = str(getattr(error, "reason", "") or type(error).__name__)
        self._failures += 1
        with suppress(OSError):
            note(guard, self._day or "", f"{ts_of(time.time_ns())} {word}: {error}")
        self._state, self._error = FAILING, word
        self._tell(f"archive {word}", f"the log is not archived: {error} ({word}); tried again")
        return pause_after(self._failures) * random.uniform(0.5, 1)  # noqa: S311

    @property
    def asked(self) -> bool:
        """Whether it was asked to end."""
        return self._asked


def _go_on(archiver: weakref.ref[ArchiverThread], calls: queue.SimpleQueue[None]) -> None:
    while (found := archiver()) is not None and not found.asked:
        wait = found.round()
        del found
        with suppress(queue.Empty):
            calls.get(timeout=wait)
