"""Where a chain is, as it is followed record by record: what may come next, and what does not fit.

Pure. The rules are those of ``verify``.
"""

from __future__ import annotations

import re

from audit_emit._evidence.anchors import Anchors
from audit_emit._evidence.findings import Findings, Kind
from audit_emit._evidence.proof import Proof
from audit_emit._evidence.witness import Place
from audit_emit.chain import ZERO


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


class Chain:
    """Follows one chain.

    Args:
        anchors: what the chain is compared with where it is believed.
        findings: where what does not fit is reported.
    """

    def __init__(self, anchors: Anchors, findings: Findings) -> None:
        self.first = 0
        """``seq`` of the first record."""
        self._anchors = anchors
        self._findings = findings
        self._head = Branch("", 0, ZERO)
        self._before: Branch | None = None
        self._unsure: bytes | None = None

    @property
    def id(self) -> str:
        """The chain's; empty before its first record."""
        return self._head.chain

    @property
    def expected(self) -> int:
        """``seq`` of the next record."""
        return self._head.seq + 1

    def begin(self, link: re.Match[bytes]) -> None:
        """Begin in the middle of a chain: the first record's own link is believed."""
        self._head = Branch(link[1].decode(), int(link[2]) - 1, link[3].decode())

    def continues(self, proof: Proof) -> bool:
        """Whether a proved piece of chain comes next."""
        return self._head.precedes(proof.chain, proof.seq, proof.prev_hash)

    def move(self, proof: Proof) -> None:
        """Go to the end of a piece that comes next."""
        last = proof.marks[-1]
        self._head = Branch(proof.chain, last.seq, last.hash)
        self.first = self.first or proof.seq

    def changed(self, place: Place, seq: int, prev_hash: str, stated: str, leaf: bytes) -> None:
        """A record that does not have the hash that it states; its place in the chain decides."""
        expected = self.expected
        at = expected if prev_hash in self._head.hashes else seq
        self._findings.add(
            place.finding(Kind.EVENT_HASH_MISMATCH, at, expected=stated, actual=leaf.hex())
        )
        self.settle(place.file)
        self._before = self._head
        self._unsure = leaf
        self._head = Branch(self._head.chain, expected, stated, leaf.hex())
        self.first = self.first or expected

    def goes_on(self, place: Place, record: Branch, prev_hash: str, *, first: bool) -> bool:
        """Whether the chain goes on from a record that has the hash that it states.

        Args:
            place: of the record.
            record: what its successor must say.
            prev_hash: what it says of its predecessor.
            first: it is the first one of its file.
        """
        members = (record.chain, record.seq, prev_hash)
        before = self._before
        if self._head.precedes(*members):
            self.settle(place.file)
        elif before is not None and before.precedes(*members):
            # The changed line was not one of the chain's own.
            self._before = self._unsure = None
            self._head = before
        elif not self._misplaced(place, record, prev_hash, first=first):
            return False
        self.first = self.first or record.seq
        self._head = record
        return True

    def _misplaced(self, place: Place, record: Branch, prev_hash: str, *, first: bool) -> bool:
        """Report a record that does not follow.

        Returns:
            Whether the chain goes on from it.
        """
        self.settle(place.file)
        head, seq, expected = self._head, record.seq, self.expected
        if head.chain and record.chain != head.chain:
            kind = Kind.CHAIN_ID_MISMATCH
            told = place.finding(kind, seq, expected=head.chain, actual=record.chain)
        elif seq < expected:
            told = place.finding(Kind.SEQUENCE_DUPLICATE, seq, expected=expected, actual=seq)
        elif seq == expected:
            kind = Kind.EVENT_PREV_HASH_MISMATCH
            told = place.finding(kind, seq, expected=head.hashes[0], actual=prev_hash)
        else:
            kind = Kind.MISSING_SEGMENT if first else Kind.SEQUENCE_GAP
            told = place.finding(kind, seq, expected=expected, actual=seq)
            self._anchors.pass_hole(record.chain, head.seq, seq)
        self._findings.add(told)
        return seq >= expected and record.chain == (head.chain or record.chain)

    def settle(self, file: str) -> None:
        """The changed line was the chain's own: its successor links to it, or its place is."""
        leaf, self._unsure, self._before = self._unsure, None, None
        if leaf is not None:
            self._anchors.append(leaf)
            head = self._head
            self._anchors.reached(file, head.chain, head.seq, *head.hashes)

    def end(self, file: str) -> Branch:
        """Nothing follows any more: the end of the chain."""
        self.settle(file)
        return self._head
