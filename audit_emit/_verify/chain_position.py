"""The position in a chain while it is read: which record may come next, and which does not fit.

Pure. The rules are those of ``verify``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from audit_emit._format.block import Proof
from audit_emit._format.chain import ZERO
from audit_emit._verify.anchors import Anchors
from audit_emit._verify.findings import Finding, Findings, Kind
from audit_emit._verify.known_heads import Place


class Branch:
    """The end of a piece of chain: what its next record must say."""

    __slots__ = ("chain", "hashes", "seq")

    def __init__(self, chain: str, seq: int, *hashes: str) -> None:
        self.chain = chain
        self.seq = seq
        self.hashes = hashes

    def precedes(self, chain: str, seq: int, prev_hash: str) -> bool:
        """Whether a record with these members is the next one."""
        return (
            seq == self.seq + 1
            and prev_hash in self.hashes
            and (not self.chain or chain == self.chain)
        )


class Step(NamedTuple):
    """A linked line.

    Attributes:
        record: what its successor must say, if it has the hash that it states.
        leaf: the hash that it has, as bytes.
        line: without its newline.
    """

    place: Place
    record: Branch
    leaf: bytes
    line: bytes


class _Jump(NamedTuple):
    """A record after a hole: the chain continues from it, unless the next two records disagree.

    Attributes:
        left: the position before the hole.
        to: the record after the hole.
        back: the next record, if that one continues from ``left``, and the finding about it, should
            the chain continue from ``to`` after all.
    """

    left: Branch
    to: Step
    back: tuple[Step, Finding] | None = None

    @property
    def tip(self) -> Branch:
        """The end of the records that continue from ``left``."""
        return self.back[0].record if self.back else self.left


class Chain:
    """Follows one chain.

    Args:
        anchors: compared with each record that belongs to the chain.
        findings: where records that do not fit are reported.
        accept: called with every record that belongs to the chain and has the hash that it
            states, in order.
        chain: the id that the chain must have; empty to take that of the first record.
    """

    def __init__(
        self,
        anchors: Anchors,
        findings: Findings,
        accept: Callable[[Step], None],
        chain: str = "",
    ) -> None:
        self.first = 0
        """``seq`` of the first record."""
        self._anchors = anchors
        self._findings = findings
        self._accept = accept
        self._head = Branch(chain, 0, ZERO)
        self._before: Branch | None = None
        self._unsure: bytes | None = None
        self._jump: _Jump | None = None

    @property
    def id(self) -> str:
        """The chain's; empty before its first record."""
        return self._head.chain

    @property
    def expected(self) -> int:
        """``seq`` of the next record."""
        return self._head.seq + 1

    def begin(self, link: re.Match[bytes]) -> None:
        """Begin in the middle of a chain: the link of the first record cannot be checked."""
        chain = self._head.chain or link[1].decode()
        self._head = Branch(chain, int(link[2]) - 1, link[3].decode())

    def go_on(self, chain: str, seq: int, digest: str) -> None:
        """Begin after a removed record: the next one must link to it."""
        self._head = Branch(self._head.chain or chain, seq, digest)

    def continues(self, proof: Proof) -> bool:
        """Whether a proved piece of chain comes next."""
        return self._head.precedes(proof.chain, proof.seq, proof.prev_hash)

    def move(self, proof: Proof) -> None:
        """Go to the end of a piece that comes next."""
        last = proof.marks[-1]
        self._head = Branch(proof.chain, last.seq, last.hash)
        self.first = self.first or proof.seq

    def changed(self, step: Step, prev_hash: str) -> None:
        """A record that does not have the hash that it states; its place in the chain decides."""
        place, leaf, (stated,) = step.place, step.leaf, step.record.hashes
        jump = self._jump
        if jump and prev_hash in jump.tip.hashes and prev_hash not in self._head.hashes:
            self._return(jump)
        expected = self.expected
        at = expected if prev_hash in self._head.hashes else step.record.seq
        kind = Kind.EVENT_HASH_MISMATCH
        told = place.finding(kind, at, expected=stated, actual=leaf.hex())
        self._findings.show(told, step.line)
        self.settle(place.file)
        self._before = self._head
        self._unsure = leaf
        self._head = Branch(self._head.chain, expected, stated, leaf.hex())
        self.first = self.first or expected

    def goes_on(self, step: Step, prev_hash: str, *, first: bool) -> None:
        """A record that has the hash that it states: does the chain continue with it?

        Args:
            step: the record.
            prev_hash: the hash of its predecessor, as it states it.
            first: it is the first one of its file.
        """
        record, jump, before = step.record, self._jump, self._before
        members = (record.chain, record.seq, prev_hash)
        if self._head.precedes(*members):
            self.settle(step.place.file)
        elif before is not None and before.precedes(*members):
            # The changed line did not belong to the chain.
            self._before = self._unsure = None
        elif jump is not None and jump.tip.precedes(*members):
            if jump.back is None:
                self._jump = jump._replace(back=(step, self._duplicate(step)))
                return
            self._return(jump)
        elif not self._misplaced(step, prev_hash, first=first):
            return
        self._go(step)

    def _go(self, step: Step) -> None:
        self.first = self.first or step.record.seq
        self._head = step.record
        self._accept(step)

    def _return(self, jump: _Jump) -> None:
        """Two records continue from before the hole: the record after it was inserted."""
        self._jump = None
        self._head = jump.left
        if jump.back is not None:
            self._go(jump.back[0])

    def _misplaced(self, step: Step, prev_hash: str, *, first: bool) -> bool:
        """Report a record that does not follow.

        Returns:
            Whether the chain continues from it at once.
        """
        place, record = step.place, step.record
        same = record.chain == self._head.chain
        if self._jump is None or (same and record.seq > self._head.seq):
            self.settle(place.file)
        head, seq, expected = self._head, record.seq, self.expected
        if head.chain and record.chain != head.chain:
            kind = Kind.CHAIN_ID_MISMATCH
            self._report(step, kind, expected=head.chain, actual=record.chain)
            return False
        if seq < expected:
            self._findings.show(self._duplicate(step), step.line)
            return False
        if seq == expected:
            kind = Kind.EVENT_PREV_HASH_MISMATCH
            self._report(step, kind, expected=head.hashes[0], actual=prev_hash)
            return True
        kind = Kind.MISSING_SEGMENT if first else Kind.SEQUENCE_GAP
        self._report(step, kind, expected=expected, actual=seq)
        self._jump = _Jump(head, step)
        self._head = record
        return False

    def _duplicate(self, step: Step) -> Finding:
        seq = step.record.seq
        kind = Kind.SEQUENCE_DUPLICATE
        return step.place.finding(kind, seq, expected=self.expected, actual=seq)

    def _report(self, step: Step, kind: Kind, **more: str | int) -> None:
        told = step.place.finding(kind, step.record.seq, **more)
        self._findings.show(told, step.line)

    def settle(self, file: str) -> None:
        """Decide now what was left open until the next records: they will not come."""
        jump, self._jump = self._jump, None
        if jump is not None:
            if jump.back is not None:
                self._findings.show(jump.back[1], jump.back[0].line)
            self.first = self.first or jump.to.record.seq
            self._anchors.pass_hole(jump.to.record.chain, jump.left.seq, jump.to.record.seq)
            self._accept(jump.to)
        leaf, self._unsure, self._before = self._unsure, None, None
        if leaf is not None:
            # The changed line was the chain's own: its successor links to it, or its place is.
            self._anchors.append(leaf)
            head = self._head
            self._anchors.reached(file, head.chain, head.seq, *head.hashes)

    def end(self, file: str) -> Branch:
        """No record follows: the end of the chain."""
        self.settle(file)
        return self._head
