"""One record, and the proof that it is in a log, as a file for somebody who may not see the log.

Pure. The file holds a record line as it is on disk, its inclusion proof, and a checkpoint over a
tree that has it; with the key of the checkpoint nothing else is needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from audit_emit._format.chain import Frontier, body_of, leaf_hash
from audit_emit._format.checkpoint import Checkpoint, check
from audit_emit._format.merkle_proofs import inclusion_proof, verify_inclusion
from audit_emit._format.record import head_of
from audit_emit._signing.trusted_keys import KeyRing, Verdict

VERSION = 1
MAX_BYTES = 1024 * 1024


class Judgement(NamedTuple):
    """The verdict on a proof; ``why`` says what is wrong with it."""

    verdict: Verdict
    why: str = ""


class Evidence(msgspec.Struct, frozen=True):
    """The content of a proof file.

    Attributes:
        v: version of the format.
        record: the record line, without its newline.
        leaf_index: ``seq`` - 1.
        tree_size: records that the checkpoint covers.
        inclusion_proof: hashes as hex, from the leaf's sibling up (RFC 9162, section 2.1.3).
        checkpoint: over a tree that holds the record.
    """

    v: int
    record: str
    leaf_index: int
    tree_size: int
    inclusion_proof: list[str]
    checkpoint: Checkpoint

    def to_bytes(self) -> bytes:
        """The file: one JSON object, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Evidence:
        """Read what ``to_bytes`` wrote.

        Raises:
            ValueError: the data are no proof file, or one of another version.
        """
        try:
            found = _DECODER.decode(data)
            found.checkpoint.validate()
            found.path()
            json.loads(data, object_pairs_hook=no_member_twice)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            raise ValueError("not a proof file") from None
        if found.v != VERSION:
            raise ValueError(f"a proof file of version {found.v}")
        return found

    def path(self) -> list[bytes]:
        """The hashes of the inclusion proof."""
        return hashes_of(self.inclusion_proof)

    def judge(self, ring: KeyRing) -> Judgement:
        """Check that the record is in the log whose checkpoint a trusted key has signed."""
        line = self.record.encode("utf-8", "surrogatepass")
        head = head_of(line)
        if head is None or "\n" in self.record:
            return Judgement("mismatch", "the record is not a record of a chain")
        if leaf_hash(body_of(line)) != head.hash:
            return Judgement("mismatch", "the record does not have the hash that it states")
        if (head.seq, head.chain) != (self.leaf_index + 1, self.checkpoint.chain):
            return Judgement("mismatch", "the record is of another place or another chain")
        root = bytes.fromhex(self.checkpoint.root_hash)
        leaf = bytes.fromhex(head.hash)
        size = self.checkpoint.head_seq
        if self.tree_size != size or not verify_inclusion(
            self.leaf_index, size, leaf, self.path(), root
        ):
            return Judgement("mismatch", "the proof does not lead to the root of the checkpoint")
        verdict = check(self.checkpoint, ring)
        return Judgement(verdict, _WHY[verdict])


def hashes_of(texts: Sequence[str]) -> list[bytes]:
    """The hashes of a file. Only lower-case digits are accepted, so each has one written form.

    Raises:
        ValueError: one is not 64 lower-case hex digits.
    """
    if not all(map(_HASH.fullmatch, texts)):
        raise ValueError("a hash is malformed")
    return list(map(bytes.fromhex, texts))


def no_member_twice(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a member that is there twice: of two readers, each may take another one of them.

    Raises:
        ValueError: there is such a member.
    """
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a member twice")
    return found


_DECODER = msgspec.json.Decoder(Evidence)
_HASH = re.compile(r"[0-9a-f]{64}")
_WHY = {
    "ok": "",
    "mismatch": "the checkpoint is not signed by the key that it names",
    "key-unavailable": "the key of the checkpoint is not here",
}


Source = Callable[[], Iterator[tuple[bytes, bytes]]]
"""Gives the leaf hash and the line of every record, from the first one on, at each call."""


def prove(seq: int, records: Source, candidates: Iterable[Checkpoint]) -> Evidence:
    """The proof of one record, under the smallest checkpoint that covers it and fits the log.

    Args:
        seq: of the record.
        records: see ``Source``; read twice.
        candidates: checkpoints, in any order; those whose root is not the log's are ignored.

    Raises:
        ValueError: no checkpoint covers the record and fits the log.
    """
    checkpoint = _smallest(records(), {c.head_seq: c for c in candidates if c.head_seq >= seq})
    if checkpoint is None:
        raise ValueError(f"no checkpoint covers record {seq} and agrees with the log")
    found = b""

    def leaves() -> Iterator[bytes]:
        nonlocal found
        for number, (leaf, line) in enumerate(records(), 1):
            if number == seq:
                found = line
            yield leaf

    size = checkpoint.head_seq
    left = leaves()
    path = inclusion_proof(seq - 1, size, left)
    if not found:
        next(left)  # the last record of a tree is in none of the ranges before it
    return Evidence(
        VERSION,
        found.decode("utf-8", "surrogatepass"),
        seq - 1,
        size,
        [value.hex() for value in path],
        checkpoint,
    )


def _smallest(
    records: Iterator[tuple[bytes, bytes]], by_size: dict[int, Checkpoint]
) -> Checkpoint | None:
    tree = Frontier()
    last = max(by_size, default=0)
    for leaf, _ in records:
        tree.append(leaf)
        one = by_size.get(tree.size)
        if one is not None and one.root_hash == tree.root().hex():
            return one
        if tree.size >= last:
            break
    return None
