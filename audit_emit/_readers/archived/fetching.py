"""Objects of an archive as temporary files.

An object is copied into a temporary file without a name. It is compared with its manifest before
anything is read of it, so that what is unpacked is what was archived.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial

from audit_emit._format.manifest import Manifest, Packed
from audit_emit._format.record import Head
from audit_emit._objects.bucket import Bucket
from audit_emit._readers.archived.vouching import Vouching
from audit_emit._readers.files.logfiles import LogFile
from audit_emit._runtime.files import naming
from audit_emit._settings.archive import ArchiveSettings
from audit_emit.errors import ArchiveError, ObjectStoreError


def bucket_of(settings: ArchiveSettings) -> Bucket:
    """One bucket for each process: a forked child must not use the connections of its parent."""
    return _bucket(settings, os.getpid())


@lru_cache(maxsize=8)
def _bucket(settings: ArchiveSettings, process: int) -> Bucket:
    del process
    return Bucket(settings)


def cold_file(settings: ArchiveSettings, of: Manifest, vouching: Vouching) -> LogFile:
    """The records of a manifest as a file of a log."""
    part = of.object
    return object_file(settings, of, part, vouching)._replace(
        first_seq=of.first_seq,
        first_ts=of.low_ts,
        first_prev=of.prev_hash,
        end=part.size,
        last=Head(of.chain, of.last_seq, of.last_hash, of.high_ts),
        span=(of.low_ts, of.high_ts),
    )


def object_file(
    settings: ArchiveSettings, of: Manifest, part: Packed, vouching: Vouching
) -> LogFile:
    """An object of a manifest as a file that is kept elsewhere.

    Args:
        vouching: says whether it may be fetched.
    """
    return LogFile(
        path=f"{settings.shown}/{of.key_of(part)}",
        identity=(-1, int(part.packed_sha256[:15], 16)),  # no file of a disk has a device like that
        size=part.packed_size,
        packed="gzip" if part.pack == "gz" else "zstd",
        fetch=partial(fetched, settings, of, part, vouching),
        ahead=partial(_ahead, settings, of, part, vouching),
    )


def fetched(settings: ArchiveSettings, of: Manifest, part: Packed, vouching: Vouching) -> int:
    """A descriptor of a copy of an object, which is the caller's.

    Raises:
        ArchiveError: ``missing`` or ``altered``: it is not what its manifest says; ``unvouched``:
            nobody who is trusted says that it is of the log.
        ObjectStoreError: the store gives no answer.
    """
    vouching.check(of, part)
    return _brought(settings, of.key_of(part), part)


def _ahead(
    settings: ArchiveSettings, of: Manifest, part: Packed, vouching: Vouching
) -> Callable[[], int]:
    """A function that fetches one object in another process, without the other manifests.

    Raises:
        ArchiveError: ``unvouched``.
    """
    vouching.check_ahead(of)
    return partial(_brought, settings, of.key_of(part), part)


def _brought(settings: ArchiveSettings, key: str, part: Packed) -> int:
    with tempfile.TemporaryFile() as file:
        with named_by_manifest(key), naming(tempfile.gettempdir()):
            digest = bucket_of(settings).fetch(key, part.version, file, part.packed_size)
        if (file.tell(), digest) != (part.packed_size, part.packed_sha256):
            raise altered(key)
        with naming(tempfile.gettempdir()):
            file.flush()
        return os.dup(file.fileno())


@contextmanager
def named_by_manifest(key: str) -> Iterator[None]:
    """Turn errors of the store about an object that a manifest names into those of an archive.

    Raises:
        ArchiveError: ``missing`` or ``altered``.
        ObjectStoreError: the store gives no answer.
    """
    try:
        yield
    except ObjectStoreError as error:
        if error.reason == "not-found":
            raise ArchiveError("missing", f"{key}: the object is gone") from None
        if error.reason == "too-long":
            raise altered(key) from None
        raise


def altered(key: str) -> ArchiveError:
    """The error for an object with other bytes than those that were archived."""
    return ArchiveError("altered", f"{key}: it is not what its manifest says")
