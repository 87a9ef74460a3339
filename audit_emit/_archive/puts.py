"""Puts objects that may exist already: an existing one is compared, and never replaced."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import IO

import msgspec

from audit_emit._archive.objects import read_part
from audit_emit._archive.packing import Sizes
from audit_emit._archive.state import parsed, trusted
from audit_emit._format.manifest import LONGEST, Manifest, Packed
from audit_emit._objects.bucket import Bucket, Stored
from audit_emit._objects.first import first_version
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import ArchiveError, ObjectStoreError

_ENCRYPTED = {"s3": ("AES256",), "kms": ("aws:kms", "aws:kms:dsse")}
_ANOTHER = "find out who put it there, and archive to another prefix"
_SKEW = 86_400
"""Seconds by which a lock may end earlier than was asked: stores round, and so do clocks."""


class Puts:
    """Puts the objects of one log.

    Args:
        bucket: where to.
        ring: the keys whose manifests are trusted.
        now_ns: the wall clock, for the end of locks.
    """

    def __init__(self, bucket: Bucket, ring: KeyRing, now_ns: Callable[[], int]) -> None:
        self._bucket = bucket
        self._ring = ring
        self._now_ns = now_ns

    def object(self, of: Manifest, name: str, body: IO[bytes], sizes: Sizes) -> Packed:
        """Put a packed part; an existing object is accepted if it holds the same bytes.

        Raises:
            ArchiveError: ``conflict``: there is another one.
            ObjectStoreError: see ``Bucket.put``.
        """
        part = Packed(name, "", *sizes)
        key = of.key_of(part)
        try:
            version = self._bucket.put(key, body, sizes.packed_sha256, until=self._until())
        except ObjectStoreError as error:
            if error.reason != "exists":
                raise
            return self._found(key, part)
        return msgspec.structs.replace(part, version=version)

    def _found(self, key: str, part: Packed) -> Packed:
        """An existing object, whose unpacked bytes must be these, whatever version packed it."""
        stored = self._bucket.look_at(key)
        if stored is None:
            raise ArchiveError(
                "conflict", f"{key} exists for some requests and not for others; run it again"
            )
        found = read_part(self._bucket, key, stored.version, part.name, most=part.size)
        if (found.size, found.sha256) != (part.size, part.sha256):
            raise ArchiveError(
                "conflict",
                f"{key} is there and holds something else; {_ANOTHER}",
            )
        return Packed(part.name, stored.version, *found)

    def manifest(self, made: Manifest, last: Manifest | None) -> tuple[Manifest, str]:
        """Put a manifest; an existing one is accepted if a trusted key signed it for this place.

        Returns:
            The manifest that is in the store now, and its version.

        Raises:
            ArchiveError: there is another one.
            ObjectStoreError: see ``Bucket.put``.
        """
        data = made.to_bytes()
        if len(data) > LONGEST:
            raise ArchiveError("manifest", f"{made.key}: it has more than {LONGEST} bytes")
        try:
            version = self._bucket.put(
                made.key, io.BytesIO(data), _sha256(data), until=self._until()
            )
        except ObjectStoreError as error:
            if error.reason != "exists":
                raise
            return self._other(made, last)
        return made, version

    def _other(self, made: Manifest, last: Manifest | None) -> tuple[Manifest, str]:
        """The manifest that another archiver, or this one before it was killed, put there."""
        version = first_version(self._bucket, made.key)
        try:
            other = parsed(made.key, self._bucket.small(made.key, version))
            trusted(other, self._ring)
        except ArchiveError as error:
            raise ArchiveError("conflict", f"{error}; {_ANOTHER}") from None
        follows = other.previous == (last.digest() if last else "")
        same = other.last_seq != made.last_seq or other.last_hash == made.last_hash
        if not follows or other.prev_hash != made.prev_hash or not same:
            raise ArchiveError("conflict", f"{made.key} is of another log; {_ANOTHER}")
        return other, version

    def confirm(self, made: Manifest, version: str) -> None:
        """Ask the store whether it has the objects of a manifest, locked and encrypted as wanted.

        Raises:
            ArchiveError: ``unconfirmed``: it has not.
            ObjectStoreError: it gives no answer.
        """
        for part in made.parts:
            self._confirm(made.key_of(part), part.version, part.packed_size, part.packed_sha256)
        data = made.to_bytes()
        self._confirm(made.key, version, len(data), _sha256(data))

    def _confirm(self, key: str, version: str, size: int, digest: str) -> None:
        stored = self._bucket.look_at(key, version)
        if stored is None:
            raise ArchiveError("unconfirmed", f"{key}: the store accepted it, and does not have it")
        why = self._wrong(stored, size, digest)
        if why:
            raise ArchiveError("unconfirmed", f"{key}: {why}")

    def _wrong(self, stored: Stored, size: int, digest: str) -> str:
        settings = self._bucket.settings
        if stored.size != size:
            return f"the store has {stored.size} bytes of {size}"
        if stored.sha256 and stored.sha256 != digest:
            return "the store has other bytes"
        if settings.encryption and stored.encryption not in _ENCRYPTED[settings.encryption]:
            return "it is not encrypted as AUDIT_EMIT_ARCHIVE_ENCRYPTION says"
        if settings.lock and (
            stored.mode != settings.lock or stored.until < self._locked_until() - _SKEW
        ):
            return "it is not locked as AUDIT_EMIT_ARCHIVE_LOCK says"
        return ""

    def _until(self) -> datetime | None:
        if not self._bucket.settings.lock:
            return None
        return datetime.fromtimestamp(int(self._locked_until()), UTC)

    def _locked_until(self) -> float:
        days = timedelta(days=self._bucket.settings.lock_days)
        return self._now_ns() / 1e9 + days.total_seconds()


def _sha256(data: bytes) -> str:
    from hashlib import sha256  # noqa: PLC0415

    return sha256(data).hexdigest()
