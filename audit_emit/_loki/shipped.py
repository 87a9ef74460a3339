"""Finds the closed segments that Loki has completely, which therefore may be archived.

Loki must have every record of the segment: its bytes, at its time and under its labels. A stub does
not count, and neither does a record under wrong labels, which no query finds. Bytes that are not a
record are never sent to Loki; they do not matter if the log itself declares them, as it does an
incomplete line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from audit_emit._loki.client import LokiClient
from audit_emit._loki.comparison import ROUNDED
from audit_emit._loki.labels import placement_of, wrong_labels
from audit_emit._loki.log_index import LogIndex
from audit_emit._loki.log_scan import Progress, Row
from audit_emit._loki.reconcile import page_size, queries
from audit_emit._loki.records import LoggedRecord


class Segment(NamedTuple):
    """A closed segment.

    Attributes:
        path: the path of its file.
        records: the number of its records.
        there: the number of those that Loki has unchanged.
        undeclared: bytes that are not a record and that no ``audit.recovered`` in it declares.
    """

    path: str
    records: int
    there: int
    undeclared: int

    @property
    def is_shipped(self) -> bool:
        """Whether Loki has it completely."""
        return self.there == self.records and not self.undeclared


def segments(
    index: LogIndex,
    client: LokiClient,
    site: Mapping[str, str],
    progress: Progress | None = None,
) -> Iterator[Segment]:
    """The closed segments of a log, oldest first.

    Args:
        index: the log.
        client: the Loki.
        site: labels that the site adds to every stream.
        progress: called with the bytes compared and in total.

    Raises:
        OSError: a file cannot be read.
        LokiError: Loki gives no usable answer.
    """
    logql = queries(index.services, ())
    closed = index.closed()
    done, total = 0, sum(row.size for _, rows, _ in closed for row in rows)
    for path, rows, foreign in closed:
        records = missing = declared = 0
        for row in rows:
            found = index.records_in(row)
            records += len(found)
            missing += _missing(index, row, client, logql, site)
            declared += sum(map(_declared, found)) if foreign else 0
            done += row.size
            if progress is not None:
                progress(done, total)
        yield Segment(path, records, records - missing, max(foreign - declared, 0))


class _Fields(msgspec.Struct):
    bytes: int = 0


class _Recovered(msgspec.Struct):
    fields: _Fields


def _declared(one: LoggedRecord) -> int:
    """The bytes that a record ``audit.recovered`` declares as not being a record."""
    if b'"event_type":"audit.recovered"' not in one.line:
        return 0
    try:
        # Plus the newline that was added after an incomplete line when it was declared.
        return max(msgspec.json.decode(one.line, type=_Recovered).fields.bytes, 0) + 1
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0


def _missing(
    index: LogIndex,
    row: Row,
    client: LokiClient,
    logql: Sequence[str],
    site: Mapping[str, str],
) -> int:
    """The number of records of a block that Loki does not have."""
    waiting = {one.line: one for one in index.records_in(row)}
    page = page_size(row.size, len(waiting))
    for query in logql:
        begin, end = max(row.low - ROUNDED, 0), row.high + ROUNDED
        for entry in client.query_range(query, begin, end, page=page):
            line = entry.line.encode("utf-8", "surrogatepass")
            one = waiting.get(line)
            wanted = placement_of(line) if one is not None else None
            if (
                one is not None
                and wanted is not None
                and abs(entry.ts - one.ts) < ROUNDED
                and not wrong_labels(entry.labels, wanted, site)
            ):
                del waiting[line]
    return len(waiting)
