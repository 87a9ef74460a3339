"""The proof of one record in a format that other programs read: C2SP tlog-proof.

Pure. https://c2sp.org/tlog-proof: the place of the record, the hashes of its inclusion proof, and a
signed note with the signatures of the log and of its witnesses. The line ``extra`` has the entry,
which is the body of the record, so that the file alone is enough to compute the leaf hash.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import NamedTuple

from audit_emit._format.chain import leaf_hash
from audit_emit._format.checkpoint import parse_text
from audit_emit._format.link import HASH
from audit_emit._format.merkle_proofs import verify_inclusion
from audit_emit._format.proof_file import Judgement
from audit_emit._format.record import Head, head_of
from audit_emit._format.signed_note import Note
from audit_emit._signing.trusted_keys import KeyRing

__all__ = ["HEADER", "TlogProof"]

HEADER = b"c2sp.org/tlog-proof@v1\n"
_FILE = re.compile(
    rb"extra ([A-Za-z0-9+/]+={0,2})\nindex (0|[1-9][0-9]{0,18})\n((?:[A-Za-z0-9+/]{43}=\n){0,63})\n"
)


class TlogProof(NamedTuple):
    """The content of a file with a tlog-proof; nothing of it is checked yet.

    Attributes:
        entry: the body of the record.
        leaf_index: ``seq`` - 1.
        path: hashes from the leaf's sibling up (RFC 9162, section 2.1.3).
        note: a checkpoint with its signatures.
    """

    entry: bytes
    leaf_index: int
    path: Sequence[bytes]
    note: Note

    def to_bytes(self) -> bytes:
        """The file."""
        hashes = "".join(f"{base64.b64encode(one).decode()}\n" for one in self.path)
        extra = base64.b64encode(self.entry).decode()
        head = f"extra {extra}\nindex {self.leaf_index}\n{hashes}\n"
        return HEADER + head.encode() + self.note.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> TlogProof:
        """Read what ``to_bytes`` wrote.

        Raises:
            ValueError: the data are no such file, or have no entry.
        """
        found = _FILE.match(data, len(HEADER)) if data.startswith(HEADER) else None
        if found is None:
            raise ValueError("not a tlog-proof with the entry in it (extra)")
        try:
            entry, *path = (
                base64.b64decode(text, validate=True) for text in (found[1], *found[3].split())
            )
        except binascii.Error:
            raise ValueError("not a tlog-proof: a hash or the entry is not base64") from None
        made = cls(entry, int(found[2]), path, Note.from_bytes(data[found.end() :]))
        parse_text(made.note.text.encode())
        return made

    @property
    def record(self) -> bytes:
        """The line of the record, without its newline."""
        return self.entry[:-1] + HASH + leaf_hash(self.entry).encode() + b'"}'

    @property
    def head(self) -> Head | None:
        """The head that the record states; ``None`` where the entry is no record."""
        is_line = self.entry.endswith(b"}") and b"\n" not in self.entry
        return head_of(self.record) if is_line else None

    def judge(self, ring: KeyRing) -> Judgement:
        """Check that the record is in a log whose checkpoint a key of the ring has signed.

        Cosignatures of witnesses are not checked here: ``verify`` and other programs check the note
        with a policy.
        """
        head = self.head
        if head is None:
            return Judgement("mismatch", "the entry is not a record of a chain")
        origin, size, root = parse_text(self.note.text.encode())
        if (head.seq, head.chain) != (self.leaf_index + 1, origin.rpartition("/")[2]):
            return Judgement("mismatch", "the record is of another place or another chain")
        if not verify_inclusion(self.leaf_index, size, bytes.fromhex(head.hash), self.path, root):
            return Judgement("mismatch", "the proof does not lead to the root of the checkpoint")
        verdict = self.note.check(ring)
        return Judgement(verdict, _WHY[verdict])


_WHY = {
    "ok": "",
    "mismatch": "the checkpoint is not signed by the key that it names",
    "key-unavailable": "the key of the checkpoint is not here",
}
