"""Lines that are no records, kept until the log declares them (``audit.recovered``) or does not."""

from __future__ import annotations

from collections import deque
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

from audit_emit._evidence.findings import Finding, Findings

MAX_LINES = 4096
MAX_BYTES = 16 * 1024 * 1024
"""What is kept at most; older lines can no longer be declared."""


class Fragment(NamedTuple):
    """One line that is no record.

    Attributes:
        finding: what is reported unless it is declared.
        size: in bytes, without its newline.
        digest: SHA-256 of that.
        raw: the bytes; empty for a line that is too long to be kept.
    """

    finding: Finding
    size: int
    digest: str
    raw: bytes


class Fragments:
    """The fragments so far that nothing declares."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._waiting: deque[Fragment] = deque()
        self._bytes = 0

    def add(self, finding: Finding, raw: bytes) -> None:
        """Keep a line that is no record."""
        self.add_long(finding, len(raw), sha256(raw).hexdigest(), raw)

    def add_long(self, finding: Finding, size: int, digest: str, raw: bytes = b"") -> None:
        """Keep what is known of a line that is no record."""
        self._waiting.append(Fragment(finding, size, digest, raw))
        self._bytes += len(raw)
        while len(self._waiting) > MAX_LINES or self._bytes > MAX_BYTES:
            oldest = self._waiting.popleft()
            self._bytes -= len(oldest.raw)
            self._findings.add(oldest.finding)

    def declare(self, size: int, digest: str) -> Finding | None:
        """Take out the lines that a declaration is about.

        Args:
            size: bytes declared, with the newline of the last line or without it.
            digest: their SHA-256.

        Returns:
            The finding of the first of the lines; ``None`` when there are no such bytes.
        """
        for first in range(len(self._waiting)):
            count = self._matches(first, size, digest)
            if count:
                found = self._waiting[first]
                for _ in range(count):
                    self._bytes -= len(self._waiting[first].raw)
                    del self._waiting[first]
                return found.finding
        return None

    def _matches(self, first: int, size: int, digest: str) -> int:
        """How many lines from ``first`` on are the declared bytes; 0 when they are not."""
        if self._waiting[first].size == size and self._waiting[first].digest == digest:
            return 1
        joined = 0
        parts: list[bytes] = []
        for fragment in islice(self._waiting, first, None):
            if joined > size or not _adjoins(self._waiting[first], joined, fragment):
                return 0
            parts.append(fragment.raw)
            joined += fragment.size + 1
            if size in {joined, joined - 1}:
                data = b"\n".join(parts) + b"\n" * (size == joined)
                return len(parts) if sha256(data).hexdigest() == digest else 0
        return 0

    def flush(self) -> None:
        """Report what is left."""
        for fragment in self._waiting:
            self._findings.add(fragment.finding)
        self._waiting.clear()
        self._bytes = 0


def _adjoins(first: Fragment, joined: int, next_one: Fragment) -> bool:
    start = first.finding.offset or 0
    return (
        next_one.finding.file == first.finding.file
        and next_one.finding.offset == start + joined
        and len(next_one.raw) == next_one.size
    )


def fields_of(declared: object) -> tuple[int, str] | None:
    """``bytes`` and ``sha256`` of an ``audit.recovered``; ``None`` when it has none."""
    if not isinstance(declared, dict):
        return None
    size, digest = declared.get("bytes"), declared.get("sha256")
    return (size, digest) if type(size) is int and type(digest) is str else None
