"""Records from before there was a chain, which no hash protects.

They are only accepted where the user of the verifier names the boundary, or where a signed record
of the chain has their hash (``audit.legacy``). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from msgspec import structs

from audit_emit._format.record import parsed
from audit_emit._verify.findings import KEPT, Finding, Findings, Kind, seen
from audit_emit._verify.known_heads import Place

RECORD = "audit.legacy"
_BOUNDARY = re.compile(r"(offset:)?([0-9]{1,18})")


class Boundary(NamedTuple):
    """Up to where unchained records are accepted.

    Attributes:
        seq: before this record of the chain.
        offset: before this byte of the log, its files counted through in their order, unpacked.
    """

    seq: int = 0
    offset: int = 0

    @classmethod
    def parse(cls, text: str) -> Boundary:
        """What ``--legacy-before`` takes: ``SEQ`` or ``offset:N``.

        Raises:
            ValueError: it is neither.
        """
        found = _BOUNDARY.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is neither the seq of a record nor offset:N")
        return cls(offset=int(found[2])) if found[1] else cls(seq=int(found[2]))

    def admits(self, expected: int, offset: int) -> bool:
        """Whether a line may be unchained.

        Args:
            expected: ``seq`` of the chain's next record.
            offset: of the byte after the line, counted from the beginning of the first file.
        """
        return expected <= self.seq or offset <= self.offset


class Legacy:
    """The lines that are not in the chain: which of them are records from before there was one.

    Args:
        findings: where they are reported.
        boundary: up to where the user of the verifier accepts them.
    """

    def __init__(self, findings: Findings, boundary: Boundary) -> None:
        self.records = 0
        """That are accepted."""
        self.unclaimed: tuple[int, str] | None = None
        """Bytes and SHA-256 of those that are not, with a newline each; for ``audit.legacy``."""
        self._findings = findings
        self._boundary = boundary
        self._first: list[Finding] = []
        self._lines = self._size = 0
        self._hashed = sha256()
        self._declared: list[tuple[int, int, str]] = []

    def look(self, line: bytes, place: Place, expected: int, end: int) -> Finding | None:
        """Judge a line without the members of a chain.

        Args:
            expected: ``seq`` of the chain's next record.
            end: see ``Boundary.admits``.

        Returns:
            What it is unless the log declares its bytes; ``None`` for a record from before the
            chain, or what may be one.
        """
        record = parsed(line)
        if record is None or not {"ts", "event_type"} <= record.keys():
            note, size = f"{len(line)} bytes that are no record", len(line)
            return place.finding(Kind.MALFORMED_LINE, expected, note=note, size=size)
        if "hash" not in record and self._boundary.admits(expected, end):
            self.records += 1
            self._findings.add(place.finding(Kind.LEGACY_RECORD))
            return None
        note = "a record that is not in the chain"
        waits = expected == 1 and "hash" not in record
        if waits:
            note += "; if it is older than the chain, say so (--legacy-before 1)"
        found = place.finding(Kind.MALFORMED_LINE, expected, note=note)
        if self._findings.counts[found.kind] < KEPT:
            found = structs.replace(found, record=seen(line))
        if not waits:
            return found
        if self._lines < KEPT:
            self._first.append(found)
        self._lines += 1
        self._size += len(line) + 1
        self._hashed.update(line)
        self._hashed.update(b"\n")
        return None

    def declare(self, fields: Mapping[str, Any], seq: int) -> None:
        """Take a record ``audit.legacy``."""
        size, digest = fields.get("bytes"), fields.get("sha256")
        if type(size) is int and type(digest) is str and len(self._declared) < KEPT:
            self._declared.append((seq, size, digest))

    def end(self, anchored: int, *, keys: bool, chained: bool) -> None:
        """Everything was read.

        Args:
            anchored: a signature covers the chain up to this record.
            keys: there are keys to check signatures with.
            chained: there is a chain; without one these records are reported as they are.
        """
        if not self._lines:
            return
        if not chained:
            self._tell()
            return
        mine = (self._size, self._hashed.hexdigest())
        named = [seq for seq, *rest in self._declared if tuple(rest) == mine]
        if not named:
            self.unclaimed = mine
        if not named or (keys and named[0] > anchored):
            for finding in self._first:
                self._findings.add(finding)
            self._findings.count(Kind.MALFORMED_LINE, self._lines - len(self._first))
            return
        if not keys:
            note = f"record {named[0]} declares the records before the chain; its signature"
            first = self._first[0].file
            self._findings.add(Finding(Kind.KEY_UNAVAILABLE, first, note=f"{note} was not checked"))
        self._tell()

    def _tell(self) -> None:
        self.records += self._lines
        for told in self._first:
            made = Finding(Kind.LEGACY_RECORD, told.file, told.offset, told.line)
            self._findings.add(made)
        self._findings.count(Kind.LEGACY_RECORD, self._lines - len(self._first))
