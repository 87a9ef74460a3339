"""Declares losses and torn ends: records of the log about itself, written in one write.

Called with the locks held, as everything of a ``Segment`` is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_emit._stores.jsonl import self_records as notes
from audit_emit._stores.jsonl import undeclared as debt
from audit_emit._stores.jsonl.whole_lines import write

if TYPE_CHECKING:
    from audit_emit._stores.jsonl.segment import Segment

__all__ = ["close_and_declare", "owed", "pay"]


def pay(segment: Segment) -> None:
    """Declare the losses of a process that ended without being able to declare them."""
    close_and_declare(segment, owed(segment), b"")
    segment.lock.forgive()


def owed(segment: Segment) -> list[notes.Note]:
    """The records that declare the losses that ended processes left in the lock file."""
    left = debt.gaps(segment.lock.recall(debt.PLACE, debt.SIZE))
    return [("audit.gap", fields) for fields in left]


def close_and_declare(segment: Segment, told: list[notes.Note], before: bytes) -> None:
    """End an unfinished line, and declare it, in one write, so that nothing comes between."""
    own = [segment.lent.own(event_type, fields) for event_type, fields in told]
    records, head, ns = notes.chained(own, segment.last(), segment.last_ns)
    data = before + b"".join(record.line for record in records)
    if not data:
        return
    size, written = segment.size + len(data), segment.written + len(records)
    own_written = segment.own_written + len(records)
    write(segment, data)
    segment.records += records  # first: nothing after it takes memory
    segment.size = size
    segment.seq, segment.hash, segment.last_ns = head.seq, head.hash, ns
    segment.written, segment.own_written = written, own_written
