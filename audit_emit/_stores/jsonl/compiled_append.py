"""The usual case of an event, compiled: one call writes it to the file and to standard output.

What is not as it usually is (somebody else holds a lock, the file is not as it was, a segment is
full) is found by the compiled part before it has done anything, and the store does it in Python.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from time import time_ns
from typing import Any

from audit_emit._format.record import Receipt
from audit_emit._stores.base import DirectMirror, Linked, Part, Recorded
from audit_emit._stores.clock import Clock
from audit_emit._stores.jsonl.critical import CriticalSection
from audit_emit._stores.jsonl.durability import Durability
from audit_emit._stores.jsonl.rotation import FRESH_NS
from audit_emit._stores.jsonl.segment import Segment

__all__ = ["CompiledAppend"]

NUMBERS = Struct("=7q4Q")
"""Lock, its names, when it is looked at next, file, its longest size, how long a look is fresh, the
second of the time; device and inode of the lock and of the file."""

Made = tuple[Receipt, bytes, int, int, int, int, bool]
"""What ``append`` gives: receipt, line, size of the file, time of the record, when the path and the
mirror were looked at (0: they were not), whether it is shown."""


class CompiledAppend:
    """The quick way of a store (``QuickStore``) to its active segment.

    Args:
        section: has the segment and the locks.
        clock: gives ids and times.
        durability: sees to the line.
        append: of the compiled part.
    """

    def __init__(
        self,
        section: CriticalSection,
        clock: Clock,
        durability: Durability,
        append: Callable[..., Made | None],
    ) -> None:
        self._section = section
        self._clock = clock
        self._note = durability.note
        self.append: Callable[..., Made | None] = append

    def record(self, part: Part, closing: str, mirror: DirectMirror) -> Recorded | None:
        """See ``QuickStore``."""
        section, append, note = self._section, self.append, self._note
        kept: list[Any] = [None]
        before = ""
        is_usual = self._clock.now_ns is time_ns
        if not (is_usual and (section.mutex.acquire(False) or section.wait_turn())):
            return None
        place, segment = section.place, section.segment
        # A signal handler that forked meanwhile has left the child another section.
        if section.busy or section.gone or place is None:
            section.mutex.release()
            return None
        section.busy = True
        try:
            if not place:
                section.place = place = self._place()
            size, before, written = segment.size, segment.hash, segment.written + 1
            # Nothing is called between these looks and the call: no signal is seen there. Nor does
            # anything take memory after it: what is written is known.
            end = size, segment.seq, before, segment.last_ns, segment.fresh
            made = append(kept, place, part, closing, end, mirror.direct, mirror.checked)
            if made is None:
                return None
            receipt, line, segment.size, segment.last_ns, looked, checked, shown = made
            segment.seq, segment.hash, segment.written = receipt.seq, receipt.hash, written
            if looked:
                segment.fresh = looked
                segment.fresh_size = size
            if shown:
                mirror.last = line
                mirror.fault = None
                mirror.checked = checked or mirror.checked
            note(line)
            return receipt, line, shown
        except BaseException:
            if not section.gone:
                self._settle(segment, kept, before)
            raise
        finally:
            # A signal handler may have forked here; what is the child's now is not held.
            if not section.gone:
                section.busy = False
                try:
                    section.mutex.release()
                except BaseException:
                    self._settle(segment, kept, before)
                    raise

    def _place(self) -> tuple[Any, ...]:
        """What stays the same from one record to the next, until somebody else is inside.

        The time is that of the last draft: the first event of each second takes the way of one.
        """
        section, clock = self._section, self._clock
        segment, lock, stamp = section.segment, section.lock, clock.stamp
        numbers = NUMBERS.pack(
            section.lock_fd,
            lock.links,
            section.lock_check,
            segment.descriptor,
            segment.max_bytes,
            FRESH_NS,
            int(stamp.second),
            *(lock.identity or ()),
            *(segment.identity or ()),
        )
        link, chain = segment.link_part, segment.chain
        return numbers, Receipt, clock.ids, stamp.process, stamp.head, segment.path, link, chain

    def _settle(self, segment: Segment, kept: list[Any], before: str) -> None:
        """Account for a record when a signal handler raised after the write, or the release.

        The next call hands it back, and mirrors it. A segment that does not know the record adopts
        it like those of other processes.
        """
        made: Made | None = kept[0]
        if made is None:
            return
        kept[0] = None
        receipt, line, *_, shown = made
        self._section.place = None
        if segment.seq < receipt.seq:
            segment.written += 1
            self._note(line)
        if not shown:
            linked = Linked(line, receipt.chain, receipt.seq, receipt.hash, before, receipt.id)
            segment.records.append(linked)
