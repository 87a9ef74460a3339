"""Events that could not be written when they happened, in order, within bounds."""

from __future__ import annotations

from collections import deque
from typing import Any

from audit_emit._format.record import ns_of
from audit_emit._runtime.failure import Counters
from audit_emit._runtime.interrupts import quietly
from audit_emit._runtime.observer import id_in
from audit_emit._stores.base import Draft

RECORDS = 10_000
BYTES = 16 * 1024 * 1024


class Gap:
    """Events lost in a row, until they are declared in the chain.

    Attributes:
        lost: how many.
        first_ts, last_ts: their first and last ``ts``.
        reason: one word for the last of them.
    """

    __slots__ = ("first_ts", "last_ts", "lost", "reason")

    def __init__(self) -> None:
        self.lost: int = 0
        self.first_ts: str = ""
        self.last_ts: str = ""
        self.reason: str = ""

    def add(self, ts: str, reason: str) -> None:
        """Count one more."""
        self.first_ts = self.first_ts or ts
        self.last_ts = ts
        self.reason = reason
        self.lost += 1

    def copy(self) -> Gap:
        """The losses so far, to be declared."""
        made = Gap()
        made.lost = self.lost
        made.first_ts = self.first_ts
        made.last_ts = self.last_ts
        made.reason = self.reason
        return made

    def forget(self, declared: Gap) -> None:
        """Keep what other threads have lost since ``declared`` was copied: after its last."""
        self.lost -= declared.lost
        self.first_ts = declared.last_ts if self.lost else ""

    def fields(self, sink: str) -> dict[str, Any]:
        """The ``fields`` of its ``audit.gap``."""
        return {
            "lost": self.lost,
            "first_ts": self.first_ts,
            "last_ts": self.last_ts,
            "reason": self.reason,
            "sink": sink,
        }


class Backlog:
    """Drafts of records that wait for the store, as texts.

    Events that do not fit are refused: the first ones are kept, and the later ones are declared as
    one gap after them.
    """

    def __init__(self, records: int = RECORDS, max_bytes: int = BYTES) -> None:
        self.waiting: deque[bytes] = deque()
        """As UTF-8: a text with one emoji takes four bytes of memory for each character."""
        self._records = records
        self._max_bytes = max_bytes
        self._bytes = 0
        self._sent: tuple[list[Draft], list[Draft]] = ([], [])
        """The drafts that were handed out last, and those of them that are still in ``waiting``."""

    def __len__(self) -> int:
        return len(self.waiting)

    @property
    def size(self) -> int:
        """Bytes waiting."""
        return self._bytes

    def add(self, prefix: str) -> bool:
        """Keep one event.

        Returns:
            Whether there was room for it.
        """
        if not self.waiting:
            self._bytes = 0
        event = prefix.encode()
        if len(self.waiting) >= self._records or self._bytes + len(event) > self._max_bytes:
            return False
        self._bytes += len(event)
        self.waiting.append(event)
        return True

    def first(self) -> str:
        """The oldest event; there must be one."""
        return self.waiting[0].decode()

    def oldest(self) -> str | None:
        """The ``ts`` of the event that has waited for longest; other threads may call this."""
        with quietly(IndexError):
            return self.first()[7:37]
        return None

    def drafts(self, limit: int, process: str) -> list[Draft]:
        """The oldest events, at most ``limit``; they stay in the backlog until ``settle``.

        Args:
            limit: how many.
            process: of this process, see ``Draft``.
        """
        self._sent = ([], [])
        found = []
        # In one call in C: other threads add events meanwhile.
        for event in list(self.waiting)[:limit]:
            prefix = event.decode()
            found.append(Draft(prefix, ns_of(prefix[7:37]), id_in(prefix) or "", process))
        self._sent = (found, [*found])
        return found

    def settle(self, counters: Counters) -> None:
        """Drop the drafts that have left the list which ``drafts`` gave: they are in the chain.

        An interrupt may end this at any step; the next call continues there.
        """
        left, sent = self._sent
        at = 0
        while len(left) < len(sent) and at < len(self.waiting):
            if at < len(left) and left[at] is sent[at]:
                at += 1
                continue
            size = len(self.waiting[at])
            # These lines belong together: Python handles no signal between them.
            del self.waiting[at], sent[at]
            counters.drained += 1
            self._bytes -= size

    def pop(self) -> str:
        """Drop the oldest event, as it is in the chain now or given up; its ``ts``."""
        event = self.waiting.popleft()
        self._bytes -= len(event)
        return event[7:37].decode()
