"""A checkpoint: what is signed, and the line that keeps it (docs/wire-format.md, section 6).

Pure: keys are arguments. The signed text is a C2SP tlog-checkpoint, so a checkpoint under an
Ed25519 key can be shown to anybody as a signed note (``to_note``).
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec

from audit_emit.note import Note, Signature
from audit_emit.signing import ED25519, Key, KeyRing, Verdict

VERSION = 1
REASONS = ("startup", "interval", "threshold", "manual", "shutdown", "rotation")

_ORIGIN = re.compile(r"[!-*,-~]{1,255}")
_CHAIN = re.compile(r"[0-9a-f]{16}")
_HASH = re.compile(r"[0-9a-f]{64}")
_KEY_ID = re.compile(r"[0-9a-f]{8}")
_WORD = re.compile(r"[a-z][a-z0-9-]{0,31}")
_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z")
_TEXT = re.compile(rb"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*")
_MAX_SIZE = 2**63 - 1


class UnknownVersionError(ValueError):
    """A checkpoint of a version that this build does not know."""


class Checkpoint(msgspec.Struct, frozen=True):
    """One line of ``checkpoints.jsonl``.

    Attributes:
        v: version of the format.
        at: when it was signed, as ``ts`` of a record.
        origin: the name of the log: ``<prefix>/<chain>``.
        chain: 16 hex digits.
        head_seq: number of records covered.
        head_hash: ``hash`` of the last of them.
        root_hash: the Merkle root over them, 64 hex digits.
        reason: one of ``REASONS``.
        sig_alg: ``ed25519`` or ``hmac-sha256``.
        key_id: 8 hex digits.
        signature: over ``text()``, base64.
    """

    v: int
    at: str
    origin: str
    chain: str
    head_seq: int
    head_hash: str
    root_hash: str
    reason: str
    sig_alg: str
    key_id: str
    signature: str

    def text(self) -> bytes:
        """What is signed: origin, size and root, each line ended (C2SP tlog-checkpoint)."""
        return text_of(self.origin, self.head_seq, bytes.fromhex(self.root_hash))

    def to_note(self) -> Note:
        """The same as a C2SP signed note, which needs nothing of ours to be checked.

        Raises:
            ValueError: it is signed with a shared key, for which there is no such form.
        """
        if self.sig_alg != ED25519:
            raise ValueError(f"a signed note has an Ed25519 signature, not {self.sig_alg}")
        made = Signature(self.origin, self.key_id, base64.b64decode(self.signature))
        return Note(self.text().decode(), (made,))

    def to_line(self) -> bytes:
        """The line of ``checkpoints.jsonl``, with its newline."""
        return msgspec.json.encode(self) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Checkpoint:
        """What ``to_line`` wrote, byte for byte.

        Args:
            line: with or without its newline.

        Raises:
            UnknownVersionError: it is of a later version.
            ValueError: it is no checkpoint.
        """
        line = line.removesuffix(b"\n")
        try:
            found = _DECODER.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            _refuse_other_version(line)
            raise ValueError("not a checkpoint") from None
        if found.v != VERSION:
            raise UnknownVersionError(f"a checkpoint of version {found.v}")
        found.validate()
        # Another order, white space or a member twice: something else wrote, or changed, it.
        if msgspec.json.encode(found) != line:
            raise ValueError("not a checkpoint in the form in which it was written")
        return found

    def validate(self) -> None:
        """Check every member.

        Raises:
            ValueError: one of them is malformed.
        """
        for name, pattern in _PATTERNS.items():
            if not pattern.fullmatch(getattr(self, name)):
                raise ValueError(f"{name} is malformed")
        if not 1 <= self.head_seq <= _MAX_SIZE:
            raise ValueError("head_seq is out of range")
        if self.reason not in REASONS:
            raise ValueError("reason is none of those that there are")
        if self.signature != base64.b64encode(_decode(self.signature)).decode():
            raise ValueError("signature is malformed")


_DECODER = msgspec.json.Decoder(Checkpoint)
_PATTERNS = {
    "at": _AT,
    "origin": _ORIGIN,
    "chain": _CHAIN,
    "head_hash": _HASH,
    "root_hash": _HASH,
    "sig_alg": _WORD,
    "key_id": _KEY_ID,
}


def text_of(origin: str, size: int, root: bytes) -> bytes:
    """The three signed lines (C2SP tlog-checkpoint)."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()


def parse_text(text: bytes) -> tuple[str, int, bytes]:
    """Origin, size and 32-byte root of a tlog-checkpoint; extension lines are passed over.

    Raises:
        ValueError: it is none.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError("not a checkpoint: origin, size and root, each on a line")
    root = base64.b64decode(found[3])
    if base64.b64encode(root) != found[3]:
        raise ValueError("not a checkpoint: the root is malformed")
    return found[1].decode(), int(found[2]), root


def sign(
    key: Key,
    *,
    at: str,
    origin: str,
    chain: str,
    size: int,
    head_hash: str,
    root: bytes,
    reason: str,
) -> Checkpoint:
    """A signed checkpoint.

    Args:
        key: one that can sign.
        at: as ``ts`` of a record.
        size: number of records covered.
        root: 32 bytes.

    Raises:
        ValueError: a member is malformed, or the key is not meant for this origin.
    """
    key_id = key.key_id(origin)
    if key_id is None:
        raise ValueError("the key is not meant for this origin")
    signature = base64.b64encode(key.sign(text_of(origin, size, root))).decode()
    made = Checkpoint(
        VERSION,
        at,
        origin,
        chain,
        size,
        head_hash,
        root.hex(),
        reason,
        key.algorithm,
        key_id,
        signature,
    )
    made.validate()
    return made


def check(cp: Checkpoint, ring: KeyRing) -> Verdict:
    """Whether the signature of a checkpoint is that of the key that it names.

    ``at``, ``reason`` and ``head_hash`` are not signed; the root covers the record that
    ``head_hash`` names, and ``origin`` the chain.

    Returns:
        ``ok``, ``mismatch``, or ``key-unavailable`` when the ring has no such key.
    """
    last = cp.origin.rpartition("/")[2]
    if last != cp.chain and _CHAIN.fullmatch(last):
        return "mismatch"
    return ring.check(cp.sig_alg, cp.key_id, cp.origin, cp.text(), base64.b64decode(cp.signature))


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("signature is malformed") from None


def _refuse_other_version(line: bytes) -> None:
    try:
        found: Any = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    if isinstance(found, dict) and type(found.get("v")) is int and found["v"] > VERSION:
        raise UnknownVersionError(f"a checkpoint of version {found['v']}")
