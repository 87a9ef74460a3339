"""The records of one type in any log: by an index of its store, or by reading every block."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from audit_emit._format.line_splitter import may_be_chained
from audit_emit._readers.base import LogReader, TypedReader

_AT = len('{"ts":"2026-05-19T20:00:00.123456789')


def records_of(reader: LogReader, event_type: str) -> Iterator[tuple[str, bytes]]:
    """The lines of these records, each with the name of its part.

    The newest part comes first; within it the order is that of the log. They are not judged: a line
    may be one that ``verify`` calls altered.

    Raises:
        OSError: the log cannot be read.
    """
    if isinstance(reader, TypedReader):
        yield from reader.of_type(event_type)
        return
    mark = _mark(event_type)
    for block in reader.search():
        if mark in block.data:
            for _, line in may_be_chained(block.data):
                if is_of_type(line, event_type):
                    yield block.part, line


def is_of_type(line: bytes, event_type: str) -> bool:
    """Whether a line says that it is a record of this type."""
    return line.startswith(_mark(event_type), _AT)


@cache
def _mark(event_type: str) -> bytes:
    return f'Z","event_type":"{event_type}",'.encode()
