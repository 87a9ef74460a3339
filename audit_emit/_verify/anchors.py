"""The chain as it was read, beside what others say of it: checkpoints, heads noted down. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge

from audit_emit._format.chain import Frontier
from audit_emit._format.merkle_ranges import Nodes
from audit_emit._verify.findings import Finding, Findings, Kind
from audit_emit._verify.known_heads import FORGED, OK, Checkpoints, Witness, parse_heads
from audit_emit._verify.spool import Numbers

CHECKPOINTS = "checkpoints.jsonl"


class Anchors:
    """Compares the chain with its witnesses as it is read.

    Args:
        checkpoints: all of them, before the first record is told of.
        findings: where what disagrees is reported.
        anchored: called with ``seq`` for each checkpoint whose signature and root hold.
        heads: ``hash`` by ``seq``, noted down elsewhere.
        whole: the chain is read from its first record on, so that roots can be compared.
        to_the_end: it is read to its end, so that what is not there is missing.

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
        self.newest: Witness | None = None
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

    @property
    def named(self) -> Sequence[int]:
        """``seq`` of every record that a checkpoint or a head names, ascending.

        No checkpoint is added once this is asked for.
        """
        if self._named is None:
            sizes = self._checkpoints.sizes()
            self._named = Numbers(merge(sizes, sorted(self._heads))) if self._heads else sizes
            self._tree = Frontier() if len(sizes) and self._whole else None
        return self._named

    @property
    def wants_tree(self) -> bool:
        """Whether roots are compared, so that proofs must hash the tree."""
        return bool(len(self.named)) and self._tree is not None

    def around(self, seq: int) -> tuple[int, int]:
        """The sizes of the checkpoints before a record, and from it on; 0 where there is none."""
        sizes = self._checkpoints.sizes()
        at = bisect_left(sizes, seq)
        return (sizes[at - 1] if at else 0), (sizes[at] if at < len(sizes) else 0)

    def checkpoints_from_newest(self) -> int:
        """How many there are that cover what the newest one does, or more."""
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
        """The chain is at record ``seq``: do the witnesses of it agree?

        Args:
            file: that the record is in.
            chain: its id.
            hashes: one; of a changed record the one it states and the one it has.
            ts: of the record.
        """
        if not len(self.named):
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
                    note="not the head that was noted down",
                )
            )
        for witness in self._of_chain(seq, chain):
            self._compare(witness, hashes, ts)

    def pass_hole(self, chain: str, low: int, high: int) -> None:
        """The records between two are not there: no root beyond can be computed."""
        sizes = self._checkpoints.sizes()
        for number in range(bisect_right(sizes, low), bisect_left(sizes, high)):
            for witness in self._of_chain(sizes[number], chain):
                self._mismatch(witness, witness.root, "records before it are missing")
        self._tree = None

    def end(self, file: str, chain: str, last: int) -> None:
        """The chain is at its end: does a witness know of more, or of another one?

        Args:
            file: the last one.
            chain: its id; empty when there was no record.
            last: ``seq`` of the last record; 0 when there was none.
        """
        self._checkpoints.decide()
        for witness in self._checkpoints:
            if witness.state == FORGED:
                continue
            place, seq = witness.place, witness.seq
            if chain and witness.chain != chain:
                self._findings.add(
                    place.finding(Kind.CHAIN_ID_MISMATCH, seq, expected=chain, actual=witness.chain)
                )
            elif seq > last and not witness.late and self._to_the_end:
                self._findings.add(place.finding(Kind.TRUNCATED, seq, expected=seq, actual=last))
        beyond = max(self._heads, default=0)
        if beyond > last and self._to_the_end:
            note = "the head that was noted down is not there"
            self._findings.add(
                Finding(Kind.TRUNCATED, file, seq=beyond, expected=beyond, actual=last, note=note)
            )

    def _of_chain(self, seq: int, chain: str) -> Iterator[Witness]:
        """The checkpoints of a record of this chain that are not forged."""
        return (
            witness
            for witness in self._checkpoints.decided(seq)
            if witness.state != FORGED and witness.chain == chain
        )

    def _compare(self, witness: Witness, hashes: Sequence[str], ts: str) -> None:
        if self._tree is not None:
            root = self._tree.root().hex()
            if root != witness.root:
                self._mismatch(witness, root, "")
            elif witness.head not in hashes:
                self._mismatch(witness, hashes[0], "head_hash is not that of the record")
            elif witness.state == OK:
                self.newest, self.newest_ts = witness, ts
                self._anchored(witness.seq)
        elif self._whole:
            self._mismatch(witness, "", "records before it are missing")
        elif witness.head not in hashes:
            self._mismatch(witness, hashes[0], "head_hash is not that of the record")

    def _mismatch(self, witness: Witness, actual: str, note: str) -> None:
        self._findings.add(
            witness.place.finding(
                Kind.CHECKPOINT_ROOT_MISMATCH,
                witness.seq,
                expected=witness.head if note.startswith("head_hash") else witness.root,
                actual=actual or None,
                note=note,
            )
        )
