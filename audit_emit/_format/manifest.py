"""The manifest of one archived part of a log (docs/archive.md has the members).

It names the object with the records, and describes these: a range of the chain with its hashes,
the tree over the log up to its end, and a checkpoint that covers it. Each manifest has the SHA-256
of the one before it, and is signed over its exact bytes. So none can be changed, taken for another
one, or left out in the middle. Pure: keys are arguments.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from hashlib import sha256

import msgspec

from audit_emit._format.chain import ZERO, Frontier
from audit_emit._format.checkpoint import Checkpoint
from audit_emit._format.record import MAX_SEQ
from audit_emit._signing.trusted_keys import Key, KeyRing, Verdict

VERSION = 1
LONGEST = 64 * 1024
"""The most bytes of a manifest; most have some 4000."""

_PURPOSE = b"audit_emit manifest of an archive, version 1\n"
_CHAIN = re.compile(r"[0-9a-f]{16}")
_HASH = re.compile(r"[0-9a-f]{64}")
_SERVICE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_TS = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z")
_NAME = re.compile(r"([0-9]{20}-[0-9]{20}\.(jsonl|checkpoints)|[0-9a-f]{64}\.bytes)\.(zst|gz)")
_MANIFEST = re.compile(
    r"(?:.*/)?([a-z0-9][a-z0-9_-]{0,62})/([0-9a-f]{16})/([0-9]{20})(?:\.([0-9]{6}))?\.manifest\.json"
)
ENDING = ".manifest.json"
MOST_MOVED = 64
"""The most objects with bytes that were moved aside that a manifest names."""

_MOST_IDLE = 999_999


class Packed(msgspec.Struct, frozen=True):
    """One object: a packed part of a log.

    Attributes:
        name: in the folder of its chain.
        version: the id of the version that was uploaded; empty where the bucket keeps none.
        size, sha256: of the bytes as they are in the log.
        packed_size, packed_sha256: of the object.
    """

    name: str
    version: str
    size: int
    sha256: str
    packed_size: int
    packed_sha256: str

    @property
    def pack(self) -> str:
        """``zst`` or ``gz``."""
        return self.name.rpartition(".")[2]


class Manifest(msgspec.Struct, frozen=True):
    """The description of one range of a chain that was archived.

    The manifest of a day without new records has no object, and its ``last_seq`` is one below
    ``first_seq``: it shows how far the archive went by then.

    Attributes:
        v: version of this format.
        at: when it was made, as ``ts`` of a record.
        origin: the name of the log in checkpoints, with its chain.
        service, chain: of the records.
        first_seq, last_seq: the range.
        prev_hash: of the first record.
        last_hash: of the last record.
        low_ts, high_ts: the earliest and the latest ``ts``; in a manifest without records, the
            times when the manifest before was made, and this one.
        records: the object with their lines; ``None`` if there are none.
        checkpoints: the object with the lines of ``checkpoints.jsonl`` since the manifest before,
            up to ``covering``; ``None`` if there are no new ones.
        moved: objects with bytes that a repair moved aside, as the log declares them.
        base: the tree before the first record, where that was removed before anything was
            archived; otherwise empty, as it is in the manifest before.
        frontier: the tree over all records up to the last one (``Frontier.to_text``).
        covering: the line of the first signed checkpoint that covers the last record.
        seal: the line of a checkpoint at the last record, signed by the key of the manifest: with
            it, an archive can be verified without the rest of the log.
        previous: SHA-256 of the manifest before this one; empty in the first.
        idle: how many manifests without records are between the last one with some and this one.
        sig_alg, key_id, signature: as in a checkpoint, over ``text()``.
    """

    v: int
    at: str
    origin: str
    service: str
    chain: str
    first_seq: int
    last_seq: int
    prev_hash: str
    last_hash: str
    low_ts: str
    high_ts: str
    records: Packed | None
    checkpoints: Packed | None
    moved: tuple[Packed, ...]
    base: str
    frontier: str
    covering: str
    seal: str
    previous: str
    idle: int
    sig_alg: str
    key_id: str
    signature: str = ""

    def text(self) -> bytes:
        """The bytes that are signed. Their first line sets them apart from other signed texts."""
        return _PURPOSE + msgspec.json.encode(msgspec.structs.replace(self, signature=""))

    def to_bytes(self) -> bytes:
        """The object: one line of JSON."""
        return msgspec.json.encode(self) + b"\n"

    def digest(self) -> str:
        """The SHA-256 by which the next manifest names this one."""
        return sha256(self.to_bytes()).hexdigest()

    @property
    def key(self) -> str:
        """Its key, below the prefix of the archive."""
        return manifest_key(self.service, self.chain, self.first_seq, self.idle)

    def key_of(self, part: Packed) -> str:
        """The key of one of its objects, below the prefix of the archive."""
        return f"{self.service}/{self.chain}/{part.name}"

    @property
    def place(self) -> tuple[int, int]:
        """The sort key that puts the manifests of a chain in order."""
        return self.first_seq, self.idle

    @property
    def object(self) -> Packed:
        """The object with its records.

        Raises:
            ValueError: the manifest has no records.
        """
        if self.records is None:
            raise ValueError("the manifest of a day without records")
        return self.records

    @property
    def parts(self) -> list[Packed]:
        """All its objects."""
        return [*filter(None, (self.records, self.checkpoints)), *self.moved]

    def tree(self) -> Frontier:
        """The tree up to its last record."""
        return Frontier.from_text(self.frontier)

    def signed(self, key: Key) -> Manifest:
        """A copy that is signed by a key.

        Raises:
            ValueError: the key is not meant for this origin, or cannot sign.
        """
        key_id = key.key_id(self.origin)
        if key_id is None:
            raise ValueError("the key is not meant for this origin")
        made = msgspec.structs.replace(self, sig_alg=key.algorithm, key_id=key_id, signature="")
        signature = base64.b64encode(key.sign(made.text())).decode()
        return msgspec.structs.replace(made, signature=signature)

    def check(self, ring: KeyRing) -> Verdict:
        """Check the signature with the keys of a ring."""
        signature = base64.b64decode(self.signature)
        return ring.check(self.sig_alg, self.key_id, self.origin, self.text(), signature)

    @classmethod
    def from_bytes(cls, data: bytes, key: str = "") -> Manifest:
        """Read what ``to_bytes`` made; refuses any other form of the same manifest.

        Args:
            key: where it was found, below the prefix of the archive.

        Raises:
            ValueError: the data are no manifest, or one of an unknown version, or one that belongs
                under another key.
        """
        if len(data) > LONGEST:
            raise ValueError("not a manifest: too long")
        try:
            made = _DECODER.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ValueError("not a manifest") from None
        if made.v != VERSION:
            raise ValueError(f"a manifest of version {made.v}")
        if made.to_bytes() != data:
            raise ValueError("not a manifest: its form is another one")
        made.validate()
        if key and _place(key) != (made.service, made.chain, *made.place):
            raise ValueError("the manifest of another place")
        return made

    def validate(self) -> None:
        """Check that its members are possible, and agree with each other.

        Raises:
            ValueError: they are not, or do not.
        """
        tree = self.tree()
        covering = Checkpoint.from_line(self.covering.encode())
        seal = Checkpoint.from_line(self.seal.encode())
        base64.b64decode(self.signature, validate=True)
        held = (
            _SERVICE.fullmatch(self.service)
            and _CHAIN.fullmatch(self.chain)
            and self.origin.endswith(f"/{self.chain}")
            and 1 <= self.first_seq <= MAX_SEQ
            and self.last_seq <= MAX_SEQ
            and 0 <= self.idle <= _MOST_IDLE
            and self._holds_records()
            and (self.prev_hash == ZERO) == (self.first_seq == 1)
            and all(map(_HASH.fullmatch, (self.prev_hash, self.last_hash)))
            and (not self.previous or _HASH.fullmatch(self.previous))
            and all(map(_TS.fullmatch, (self.at, self.low_ts, self.high_ts)))
            and all(map(_is_possible, self.parts))
            and len(self.moved) <= MOST_MOVED
            and all(_is_moved(part) for part in self.moved)
            and tree.size == self.last_seq == seal.head_seq
            and tree.root().hex() == seal.root_hash
            and seal.head_hash == self.last_hash
            and self.chain == seal.chain == covering.chain
            and covering.head_seq >= self.last_seq
        )
        if not held:
            raise ValueError("not a manifest: its members do not belong together")

    def _holds_records(self) -> bool:
        """Whether its object is the one of its range, and the range is possible for an object.

        Raises:
            ValueError: ``base`` is no tree.
        """
        if self.records is None:
            empty = self.first_seq == self.last_seq + 1 and self.prev_hash == self.last_hash
            return empty and bool(self.previous) and not self.parts
        if self.base and not self.previous:
            based = Frontier.from_text(self.base).size == self.first_seq - 1
        else:
            based = not self.base and bool(self.previous) == (self.first_seq > 1)
        name = object_name(self.first_seq, self.last_seq, "jsonl", self.records.pack)
        return self.first_seq <= self.last_seq and based and self.records.name == name


_DECODER = msgspec.json.Decoder(Manifest)


def _is_possible(part: Packed) -> bool:
    return bool(
        _NAME.fullmatch(part.name)
        and part.size >= 0
        and part.packed_size >= 0
        and _HASH.fullmatch(part.sha256)
        and _HASH.fullmatch(part.packed_sha256)
        and len(part.version) <= 1024
    )


def with_records(manifests: Iterable[Manifest]) -> list[Manifest]:
    """The manifests that have records."""
    return [one for one in manifests if one.records is not None]


def newest_record_at(manifests: Iterable[Manifest]) -> str | None:
    """The latest ``ts`` of the newest part with records; ``None`` where there is none."""
    return next((one.high_ts for one in reversed(with_records(manifests))), None)


def _is_moved(part: Packed) -> bool:
    return part.name.partition(".")[0] == part.sha256


def moved_name(digest: str, pack: str) -> str:
    """The name of an object with bytes that were moved aside, from their SHA-256."""
    return f"{digest}.bytes.{pack}"


def object_name(first: int, last: int, kind: str, pack: str) -> str:
    """The name of an object with ``jsonl`` or ``checkpoints``, in the folder of its chain."""
    return f"{first:020d}-{last:020d}.{kind}.{pack}"


def manifest_key(service: str, chain: str, first: int, idle: int = 0) -> str:
    """The key of a manifest, below the prefix of the archive.

    It has no other number in its name: if two archivers choose different ends for the same
    beginning, a conditional put lets only one of them succeed.
    """
    turn = f".{idle:06d}" if idle else ""
    return f"{service}/{chain}/{first:020d}{turn}{ENDING}"


def _place(key: str) -> tuple[str, str, int, int] | None:
    found = _MANIFEST.fullmatch(key)
    return (found[1], found[2], int(found[3]), int(found[4] or 0)) if found is not None else None


def is_manifest(key: str) -> bool:
    """Whether a key is the key of a manifest."""
    return _place(key) is not None


def folder_of(key: str) -> str:
    """The folder of a chain that a key is in."""
    return key.rpartition("/")[0]
