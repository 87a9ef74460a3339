"""The one pass over a log that exports it, in pieces that a caller writes and keeps count of."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from audit_emit._export.formats import Format
from audit_emit._export.record import Record
from audit_emit._export.sealed import Reading
from audit_emit._format.line_splitter import Lines, split_lines
from audit_emit._format.record import Head, head_of
from audit_emit._loki.labels import placement_of
from audit_emit._query.question import Question
from audit_emit._readers.base import MISSING, Flaw, LogReader


class Piece(NamedTuple):
    """What one block of a log became.

    Attributes:
        data: whole events.
        events: how many.
        foreign: lines of the block that are no records, and are not among the events.
        missing: the part that the log does not have where this piece begins; empty for most.
        head: the last chained record up to here, exported or not asked for.
        read: bytes of the log that were read by then.
    """

    data: bytes
    events: int
    foreign: int
    missing: str
    head: Head | None
    read: int


def exported(
    reader: LogReader,
    form: Format,
    after: Head | None = None,
    wanted: Question | None = None,
    reading: Reading | None = None,
) -> Iterator[Piece]:
    """The records of a log in a format, in their order; every one, or those that are wanted.

    A record is exported whatever its members are. Only a line that is no JSON object is not.

    Args:
        after: begin behind this record, which an earlier pass ended with.
        wanted: only records that answer this question.
        reading: what is made of sealed values.

    Raises:
        LookupError: the log has no such record as ``after``.
        OSError: a part cannot be read, or is damaged.
        UnsupportedError: a part is packed in a way that cannot be read here.
    """
    lines, part, head = Lines(), "", after
    for item in reader.since(after):
        if isinstance(item, Flaw):
            if item.kind != MISSING:
                raise OSError(errno.EIO, item.note, item.part)
            yield Piece(b"", 0, 0, item.part, head, 0)
            continue
        if item.part != part:
            lines.rest()
            part = item.part
        events: list[bytes] = []
        foreign = 0
        for block in lines.feed(item.data):
            if not isinstance(block, bytes):
                foreign += 1
                continue
            found_lines = split_lines(block)
            if after is not None:
                found_lines = [line for line in found_lines if not _is_before(line, after)]
            head = _last_head(found_lines) or head
            for line in found_lines:
                record = Record.of(line)
                if record is None:
                    foreign += 1
                elif wanted is None or _answers(wanted, line):
                    events.append(form.event(record if reading is None else reading(record)))
        yield Piece(b"".join(events), len(events), foreign, "", head, item.read)


def _is_before(line: bytes, after: Head) -> bool:
    found = head_of(line)
    return found is not None and found.chain == after.chain and found.seq <= after.seq


def _last_head(lines: Sequence[bytes]) -> Head | None:
    """The last chained record among some lines."""
    return next((found for line in reversed(lines) if (found := head_of(line)) is not None), None)


def _answers(wanted: Question, line: bytes) -> bool:
    """Whether a record is one of those; of a line that cannot be placed nobody knows: it is not."""
    found = placement_of(line)
    return found is not None and wanted.holds(found, line)
