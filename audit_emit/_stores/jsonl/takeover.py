"""Continues the chain in the file at the path, whatever that file holds.

At the start, and when the file was moved, deleted, emptied, or left with an end that is no record.
Called with the locks held, as everything of a ``Segment`` is.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from audit_emit._format import tail
from audit_emit._format.chain import ZERO
from audit_emit._format.record import Head
from audit_emit._runtime.interrupts import let_through, quietly
from audit_emit._stores.jsonl import declaring
from audit_emit._stores.jsonl import directory as segments
from audit_emit._stores.jsonl import self_records as notes
from audit_emit._stores.jsonl.segment_index import copied_to, furthest_end

if TYPE_CHECKING:
    from audit_emit._stores.jsonl.segment import Segment

__all__ = ["reopen", "resized", "settling", "take_over"]

_KEEP_OLD = frozenset({errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM, errno.EROFS})


def reopen(segment: Segment) -> None:
    """Open the file that is at the path now: at the start, and when it was moved or deleted."""
    old = segment.still_ours()
    rescued = _rescue(segment, old)
    if old is not None:
        _catch_up(segment, old)
    name = segments.name_of(segment.descriptor) if old is not None else None
    replace = segment.replace  # closes the file in a child that is forked in here
    try:
        segments.make_directory(segment.layout.directory)
        opened = segments.open_file(segment.layout.active, append=True)
    except OSError as error:
        let_through(error)
        if old is not None and old.st_nlink and error.errno in _KEEP_OLD:
            # The renamed file is a place to write to until the path can be had again.
            return
        raise
    empty = replace(opened, close_old=old is not None)
    why = "moved" if old is None or old.st_nlink else "deleted"
    with settling(segment, name, why):
        if empty:
            segment.named()
            if rescued:
                os.write(segment.descriptor, rescued)
        _continue_at_end(segment, name, why)


def _catch_up(segment: Segment, old: os.stat_result) -> None:
    """Learn what others wrote into a file before it was moved; the next one may be empty."""
    with quietly(OSError):
        if not old.st_nlink:
            head = tail.read_end(segment.descriptor, old.st_size).head
            if head is not None and segment.continues(head):
                segment.adopt(head)
        elif segment.unsettled is not None:
            take_over(segment, *segment.unsettled)
        elif old.st_size != segment.size:
            resized(segment, old.st_size)


def _rescue(segment: Segment, old: os.stat_result | None) -> bytes:
    """Our records in a deleted file, since the path was last known to be good."""
    if old is None or old.st_nlink or not 0 <= segment.fresh_size < segment.size:
        return b""
    if old.st_ctime_ns > old.st_mtime_ns:
        return b""  # deleted after the last write: the file had all of them then
    return tail.pread(segment.descriptor, segment.size - segment.fresh_size, segment.fresh_size)


def resized(segment: Segment, size: int) -> None:
    """Pick up what other processes appended, or find out who changed the file."""
    head = tail.read_growth(segment.descriptor, segment.size, size)
    if head is not None and head.chain == segment.chain and head.seq > segment.seq:
        segment.adopt(head)
        segment.size = size
        return
    take_over(segment, None, "truncated")


def take_over(segment: Segment, previous: str | None, why: str) -> None:
    """Continue the chain at the end of the file, whatever is there.

    Args:
        previous: the name that the file before this one has now, if known.
        why: why this file is another one, or shorter, than it was.
    """
    with settling(segment, previous, why):
        _continue_at_end(segment, previous, why)


@contextmanager
def settling(segment: Segment, previous: str | None, why: str) -> Iterator[None]:
    """If this is interrupted, repeat it before anything else is written."""
    segment.unsettled = (previous, why)
    try:
        yield
    except BaseException:
        segment.size = -1
        raise
    segment.unsettled = None


def _continue_at_end(segment: Segment, previous: str | None, why: str) -> None:
    size = os.fstat(segment.descriptor).st_size
    end = tail.read_end(segment.descriptor, size, deadline=segment.deadline)
    segment.size = size
    known = segment.seq
    if end.head is not None and (not known or segment.continues(end.head)):
        segment.adopt(end.head)
    elif not known or end.head is None:
        previous = _continue_elsewhere(segment) or previous
        segment.unsettled = (previous, why)
    segment.remember()
    segment.begun_at = tail.first_seq(segment.descriptor) or segment.seq + 1
    segment.rotate_from = segment.begun_at
    _note_tear(segment, end.dirt)
    told: list[notes.Note] = []
    if why == "deleted" or (end.head is None and segment.seq):
        # Which file this one follows is said first.
        reason = why if known else "opened"
        told.append(("audit.rotated", notes.rotated(previous, segment.last(), reason)))
        segment.rotate_from = segment.seq + 1
        if known and why == "truncated":
            told += _not_copied(segment)
    elif known and segment.hash != (end.head.hash if end.head else ""):
        # The numbers continue after our last record, so that the hole shows.
        told.append(_missing(segment, end.head, f"file-{why}"))
    told += [("audit.recovered", notes.recovered(tear)) for tear in segment.tears]
    owed = declaring.owed(segment)
    told += owed
    started = segment.lent.started() if not segment.opened else None
    if started is not None:
        told.append(("audit.started", started))
    declaring.close_and_declare(segment, told, b"" if end.closed else b"\n")
    segment.tears.clear()
    segment.opened = True
    if started is not None:
        segment.lent.said()
    if owed:
        segment.lock.forgive()


def _not_copied(segment: Segment) -> list[notes.Note]:
    """The gap after a file was truncated, where no copy has the records that were in it."""
    head, certain = copied_to(segment.layout)
    same = head is not None and head.chain == segment.chain
    if not certain or (head is not None and same and head.seq >= segment.seq):
        return []
    return [_missing(segment, head, "file-truncated")]


def _missing(segment: Segment, head: Head | None, reason: str) -> notes.Note:
    """The gap of records that were in a file and were taken away; health counts them."""
    fields = notes.missing(head, segment.last(), segment.last_ns, reason)
    segment.taken_away += fields["lost"]
    segment.last_taken_away = fields["last_ts"]
    return "audit.gap", fields


def _note_tear(segment: Segment, dirt: tail.Dirt | None) -> None:
    """Remember a tear until it is declared; it may have grown when that failed before."""
    if dirt is None:
        return
    others = [known for known in segment.tears if known.offset != dirt.offset]
    segment.lent.counters.recovered += len(others) == len(segment.tears)
    segment.tears = [*others, dirt]


def _continue_elsewhere(segment: Segment) -> str | None:
    """Continue from the furthest end that this chain has in another file, or begin a chain.

    Returns:
        The name of the file with that end.
    """
    found = furthest_end(
        segment.layout,
        segment.closed,
        segment.lock.recall(),
        (segment.chain, segment.seq),
        deadline=segment.deadline,
    )
    if found is not None:
        segment.adopt(found[0])
        return found[1]
    if not segment.seq:
        segment.adopt(Head(os.urandom(8).hex(), 0, ZERO, ""))
    return None
