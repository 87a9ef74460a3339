"""A checkpoint: what is signed, and the line that keeps it (docs/wire-format.md, section 6).

Pure: keys are arguments. The signed text is a C2SP tlog-checkpoint, so a checkpoint under an
Ed25519 key can be shown to anybody as a signed note (``to_note``). The time is signed apart from
it, as a C2SP tlog-cosignature (``cosignature/v1``) by the same key.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec

from audit_emit._format.record import ns_of
from audit_emit._format.signed_note import Note, Signature
from audit_emit._signing.trusted_keys import ED25519, HMAC_SHA256, Key, KeyRing, Verdict
from audit_emit.errors import UnknownVersionError

VERSION = 2
"""The version of the lines that are written. In version 1 the time is not signed."""

VERSIONS = (1, 2)
UNSIGNED_TIME = "unsigned time"
"""Added for people to the time of a checkpoint that is not signed."""

REASONS = ("startup", "interval", "threshold", "manual", "shutdown", "rotation")

_ORIGIN = re.compile(r"[!-*,-~]{1,255}")
CHAIN = re.compile(r"[0-9a-f]{16}")
"""The id of a chain."""

_HASH = re.compile(r"[0-9a-f]{64}")
_KEY_ID = re.compile(r"[0-9a-f]{8}")
_WORD = re.compile(r"[a-z][a-z0-9-]{0,31}")
_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z")
_TEXT = re.compile(rb"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*")
_MAX_SIZE = 2**63 - 1
_ID_AND_TIME = 4 + 8
_SIGNATURE_BYTES = {ED25519: 64, HMAC_SHA256: 32}


class Checkpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of ``checkpoints.jsonl``.

    Attributes:
        v: version of the format, one of ``VERSIONS``.
        at: when it was signed, as ``ts`` of a record. Only ``signed_time`` checks whether the key
            has signed that, too.
        origin: the name of the log: ``<prefix>/<chain>``.
        chain: 16 hex digits.
        head_seq: number of records covered.
        head_hash: ``hash`` of the last of them.
        root_hash: the Merkle root over them, 64 hex digits.
        reason: one of ``REASONS``.
        sig_alg: ``ed25519`` or ``hmac-sha256``.
        key_id: 8 hex digits.
        signature: over ``text()``, base64.
        cosignature: over the time and ``text()`` (``cosigned_text``), as base64 of what a signature
            line of a C2SP note holds: 4 bytes of key id, 8 bytes of seconds since 1970, big-endian,
            and the signature. Empty in version 1.
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
    cosignature: str = ""

    def text(self) -> bytes:
        """What is signed: origin, size and root, each line ended (C2SP tlog-checkpoint)."""
        return text_of(self.origin, self.head_seq, bytes.fromhex(self.root_hash))

    @property
    def when(self) -> str:
        """``at`` for people, with a remark if it is not signed."""
        return self.at if self.cosignature else f"{self.at} ({UNSIGNED_TIME})"

    def to_note(self, *, cosigned: bool = False) -> Note:
        """The checkpoint as a C2SP signed note, which other programs can verify.

        Args:
            cosigned: whether to add the signature over the time, if there is one.

        Raises:
            ValueError: it is signed with a shared key, for which C2SP has no form.
        """
        if self.sig_alg != ED25519:
            raise ValueError(f"a signed note has an Ed25519 signature, not {self.sig_alg}")
        made = [Signature(self.origin, self.key_id, base64.b64decode(self.signature))]
        if cosigned and self.cosignature:
            data = base64.b64decode(self.cosignature)
            made.append(Signature(self.origin, data[:4].hex(), data[4:]))
        return Note(self.text().decode(), tuple(made))

    def to_line(self) -> bytes:
        """The line of ``checkpoints.jsonl``, with its newline."""
        return msgspec.json.encode(self) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Checkpoint:
        """Read what ``to_line`` wrote; refuses any other form of the same checkpoint.

        Args:
            line: with or without its newline.

        Raises:
            UnknownVersionError: the checkpoint is of a later version.
            ValueError: the line is no checkpoint.
        """
        line = line.removesuffix(b"\n")
        try:
            found = _DECODER.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            _refuse_other_version(line)
            raise ValueError("not a checkpoint") from None
        if found.v > VERSION:
            raise UnknownVersionError(f"a checkpoint of version {found.v}")
        if found.v not in VERSIONS:
            raise ValueError("not a checkpoint")
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
        if self.v not in VERSIONS:
            raise ValueError("v is a version that is not known here")
        for name, pattern in _PATTERNS.items():
            if not pattern.fullmatch(getattr(self, name)):
                raise ValueError(f"{name} is malformed")
        if not 1 <= self.head_seq <= _MAX_SIZE:
            raise ValueError("head_seq is out of range")
        if self.reason not in REASONS:
            raise ValueError("reason is none of those that there are")
        if self.signature != base64.b64encode(_decode(self.signature)).decode():
            raise ValueError("signature is malformed")
        if bool(self.cosignature) is not (self.v > 1):
            raise ValueError("a cosignature belongs to version 2, and to no other")
        data = _decode(self.cosignature)
        least = _ID_AND_TIME + _SIGNATURE_BYTES.get(self.sig_alg, 1)
        if self.v > 1 and (
            self.cosignature != base64.b64encode(data).decode() or len(data) < least
        ):
            raise ValueError("cosignature is malformed")


_DECODER = msgspec.json.Decoder(Checkpoint)
_PATTERNS = {
    "at": _AT,
    "origin": _ORIGIN,
    "chain": CHAIN,
    "head_hash": _HASH,
    "root_hash": _HASH,
    "sig_alg": _WORD,
    "key_id": _KEY_ID,
}


def text_of(origin: str, size: int, root: bytes) -> bytes:
    """The three signed lines (C2SP tlog-checkpoint)."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()


def parse_text(text: bytes) -> tuple[str, int, bytes]:
    """Origin, size and 32-byte root of a tlog-checkpoint; extension lines are ignored.

    Raises:
        ValueError: the text is no tlog-checkpoint.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError("not a checkpoint: origin, size and root, each on a line")
    root = base64.b64decode(found[3])
    if base64.b64encode(root) != found[3]:
        raise ValueError("not a checkpoint: the root is malformed")
    return found[1].decode(), int(found[2]), root


def cosigned_text(seconds: int, text: bytes) -> bytes:
    """The text that a signature over the time covers (C2SP tlog-cosignature, ``cosignature/v1``).

    Args:
        seconds: since 1970.
        text: of the checkpoint.
    """
    return b"cosignature/v1\ntime %d\n%b" % (seconds, text)


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
    version: int = VERSION,
) -> Checkpoint:
    """Make and sign a checkpoint.

    Args:
        key: one that can sign.
        at: as ``ts`` of a record, from 1970 on; signed to the second.
        size: number of records covered.
        root: 32 bytes.
        version: 1 leaves the time unsigned.

    Raises:
        ValueError: a member is malformed, or the key is not meant for this origin.
    """
    key_id = key.key_id(origin)
    if key_id is None:
        raise ValueError("the key is not meant for this origin")
    text = text_of(origin, size, root)
    made = Checkpoint(
        version,
        at,
        origin,
        chain,
        size,
        head_hash,
        root.hex(),
        reason,
        key.algorithm,
        key_id,
        base64.b64encode(key.sign(text)).decode(),
        _cosigned(key, at, origin, text) if version > 1 else "",
    )
    made.validate()
    return made


def _seconds_of(at: str) -> int | None:
    """Seconds since 1970; ``None`` where there is no such day or it was before."""
    try:
        seconds = ns_of(at) // 10**9
    except ValueError:
        return None
    return seconds if seconds >= 0 else None


def _cosigned(key: Key, at: str, origin: str, text: bytes) -> str:
    seconds = _seconds_of(at) if _AT.fullmatch(at) else None
    if seconds is None:
        raise ValueError("at is malformed, or before 1970")
    named = bytes.fromhex(key.time_key_id(origin)) + seconds.to_bytes(8, "big")
    return base64.b64encode(named + key.sign(cosigned_text(seconds, text))).decode()


def check(cp: Checkpoint, ring: KeyRing, *, time: bool = True) -> Verdict:
    """Whether a checkpoint is signed, with its time, by the key that it names.

    ``reason`` and ``head_hash`` are not signed, and neither is ``at`` in version 1; the root covers
    the record that ``head_hash`` names, and ``origin`` the chain.

    Args:
        time: whether to check the signature over the time, too. Without it, ``at`` must not be
            trusted before ``signed_time`` has confirmed it.

    Returns:
        ``ok``, ``mismatch``, or ``key-unavailable`` when the ring has no such key.
    """
    last = cp.origin.rpartition("/")[2]
    if last != cp.chain and CHAIN.fullmatch(last):
        return "mismatch"
    signature = base64.b64decode(cp.signature)
    verdict = ring.check(cp.sig_alg, cp.key_id, cp.origin, cp.text(), signature)
    if time and verdict == "ok" and cp.cosignature and signed_time(cp, ring) is None:
        return "mismatch"
    return verdict


def signed_time(cp: Checkpoint, ring: KeyRing) -> int | None:
    """When a checkpoint was signed, if its key has signed the time as well.

    Args:
        ring: the trusted keys.

    Returns:
        Seconds since 1970 (UTC); ``None`` when the time is not signed (version 1), the ring has no
        key that signed it, or ``at`` says another second than the one that was signed.
    """
    if not cp.cosignature:
        return None
    data = base64.b64decode(cp.cosignature)
    key_id, seconds, signature = data[:4].hex(), int.from_bytes(data[4:12], "big"), data[12:]
    if seconds != _seconds_of(cp.at):
        return None
    text = cosigned_text(seconds, cp.text())
    for key in ring.find(cp.sig_alg, cp.key_id, cp.origin):
        if key.time_key_id(cp.origin) == key_id and key.verify(text, signature):
            return seconds
    return None


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
