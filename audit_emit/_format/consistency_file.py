"""The proof that one checkpoint continues another, as a file (docs/wire-format.md, section 8)."""

from __future__ import annotations

import json

import msgspec

from audit_emit._format.checkpoint import Checkpoint, check, parse_text
from audit_emit._format.merkle_proofs import verify_consistency
from audit_emit._format.proof_file import Judgement, hashes_of, no_member_twice
from audit_emit._format.signed_note import Note
from audit_emit._signing.trusted_keys import KeyRing

VERSION = 1


Tree = tuple[str, int, bytes]
"""Origin, size and root of a checkpoint."""


def tree_in(data: bytes) -> Tree:
    """Read origin, size and root of a checkpoint that was kept; its signature is not checked.

    Args:
        data: a signed note, or a line of ``checkpoints.jsonl``.

    Raises:
        ValueError: ``data`` is neither.
    """
    if data.startswith(b"{"):
        found = Checkpoint.from_line(data.rstrip(b"\n"))
        return found.origin, found.head_seq, bytes.fromhex(found.root_hash)
    return parse_text(Note.from_bytes(data).text.encode())


class ConsistencyFile(msgspec.Struct, frozen=True):
    """The content of a file with a consistency proof.

    Attributes:
        v: version of the format.
        old, new: the checkpoints.
        consistency_proof: hashes as hex (RFC 9162, section 2.1.4).
    """

    v: int
    old: Checkpoint
    new: Checkpoint
    consistency_proof: list[str]

    def to_bytes(self) -> bytes:
        """The file: one JSON object, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> ConsistencyFile:
        """Read what ``to_bytes`` wrote.

        Raises:
            ValueError: the data are no such file, or one of another version.
        """
        try:
            found = msgspec.json.decode(data, type=cls)
            found.old.validate()
            found.new.validate()
            hashes_of(found.consistency_proof)
            json.loads(data, object_pairs_hook=no_member_twice)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            raise ValueError("not a proof file") from None
        if found.v != VERSION:
            raise ValueError("not a proof file, or of another version")
        return found

    def judge(self, ring: KeyRing, kept: Tree | None = None) -> Judgement:
        """Check that the newer checkpoint is signed and continues the older one.

        Args:
            ring: the trusted keys.
            kept: what the older one must be. Without it, the file itself names the older
                checkpoint, and a holder of the signing key can make a file that begins anywhere.
        """
        old, new = self.old, self.new
        if kept not in {None, (old.origin, old.head_seq, bytes.fromhex(old.root_hash))}:
            return Judgement("mismatch", "the older checkpoint is another one than that you kept")
        if (old.origin, old.chain) != (new.origin, new.chain):
            return Judgement("mismatch", "the checkpoints are of two logs")
        if not verify_consistency(
            old.head_seq,
            new.head_seq,
            bytes.fromhex(old.root_hash),
            bytes.fromhex(new.root_hash),
            hashes_of(self.consistency_proof),
        ):
            return Judgement("mismatch", "the proof does not lead from one root to the other")
        for one in (old, new):
            verdict = check(one, ring)
            if verdict == "mismatch":
                why = f"the checkpoint of {one.head_seq} records is not signed by the key it names"
                return Judgement(verdict, why)
            if verdict != "ok":
                return Judgement(verdict, "the key of a checkpoint is not here")
        return Judgement("ok")
