"""Which closed segments of a log Loki has whole: what may be archived, as far as Loki is concerned.

Every record is asked for: its bytes, at its time and under its labels. A stub is not the record,
and a record that no query finds under its own name is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from audit_emit._files.index import LogIndex, Progress, Row
from audit_emit.labels import shipped, wrong_labels
from audit_emit.loki import LokiClient
from audit_emit.reconcile import ROUNDED
from audit_emit.reconciling import page_size, queries


class Segment(NamedTuple):
    """A closed segment.

    Attributes:
        path: its file.
        records: how many it has.
        there: of those the ones that Loki has as they are.
    """

    path: str
    records: int
    there: int

    @property
    def is_shipped(self) -> bool:
        """Whether Loki has it whole."""
        return self.there == self.records


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
    done, total = 0, sum(row.size for _, rows in closed for row in rows)
    for path, rows in closed:
        records = missing = 0
        for row in rows:
            held = index.held(row)
            records += len(held)
            missing += _missing(index, row, client, logql, site)
            done += row.size
            if progress is not None:
                progress(done, total)
        yield Segment(path, records, records - missing)


def _missing(
    index: LogIndex,
    row: Row,
    client: LokiClient,
    logql: Sequence[str],
    site: Mapping[str, str],
) -> int:
    """How many records of a block Loki does not have."""
    waiting = {one.line: one for one in index.held(row)}
    page = page_size(row.size, len(waiting))
    for query in logql:
        begin, end = max(row.low - ROUNDED, 0), row.high + ROUNDED
        for entry in client.query_range(query, begin, end, page=page):
            line = entry.line.encode("utf-8", "surrogatepass")
            one = waiting.get(line)
            wanted = shipped(line) if one is not None else None
            if (
                one is not None
                and wanted is not None
                and abs(entry.ts - one.ts) < ROUNDED
                and not wrong_labels(entry.labels, wanted, site)
            ):
                del waiting[line]
    return len(waiting)
