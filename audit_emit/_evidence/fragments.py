"""Lines that are no records, kept until the log declares them (``audit.recovered``) or does not.

Lines that adjoin are one run. Who declares found a run behind the last record, so what is declared
begins where the run does; it ends where a line ended then, and the run may have grown since.
Therefore a run is hashed as it is read, and what is kept of it is bounded, however long it is.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from hashlib import sha256
from typing import Any, NamedTuple

from audit_emit._evidence.findings import KEPT, Finding, Findings

ENDS = 128
"""How many ends of lines are remembered of a run, the newest, each without its newline and with
it: what is declared ends there."""

RUNS = 256
"""How many runs wait at most; lines of older ones can no longer be declared."""

WAITING = 4 * KEPT
"""How many findings the older runs have together at most."""


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
        first: findings of the first lines, at most ``KEPT``.
        ends: the newest ends of lines, by the bytes up to there and their SHA-256.
        declared: lines that were declared, from the first on.
    """

    def __init__(self, file: str, start: int) -> None:
        self.file = file
        self.end = start
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


class Fragments:
    """The runs so far that nothing declares."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._runs: deque[_Run] = deque()
        self._waiting = 0

    def hash_at(self, file: str, offset: int) -> Any:
        """What a line that begins here is hashed into, to be given to ``add_hashed``."""
        return self._run(file, offset).hashed.copy()

    def add(self, finding: Finding, raw: bytes) -> None:
        """Keep a line that is no record."""
        hashed = self.hash_at(finding.file, finding.offset or 0)
        hashed.update(raw)
        self.add_hashed(finding, len(raw), hashed)

    def add_hashed(self, finding: Finding, size: int, hashed: Any) -> None:
        """Keep what is known of a line that is no record."""
        run = self._run(finding.file, finding.offset or 0)
        if not run.lines:
            self._runs.append(run)
        kept = len(run.first)
        run.add(finding, size, hashed)
        self._waiting += len(run.first) - kept
        while len(self._runs) > RUNS or (self._waiting > WAITING and len(self._runs) > 1):
            self._forget(self._runs[0]).report(self._findings)

    def declare(self, size: int, digest: str) -> Finding | None:
        """Take out the lines that a declaration is about.

        Args:
            size: bytes declared, with the newline of the last line or without it.
            digest: their SHA-256.

        Returns:
            The finding of the first of the lines; ``None`` when there are no such bytes.
        """
        for run in reversed(self._runs):
            lines = run.lines_of(size, digest)
            if lines > run.declared:
                run.declared = lines
                if lines == run.lines:
                    self._forget(run)
                return run.first[0]
        return None

    def flush(self) -> None:
        """Report what is left."""
        while self._runs:
            self._forget(self._runs[0]).report(self._findings)

    def _run(self, file: str, offset: int) -> _Run:
        """The run that a line at this place belongs to, or a new one."""
        last = self._runs[-1] if self._runs else None
        if last is not None and (last.file, last.end) == (file, offset):
            return last
        return _Run(file, offset)

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
