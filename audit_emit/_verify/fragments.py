"""Lines that are no records: kept until a record declares them (``audit.recovered``), or the end.

Adjacent lines are one run. The writer that declares them found the run after the last record, so
the declared bytes begin where the run begins. They end where a line ended at that time; the run may
have grown since. So a run is hashed while it is read, and only a bounded part of it is kept.

Whoever can append a record can append a declaration. So one only counts directly after the bytes,
where a writer puts it, or where a signature covers it (``Fragments.declare``).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple

from msgspec import structs

from audit_emit._format.line_splitter import first_lines, lines_end, split_lines
from audit_emit._verify.findings import KEPT, Finding, Findings, Kind

ENDS = 128
"""How many ends of lines are remembered of a run, the newest, each without its newline and with
it: what is declared ends there."""

RUNS = 256
"""How many runs wait for a declaration at most; older ones can no longer be declared."""

WAITING = 4 * KEPT
"""How many findings are kept of older runs, and how many declarations wait for a signature."""

NEAR = 16
"""A writer declares bytes before it writes anything but a few other records about the log."""


class _End(NamedTuple):
    """Where a line of a run ends.

    Attributes:
        lines: up to and with this one.
        finding: of this line.
    """

    lines: int
    finding: Finding


class _Run:
    """Lines that are no records, one after the other.

    Attributes:
        file, end: where the next line begins, if it adjoins.
        size: bytes so far, with all newlines.
        hashed: those bytes.
        lines: how many.
        seq: of the record that is expected there.
        first: findings of the first lines, at most ``KEPT``.
        ends: the newest ends of lines, by the bytes up to there and their SHA-256.
        declared: lines that were declared, from the first on.
    """

    def __init__(self, file: str, start: int, seq: int | None) -> None:
        self.file = file
        self.end = start
        self.seq = seq
        self.size = 0
        self.hashed = sha256()
        self.lines = 0
        self.first: list[Finding] = []
        self.ends: OrderedDict[tuple[int, str], _End] = OrderedDict()
        self.declared = 0

    def add(self, finding: Finding, size: int, hashed: Any) -> None:
        """One more line.

        Args:
            size: its bytes without the newline.
            hashed: of all of the run, this line included.
        """
        self.lines += 1
        if self.lines <= KEPT:
            self.first.append(finding)
        end = _End(self.lines, finding)
        self.ends[self.size + size, hashed.hexdigest()] = end
        self.size += size + 1
        self.end += size + 1
        self.hashed = hashed.copy()
        self.hashed.update(b"\n")
        self.ends[self.size, self.hashed.hexdigest()] = end
        while len(self.ends) > ENDS:
            self.ends.popitem(last=False)

    def add_many(self, data: bytes, line: int) -> None:
        """Many more lines, of which none ends what is declared.

        Args:
            data: whole lines, with their newlines.
            line: number of the first one.
        """
        size = data.count(b"\n")
        kept = first_lines(data, KEPT - self.lines)
        end = self.end
        for number, raw in enumerate(kept, line):
            note = f"{len(raw)} bytes that are no record"
            self.first.append(
                Finding(
                    Kind.MALFORMED_LINE, self.file, end, number, self.seq, note=note, size=len(raw)
                )
            )
            end += len(raw) + 1
        self.lines += size
        self.size += len(data)
        self.end += len(data)
        self.hashed.update(data)
        self.ends.clear()

    def lines_of(self, size: int, digest: str) -> int:
        """How many lines are the declared bytes, from the first line on; 0 when they are not."""
        end = self.ends.get((size, digest))
        return end.lines if end is not None else 0

    def report(self, findings: Findings) -> None:
        """Add what is not declared: the first lines, and the last; those between are counted."""
        told = self.first[self.declared :]
        known = max(len(self.first), self.declared)
        last = {end.lines: end.finding for end in self.ends.values() if end.lines > known}
        for finding in told:
            findings.add(finding)
        findings.count(self.first[0].kind, self.lines - known - len(last))
        for finding in last.values():
            findings.add(finding)


class _Declared(NamedTuple):
    """A declaration that does not count yet.

    Attributes:
        at: ``seq`` of the record after the bytes.
        by: ``seq`` of the record that declares them.
        tear: the finding if it counts.
        undeclared: the finding if it does not.
    """

    at: int
    by: int
    tear: Finding
    undeclared: Finding

    @property
    def near(self) -> bool:
        return self.by - self.at < NEAR


class Fragments:
    """The runs so far that nothing declares."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._runs: deque[_Run] = deque()
        self._waiting = 0
        self._declared: list[_Declared] = []

    def hash_at(self, file: str, offset: int) -> Any:
        """The hash object for a line that begins here, to be given to ``add_hashed``."""
        return self._run(file, offset, None).hashed.copy()

    def add(self, finding: Finding, raw: bytes) -> None:
        """Keep a line that is no record."""
        hashed = self.hash_at(finding.file, finding.offset or 0)
        hashed.update(raw)
        self.add_hashed(finding, len(raw), hashed)

    def add_many(self, file: str, offset: int, line: int, seq: int, data: bytes) -> None:
        """Keep lines that are no records by their first look (``PLAIN``).

        Args:
            offset, line: of the first one.
            seq: of the record that is expected there.
            data: whole lines, with their newlines.
        """
        newest = len(data) - 1
        for _ in range(ENDS // 2):
            newest = lines_end(data, max(newest, 0)) - 1
        if newest > 0:
            run = self._run(file, offset, seq)
            with self._growing(run):
                run.add_many(data[: newest + 1], line)
            offset += newest + 1
            line += data.count(b"\n", 0, newest + 1)
        for raw in split_lines(data[newest + 1 :]):
            note = f"{len(raw)} bytes that are no record"
            made = Finding(Kind.MALFORMED_LINE, file, offset, line, seq, note=note, size=len(raw))
            self.add(made, raw)
            offset += len(raw) + 1
            line += 1

    def add_hashed(self, finding: Finding, size: int, hashed: Any) -> None:
        """Keep the size and the hash of a line that is no record."""
        run = self._run(finding.file, finding.offset or 0, finding.seq)
        with self._growing(run):
            run.add(finding, size, hashed)

    @contextmanager
    def _growing(self, run: _Run) -> Iterator[None]:
        if not run.lines:
            self._runs.append(run)
        kept = len(run.first)
        yield
        self._waiting += len(run.first) - kept
        while len(self._runs) > RUNS or (self._waiting > WAITING and len(self._runs) > 1):
            self._forget(self._runs[0]).report(self._findings)

    def declare(self, size: int, digest: str, seq: int, *, keys: bool) -> Finding | None:
        """Take out the lines that a declaration is about.

        Args:
            size: bytes declared, with the newline of the last line or without it.
            digest: their SHA-256.
            seq: of the record that declares them.
            keys: there are keys, so that a signature may cover the declaration.

        Returns:
            The finding of the first of the lines; ``None`` when there are no such bytes.
        """
        for run in reversed(self._runs):
            lines = run.lines_of(size, digest)
            if lines > run.declared:
                run.declared = lines
                if lines == run.lines:
                    self._forget(run)
                self._believe(run.first[0], size, seq, keys=keys)
                return run.first[0]
        return None

    def _believe(self, found: Finding, size: int, seq: int, *, keys: bool) -> None:
        note = f"{size} bytes, declared by record {seq}"
        tear = Finding(Kind.RECOVERED_TEAR, found.file, found.offset, found.line, seq, note=note)
        note = f"{size} bytes that are no record; record {seq} declares them, and is not signed"
        bad = structs.replace(found, note=note, size=size)
        made = _Declared(found.seq or 0, seq, tear, bad)
        if len(self._declared) < WAITING and (keys or made.near):
            self._declared.append(made)
            if not keys:
                self.anchored(seq)
        else:
            self._findings.add(bad)

    def anchored(self, seq: int) -> None:
        """A signature covers the chain up to this record."""
        left = [one for one in self._declared if one.by > seq]
        for one in self._declared:
            if one.by <= seq:
                self._findings.add(one.tear)
        self._declared = left

    def flush(self, anchored: int) -> None:
        """Report what is left.

        Args:
            anchored: ``seq`` of the last record that a signature covers.
        """
        while self._runs:
            self._forget(self._runs[0]).report(self._findings)
        for one in self._declared:
            self._findings.add(one.tear if one.near and one.at > anchored else one.undeclared)
        self._declared = []

    def _run(self, file: str, offset: int, seq: int | None) -> _Run:
        """The run that a line at this place belongs to, or a new one."""
        last = self._runs[-1] if self._runs else None
        if last is not None and (last.file, last.end) == (file, offset):
            return last
        return _Run(file, offset, seq)

    def _forget(self, run: _Run) -> _Run:
        self._runs.remove(run)
        self._waiting -= len(run.first)
        return run


def fields_of(declared: object) -> tuple[int, str] | None:
    """``bytes`` and ``sha256`` of an ``audit.recovered``; ``None`` when it has none."""
    if not isinstance(declared, dict):
        return None
    size, digest = declared.get("bytes"), declared.get("sha256")
    return (size, digest) if type(size) is int and type(digest) is str else None
