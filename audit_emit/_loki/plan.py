"""Plans a backfill: what to push, how fast, and in how many steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from audit_emit._format.record import ts_of
from audit_emit._loki import batches as _batches
from audit_emit._loki.batches import OutgoingRecord, batches
from audit_emit._loki.comparison import Missing
from audit_emit._loki.disagreement import Finding, Findings, Kind
from audit_emit._loki.labels import placement_of
from audit_emit._loki.log_index import LogIndex
from audit_emit._loki.records import LoggedRecord, hash_holds
from audit_emit._loki.streams import STREAMS, OpenStreams

RATE = 2_000_000
"""Bytes of lines per second: half of what Loki accepts by default for a whole tenant."""


_NO_LABELS: Mapping[str, str] = {}


def _silent(_: str) -> None:
    """Report nothing."""


class BackfillSettings(NamedTuple):
    """The rate and the limits of a backfill, and its clocks.

    Attributes:
        rate: bytes per second.
        now: returns nanoseconds since 1970.
        monotonic: returns seconds of a monotonic clock.
        sleep: waits for so many seconds.
        streams: how many streams it may open before Loki has written its chunks.
        flush: whether to ask Loki to write them (``POST /flush``), which affects all tenants.
            Otherwise the backfill ends after one step.
        tell: called with sentences about the progress and about Loki's answers.
        site: labels that the site adds to every stream.
    """

    rate: float = RATE
    now: Callable[[], int] = time.time_ns
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    streams: int = STREAMS
    flush: bool = False
    tell: Callable[[str], None] = _silent
    site: Mapping[str, str] = _NO_LABELS


class Plan(NamedTuple):
    """What a backfill would do.

    Attributes:
        records: the number of records that it would push.
        size: their bytes.
        batches: the number of requests.
        left: the records that it would not push, with the reasons.
        streams: the number of streams that it would open.
        steps: the number of steps.
    """

    records: int
    size: int
    batches: int
    left: Findings
    streams: int
    steps: int


def outgoing_records(index: LogIndex, missing: Missing, left: Findings) -> Iterator[OutgoingRecord]:
    """The missing records in order of time, each with the time and labels that it gets in Loki.

    Args:
        index: the log.
        missing: the missing records.
        left: the records that must not be pushed are added to it.
    """
    for run in missing:
        if run.chain:
            records: Iterable[LoggedRecord] = index.part(run.chain, run.first, run.last)
        else:
            records = (one for one in index.near(run.low, 0) if not one.chain)
        for one in records:
            if not run.low <= one.ts <= run.high:
                continue
            found = placement_of(one.line)
            if found is None:
                leave(left, one, _batches.NOT_SHIPPED)
            elif one.chain and not hash_holds(one.line):
                leave(left, one, _batches.WRONG_HASH)
            elif one.chain and len(index.records(one.chain, one.seq)) > 1:
                leave(left, one, _batches.SEVERAL)
            else:
                yield OutgoingRecord(one, found)


def plan(index: LogIndex, missing: Missing, settings: BackfillSettings | None = None) -> Plan:
    """What ``Backfill`` would do, as far as that can be known without asking Loki."""
    settings = settings or BackfillSettings()
    left = Findings()
    records = size = requests = 0
    opened = OpenStreams(settings.streams, settings.now())
    for batch in batches(outgoing_records(index, missing, left), lambda _: False):
        for part in opened.parts(batch):
            if not opened.fits(part):
                opened.next_step()
            opened.add(part)
            requests += 1
            records += len(part)
            size += size_of(part)
    return Plan(records, size, requests, left, opened.total, opened.steps)


def leave(left: Findings, one: LoggedRecord, reason: str) -> None:
    """Add a record that is not pushed to ``left``, with the reason."""
    ts = ts_of(one.ts)
    left.add(Finding(Kind.MISSING, one.chain, one.seq, one.seq, ts, ts, note=reason))


def size_of(batch: Iterable[OutgoingRecord]) -> int:
    """The bytes of the lines of a batch."""
    return sum(len(outgoing.record.line) for outgoing in batch)
