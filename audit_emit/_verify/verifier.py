"""The verifier: a state machine that is fed with the bytes of a log, file by file.

Pure: no I/O, no clock; ``logfiles`` reads. This module cuts the bytes into lines and blocks of
lines, and proves blocks where it can; ``judge.py`` holds the rules by which they are judged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from audit_emit._format.block import Proof, prove
from audit_emit._format.line_splitter import Lines, TooLong, line_around
from audit_emit._format.link import link_of
from audit_emit._format.unanchored import Demand, Watch
from audit_emit._verify.findings import Finding, Findings, Kind, Report
from audit_emit._verify.judge import Expected, Judge, leaf_of
from audit_emit._verify.known_heads import Checkpoints
from audit_emit._verify.legacy import Boundary
from audit_emit.errors import VerificationError

__all__ = [
    "Boundary",
    "Demand",
    "Expected",
    "Finding",
    "Kind",
    "Report",
    "VerificationError",
    "Verifier",
]

_PLAIN = re.compile(rb'(?:[^\n]{0,22}\n|[^\n{]*(?<!"\})\n){1,4096}')
"""Lines that are certainly no records: too short, or without both the beginning of an object and
the end of a record."""


class Verifier:
    """Follows one chain through its files.

    Call ``checkpoints.add`` for every checkpoint first; then for every file, oldest first,
    ``begin``, ``feed`` and ``end``; then ``finish``.

    Args:
        expected: what the log must agree with; nothing if not given.

    Raises:
        ValueError: ``expected.heads`` holds something else.
    """

    def __init__(self, expected: Expected = Expected()) -> None:  # noqa: B008 - immutable
        self.strict = expected.strict
        self._judge = Judge(expected)
        self._cursor = self._judge.cursor
        self._ranks: dict[str, int] = {}
        # All lines before are judged by then: a line that is too long goes on with their hash.
        self._lines = Lines(
            lambda: self._judge.fragments.hash_at(self._cursor.file, self._cursor.offset)
        )

    @property
    def findings(self) -> Findings:
        """What was found so far."""
        return self._judge.findings

    @property
    def checkpoints(self) -> Checkpoints:
        """The checkpoints that were added."""
        return self._judge.checkpoints

    @property
    def watch(self) -> Watch | None:
        """See ``Judge``."""
        return self._judge.watch

    @property
    def named(self) -> Sequence[int]:
        """See ``Anchors``."""
        return self._judge.anchors.named

    @property
    def wants_tree(self) -> bool:
        """See ``Anchors``."""
        return self._judge.anchors.wants_tree

    @property
    def inside_line(self) -> bool:
        """Whether what was fed so far ends inside a line."""
        return self._lines.inside

    def begin(self, file: str) -> None:
        """The lines of another file follow."""
        self._ranks.setdefault(file, len(self._ranks))
        self._judge.new_file(file)

    def feed(self, data: bytes) -> None:
        """Take bytes of the file, cut anywhere."""
        for part in self._lines.feed(data):
            if isinstance(part, TooLong):
                self._judge.too_long(part)
            else:
                self._block(part)

    def absorb(self, proof: Proof, size: int) -> bool:
        """Take a block of the file that was proved elsewhere, instead of its bytes.

        Args:
            proof: made with ``named`` and ``wants_tree``.
            size: bytes of the block.

        Returns:
            Whether that was possible; if not, ``feed`` takes the block.
        """
        judge = self._judge
        if self._lines.inside or judge.partial or not judge.chain.continues(proof):
            return False
        judge.block(proof, size)
        return True

    def end(self) -> None:
        """The file is at its end; what has no newline is torn."""
        place = self._cursor.place
        line, length = self._lines.rest()
        if not length:
            return
        size: int | None = length
        link = link_of(line)
        note = f"{size} bytes without their end"
        expected = self._judge.chain.expected
        if link is not None and leaf_of(line).hex() == link[4].decode():
            self._judge.line(line)
            note, size = "a whole record that lacks only its newline", None
        elif self._judge.begin.waiting:
            return
        self.findings.add(place.finding(Kind.TORN_TAIL, expected, note=note, size=size))

    def damaged(self, note: str, *, cut: bool) -> None:
        """The file cannot be read on from here: it is packed, and damaged or cut off."""
        kind = Kind.TORN_TAIL if cut else Kind.MALFORMED_LINE
        expected = self._judge.chain.expected
        self.findings.add(self._cursor.place.finding(kind, expected, note=note))
        self._lines.rest()

    def missing(self, file: str, note: str) -> None:
        """A file that should be there is not."""
        self._ranks.setdefault(file, len(self._ranks))
        self.findings.add(Finding(Kind.MISSING_SEGMENT, file, note=note))

    def unread(self, file: str, note: str) -> None:
        """A file was not read, as no key says that it is of the log."""
        self._ranks.setdefault(file, len(self._ranks))
        self.findings.add(Finding(Kind.KEY_UNAVAILABLE, file, note=note))

    def finish(self) -> Report:
        """Compare the end with checkpoints and heads, and give the verdict."""
        return self._judge.finish(self._ranks)

    def _block(self, block: bytes) -> None:
        judge = self._judge
        if judge.begin.waiting:
            block = self._pass_over(block)
        if not block:
            return
        judge.first_block(block)
        proof = prove(block, self.named, tree=self.wants_tree, strict=self.strict, watch=self.watch)
        if proof is not None and judge.chain.continues(proof):
            judge.block(proof, len(block))
            return
        start = 0
        while start < len(block):
            plain = _PLAIN.match(block, start)
            if plain is not None:
                judge.plain(plain[0])
                start = plain.end()
                continue
            _, stop = line_around(block, start)
            judge.line(block[start:stop])
            self._cursor.move(stop + 1 - start)
            start = stop + 1

    def _pass_over(self, block: bytes) -> bytes:
        """The part of a block from the first record on that was asked for."""
        size, link = self._judge.begin.look(block)
        self._cursor.move(size, block.count(b"\n", 0, size))
        if link is not None:
            self._judge.chain.begin(link)
        return block[size:]
