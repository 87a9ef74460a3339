"""Compare what a log holds with what Loki holds, record by record.

Pure: no I/O, no clock; ``reconciling`` reads both. The rules of this file:

1. A line is the same when its bytes are the same. Then its time and its labels are looked at.
2. A line with the chain and the number of a record, but other bytes, is a stub of it (then its hash
   and all that it kept are the record's own), or it is altered, here or there.
3. A line whose place in the chain is empty here was taken out of the log, or is forged. What comes
   before the first record that the log still has, is not judged.
4. A line without a chain is the early form of a record that had to wait, when there is one with its
   id and its content; else its event never got into the log.
5. What is left of the log's records is missing in Loki, unless it may still be on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from audit_emit._format.block import link_of
from audit_emit._format.record import stub, ts_of, unchained_prefix
from audit_emit._loki.disagreement import Finding, Findings, Head, Kind, Report, Run, Runs
from audit_emit._loki.expected import Extent, Held, hash_holds, is_cut, stated_hash
from audit_emit._loki.labels import Shipped, service_of, shipped, wrong_labels

BUMP = 1000
"""Nanoseconds by which the chained form of a record can be later than its early form: one for each
record in a row that would have had the time of the one before it."""

ROUNDED = 1000
"""Nanoseconds by which a time may be off that went through floating point: near the present, two
neighbouring doubles are 238 ns of seconds since 1970 apart."""

_AFTER_TS = 36


class Line(Protocol):
    """What Loki holds: ``loki.Entry``."""

    @property
    def ts(self) -> int:
        """Nanoseconds since 1970."""

    @property
    def line(self) -> str:
        """Without a newline."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Of its stream."""


class Lookup(Protocol):
    """Records of the log by their place and by their time, wherever in it they are."""

    def records(self, chain: str, seq: int) -> Sequence[Held]:
        """Those at one place of a chain."""

    def near(self, ts: int, slack: int) -> Iterable[Held]:
        """Those of a time, and of so many nanoseconds after it."""


Key = tuple[str, int]


def key_of(one: Held) -> Key:
    """What a record goes by: its place; its time when it has none."""
    return (one.chain, one.seq) if one.chain else ("", one.ts)


class Missing:
    """The records that Loki does not have, in order of time."""

    def __init__(self) -> None:
        self._runs = Runs()
        self._elsewhere: set[Key] = set()

    def add(self, one: Held) -> None:
        """One record more."""
        self._runs.add(one.chain, one.seq, one.ts)

    def found(self, one: Held) -> None:
        """Loki has this record after all, at another time or in another form."""
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
    """Compares window by window: each with all that both hold of a stretch of time.

    Args:
        log: finds what a window does not hold.
        extents: what the log holds of each chain; may grow meanwhile.
        services: labels of the log's records.
        shared: other logs of these services go to this Loki: chains that this log does not have
            are theirs, and so are lines without a chain.
        own: the services whose log this is; records under another name are a finding.
        site: labels that the site gives every stream beside those of the pipeline.
        sent: whether a record was pushed so lately that Loki need not show it.
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
        sent: Callable[[Held], bool] = lambda _: False,
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
        self._newest: dict[str, Held] = {}
        self._waiting: dict[bytes, Held] = {}
        self._done: dict[bytes, Held] = {}
        self.records = self.agreed = self.stubs = self.duplicates = self.joined = 0
        self.rounded: int = 0
        self.fresh = self.waiting = self.older = self.foreign = 0

    def compare(self, records: Iterable[Held], lines: Iterable[Line]) -> None:
        """Take one window.

        Args:
            records: of the log, in order of time.
            lines: in any order.
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
                self._other(line, entry)
                continue
            done[line] = one
            self.agreed += 1
            self._vouch(one)
            self._place(one, entry, shipped(line))
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
        """The verdict.

        Args:
            since, until: the time that was compared, both ends included.
            strange: lines of the log that are no records.
            young, ask_again: see ``Report``.
            more: what else was found.
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

    # Of the log's records.

    def _under_another_name(self, records: Iterable[Held]) -> None:
        for one in records:
            service = service_of(one.line)
            if service in self._others:
                self.found(Kind.OTHER_SERVICE, one, note=f"service {service}")

    def _absent(self, one: Held) -> None:
        extent = self._extents.get(one.chain)
        if extent is not None and extent.fresh and one.seq >= extent.fresh:
            self.fresh += 1
        elif self._sent(one):
            self.waiting += 1
        else:
            self.missing.add(one)

    def _vouch(self, one: Held) -> None:
        """Loki has this record, or says so."""
        newest = self._newest.get(one.chain)
        if newest is None or newest.seq < one.seq:
            self._newest[one.chain] = one

    def _place(self, one: Held, entry: Line, wanted: Shipped | None) -> None:
        """Is a line that is right where it should be?"""
        if 0 < abs(entry.ts - one.ts) < ROUNDED:
            self.rounded += 1
        elif entry.ts != one.ts:
            self.found(Kind.WRONG_TIME, one, note=f"at {ts_of(entry.ts)}")
        if wanted is not None:
            wrong = wrong_labels(entry.labels, wanted, self._site)
            if wrong:
                self.found(Kind.WRONG_LABELS, one, note=wrong)

    # Of the lines in Loki that no record of the window is.

    def _other(self, line: bytes, entry: Line) -> None:
        known = self._done.get(line)
        if known is not None:
            self.duplicates += 1
            self._place(known, entry, shipped(line))
            return
        link = link_of(line)
        if link is None:
            self._unlinked(line, entry)
            return
        stated = Held(entry.ts, line, link[1].decode(), int(link[2]))
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

    def _same(self, one: Held, line: bytes, entry: Line) -> None:
        """A stub of a record, or a record at another time than its own."""
        if one.line in self._done:
            self.duplicates += 1
        else:
            self._take(one)
            whole = line == one.line
            self.agreed += whole
            self.stubs += not whole
            self._vouch(one)
        self._place(one, entry, shipped(line))

    def _take(self, one: Held) -> None:
        """This record is accounted for, whichever window it belongs to."""
        if self._waiting.pop(one.line, None) is not None:
            self._done[one.line] = one
        else:
            self.missing.found(one)

    def _altered(self, stated: Held, one: Held) -> None:
        self.missing.found(one)
        theirs = hash_holds(stated.line)
        if theirs:
            self._vouch(stated)
        ours = hash_holds(one.line)
        if ours and theirs:
            note = "both have the hash that they state: one of them was written anew"
        elif theirs:
            note = "the log's record does not have the hash that it states, Loki's does"
        elif ours:
            note = "Loki's line does not have the hash that it states, the log's record does"
        else:
            note = "neither has the hash that it states"
        self.found(Kind.ALTERED, stated, ours=stated_hash(one.line), note=note)

    def _not_in_file(self, stated: Held) -> None:
        extent = self._extents[stated.chain]
        if stated.seq < extent.first:
            self.older += 1
            return
        note = "after the end of the log" if stated.seq > extent.last else "a hole in the log"
        if hash_holds(stated.line) or is_cut(stated.line):
            self._vouch(stated)
        else:
            note += ", and it does not have the hash that it states"
        self.found(Kind.NOT_IN_FILE, stated, note=note)

    def _unknown_chain(self, stated: Held, entry: Line) -> None:
        if self._shared or entry.labels.get("service") not in self._services:
            self.foreign += 1
        else:
            self.found(Kind.UNKNOWN_CHAIN, stated)

    def _unlinked(self, line: bytes, entry: Line) -> None:
        """A line without a chain: the early form of a record, a legacy record, or neither."""
        own = shipped(line)
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
            stated = Held(entry.ts, line, "", 0)
            self.found(Kind.UNPARSABLE, stated)
        else:
            self.found(Kind.NEVER_CHAINED, Held(own.ts, line, "", 0))

    def found(self, kind: Kind, one: Held, *, ours: str = "", note: str = "") -> None:
        """Note a record or a line on which the two do not agree."""
        ts = ts_of(one.ts)
        theirs = stated_hash(one.line) if one.chain and kind is not Kind.WRONG_TIME else ""
        self.findings.add(Finding(kind, one.chain, one.seq, one.seq, ts, ts, 1, ours, theirs, note))


def _is_stub(line: bytes, whole: bytes) -> bool:
    """Whether a line is what is left of another when it is cut to that length."""
    if not is_cut(line) or len(line) >= len(whole):
        return False
    try:
        return stub(whole + b"\n", len(line) + 1) == line + b"\n"
    except (ValueError, LookupError, TypeError):
        return False


def _is_early(line: bytes, whole: bytes) -> bool:
    """Whether a line is the form that a record had before it got into the chain."""
    if link_of(whole) is None or line[_AFTER_TS : _AFTER_TS + 1] != b"Z":
        return False
    prefix = unchained_prefix(whole.decode("utf-8", "surrogateescape"))
    early = line[:_AFTER_TS] + prefix.encode("utf-8", "surrogateescape")[_AFTER_TS:] + b"}"
    return line == early or _is_stub(line, early)
