"""The findings of a comparison of a log with Loki: a closed set of kinds, and the report."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from audit_emit._format.record import ts_of

KEPT = 1000
"""The number of findings of one kind that are kept; further ones are only counted."""


class Kind(StrEnum):
    """The kinds of disagreement. docs/operations.md explains each."""

    MISSING = "missing-in-loki"
    ALTERED = "altered"
    NOT_IN_FILE = "not-in-file"
    UNKNOWN_CHAIN = "unknown-chain"
    NEVER_CHAINED = "never-chained"
    UNPARSABLE = "unparsable"
    WRONG_LABELS = "wrong-labels"
    WRONG_TIME = "wrong-time"
    IN_THE_FUTURE = "in-the-future"
    OTHER_SERVICE = "other-service"


class Finding(msgspec.Struct, omit_defaults=True):
    """Consecutive records on which a log and Loki disagree in the same way.

    Attributes:
        kind: the kind of disagreement.
        chain: the chain of the records; empty for records without one.
        from_seq, to_seq: the first and the last ``seq``; 0 without a chain.
        from_ts, to_ts: their times, in the format of records.
        count: the number of records.
        file_hash, loki_hash: the hash of the first record in the log and in Loki, if they differ.
        note: further information for the reader.
    """

    kind: Kind
    chain: str
    from_seq: int
    to_seq: int
    from_ts: str
    to_ts: str
    count: int = 1
    file_hash: str = ""
    loki_hash: str = ""
    note: str = ""


class Head(NamedTuple):
    """The newest record of a chain that Loki has; ``ts`` is in nanoseconds since 1970."""

    chain: str
    seq: int
    hash: str
    ts: int


class Report(msgspec.Struct, frozen=True):
    """How far a log and Loki agree.

    Attributes:
        findings: at most ``KEPT`` of each kind.
        counts: the number of records, for each kind of finding.
        since, until: the period that was compared, in the format of records.
        records: the number of records of the log in that period. The numbers that follow:
        agreed: those records that Loki has unchanged.
        stubs: those records of which Loki has only a stub, with the right hash.
        duplicates: lines that Loki has more than once.
        joined: unchained forms in Loki whose chained form is in the log.
        rounded: lines whose time in Loki is off by less than a microsecond, because a shipper
            computed it in floating point.
        fresh: records that may still be on their way; not judged.
        young: records whose time is within the grace period, or slightly in the future; not judged.
        ask_again: the time from which on all young records can be judged; empty if there are none.
        waiting: records that were pushed recently and are not visible in Loki yet.
        later: missing records that are left for another step of a backfill.
        older: lines in Loki from before the first record that the log still has; not judged.
        foreign: lines in Loki of chains that do not belong to this log; not judged.
        strange: lines of the log that are not records; they are not sent to Loki.
        heads: the newest record of each chain in Loki.
    """

    findings: tuple[Finding, ...]
    counts: dict[str, int]
    since: str
    until: str
    records: int = 0
    agreed: int = 0
    stubs: int = 0
    duplicates: int = 0
    joined: int = 0
    rounded: int = 0
    fresh: int = 0
    young: int = 0
    ask_again: str = ""
    waiting: int = 0
    later: int = 0
    older: int = 0
    foreign: int = 0
    strange: int = 0
    heads: tuple[Head, ...] = ()

    @property
    def exit_status(self) -> int:
        """0: they agree; 1: they do not; 3: nothing to compare; 4: not yet, or not everything."""
        if self.counts:
            return 1
        if not self.records:
            return 4 if self.young else 3
        return 4 if self.waiting or self.later else 0

    def as_dict(self) -> dict[str, Any]:
        """The report with its verdict, as plain values."""
        verdict = {0: "agree", 1: "disagree", 3: "nothing-found", 4: "incomplete"}
        status = self.exit_status
        found: dict[str, Any] = msgspec.to_builtins(self)
        found["heads"] = [{**head._asdict(), "ts": ts_of(head.ts)} for head in self.heads]
        return {"verdict": verdict[status], "exit_status": status, **found}


class Findings:
    """Collects findings and joins consecutive ones. Memory is bounded, whatever Loki holds."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._kept: dict[Kind, list[Finding]] = {kind: [] for kind in Kind}
        self._open: dict[Kind, Finding] = {}

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it unless there are many of its kind."""
        kind = finding.kind
        self.counts[kind] += finding.count
        last = self._open.get(kind)
        if last is not None and _continues(last, finding):
            last.to_seq, last.to_ts = finding.to_seq, max(last.to_ts, finding.to_ts)
            last.count += finding.count
            return
        self._open[kind] = finding
        if len(self._kept[kind]) < KEPT:
            self._kept[kind].append(finding)

    @property
    def kept(self) -> tuple[Finding, ...]:
        """The findings that were kept, ordered by kind."""
        return tuple(finding for kind in Kind for finding in self._kept[kind])


def _continues(last: Finding, finding: Finding) -> bool:
    return (
        bool(finding.chain)
        and finding.chain == last.chain
        and finding.from_seq == last.to_seq + 1
        and finding.note == last.note
    )


class Run(NamedTuple):
    """Consecutive records: ``first`` and ``last`` ``seq``, ``low`` and ``high`` time.

    A record without a chain is a run by itself, with 0 as its numbers.
    """

    chain: str
    first: int
    last: int
    low: int
    high: int


class Runs:
    """Records in order of time, stored as ranges of numbers: 40 bytes per range, however long."""

    def __init__(self) -> None:
        self._chains: list[str] = []
        self._seqs = array("Q")
        self._times = array("q")

    def __len__(self) -> int:
        return len(self._seqs) // 2

    def add(self, chain: str, seq: int, ts: int) -> None:
        """Add a record, which must not be earlier than the previous ones."""
        seqs, times = self._seqs, self._times
        if seqs and chain and seqs[-1] == seq - 1 and self._chains[times[-3]] == chain:
            seqs[-1] = seq
            times[-1] = ts
            return
        if chain not in self._chains:
            self._chains.append(chain)
        seqs.extend((seq, seq))
        times.extend((self._chains.index(chain), ts, ts))

    def __iter__(self) -> Iterator[Run]:
        for at in range(len(self)):
            first, last = self._seqs[2 * at : 2 * at + 2]
            chain, low, high = self._times[3 * at : 3 * at + 3]
            yield Run(self._chains[chain], first, last, low, high)
