"""Compares the chain, as it is read, with its checkpoints and with heads kept elsewhere. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import groupby
from typing import NamedTuple

from audit_emit._format.chain import Frontier
from audit_emit._format.merkle_ranges import HASH, Nodes, nodes_of
from audit_emit._verify.findings import Finding, Findings, Kind
from audit_emit._verify.known_heads import FORGED, OK, Checkpoints, KnownCheckpoint, parse_heads
from audit_emit._verify.spool import Numbers

CHECKPOINTS = "checkpoints.jsonl"
TILES = "tile"
"""The name of the tile directory in findings: the hashes of records that were removed."""

Leaves = Callable[[int], Iterator[bytes]]
"""Called with a number: the hashes of that many first records, 32 bytes each, in pieces."""


class Resumes(NamedTuple):
    """Where the tree continues after removed records: the last of them, and the tree so far."""

    seq: int
    hash: str
    tree: Frontier


class Anchors:
    """Compares the chain, while it is read, with checkpoints and heads.

    Args:
        checkpoints: all of them, added before the first record is read.
        findings: where disagreements are reported.
        anchored: called with ``seq`` for each checkpoint whose signature and root are right.
        heads: ``hash`` by ``seq``, kept elsewhere.
        whole: the chain is read from its first record on, so that roots can be compared.
        to_the_end: it is read to its end, so that records beyond it are missing.

    Raises:
        ValueError: ``heads`` holds something else.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        findings: Findings,
        heads: Mapping[int, str],
        anchored: Callable[[int], None] = lambda _seq: None,
        *,
        whole: bool,
        to_the_end: bool,
    ) -> None:
        self.newest: KnownCheckpoint | None = None
        """The last checkpoint whose signature and root hold."""
        self.newest_ts = ""
        """``ts`` of the record that it covers last."""
        self._anchored = anchored
        self._checkpoints = checkpoints
        self._findings = findings
        self._heads = dict(parse_heads(heads))
        self._whole = whole
        self._to_the_end = to_the_end
        self._named: Sequence[int] | None = None
        self._tree: Frontier | None = None
        self._resumes: Resumes | None = None

    @property
    def named(self) -> Sequence[int]:
        """``seq`` of every record that a checkpoint or a head names, ascending.

        No checkpoint is added once this is asked for.
        """
        if self._named is None:
            sizes = self._checkpoints.sizes()
            also = sorted({*self._heads, *([self._resumes.seq] if self._resumes else ())})
            self._named = Numbers(unique(merge(sizes, also))) if also else sizes
            self._tree = Frontier() if len(sizes) and self._whole else None
        return self._named

    @property
    def wants_tree(self) -> bool:
        """Whether roots are compared, so that proofs must hash the tree."""
        waits = self._resumes is not None
        return bool(len(self.named)) and (waits or self._tree is not None)

    def begin_after(self, removed: Resumes, chain: str, leaves: Leaves | None) -> None:
        """Begin after removed records with the tree over them, before the first record is read.

        Args:
            removed: where the tree continues.
            chain: its id.
            leaves: the hashes of the removed records; ``None`` where they are not kept. With them
                the checkpoints of these records are compared, too.

        Raises:
            LookupError: not all of them are there.
        """
        self._resumes = removed
        kept = self.named  # before the tree is taken away: from here on it comes from elsewhere
        if leaves is not None:
            self._tree = Frontier()
            try:
                self._follow(kept, chain, removed.seq, leaves)
                if self._tree.peaks != removed.tree.peaks:
                    note = "the hashes that were kept of removed records are not those of the tree"
                    self._findings.add(
                        Finding(
                            Kind.CHECKPOINT_ROOT_MISMATCH,
                            TILES,
                            seq=removed.seq,
                            expected=removed.tree.root().hex(),
                            actual=self._tree.root().hex(),
                            note=note,
                        )
                    )
            finally:
                self._tree = None
        self._tree = None

    def _follow(self, named: Sequence[int], chain: str, last: int, leaves: Leaves) -> None:
        """Read the hashes of removed records, and compare each that a checkpoint or head names."""
        tree, at = Frontier(), bisect_left(named, 1)
        self._tree = tree
        for row in leaves(last):
            start, end = tree.size, tree.size + len(row) // HASH
            while at < len(named) and named[at] <= end and named[at] < last:
                seq = named[at]
                before = row[(tree.size - start) * HASH : (seq - start) * HASH]
                tree.extend(nodes_of(tree.size, before))
                self.reached(TILES, chain, seq, before[-HASH:].hex())
                at += 1
            tree.extend(nodes_of(tree.size, row[(tree.size - start) * HASH :]))

    def resume(self, file: str, chain: str, *hashes: str) -> None:
        """The chain is at the last removed record: from here on the tree is known again."""
        removed, self._resumes = self._resumes, None
        if removed is None:
            return
        if removed.hash not in hashes:
            note = "not the last record that was removed, as the log says"
            self._findings.add(
                Finding(
                    Kind.CHECKPOINT_ROOT_MISMATCH,
                    file,
                    seq=removed.seq,
                    expected=removed.hash,
                    actual=hashes[0],
                    note=note,
                )
            )
        self._tree = removed.tree.copy()
        self.reached(file, chain, removed.seq, *hashes)

    def around(self, seq: int) -> tuple[int, int]:
        """The sizes of the checkpoints before a record, and from it on; 0 where there is none."""
        sizes = self._checkpoints.sizes()
        at = bisect_left(sizes, seq)
        return (sizes[at - 1] if at else 0), (sizes[at] if at < len(sizes) else 0)

    def checkpoints_from_newest(self) -> int:
        """The number of checkpoints that cover at least as many records as the newest good one."""
        return self._checkpoints.covering(self.newest.seq if self.newest else 0)

    def append(self, leaf: bytes) -> None:
        """The chain is one record longer."""
        if self.wants_tree and self._tree is not None:
            self._tree.append(leaf)

    def extend(self, nodes: Nodes) -> None:
        """The chain is longer by these subtrees."""
        if self._tree is not None:
            self._tree.extend(nodes)

    def reached(self, file: str, chain: str, seq: int, *hashes: str, ts: str = "") -> None:
        """The chain is at record ``seq``: compare the checkpoints and the head that name it.

        Args:
            file: that the record is in.
            chain: its id.
            hashes: one; of a changed record the one it states and the one it has.
            ts: of the record.
        """
        if not len(self.named):
            return
        if self._resumes is not None and seq == self._resumes.seq:
            self.resume(file, chain, *hashes)
            return
        remembered = self._heads.pop(seq, None)
        if remembered is not None and remembered not in hashes:
            self._findings.add(
                Finding(
                    Kind.CHECKPOINT_ROOT_MISMATCH,
                    file,
                    seq=seq,
                    expected=remembered,
                    actual=hashes[0],
                    note="not the head that was expected",
                )
            )
        for one in self._of_chain(seq, chain):
            self._compare(one, hashes, ts)

    def pass_hole(self, chain: str, low: int, high: int) -> None:
        """Records are missing here: no root beyond can be computed."""
        sizes = self._checkpoints.sizes()
        for number in range(bisect_right(sizes, low), bisect_left(sizes, high)):
            for one in self._of_chain(sizes[number], chain):
                self._mismatch(one, one.root, "records before it are missing")
        self._tree = self._resumes = None

    def end(self, file: str, chain: str, last: int) -> None:
        """The chain is at its end: report checkpoints and heads beyond it, or of another chain.

        Args:
            file: the last one.
            chain: its id; empty when there was no record.
            last: ``seq`` of the last record; 0 when there was none.
        """
        self._checkpoints.decide()
        for one in self._checkpoints:
            if one.state == FORGED:
                continue
            place, seq = one.place, one.seq
            if chain and one.chain != chain:
                self._findings.add(
                    place.finding(Kind.CHAIN_ID_MISMATCH, seq, expected=chain, actual=one.chain)
                )
            elif seq > last and not one.late and self._to_the_end:
                self._findings.add(place.finding(Kind.TRUNCATED, seq, expected=seq, actual=last))
        beyond = max(self._heads, default=0)
        if beyond > last and self._to_the_end:
            note = "the expected head is not there"
            self._findings.add(
                Finding(Kind.TRUNCATED, file, seq=beyond, expected=beyond, actual=last, note=note)
            )

    def _of_chain(self, seq: int, chain: str) -> Iterator[KnownCheckpoint]:
        """The checkpoints of a record of this chain that are not forged."""
        return (
            one
            for one in self._checkpoints.decided(seq)
            if one.state != FORGED and one.chain == chain
        )

    def _compare(self, one: KnownCheckpoint, hashes: Sequence[str], ts: str) -> None:
        if self._tree is not None:
            root = self._tree.root().hex()
            if root != one.root:
                self._mismatch(one, root, "")
            elif one.head not in hashes:
                self._mismatch(one, hashes[0], "head_hash is not that of the record")
            elif one.state == OK:
                self.newest, self.newest_ts = one, ts
                self._anchored(one.seq)
        elif self._whole and self._resumes is None:
            self._mismatch(one, "", "records before it are missing")
        elif one.head not in hashes:
            self._mismatch(one, hashes[0], "head_hash is not that of the record")

    def _mismatch(self, one: KnownCheckpoint, actual: str, note: str) -> None:
        self._findings.add(
            one.place.finding(
                Kind.CHECKPOINT_ROOT_MISMATCH,
                one.seq,
                expected=one.head if note.startswith("head_hash") else one.root,
                actual=actual or None,
                note=note,
            )
        )


def unique(numbers: Iterable[int]) -> Iterator[int]:
    """Ascending numbers, each once."""
    return (number for number, _ in groupby(numbers))
