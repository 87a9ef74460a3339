"""The removal of the oldest records of a log, signed (docs/wire-format.md, ``audit.pruned``).

Pure. An attacker who can write a log can delete its beginning, and append a record that says so. So
the record has a statement signed by the key of the log's checkpoints: the last record that was
removed, the tree over all up to that, and the checkpoint that covers them. With it a verifier
starts where the log begins now, and compares every later root as before.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from audit_emit._format.chain import Frontier, body_of, leaf_hash
from audit_emit._format.link import link_of
from audit_emit._format.record import MAX_SEQ
from audit_emit._signing.trusted_keys import Key, KeyRing, Verdict

RECORD = "audit.pruned"
VERSION = 1
CARRIED = 256
"""The most records that a statement carries."""

CARRIED_BYTES = 56 * 1024
"""The most bytes that they have as JSON, so that the body of the record is below 65,535."""

_PURPOSE = "audit_emit removal of records, version 1"
_HASH = re.compile(r"[0-9a-f]{64}")
_ORIGIN = re.compile(r"[!-*,-~]{1,255}")


class Removal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``fields`` of ``audit.pruned``, in this order.

    Attributes:
        v: 1.
        origin: of the log, with its chain.
        first_seq, last_seq: the first and the last record that were removed this time; those
            before them were removed earlier.
        records: how many were removed this time.
        last_hash: ``hash`` of record ``last_seq``.
        frontier: the tree over the records up to it (``chain.Frontier.to_text``).
        size, root_hash, head_hash: the checkpoint that covers them.
        reason: why, for people.
        carried: lines of removed records that still count: changes of key, the newest policy, and
            legal holds that are in force.
        sig_alg, key_id: the key that signed this, that of the newest checkpoint by then.
        signature: base64.
    """

    v: int
    origin: str
    first_seq: int
    last_seq: int
    records: int
    last_hash: str
    frontier: str
    size: int
    root_hash: str
    head_hash: str
    reason: str
    carried: tuple[str, ...]
    sig_alg: str
    key_id: str
    signature: str = ""

    @property
    def chain(self) -> str:
        """The id of the chain, which is the end of ``origin``."""
        return self.origin.rpartition("/")[2]

    @property
    def tree(self) -> Frontier:
        """The tree over the records up to ``last_seq``; a new one each time."""
        return Frontier.from_text(self.frontier)

    def lines(self) -> list[bytes]:
        """The lines of ``carried``, without newlines."""
        return [line.encode("utf-8", "surrogatepass") for line in self.carried]

    def text(self) -> bytes:
        """The text that is signed: the purpose, then all members but the first and the last."""
        values = [
            *(self.origin, self.first_seq, self.last_seq, self.records, self.last_hash),
            *(self.frontier, self.size, self.root_hash, self.head_hash, self.reason),
            *self.carried,
            *(self.sig_alg, self.key_id),
        ]
        made = "".join(f"{value}\n" for value in (_PURPOSE, *values))
        return made.encode("utf-8", "surrogatepass")

    def check(self, ring: KeyRing) -> Verdict:
        """Check the signature with the keys of a ring."""
        try:
            signature = base64.b64decode(self.signature, validate=True)
        except ValueError:
            return "mismatch"
        return ring.check(self.sig_alg, self.key_id, self.origin, self.text(), signature)

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Removal:
        """Read the ``fields`` of a record.

        Raises:
            ValueError: they are malformed, or contradict each other.
        """
        try:
            made = msgspec.convert(fields, type=cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"not a removal of records: {error}") from None
        if not made.is_sound():
            raise ValueError("not a removal of records: its members contradict each other")
        return made

    def is_sound(self) -> bool:
        """Whether its members agree, and the lines that it carries are records of the chain."""
        try:
            size = self.tree.size
        except ValueError:
            return False
        texts = (self.reason, self.sig_alg, self.key_id, *self.carried)
        return (
            self.v == VERSION
            and _ORIGIN.fullmatch(self.origin) is not None
            and 1 <= self.first_seq <= self.last_seq == size <= self.size < MAX_SEQ
            and self.records == self.last_seq - self.first_seq + 1
            and all(map(_HASH.fullmatch, (self.last_hash, self.root_hash, self.head_hash)))
            and not any("\n" in text for text in texts)
            and len(self.carried) <= CARRIED
            and self._carries_records()
        )

    def _carries_records(self) -> bool:
        """Whether the lines are records of this chain, in order, from among those removed."""
        before = 0
        for line in self.lines():
            link = link_of(line)
            if link is None or link[1].decode() != self.chain:
                return False
            if not before < int(link[2]) <= self.last_seq:
                return False
            if leaf_hash(body_of(line)) != link[4].decode():
                return False
            before = int(link[2])
        return True


def signed(removal: Removal, key: Key) -> Removal:
    """The same statement, signed by a key that can sign.

    Args:
        removal: its ``sig_alg``, ``key_id`` and ``signature`` are set anew.
        key: has an id under the origin.
    """
    named = msgspec.structs.replace(
        removal, sig_alg=key.algorithm, key_id=key.key_id(removal.origin) or "", signature=""
    )
    signature = base64.b64encode(key.sign(named.text())).decode()
    return msgspec.structs.replace(named, signature=signature)


def fields_of(removal: Removal) -> dict[str, Any]:
    """The ``fields`` of the record."""
    made: dict[str, Any] = msgspec.to_builtins(removal)
    return made
