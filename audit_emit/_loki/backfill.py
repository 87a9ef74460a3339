"""Push the records that Loki does not have, as the pipeline would have, and none of them twice.

After every request Loki is asked what it shows of the batch, because no answer tells: it stores the
good part of a batch that it refuses with 400, and what a timeout has stored nobody knows. What is
not shown is sent again only where Loki would show it if it had it. That is so for what is younger
than two hours, and for everything that is not older than a record which was shown as soon as it
was pushed. Of older records the first of each stream is sent alone, so that its answer is certain.

Late records open a stream an hour, and Loki has a limit for the tenant (``_loki.streams``): so it
goes in steps, and between them Loki writes its chunks, or the rest is left for another time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from audit_emit._loki.batches import Bound, Parcel, batches, bounds_of, reason_of, reasons_of
from audit_emit._loki.client import Entry, Limited, LokiClient, LokiError, Refused, ServerFailed
from audit_emit._loki.comparison import Missing
from audit_emit._loki.disagreement import Findings, Kind, Report
from audit_emit._loki.journal import SHOWN, Journal
from audit_emit._loki.labels import JOB
from audit_emit._loki.log_index import LogIndex, Progress
from audit_emit._loki.plan import Pace, leave, parcels, size_of
from audit_emit._loki.streams import FLUSHED, LIMIT, Opened

TRIES = 6
"""How often one batch is sent when the answer is 429, 5xx or none."""

LONGEST_WAIT = 300.0
"""Seconds that a server may ask to be left alone before it is given up."""

REFUSALS = 200
"""Records refused one by one, without a limit that would speak for others, before all is left."""

_ASKED = 150
_TENANT_LIMIT = "ingestion rate limit exceeded"
_TOLD_EVERY = 10.0
NOT_TRIED = "not tried"


class _Next(NamedTuple):
    """What to do after one request: push ``again``; Loki may have what is ``doubtful``."""

    again: list[list[Parcel]]
    doubtful: list[Parcel]
    stop: LokiError | None = None


class Backfill:
    """One backfill.

    Args:
        progress: called with the records done and those that there are.

    Attributes:
        placed: records that Loki shows now.
        accepted: records that Loki took, and does not show yet.
        doubtful: records that Loki may have, and does not show.
        left: the others, each with its reason.
        later: records of further steps, which were not begun.
        error: why it ended early.
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
        pace: Pace | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.placed = self.accepted = self.doubtful = self.later = 0
        self.left: Findings = Findings()
        self.error: LokiError | None = None
        self._index = index
        self._client = client
        self._journal = journal
        self._pace = pace or Pace()
        self._progress = progress
        self._shown_from = self._pace.now() - SHOWN
        self._proved: set[tuple[str, str]] = set()
        self._bounds: dict[tuple[str, str] | None, Bound] = {}
        self._opened = Opened(self._pace.streams, self._pace.now())
        self._may_flush = self._pace.flush
        self._due = self._told = 0.0
        self._tries = 0
        self._refused = 0

    def run(self, missing: Missing) -> None:
        """Push what is missing.

        Raises:
            OSError: a file cannot be read, or the journal cannot be written.
        """
        total = sum(run.last - run.first + 1 for run in missing)
        done = 0
        found = self._open(parcels(self._index, missing, self.left))
        pieces = (part for one in batches(found, self._alone) for part in self._opened.parts(one))
        for batch in pieces:
            if not self._opened.fits(batch) and not self._flush():
                self.later = total - done
                return
            self._opened.add(batch)
            self._deliver(batch)
            done += len(batch)
            self._tell(done, total)

    def _tell(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total)
        elif self._pace.monotonic() > self._told + _TOLD_EVERY:
            self._told = self._pace.monotonic()
            self._pace.tell(
                f"{done:,} of {total:,} records done; {self._opened.total:,} streams opened"
            )

    def _flush(self) -> bool:
        """Have Loki write its chunks, so that the streams of late records close."""
        if not self._may_flush:
            return False
        try:
            self._client.flush()
        except LokiError as error:
            self._may_flush = False
            self._pace.tell(f"{error}; it cannot be asked to write its chunks")
            return False
        self._pace.tell(f"Loki writes its chunks; going on in {FLUSHED:.0f} s")
        self._pace.sleep(FLUSHED)
        self._opened.next_step()
        return True

    def _open(self, found: Iterable[Parcel]) -> Iterator[Parcel]:
        """Those that Loki might take, as far as it has said."""
        return (parcel for parcel in found if not self._is_too_old(parcel))

    def _alone(self, parcel: Parcel) -> bool:
        return (
            self.error is None
            and parcel.held.ts < self._shown_from
            and parcel.stream not in self._proved
        )

    def _deliver(self, batch: list[Parcel]) -> None:
        todo = [batch]
        while todo and self.error is None:
            following = self._attempt(todo.pop())
            todo += reversed(following.again)
            self.error = following.stop
        for rest in todo:
            self._leave(rest, NOT_TRIED)

    def _attempt(self, batch: list[Parcel]) -> _Next:
        """Send a batch, and find out what came of it."""
        self._wait_for(size_of(batch))
        note = self._journal.sending((parcel.held for parcel in batch), self._pace.now())
        error: LokiError | None = None
        try:
            self._client.push(
                Entry(
                    parcel.held.ts,
                    parcel.held.line.decode(),
                    {**parcel.shipped.labels, **self._pace.site},
                )
                for parcel in batch
            )
        except LokiError as problem:
            error = problem
        try:
            shown = self._shown(batch)
        except LokiError as problem:
            if error is None:
                self.accepted += len(batch)
            else:
                self.doubtful += len(batch)
            return _Next([], [], error or problem)
        rest = [parcel for parcel in batch if parcel.held.line not in shown]
        self._place(parcel for parcel in batch if parcel.held.line in shown)
        if error is None:
            self._tries = 0
            self.accepted += len(rest)
            self._proved.update(parcel.stream for parcel in batch)
            self._journal.settle(note, (parcel.held for parcel in rest))
            return _Next([], [])
        following = self._judge(error, rest, single=len(batch) == 1)
        self.doubtful += len(following.doubtful)
        self._journal.settle(note, (parcel.held for parcel in following.doubtful))
        return following

    def _place(self, found: Iterable[Parcel]) -> None:
        for parcel in found:
            self.placed += 1
            self._tries = 0
            self._shown_from = min(self._shown_from, parcel.held.ts)

    def _judge(self, error: LokiError, rest: list[Parcel], *, single: bool) -> _Next:
        """What to do about the part of a batch that Loki does not show after it failed."""
        if isinstance(error, Refused) and not isinstance(error, Limited | ServerFailed):
            if error.status == 400:
                return self._refusal(error, rest, single=single)
            self._leave(rest, NOT_TRIED)  # the address or the credentials: nothing was looked at
            return _Next([], [], error)
        if isinstance(error, Limited) and LIMIT in error.body:
            return self._too_many_streams(error, rest)
        certain = isinstance(error, Limited) and _TENANT_LIMIT in error.body
        again = [parcel for parcel in rest if certain or self._would_show(parcel)]
        doubtful = [parcel for parcel in rest if not (certain or self._would_show(parcel))]
        if not again:
            return _Next([], doubtful)
        self._tries += 1
        wait = min(2.0**self._tries, 30.0)
        if isinstance(error, Refused) and error.retry_after is not None:
            wait = error.retry_after
        if self._tries >= TRIES or wait > LONGEST_WAIT:
            self._leave(again, NOT_TRIED)
            return _Next([], doubtful, error)
        self._pace.tell(f"{error}; trying again in {wait:g} s")
        self._pace.sleep(wait)
        smaller = isinstance(error, Limited) and self._tries > 1
        return _Next(_halves(again) if smaller else [again], doubtful)

    def _too_many_streams(self, error: Limited, rest: list[Parcel]) -> _Next:
        """The tenant has no stream left: nobody may open one until Loki has written chunks.

        It has kept those of the batch whose stream was open; once they are written, it shows them.
        """
        self._tries += 1
        if self._tries >= TRIES or not self._flush():
            again = [parcel for parcel in rest if len(rest) == 1 or self._would_show(parcel)]
            self._leave(again, NOT_TRIED)
            return _Next([], [parcel for parcel in rest if parcel not in again], error)
        try:
            shown = self._shown(rest)
        except LokiError as problem:
            return _Next([], rest, problem)
        self._place(parcel for parcel in rest if parcel.held.line in shown)
        return _Next([[parcel for parcel in rest if parcel.held.line not in shown]], [])

    def _refusal(self, error: Refused, rest: list[Parcel], *, single: bool) -> _Next:
        """Loki refused at least one of these, and kept the good ones of the batch, or none."""
        for bound in bounds_of(error.body):
            known = self._bounds.get(bound.stream)
            if known is None or known.ts < bound.ts:
                self._bounds[bound.stream] = bound
        rest = [parcel for parcel in rest if not self._is_too_old(parcel)]
        if single:
            self._refused += len(rest)
            self._leave(rest, reason_of(error.body))
            return _Next([], [], error if self._refused >= REFUSALS else None)
        again = [parcel for parcel in rest if self._would_show(parcel)]
        doubtful = [parcel for parcel in rest if not self._would_show(parcel)]
        reasons = reasons_of(error.body)
        if len(reasons) == 1:
            self._leave(again, reasons[0])
            again = []
        return _Next(_halves(again), doubtful)

    def _is_too_old(self, parcel: Parcel) -> bool:
        for stream in (None, parcel.stream):
            bound = self._bounds.get(stream)
            if bound is not None and parcel.held.ts < bound.ts:
                self._leave([parcel], bound.reason)
                return True
        return False

    def _would_show(self, parcel: Parcel) -> bool:
        return parcel.held.ts >= self._shown_from

    def _shown(self, batch: Sequence[Parcel]) -> set[bytes]:
        """The lines of a batch that Loki shows.

        Raises:
            LokiError: it does not say.
        """
        services = {parcel.shipped.service for parcel in batch}
        chained = [parcel.held for parcel in batch if parcel.held.chain]
        asked = [
            (
                query(services, [one.seq for one in part]),
                min(one.ts for one in part),
                max(one.ts for one in part),
            )
            for part in (chained[at : at + _ASKED] for at in range(0, len(chained), _ASKED))
        ]
        asked += [
            (query(services), parcel.held.ts, parcel.held.ts)
            for parcel in batch
            if not parcel.held.chain
        ]
        return {
            entry.line.encode("utf-8", "surrogatepass")
            for logql, low, high in asked
            for entry in self._client.query_range(logql, low, high + 1)
        }

    def _wait_for(self, size: int) -> None:
        """Keep to the rate."""
        now = self._pace.monotonic()
        if self._due > now:
            self._pace.sleep(self._due - now)
        self._due = max(now, self._due) + size / self._pace.rate

    def _leave(self, rest: Iterable[Parcel], reason: str) -> None:
        for parcel in rest:
            leave(self.left, parcel.held, reason)


def with_backfill(report: Report, done: Backfill) -> Report:
    """The verdict on a log and a Loki after a backfill of what was missing."""
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


def query(services: Iterable[str], seqs: Sequence[int] = ()) -> str:
    """What asks for records of services, by their numbers if these are given."""
    selector = f'{{job="{JOB}", service=~"{"|".join(sorted(services))}"}}'
    numbers = "|".join(map(str, seqs))
    return f'{selector} |~ `"seq":({numbers}),"prev_hash":"`' if seqs else selector


def _halves(parcels: list[Parcel]) -> list[list[Parcel]]:
    middle = (len(parcels) + 1) // 2
    return [half for half in (parcels[:middle], parcels[middle:]) if half]
