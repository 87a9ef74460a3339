"""One bucket: conditional puts with checksums, reads by version, locks and legal holds.

botocore, the part of boto3 that speaks the protocol, is imported when the first bucket is opened.
It finds credentials by itself. Its own checksums are left out (``when_required``): stores other
than Amazon's refuse the requests that have them. Nothing is decided by an ETag, which is no digest
of the content in general.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cache
from hashlib import md5, sha256
from typing import IO, Any, NamedTuple, Self

from audit_emit._objects.failures import NOT_UNDERSTOOD, failure_of, words_of
from audit_emit._objects.first_contact import FirstContact
from audit_emit._settings.archive import ArchiveSettings
from audit_emit.errors import ConfigError, ObjectStoreError

BLOCK = 256 * 1024
_ATTEMPTS = 4
_CONNECT_SECONDS = 3.0
"""For one attempt: an address that swallows packets is tried several times before it is told."""
_CONFLICTS = 5
_PAUSE = 0.2
_MODES = {"governance": "GOVERNANCE", "compliance": "COMPLIANCE"}


class Stored(NamedTuple):
    """What the store says of an object.

    Attributes:
        size: in bytes.
        version: empty where the bucket keeps no versions.
        sha256: 64 hex digits; empty where the store does not tell it.
        mode: of the lock, in lower case; empty without one.
        until: seconds since 1970 up to which it is locked; 0 without a lock.
        hold: whether it is under a legal hold.
        encryption: as S3 names it (``AES256``, ``aws:kms``); empty where it is not told.
    """

    size: int
    version: str
    sha256: str = ""
    mode: str = ""
    until: float = 0.0
    hold: bool = False
    encryption: str = ""


class Version(NamedTuple):
    """One version of a key.

    Attributes:
        deleted: it is a marker, under which the object still is.
        at: when it was put, in seconds since 1970.
    """

    key: str
    version: str
    size: int
    latest: bool
    deleted: bool
    at: float = 0.0


class Protection(NamedTuple):
    """Whether a bucket keeps versions, and whether its objects can be locked."""

    versions: bool
    lock: bool


class Bucket:
    """The objects below the prefix of the settings; a key is given without the prefix.

    Raises:
        ModuleNotFoundError: boto3, with which it comes, is not installed.
        ConfigError: boto3 cannot use the settings.
    """

    def __init__(self, settings: ArchiveSettings) -> None:
        self.settings = settings
        self._client = _client(settings)
        self._of = {"Bucket": settings.bucket}
        if settings.owner:
            # A bucket that was deleted can be made again by anybody, under the same name.
            self._of["ExpectedBucketOwner"] = settings.owner

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # Writing.

    def put(self, key: str, body: IO[bytes], digest: str, *, until: datetime | None = None) -> str:
        """Put a new object, and give its version; what is there under this key is never replaced.

        Args:
            body: read from its beginning to its end, several times if need be.
            digest: its SHA-256, 64 hex digits.
            until: up to when it is locked, where the settings say so.

        Raises:
            ObjectStoreError: ``exists``: there is an object; others as ``failure_of`` says.
        """
        arguments = {"Key": self._key(key), "IfNoneMatch": "*", "Body": body}
        arguments |= self._checksum(body, digest) | self._encryption()
        if until is not None:
            arguments["ObjectLockMode"] = _MODES[self.settings.lock]
            arguments["ObjectLockRetainUntilDate"] = until
        for attempt in range(_CONFLICTS):
            body.seek(0)
            try:
                answer = self._ask("put_object", key, **arguments)
                with self._told("put_object", key):
                    return _version(answer)
            except ObjectStoreError as error:
                # Another put of the same key is under way; when it has ended, one of them exists.
                if error.reason != "conflict" or attempt == _CONFLICTS - 1:
                    raise
                time.sleep(_PAUSE * 2**attempt)
        raise AssertionError  # the last attempt raises

    def _checksum(self, body: IO[bytes], digest: str) -> dict[str, Any]:
        if self.settings.checksum == "none":
            return {}
        if self.settings.checksum == "md5":
            return {"ContentMD5": base64.b64encode(_md5(body)).decode()}
        return {"ChecksumSHA256": base64.b64encode(bytes.fromhex(digest)).decode()}

    def _encryption(self) -> dict[str, Any]:
        if not self.settings.encryption:
            return {}
        if self.settings.encryption == "s3":
            return {"ServerSideEncryption": "AES256"}
        key = {"SSEKMSKeyId": self.settings.kms_key} if self.settings.kms_key else {}
        return {"ServerSideEncryption": "aws:kms", **key}

    def hold(self, key: str, version: str, *, on: bool) -> None:
        """Put a legal hold on a version, or lift it.

        Raises:
            ObjectStoreError: see ``failure_of``.
        """
        pinned = {"VersionId": version} if version else {}
        status = {"Status": "ON" if on else "OFF"}
        self._ask("put_object_legal_hold", key, Key=self._key(key), LegalHold=status, **pinned)

    # Reading.

    def look_at(self, key: str, version: str = "") -> Stored | None:
        """What the store says of an object; ``None`` where there is none.

        Raises:
            ObjectStoreError: see ``failure_of``.
        """
        pinned = {"VersionId": version} if version else {}
        try:
            answer = self._ask(
                "head_object", key, Key=self._key(key), ChecksumMode="ENABLED", **pinned
            )
        except ObjectStoreError as error:
            if error.reason == "not-found":
                return None
            raise
        with self._told("head_object", key):
            return _stored(answer)

    def read(self, key: str, version: str = "") -> Iterator[bytes]:
        """The bytes of an object, in blocks.

        Raises:
            ObjectStoreError: ``not-found``, ``cut`` (it ended too early), or another reason.
        """
        pinned = {"VersionId": version} if version else {}
        answer = self._ask("get_object", key, Key=self._key(key), **pinned)
        with closing(answer["Body"]) as body, self._told("get_object", key):
            left = int(answer.get("ContentLength", -1))
            while data := body.read(BLOCK):
                left -= len(data)
                yield data
        if left > 0:
            raise ObjectStoreError("cut", f"{self._shown(key)}: the answer ended too early")

    def fetch(self, key: str, version: str, target: IO[bytes], most: int) -> str:
        """Copy an object into a file; the SHA-256 of what came.

        Args:
            most: bytes; what is longer cannot be what is looked for, and is not read on.

        Raises:
            ObjectStoreError: see ``read``; ``too-long``.
        """
        digest, size = sha256(), 0
        for data in self.read(key, version):
            size += len(data)
            if size > most:
                raise ObjectStoreError(
                    "too-long", f"{self._shown(key)}: it has more than {most} bytes"
                )
            digest.update(data)
            target.write(data)
        return digest.hexdigest()

    def small(self, key: str, version: str = "", *, most: int = 64 * 1024) -> bytes:
        """A small object as a whole.

        Raises:
            ObjectStoreError: see ``fetch``.
        """
        found = bytearray()
        for data in self.read(key, version):
            found += data
            if len(found) > most:
                raise ObjectStoreError(
                    "too-long", f"{self._shown(key)}: it has more than {most} bytes"
                )
        return bytes(found)

    def names(self, below: str = "") -> Iterator[str]:
        """The keys that begin with this, in the order of their bytes.

        Raises:
            ObjectStoreError: see ``failure_of``.
        """
        for page in self._pages("list_objects_v2", below):
            for one in page.get("Contents", ()):
                yield self._bare(one["Key"])

    def versions(self, below: str = "") -> Iterator[Version]:
        """Every version of the keys that begin with this.

        Raises:
            ObjectStoreError: see ``failure_of``.
        """
        for page in self._pages("list_object_versions", below):
            with self._told("list_object_versions", below):
                found = [
                    Version(
                        self._bare(one["Key"]),
                        _version(one),
                        int(one.get("Size", 0)),
                        bool(one.get("IsLatest")),
                        deleted,
                        one["LastModified"].timestamp(),
                    )
                    for name, deleted in (("Versions", False), ("DeleteMarkers", True))
                    for one in page.get(name, ())
                ]
            yield from found

    def protection(self) -> Protection:
        """What the bucket does against changes.

        Raises:
            ObjectStoreError: see ``failure_of``.
        """
        versions = self._ask("get_bucket_versioning", "").get("Status") == "Enabled"
        try:
            answer = self._ask("get_object_lock_configuration", "")
        except ObjectStoreError as error:
            if error.reason not in {"no-lock", "not-found"}:
                raise
            return Protection(versions, lock=False)
        found = answer.get("ObjectLockConfiguration", {})
        return Protection(versions, found.get("ObjectLockEnabled") == "Enabled")

    # What all of them need.

    def _pages(self, operation: str, below: str) -> Iterator[dict[str, Any]]:
        prefix = self._key(below) if below else f"{self.settings.prefix}/".lstrip("/")
        with self._told(operation, below):
            pages = self._client.get_paginator(operation)
            yield from pages.paginate(Prefix=prefix, **self._of)

    def _ask(self, operation: str, key: str, **arguments: Any) -> dict[str, Any]:
        with self._told(operation, key):
            answer: dict[str, Any] = getattr(self._client, operation)(**self._of, **arguments)
        return answer

    @contextmanager
    def _told(self, operation: str, key: str) -> Iterator[None]:
        import botocore.exceptions as theirs  # noqa: PLC0415 - boto3 is there
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - botocore brings it

        try:
            yield
        except (theirs.BotoCoreError, theirs.ClientError, HTTPError, *NOT_UNDERSTOOD) as error:
            owner = self.settings.owner
            at = self._client.meta.endpoint_url
            raise failure_of(error, operation, self._shown(key), owner=owner, at=at) from None

    def _key(self, key: str) -> str:
        return self.settings.at(key)

    def _bare(self, key: str) -> str:
        return key.removeprefix(f"{self.settings.prefix}/") if self.settings.prefix else key

    def _shown(self, key: str) -> str:
        return f"{self.settings.shown}/{key}".rstrip("/")


def _client(settings: ArchiveSettings) -> Any:
    import botocore.exceptions as theirs  # noqa: PLC0415 - of an extra
    from botocore.config import Config  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    config = Config(
        signature_version="s3v4",
        connect_timeout=min(_CONNECT_SECONDS, settings.timeout),
        read_timeout=settings.timeout,
        retries={"mode": "standard", "max_attempts": _ATTEMPTS},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if settings.path_style else "auto"},
    )
    try:
        # A session of our own: the one that boto3 shares is not for several threads. It is that of
        # botocore, as boto3 would first load what it has for files and resources.
        session = Session()
        session.register_component("data_loader", _loader())
        client = session.create_client(
            "s3",
            endpoint_url=settings.endpoint or None,
            region_name=settings.region or None,
            config=config,
        )
    except (theirs.BotoCoreError, ValueError) as error:
        raise ConfigError("archive", f"boto3 cannot use it: {words_of(error)[1]}") from None
    client.meta.events.register_first("needs-retry.s3", FirstContact())
    return client


@cache
def _loader() -> Any:
    """What has read the description of S3, which takes most of the time that a client takes.

    Forked children get it from their parent; it holds no connection, and no credentials.
    """
    from botocore.session import Session  # noqa: PLC0415 - boto3 is there

    return Session().get_component("data_loader")


def _md5(body: IO[bytes]) -> bytes:
    body.seek(0)
    made = md5(usedforsecurity=False)
    while data := body.read(BLOCK):
        made.update(data)
    return made.digest()


def _version(answer: dict[str, Any]) -> str:
    """``null`` is what S3 calls the one version of a bucket that keeps none.

    Raises:
        ValueError: it is no name of a version; manifests would hold it.
    """
    found = str(answer.get("VersionId") or "")
    if len(found) > 1024 or not (found.isascii() and found.isprintable()):
        raise ValueError("no version")
    return "" if found == "null" else found


def _stored(answer: dict[str, Any]) -> Stored:
    until = answer.get("ObjectLockRetainUntilDate")
    told = answer.get("ChecksumSHA256") or ""
    return Stored(
        int(answer.get("ContentLength", -1)),
        _version(answer),
        base64.b64decode(told).hex() if len(told) == 44 else "",
        str(answer.get("ObjectLockMode") or "").lower(),
        until.timestamp() if until is not None else 0.0,
        answer.get("ObjectLockLegalHoldStatus") == "ON",
        str(answer.get("ServerSideEncryption") or ""),
    )
