"""Where an archive of a log stands: the manifests that follow each other, from journal or store."""

from __future__ import annotations

from audit_emit._checkpoints.new_leaves import Position
from audit_emit._format.manifest import Manifest, is_manifest
from audit_emit._format.record import Head
from audit_emit._objects.bucket import Bucket
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import ArchiveError


def start_of(last: Manifest | None) -> Position:
    """From where a log goes on that is archived up to this manifest."""
    if last is None:
        return Position.genesis()
    return Position(last.chain, last.tree(), last.last_hash, 0)


def head_after(last: Manifest | None) -> Head | None:
    """The last record that is in the archive."""
    return None if last is None else Head(last.chain, last.last_seq, last.last_hash, last.high_ts)


def in_store(bucket: Bucket, chain: str) -> list[Manifest]:
    """The manifests of one chain as the store has them now, in the order of their records.

    Raises:
        ArchiveError: one of them is none.
        ObjectStoreError: the store gives no answer.
    """
    keys = [key for key in bucket.names() if is_manifest(key) and f"/{chain}/" in f"/{key}"]
    return [parsed(key, bucket.small(key)) for key in sorted(keys)]


def parsed(key: str, data: bytes) -> Manifest:
    """A manifest out of the store.

    Raises:
        ArchiveError: it is none, or belongs elsewhere.
    """
    try:
        return Manifest.from_bytes(data, key)
    except ValueError as error:
        raise ArchiveError("manifest", f"{key}: {error}") from None


def trusted(one: Manifest, ring: KeyRing) -> None:
    """Refuse a manifest that no trusted key has signed.

    Raises:
        ArchiveError: it is so.
    """
    verdict = one.check(ring)
    if verdict != "ok":
        why = "is forged" if verdict == "mismatch" else "is signed by a key that is not given"
        raise ArchiveError("manifest", f"the manifest of record {one.first_seq} {why}")
