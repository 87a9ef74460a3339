"""Pushes the records that Loki does not have, as the pipeline would have, and none of them twice.

The answer to a push does not say what was stored: when Loki refuses a batch with 400 it stores the
good part of it, and after a timeout nothing is known. So after every request Loki is queried for
the records of the batch. A record that is not visible is sent again only if it would be visible had
Loki stored it. That holds for records younger than two hours, and for all records that are not
older than one that was visible as soon as it was pushed. Of older records the first one of each
stream is sent alone, because the answer to a single record is unambiguous.

Late records open one stream per hour, and Loki limits the streams of a tenant (``streams``). So a
backfill proceeds in steps. Between two steps Loki writes its chunks; otherwise the remaining
records are left for a later backfill.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from audit_emit._loki.batches import (
    Bound,
    OutgoingRecord,
    batches,
    bounds_of,
    reason_of,
    reasons_of,
)
from audit_emit._loki.client import Entry, LokiClient
from audit_emit._loki.comparison import Missing
from audit_emit._loki.disagreement import Findings, Kind, Report
from audit_emit._loki.journal import VISIBLE_AT_ONCE, Journal
from audit_emit._loki.labels import JOB
from audit_emit._loki.log_index import LogIndex
from audit_emit._loki.log_scan import Progress
from audit_emit._loki.plan import BackfillSettings, leave, outgoing_records, size_of
from audit_emit._loki.streams import FLUSHED, LIMIT, OpenStreams
from audit_emit.errors import Limited, LokiError, Refused, ServerFailed

TRIES = 6
"""How often one batch is sent when the answer is 429, 5xx or missing."""

LONGEST_WAIT = 300.0
"""The longest ``Retry-After``, in seconds, that is waited for."""

REFUSALS = 200
"""After so many records were refused one by one, for reasons that say nothing about other records,
the backfill ends."""

_ASKED = 150
_TENANT_LIMIT = "ingestion rate limit exceeded"
_TOLD_EVERY = 10.0
NOT_TRIED = "not tried"


class _Next(NamedTuple):
    """What follows from one request.

    Attributes:
        again: batches to send again.
        doubtful: records that Loki may have stored.
        stop: the error that ends the backfill, if any.
    """

    again: list[list[OutgoingRecord]]
    doubtful: list[OutgoingRecord]
    stop: LokiError | None = None


class Backfill:
    """One backfill.

    Args:
        index: the log.
        client: the Loki to push to.
        journal: keeps what was pushed, for later backfills.
        settings: rate, limits and clocks.
        progress: called with the number of records done and in total.

    Attributes:
        placed: the number of records that are visible in Loki now.
        accepted: the number of records that Loki accepted and that are not visible yet.
        doubtful: the number of records that Loki may have stored and that are not visible.
        left: the records that were not pushed, each with the reason.
        later: the number of records of further steps, which were not begun.
        error: the error that ended the backfill early, if any.
    """

    placed: int
    accepted: int
    doubtful: int
    later: int

    def __init__(
        self,
        index: LogIndex,
        client: LokiClient,
        journal: Journal,
        settings: BackfillSettings | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.placed = self.accepted = self.doubtful = self.later = 0
        self.left: Findings = Findings()
        self.error: LokiError | None = None
        self._index = index
        self._client = client
        self._journal = journal
        self._settings = settings or BackfillSettings()
        self._progress = progress
        self._visible_from = self._settings.now() - VISIBLE_AT_ONCE
        self._confirmed_streams: set[tuple[str, str]] = set()
        self._bounds: dict[tuple[str, str] | None, Bound] = {}
        self._streams = OpenStreams(self._settings.streams, self._settings.now())
        self._may_flush = self._settings.flush
        self._due = self._told = 0.0
        self._tries = 0
        self._refused = 0

    def run(self, missing: Missing) -> None:
        """Push the missing records.

        Raises:
            OSError: a file cannot be read, or the journal cannot be written.
        """
        total = sum(run.last - run.first + 1 for run in missing)
        done = 0
        found = self._open(outgoing_records(self._index, missing, self.left))
        pieces = (part for one in batches(found, self._alone) for part in self._streams.parts(one))
        for batch in pieces:
            if not self._streams.fits(batch) and not self._flush():
                self.later = total - done
                return
            self._streams.add(batch)
            self._deliver(batch)
            done += len(batch)
            self._tell(done, total)

    def _tell(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total)
        elif self._settings.monotonic() > self._told + _TOLD_EVERY:
            self._told = self._settings.monotonic()
            self._settings.tell(
                f"{done:,} of {total:,} records done; {self._streams.total:,} streams opened"
            )

    def _flush(self) -> bool:
        """Make Loki write its chunks, which closes the streams of late records."""
        if not self._may_flush:
            return False
        try:
            self._client.flush()
        except LokiError as error:
            self._may_flush = False
            self._settings.tell(f"{error}; it cannot be asked to write its chunks")
            return False
        self._settings.tell(f"Loki writes its chunks; going on in {FLUSHED:.0f} s")
        self._settings.sleep(FLUSHED)
        self._streams.next_step()
        return True

    def _open(self, found: Iterable[OutgoingRecord]) -> Iterator[OutgoingRecord]:
        """Leave out the records of which Loki's answers say that they are too old."""
        return (outgoing for outgoing in found if not self._is_too_old(outgoing))

    def _alone(self, outgoing: OutgoingRecord) -> bool:
        return (
            self.error is None
            and outgoing.record.ts < self._visible_from
            and outgoing.stream not in self._confirmed_streams
        )

    def _deliver(self, batch: list[OutgoingRecord]) -> None:
        todo = [batch]
        while todo and self.error is None:
            following = self._attempt(todo.pop())
            todo += reversed(following.again)
            self.error = following.stop
        for rest in todo:
            self._leave(rest, NOT_TRIED)

    def _attempt(self, batch: list[OutgoingRecord]) -> _Next:
        """Send a batch, and query Loki for what it has stored of it."""
        self._wait_for(size_of(batch))
        entry = self._journal.begin((outgoing.record for outgoing in batch), self._settings.now())
        error: LokiError | None = None
        try:
            self._client.push(
                Entry(
                    outgoing.record.ts,
                    outgoing.record.line.decode(),
                    {**outgoing.placement.labels, **self._settings.site},
                )
                for outgoing in batch
            )
        except LokiError as problem:
            error = problem
        try:
            visible = visible_lines(self._client, batch)
        except LokiError as problem:
            if error is None:
                self.accepted += len(batch)
            else:
                self.doubtful += len(batch)
            return _Next([], [], error or problem)
        rest = [outgoing for outgoing in batch if outgoing.record.line not in visible]
        self._place(outgoing for outgoing in batch if outgoing.record.line in visible)
        if error is None:
            self._tries = 0
            self.accepted += len(rest)
            self._confirmed_streams.update(outgoing.stream for outgoing in batch)
            self._journal.resolve(entry, (outgoing.record for outgoing in rest))
            return _Next([], [])
        following = self._judge(error, rest, single=len(batch) == 1)
        self.doubtful += len(following.doubtful)
        self._journal.resolve(entry, (outgoing.record for outgoing in following.doubtful))
        return following

    def _place(self, found: Iterable[OutgoingRecord]) -> None:
        for outgoing in found:
            self.placed += 1
            self._tries = 0
            self._visible_from = min(self._visible_from, outgoing.record.ts)

    def _judge(self, error: LokiError, rest: list[OutgoingRecord], *, single: bool) -> _Next:
        """Decide what to do with the records of a failed batch that are not visible in Loki."""
        if isinstance(error, Refused) and not isinstance(error, Limited | ServerFailed):
            if error.status == 400:
                return self._refusal(error, rest, single=single)
            # A wrong address or wrong credentials: Loki has not looked at the records.
            self._leave(rest, NOT_TRIED)
            return _Next([], [], error)
        if isinstance(error, Limited) and LIMIT in error.body:
            return self._too_many_streams(error, rest)
        certain = isinstance(error, Limited) and _TENANT_LIMIT in error.body
        again = [outgoing for outgoing in rest if certain or self._would_be_visible(outgoing)]
        doubtful = [
            outgoing for outgoing in rest if not (certain or self._would_be_visible(outgoing))
        ]
        if not again:
            return _Next([], doubtful)
        self._tries += 1
        wait = min(2.0**self._tries, 30.0)
        if isinstance(error, Refused) and error.retry_after is not None:
            wait = error.retry_after
        if self._tries >= TRIES or wait > LONGEST_WAIT:
            self._leave(again, NOT_TRIED)
            return _Next([], doubtful, error)
        self._settings.tell(f"{error}; trying again in {wait:g} s")
        self._settings.sleep(wait)
        smaller = isinstance(error, Limited) and self._tries > 1
        return _Next(_halves(again) if smaller else [again], doubtful)

    def _too_many_streams(self, error: Limited, rest: list[OutgoingRecord]) -> _Next:
        """Handle the limit of streams: nobody can open a stream until Loki has written chunks.

        Loki has stored the records of the batch whose stream was open. They become visible when
        their chunks are written.
        """
        self._tries += 1
        if self._tries >= TRIES or not self._flush():
            again = [
                outgoing for outgoing in rest if len(rest) == 1 or self._would_be_visible(outgoing)
            ]
            self._leave(again, NOT_TRIED)
            return _Next([], [outgoing for outgoing in rest if outgoing not in again], error)
        try:
            visible = visible_lines(self._client, rest)
        except LokiError as problem:
            return _Next([], rest, problem)
        self._place(outgoing for outgoing in rest if outgoing.record.line in visible)
        return _Next([[outgoing for outgoing in rest if outgoing.record.line not in visible]], [])

    def _refusal(self, error: Refused, rest: list[OutgoingRecord], *, single: bool) -> _Next:
        """Handle status 400: Loki refused at least one record, and stored the others or none."""
        for bound in bounds_of(error.body):
            known = self._bounds.get(bound.stream)
            if known is None or known.ts < bound.ts:
                self._bounds[bound.stream] = bound
        rest = [outgoing for outgoing in rest if not self._is_too_old(outgoing)]
        if single:
            self._refused += len(rest)
            self._leave(rest, reason_of(error.body))
            return _Next([], [], error if self._refused >= REFUSALS else None)
        again = [outgoing for outgoing in rest if self._would_be_visible(outgoing)]
        doubtful = [outgoing for outgoing in rest if not self._would_be_visible(outgoing)]
        reasons = reasons_of(error.body)
        if len(reasons) == 1:
            self._leave(again, reasons[0])
            again = []
        return _Next(_halves(again), doubtful)

    def _is_too_old(self, outgoing: OutgoingRecord) -> bool:
        for stream in (None, outgoing.stream):
            bound = self._bounds.get(stream)
            if bound is not None and outgoing.record.ts < bound.ts:
                self._leave([outgoing], bound.reason)
                return True
        return False

    def _would_be_visible(self, outgoing: OutgoingRecord) -> bool:
        return outgoing.record.ts >= self._visible_from

    def _wait_for(self, size: int) -> None:
        """Sleep as long as the rate requires before so many bytes may be sent."""
        now = self._settings.monotonic()
        if self._due > now:
            self._settings.sleep(self._due - now)
        self._due = max(now, self._due) + size / self._settings.rate

    def _leave(self, rest: Iterable[OutgoingRecord], reason: str) -> None:
        for outgoing in rest:
            leave(self.left, outgoing.record, reason)


def with_backfill(report: Report, done: Backfill) -> Report:
    """The report of a comparison, updated with the result of the backfill that followed it."""
    findings = [one for one in report.findings if one.kind is not Kind.MISSING]
    counts = {**report.counts, Kind.MISSING.value: done.left.counts[Kind.MISSING]}
    return msgspec.structs.replace(
        report,
        findings=(*done.left.kept, *findings),
        counts={kind: count for kind, count in counts.items() if count},
        agreed=report.agreed + done.placed,
        waiting=report.waiting + done.accepted + done.doubtful,
        later=done.later,
    )


def visible_lines(client: LokiClient, batch: Sequence[OutgoingRecord]) -> set[bytes]:
    """Query Loki for the lines of a batch; those that it returns.

    Raises:
        LokiError: it gives no usable answer.
    """
    services = {outgoing.placement.service for outgoing in batch}
    chained = [outgoing.record for outgoing in batch if outgoing.record.chain]
    asked = [
        (
            query(services, [one.seq for one in part]),
            min(one.ts for one in part),
            max(one.ts for one in part),
        )
        for part in (chained[at : at + _ASKED] for at in range(0, len(chained), _ASKED))
    ]
    asked += [
        (query(services), outgoing.record.ts, outgoing.record.ts)
        for outgoing in batch
        if not outgoing.record.chain
    ]
    return {
        entry.line.encode("utf-8", "surrogatepass")
        for logql, low, high in asked
        for entry in client.query_range(logql, low, high + 1)
    }


def query(services: Iterable[str], seqs: Sequence[int] = ()) -> str:
    """A LogQL query for the records of services, restricted to some numbers if given."""
    selector = f'{{job="{JOB}", service=~"{"|".join(sorted(services))}"}}'
    numbers = "|".join(map(str, seqs))
    return f'{selector} |~ `"seq":({numbers}),"prev_hash":"`' if seqs else selector


def _halves(outgoing_records: list[OutgoingRecord]) -> list[list[OutgoingRecord]]:
    middle = (len(outgoing_records) + 1) // 2
    return [half for half in (outgoing_records[:middle], outgoing_records[middle:]) if half]
