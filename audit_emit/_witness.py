"""What is known of a log from outside its records: its checkpoints, and heads that were noted down.

Pure. A log of ten gigabytes may have two hundred thousand checkpoints, so they are kept as columns.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from audit_emit._findings import Finding, Findings, Kind
from audit_emit.checkpoint import Checkpoint, UnknownVersionError, check
from audit_emit.signing import KeyRing

OK, NO_KEY, FORGED = range(3)


class Place(NamedTuple):
    """Where a line is."""

    file: str
    offset: int
    line: int

    def finding(self, kind: Kind, seq: int | None = None, **more: str | int | None) -> Finding:
        """A finding there."""
        return Finding(kind, self.file, self.offset, self.line, seq, **more)  # type: ignore[arg-type]


class Witness(NamedTuple):
    """One checkpoint, as far as it is needed to judge a log."""

    place: Place
    chain: str
    seq: int
    head: str
    root: str
    at: str
    state: int
    late: bool


class Checkpoints:
    """The checkpoints of one log, in the order of their file.

    Args:
        ring: the keys that the verifier's user pinned.
        findings: where bad lines are reported.
    """

    def __init__(self, ring: KeyRing, findings: Findings) -> None:
        self.file = ""
        """The file that they came from; empty when there was none."""
        self._ring = ring
        self._findings = findings
        self._seqs = array("Q")
        self._places = array("Q")
        self._states = array("B")
        self._hashes = bytearray()
        self._times = bytearray()
        self._chains: list[str] = []
        self._last: Checkpoint | None = None
        self._missing_keys: set[tuple[str, str]] = set()
        self._order: list[int] = []
        self._sizes = array("Q")

    def __len__(self) -> int:
        return len(self._seqs)

    def add(self, line: bytes, place: Place, *, late: bool = False) -> None:
        """Take one line.

        Args:
            line: without its newline.
            late: it may be younger than the end of the log that is verified.
        """
        try:
            found = Checkpoint.from_line(line)
        except UnknownVersionError as error:
            self._findings.add(place.finding(Kind.UNKNOWN_VERSION, note=str(error)))
            return
        except ValueError as error:
            # A signer that died in the middle of a line leaves its beginning; the next one ends it.
            kind = Kind.MALFORMED_LINE if line.endswith(b"}") else Kind.TORN_TAIL
            self._findings.add(place.finding(kind, note=str(error)))
            return
        self._follow(found, place)
        state = self._judge(found, place)
        if found.chain not in self._chains:
            self._chains.append(found.chain)
        self._seqs.append(found.head_seq)
        self._places.extend((place.offset, place.line, self._chains.index(found.chain)))
        self._states.append(state * 2 + late)
        self._hashes += bytes.fromhex(found.head_hash + found.root_hash)
        self._times += found.at.encode()

    def torn(self, line: bytes, place: Place) -> None:
        """Take a last line that has no end."""
        note = f"{len(line)} bytes without their end"
        self._findings.add(place.finding(Kind.TORN_TAIL, note=note))

    def _follow(self, found: Checkpoint, place: Place) -> None:
        """A checkpoint that is older than the one before it was moved or put there again."""
        last, self._last = self._last, found
        if last is None or last.chain != found.chain:
            return
        if found.head_seq < last.head_seq or found == last:
            self._findings.add(
                place.finding(
                    Kind.SEQUENCE_DUPLICATE,
                    found.head_seq,
                    expected=f"more than {last.head_seq}",
                    actual=found.head_seq,
                    note="checkpoints are out of order",
                )
            )
            self._last = last

    def _judge(self, found: Checkpoint, place: Place) -> int:
        verdict = check(found, self._ring)
        if verdict == "ok":
            return OK
        if verdict == "mismatch":
            self._findings.add(
                place.finding(
                    Kind.CHECKPOINT_SIGNATURE_MISMATCH,
                    found.head_seq,
                    expected=f"a signature by {found.sig_alg} key {found.key_id}",
                    actual=found.signature,
                )
            )
            return FORGED
        if (found.sig_alg, found.key_id) not in self._missing_keys:
            self._missing_keys.add((found.sig_alg, found.key_id))
            self._findings.add(
                place.finding(
                    Kind.KEY_UNAVAILABLE,
                    found.head_seq,
                    expected=f"{found.sig_alg} key {found.key_id}",
                    note="the signatures of this key were not checked",
                )
            )
        return NO_KEY

    def sizes(self) -> array[int]:
        """``head_seq`` of all of them, ascending, none twice."""
        if len(self._order) != len(self._seqs):
            self._order = sorted(range(len(self._seqs)), key=self._seqs.__getitem__)
            self._sizes = array("Q", sorted(set(self._seqs)))
        return self._sizes

    def at(self, seq: int) -> Iterator[Witness]:
        """Those whose head is record ``seq``."""
        self.sizes()
        at = bisect_left(self._order, seq, key=self._seqs.__getitem__)
        while at < len(self._order) and self._seqs[self._order[at]] == seq:
            yield self[self._order[at]]
            at += 1

    def __getitem__(self, index: int) -> Witness:
        offset, line, chain = self._places[3 * index : 3 * index + 3]
        state, late = divmod(self._states[index], 2)
        hashes = self._hashes[64 * index : 64 * index + 64].hex()
        return Witness(
            Place(self.file, offset, line),
            self._chains[chain],
            self._seqs[index],
            hashes[:64],
            hashes[64:],
            self._times[30 * index : 30 * index + 30].decode(),
            state,
            bool(late),
        )

    def __iter__(self) -> Iterator[Witness]:
        return map(self.__getitem__, range(len(self)))


def parse_heads(heads: Mapping[int, str]) -> Mapping[int, str]:
    """Heads that were noted down: ``seq`` to ``hash``.

    Raises:
        ValueError: one is no head.
    """
    for seq, digest in heads.items():
        if seq < 1 or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise ValueError(f"not a head: {seq}:{digest}")
    return heads
