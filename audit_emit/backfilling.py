"""Push the records that Loki does not have, as the pipeline would have, and none of them twice.

After every request Loki is asked what it shows of the batch, because no answer tells: it stores the
good part of a batch that it refuses with 400, and what a timeout has stored nobody knows. What is
not shown is sent again only where Loki would show it if it had it. That is so for what is younger
than two hours, and for everything that is not older than a record which was shown as soon as it
was pushed. Of older records the first of each stream is sent alone, so that its answer is certain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from audit_emit._files.index import LogIndex, Progress
from audit_emit._loki import batches as _batches
from audit_emit._loki.batches import Bound, Parcel, batches, bounds_of, reason_of, reasons_of
from audit_emit._loki.disagreement import Finding, Findings, Kind, Report
from audit_emit._loki.held import Held, hash_holds
from audit_emit._loki.journal import SHOWN, Journal
from audit_emit.labels import JOB, shipped
from audit_emit.loki import Entry, Limited, LokiClient, LokiError, Refused, ServerFailed
from audit_emit.reconcile import Missing
from audit_emit.record import ts_of

RATE = 2_000_000
"""Bytes of lines a second: half of what Loki takes by default, for a whole tenant."""

TRIES = 6
"""How often one batch is sent when the answer is 429, 5xx or none."""

LONGEST_WAIT = 300.0
"""Seconds that a server may ask to be left alone before it is given up."""

REFUSALS = 200
"""Records refused one by one, without a limit that would speak for others, before all is left."""

_ASKED = 150
_TENANT_LIMIT = "ingestion rate limit exceeded"
NOT_TRIED = "not tried"


class Pace(NamedTuple):
    """Time, for a backfill: ``rate`` in bytes a second, ``now`` in nanoseconds since 1970."""

    rate: float = RATE
    now: Callable[[], int] = time.time_ns
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Plan(NamedTuple):
    """What a backfill would push, and what not."""

    records: int
    size: int
    batches: int
    left: Findings


class _Next(NamedTuple):
    """What to do after one request: push ``again``; Loki may have what is ``doubtful``."""

    again: list[list[Parcel]]
    doubtful: list[Parcel]
    stop: LokiError | None = None


def parcels(index: LogIndex, missing: Missing, left: Findings) -> Iterator[Parcel]:
    """The missing records in order of time, each with its time and labels in Loki.

    Args:
        left: gets those that must not be pushed.
    """
    for run in missing:
        if run.chain:
            records: Iterable[Held] = index.part(run.chain, run.first, run.last)
        else:
            records = (one for one in index.near(run.low, 0) if not one.chain)
        for one in records:
            if not run.low <= one.ts <= run.high:
                continue
            found = shipped(one.line)
            if found is None:
                _leave(left, one, _batches.NOT_SHIPPED)
            elif one.chain and not hash_holds(one.line):
                _leave(left, one, _batches.WRONG_HASH)
            elif one.chain and len(index.records(one.chain, one.seq)) > 1:
                _leave(left, one, _batches.SEVERAL)
            else:
                yield Parcel(one, found)


def plan(index: LogIndex, missing: Missing) -> Plan:
    """What ``Backfill`` would do, as far as it can be known without asking Loki."""
    left = Findings()
    records = size = requests = 0
    for batch in batches(parcels(index, missing, left), lambda _: False):
        requests += 1
        records += len(batch)
        size += _size(batch)
    return Plan(records, size, requests, left)


class Backfill:
    """One backfill.

    Args:
        progress: called with the records done and those that there are.

    Attributes:
        placed: records that Loki shows now.
        accepted: records that Loki took, and does not show yet.
        doubtful: records that Loki may have, and does not show.
        left: the others, each with its reason.
        error: why it ended early.
    """

    def __init__(
        self,
        index: LogIndex,
        client: LokiClient,
        journal: Journal,
        pace: Pace | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.placed = self.accepted = self.doubtful = 0
        self.left = Findings()
        self.error: LokiError | None = None
        self._index = index
        self._client = client
        self._journal = journal
        self._pace = pace or Pace()
        self._progress = progress
        self._shown_from = self._pace.now() - SHOWN
        self._proved: set[tuple[str, str]] = set()
        self._bounds: dict[tuple[str, str] | None, Bound] = {}
        self._due = 0.0
        self._tries = 0
        self._refused = 0

    def run(self, missing: Missing) -> None:
        """Push what is missing.

        Raises:
            OSError: a file cannot be read, or the journal cannot be written.
        """
        total = sum(run.last - run.first + 1 for run in missing)
        done = 0
        for batch in batches(self._open(parcels(self._index, missing, self.left)), self._alone):
            self._deliver(batch)
            done += len(batch)
            if self._progress is not None:
                self._progress(done, total)

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
        self._wait_for(_size(batch))
        note = self._journal.sending((parcel.held for parcel in batch), self._pace.now())
        error: LokiError | None = None
        try:
            self._client.push(
                Entry(parcel.held.ts, parcel.held.line.decode(), parcel.shipped.labels)
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
        self._pace.sleep(wait)
        smaller = isinstance(error, Limited) and self._tries > 1
        return _Next(_halves(again) if smaller else [again], doubtful)

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
            _leave(self.left, parcel.held, reason)


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
    )


def _leave(left: Findings, one: Held, reason: str) -> None:
    ts = ts_of(one.ts)
    left.add(Finding(Kind.MISSING, one.chain, one.seq, one.seq, ts, ts, note=reason))


def query(services: Iterable[str], seqs: Sequence[int] = ()) -> str:
    """What asks for records of services, by their numbers if these are given."""
    selector = f'{{job="{JOB}", service=~"{"|".join(sorted(services))}"}}'
    numbers = "|".join(map(str, seqs))
    return f'{selector} |~ `"seq":({numbers}),"prev_hash":"`' if seqs else selector


def _halves(parcels: list[Parcel]) -> list[list[Parcel]]:
    middle = (len(parcels) + 1) // 2
    return [half for half in (parcels[:middle], parcels[middle:]) if half]


def _size(batch: Iterable[Parcel]) -> int:
    return sum(len(parcel.held.line) for parcel in batch)
