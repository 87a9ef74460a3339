"""Compares what a log holds with what Loki holds, record by record.

Pure: no I/O, no clock; ``reconcile`` reads both sides. The rules:

1. A line in Loki matches a record if its bytes are the same. Then its time and labels are checked.
2. A line with the chain and number of a record, but with other bytes, is a stub of the record (its
   hash and the members that it kept are those of the record), or one of the two was altered.
3. A line with a chain and number that the log does not have was removed from the log, or is forged.
   Lines from before the first record that the log still has are not judged.
4. A line without a chain is the early form of a record that had to wait for the file, if the log
   has a record with its id and content. Otherwise its event never got into the log.
5. Records of the log that no line has matched are missing in Loki, unless they may still be on
   their way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from audit_emit._format.link import link_of
from audit_emit._format.record import stub, ts_of, unchained_prefix
from audit_emit._loki.disagreement import Finding, Findings, Head, Kind, Report, Run, Runs
from audit_emit._loki.labels import Placement, placement_of, service_of, wrong_labels
from audit_emit._loki.records import Extent, LoggedRecord, hash_holds, is_cut, stated_hash

BUMP = 1000
"""Nanoseconds by which the chained form of a record can be later than its early form. Times in a
chain increase: each record that would have the time of the one before it gets one nanosecond more.
"""

ROUNDED = 1000
"""Nanoseconds by which a time may be off after it went through floating point: today two adjacent
64-bit floats, as seconds since 1970, are 238 ns apart."""

_AFTER_TS = 36
"""Where the time ends in a line that the emitter wrote."""

_ALTERED = {
    (True, True): "both have the hash that they state: one of them was written anew",
    (False, True): "the log's record does not have the hash that it states, Loki's does",
    (True, False): "Loki's line does not have the hash that it states, the log's record does",
    (False, False): "neither has the hash that it states",
}
"""By whether the hash is right in the log, and in Loki."""


class Line(Protocol):
    """A line in Loki, as ``client.Entry`` has it."""

    @property
    def ts(self) -> int:
        """Nanoseconds since 1970."""

    @property
    def line(self) -> str:
        """Without a newline."""

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of its stream."""


class Lookup(Protocol):
    """Finds records of the log by number and by time, wherever in the log they are."""

    def records(self, chain: str, seq: int) -> Sequence[LoggedRecord]:
        """The records with this number in this chain."""

    def near(self, ts: int, slack: int) -> Iterable[LoggedRecord]:
        """The records from the time ``ts`` up to ``slack`` nanoseconds later."""


Key = tuple[str, int]


def key_of(one: LoggedRecord) -> Key:
    """What identifies a record: chain and number, or its time when it has no chain."""
    return (one.chain, one.seq) if one.chain else ("", one.ts)


class Missing:
    """Collects the records that Loki does not have, in order of time."""

    def __init__(self) -> None:
        self._runs = Runs()
        self._elsewhere: set[Key] = set()

    def add(self, one: LoggedRecord) -> None:
        """Add a record."""
        self._runs.add(one.chain, one.seq, one.ts)

    def found(self, one: LoggedRecord) -> None:
        """Take a record out again: Loki has it at another time or in another form."""
        self._elsewhere.add(key_of(one))

    def __iter__(self) -> Iterator[Run]:
        for run in self._runs:
            if not run.chain:
                if ("", run.low) not in self._elsewhere:
                    yield run
                continue
            yield from self._without(run)

    def _without(self, run: Run) -> Iterator[Run]:
        first = run.first
        if self._elsewhere:
            for seq in range(run.first, run.last + 1):
                if (run.chain, seq) in self._elsewhere:
                    if first < seq:
                        yield run._replace(first=first, last=seq - 1)
                    first = seq + 1
        if first <= run.last:
            yield run._replace(first=first)


class Reconciler:
    """Compares a log and Loki window by window; a window is a period of time.

    Args:
        log: finds records that are not in the current window.
        extents: what the log holds of each chain; may grow during the comparison.
        services: the ``service`` labels of the log's records.
        shared: whether other logs of these services are in this Loki, too. Then chains that this
            log does not have, and lines without a chain, are taken for theirs.
        own: the services whose log this is; records of another service are a finding.
        site: labels that the site adds to every stream, besides those of the pipeline.
        sent: tells whether a record was pushed so recently that Loki need not show it yet.
    """

    records: int
    agreed: int
    stubs: int
    duplicates: int
    joined: int
    fresh: int
    waiting: int
    older: int
    foreign: int

    def __init__(
        self,
        log: Lookup,
        extents: Mapping[str, Extent],
        services: Iterable[str],
        *,
        shared: bool = False,
        own: Iterable[str] = (),
        site: Mapping[str, str] | None = None,
        sent: Callable[[LoggedRecord], bool] = lambda _: False,
    ) -> None:
        self.missing: Missing = Missing()
        self.findings: Findings = Findings()
        self._log = log
        self._extents = extents
        self._services = frozenset(services)
        self._shared = shared
        self._site = site or {}
        self._others = self._services.difference(own) if own else frozenset()
        self._sent = sent
        self._newest: dict[str, LoggedRecord] = {}
        self._waiting: dict[bytes, LoggedRecord] = {}
        self._done: dict[bytes, LoggedRecord] = {}
        self.records = self.agreed = self.stubs = self.duplicates = self.joined = 0
        self.rounded: int = 0
        self.fresh = self.waiting = self.older = self.foreign = 0

    def compare(self, records: Iterable[LoggedRecord], lines: Iterable[Line]) -> None:
        """Compare one window.

        Args:
            records: the records of the log, in order of time.
            lines: the lines in Loki, in any order.
        """
        waiting = self._waiting = {one.line: one for one in records}
        done = self._done = {}
        self.records += len(waiting)
        if self._others:
            self._under_another_name(waiting.values())
        for entry in lines:
            line = entry.line.encode("utf-8", "surrogatepass")
            one = waiting.pop(line, None)
            if one is None:
                self._unmatched(line, entry)
                continue
            done[line] = one
            self.agreed += 1
            self._confirm(one)
            self._place(one, entry, placement_of(line))
        for one in waiting.values():
            self._absent(one)

    def finish(
        self,
        since: int,
        until: int,
        *,
        strange: int = 0,
        young: int = 0,
        ask_again: str = "",
        more: Iterable[Finding] = (),
    ) -> Report:
        """The report, once all windows were compared.

        Args:
            since, until: the period that was compared, in nanoseconds, both ends included.
            strange: the number of lines in the log that are not records.
            young, ask_again: see ``Report``.
            more: further findings.
        """
        for run in self.missing:
            count = run.last - run.first + 1
            times = ts_of(run.low), ts_of(run.high)
            self.findings.add(Finding(Kind.MISSING, run.chain, run.first, run.last, *times, count))
        for finding in more:
            self.findings.add(finding)
        return Report(
            self.findings.kept,
            dict(self.findings.counts),
            ts_of(since),
            ts_of(until),
            records=self.records,
            agreed=self.agreed,
            stubs=self.stubs,
            duplicates=self.duplicates,
            joined=self.joined,
            rounded=self.rounded,
            fresh=self.fresh,
            young=young,
            ask_again=ask_again,
            waiting=self.waiting,
            older=self.older,
            foreign=self.foreign,
            strange=strange,
            heads=tuple(
                Head(one.chain, one.seq, stated_hash(one.line), one.ts)
                for one in self._newest.values()
                if one.chain
            ),
        )

    def _under_another_name(self, records: Iterable[LoggedRecord]) -> None:
        for one in records:
            service = service_of(one.line)
            if service in self._others:
                self.found(Kind.OTHER_SERVICE, one, note=f"service {service}")

    def _absent(self, one: LoggedRecord) -> None:
        extent = self._extents.get(one.chain)
        if extent is not None and extent.fresh and one.seq >= extent.fresh:
            self.fresh += 1
        elif self._sent(one):
            self.waiting += 1
        else:
            self.missing.add(one)

    def _confirm(self, one: LoggedRecord) -> None:
        """Note that Loki has this record, for the report of the newest one of each chain."""
        newest = self._newest.get(one.chain)
        if newest is None or newest.seq < one.seq:
            self._newest[one.chain] = one

    def _place(self, one: LoggedRecord, entry: Line, wanted: Placement | None) -> None:
        """Check time and labels of a line whose content is right."""
        if 0 < abs(entry.ts - one.ts) < ROUNDED:
            self.rounded += 1
        elif entry.ts != one.ts:
            self.found(Kind.WRONG_TIME, one, note=f"at {ts_of(entry.ts)}")
        if wanted is not None:
            wrong = wrong_labels(entry.labels, wanted, self._site)
            if wrong:
                self.found(Kind.WRONG_LABELS, one, note=wrong)

    def _unmatched(self, line: bytes, entry: Line) -> None:
        known = self._done.get(line)
        if known is not None:
            self.duplicates += 1
            self._place(known, entry, placement_of(line))
            return
        link = link_of(line)
        if link is None:
            self._unlinked(line, entry)
            return
        stated = LoggedRecord(entry.ts, line, link[1].decode(), int(link[2]))
        if stated.chain not in self._extents:
            self._unknown_chain(stated, entry)
            return
        records = self._log.records(stated.chain, stated.seq)
        if not records:
            self._not_in_file(stated)
            return
        for one in records:
            if line == one.line or _is_stub(line, one.line):
                self._same(one, line, entry)
                return
        self._altered(stated, records[0])

    def _same(self, one: LoggedRecord, line: bytes, entry: Line) -> None:
        """Handle a line that is a stub of a record, or a record under another time."""
        if one.line in self._done:
            self.duplicates += 1
        else:
            self._account_for(one)
            whole = line == one.line
            self.agreed += whole
            self.stubs += not whole
            self._confirm(one)
        self._place(one, entry, placement_of(line))

    def _account_for(self, one: LoggedRecord) -> None:
        """Mark a record as present in Loki, whichever window it belongs to."""
        if self._waiting.pop(one.line, None) is not None:
            self._done[one.line] = one
        else:
            self.missing.found(one)

    def _altered(self, stated: LoggedRecord, one: LoggedRecord) -> None:
        self.missing.found(one)
        theirs = hash_holds(stated.line)
        if theirs:
            self._confirm(stated)
        ours = hash_holds(one.line)
        note = _ALTERED[ours, theirs]
        self.found(Kind.ALTERED, stated, ours=stated_hash(one.line), note=note)

    def _not_in_file(self, stated: LoggedRecord) -> None:
        extent = self._extents[stated.chain]
        if stated.seq < extent.first:
            self.older += 1
            return
        note = "after the end of the log" if stated.seq > extent.last else "a hole in the log"
        if hash_holds(stated.line) or is_cut(stated.line):
            self._confirm(stated)
        else:
            note += ", and it does not have the hash that it states"
        self.found(Kind.NOT_IN_FILE, stated, note=note)

    def _unknown_chain(self, stated: LoggedRecord, entry: Line) -> None:
        if self._shared or entry.labels.get("service") not in self._services:
            self.foreign += 1
        else:
            self.found(Kind.UNKNOWN_CHAIN, stated)

    def _unlinked(self, line: bytes, entry: Line) -> None:
        """Handle a line without a chain: an early form, an older record, or neither."""
        own = placement_of(line)
        for one in self._log.near(own.ts, BUMP) if own is not None else ():
            if line == one.line:
                self._same(one, line, entry)
                return
            if _is_early(line, one.line):
                self.joined += 1
                self._place(one._replace(ts=own.ts if own else one.ts), entry, own)
                return
        if self._shared or entry.labels.get("service") not in self._services:
            self.foreign += 1
        elif own is None:
            self.found(Kind.UNPARSABLE, LoggedRecord(entry.ts, line, "", 0))
        else:
            self.found(Kind.NEVER_CHAINED, LoggedRecord(own.ts, line, "", 0))

    def found(self, kind: Kind, one: LoggedRecord, *, ours: str = "", note: str = "") -> None:
        """Add a finding: a record or a line on which log and Loki disagree."""
        ts = ts_of(one.ts)
        theirs = stated_hash(one.line) if one.chain and kind is not Kind.WRONG_TIME else ""
        self.findings.add(Finding(kind, one.chain, one.seq, one.seq, ts, ts, 1, ours, theirs, note))


def _is_stub(line: bytes, whole: bytes) -> bool:
    """Whether a line is a stub of another one: what remains when that is cut to this length."""
    if not is_cut(line) or len(line) >= len(whole):
        return False
    try:
        return stub(whole + b"\n", len(line) + 1) == line + b"\n"
    except (ValueError, LookupError, TypeError):
        return False


def _is_early(line: bytes, whole: bytes) -> bool:
    """Whether a line is the form that a record had before it was added to the chain."""
    if link_of(whole) is None or line[_AFTER_TS : _AFTER_TS + 1] != b"Z":
        return False
    prefix = unchained_prefix(whole.decode("utf-8", "surrogateescape"))
    early = line[:_AFTER_TS] + prefix.encode("utf-8", "surrogateescape")[_AFTER_TS:] + b"}"
    return line == early or _is_stub(line, early)
