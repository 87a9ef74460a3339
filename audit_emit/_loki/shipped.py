"""Which closed segments of a log Loki has whole: what may be archived, as far as Loki is concerned.

Every record is asked for: its bytes, at its time and under its labels. A stub is not the record,
and a record that no query finds under its own name is not there. What is no record never goes to
Loki: a segment is whole without it where the log itself declares it, as it does a torn line.
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
        path: its file.
        records: how many it has.
        there: of those the ones that Loki has as they are.
        undeclared: bytes that are no record, and that no ``audit.recovered`` of the segment names.
    """

    path: str
    records: int
    there: int
    undeclared: int

    @property
    def is_shipped(self) -> bool:
        """Whether Loki has it whole."""
        return self.there == self.records and not self.undeclared


def segments(
    index: LogIndex,
    client: LokiClient,
    site: Mapping[str, str],
    progress: Progress | None = None,
) -> Iterator[Segment]:
    """The closed segments of a log, oldest first.

    Args:
        site: labels that the site gives every stream beside those of the pipeline.
        progress: called with the records looked at and those that there are.

    Raises:
        OSError: a file cannot be read.
        LokiError: Loki gives no answer to build on.
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
    """The bytes before a record that it declares to be none."""
    if b'"event_type":"audit.recovered"' not in one.line:
        return 0
    try:
        # A torn line got its line break from whoever declared it.
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
    """How many records of a block Loki does not have."""
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
