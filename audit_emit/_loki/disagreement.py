"""What a log and Loki do not agree on: a closed set of kinds, and the verdict that follows."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from audit_emit._format.record import ts_of

KEPT = 1000
"""Findings of one kind that are kept; the others are counted."""


class Kind(StrEnum):
    """Every kind of disagreement that there is."""

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
    """Records in a row on which a log and Loki disagree in the same way.

    Attributes:
        kind: how.
        chain: of the records; empty for those without one.
        from_seq, to_seq: the first and the last of them; 0 without a chain.
        from_ts, to_ts: their times, as in records.
        count: how many they are.
        file_hash, loki_hash: what the two say of the first one, where they differ.
        note: what a reader should know beyond that.
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
    """The newest record of a chain that Loki has; ``ts`` in nanoseconds since 1970."""

    chain: str
    seq: int
    hash: str
    ts: int


class Report(msgspec.Struct, frozen=True):
    """How far a log and Loki agree.

    Attributes:
        findings: at most ``KEPT`` of a kind.
        counts: how many records each kind is about.
        since, until: the time that was compared, as in records.
        records: of the log, in that time.
        agreed: of those the ones that Loki has as they are.
        stubs: of those the ones of which Loki has only a stub, with the right hash.
        duplicates: lines that Loki has more than once.
        joined: unchained forms in Loki whose chained form is in the log.
        rounded: lines whose time in Loki is off by less than a microsecond, as a shipper that
            computes times in floating point makes it.
        fresh: records that may still be on their way, and are not judged.
        young: records whose time is within the grace, or a little ahead of now; not judged either.
        ask_again: the time from which on all of the young ones are judged; empty for none.
        waiting: records that were pushed lately and that Loki does not show yet.
        later: missing records that are left for another step of a backfill.
        older: lines in Loki from before the first record that the log still has; not judged.
        foreign: lines in Loki of chains that are not of this log; not judged.
        strange: lines of the log that are no records; they do not go to Loki.
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
        """0 they agree, 1 they do not, 3 there is nothing to compare, 4 not yet, or not all."""
        if self.counts:
            return 1
        if not self.records:
            return 4 if self.young else 3
        return 4 if self.waiting or self.later else 0

    def as_dict(self) -> dict[str, Any]:
        """The report and its verdict, as plain values."""
        verdict = {0: "agree", 1: "disagree", 3: "nothing-found", 4: "incomplete"}
        status = self.exit_status
        found: dict[str, Any] = msgspec.to_builtins(self)
        found["heads"] = [{**head._asdict(), "ts": ts_of(head.ts)} for head in self.heads]
        return {"verdict": verdict[status], "exit_status": status, **found}


class Findings:
    """Collects findings, joining those in a row; memory is bounded whatever Loki holds."""

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
        """All that were kept, by kind."""
        return tuple(finding for kind in Kind for finding in self._kept[kind])


def _continues(last: Finding, finding: Finding) -> bool:
    return (
        bool(finding.chain)
        and finding.chain == last.chain
        and finding.from_seq == last.to_seq + 1
        and finding.note == last.note
    )


class Run(NamedTuple):
    """Records in a row: ``first`` and ``last`` ``seq``, ``low`` and ``high`` time.

    A record without a chain is a run of its own, without numbers.
    """

    chain: str
    first: int
    last: int
    low: int
    high: int


class Runs:
    """Records in order of time, as rows of numbers: 40 bytes for each hole, however long."""

    def __init__(self) -> None:
        self._chains: list[str] = []
        self._seqs = array("Q")
        self._times = array("q")

    def __len__(self) -> int:
        return len(self._seqs) // 2

    def add(self, chain: str, seq: int, ts: int) -> None:
        """One record more, not earlier than the ones before it."""
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
