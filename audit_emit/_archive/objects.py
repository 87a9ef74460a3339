"""The content of an archived object: fetched, compared with what it should be, and unpacked."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from audit_emit._archive.packing import Sizes, copied
from audit_emit._format.manifest import Manifest, Packed
from audit_emit._objects.bucket import Bucket
from audit_emit._readers.archived.fetching import altered, named_by_manifest
from audit_emit._readers.files.logfiles import LogFile
from audit_emit._readers.files.packing import broken, unpacked
from audit_emit._runtime.files import naming
from audit_emit.errors import ArchiveError

_BLOCK = 256 * 1024
_SPARE = 1 << 20
"""Bytes by which incompressible data may grow when it is packed."""


def read_part(
    bucket: Bucket,
    key: str,
    version: str,
    name: str,
    *,
    most: int,
    take: Callable[[bytes], object] = bool,
) -> Sizes:
    """Fetch an object, and unpack it.

    Args:
        name: its last part says how it is packed.
        most: unpacked bytes; more cannot be what is looked for.
        take: called with the unpacked bytes, block by block.

    Raises:
        ArchiveError: it is damaged, or longer.
        ObjectStoreError: the store gives no answer.
        OSError: the temporary directory is full.
    """
    with tempfile.TemporaryFile() as file:
        with naming(tempfile.gettempdir()):
            packed_sha256 = bucket.fetch(key, version, file, most + _SPARE)
            packed_size = file.tell()
            file.flush()
        size, digest = copied(_plain(file, name, key, most), take)
    return Sizes(size, digest, packed_size, packed_sha256)


def checked_part(
    bucket: Bucket, of: Manifest, part: Packed, take: Callable[[bytes], object] = bool
) -> None:
    """Read a part of the archive, which must be what its manifest says.

    Args:
        take: called with the unpacked bytes as they come, before all of them are known to be right.

    Raises:
        ArchiveError: ``missing`` or ``altered``: it is gone, or something else.
        ObjectStoreError: the store gives no answer.
    """
    key = of.key_of(part)
    with named_by_manifest(key):
        found = read_part(bucket, key, part.version, part.name, most=part.size, take=take)
    if found != Sizes(part.size, part.sha256, part.packed_size, part.packed_sha256):
        raise altered(key)


def _plain(file: IO[bytes], name: str, key: str, most: int) -> Iterator[bytes]:
    packed = "gzip" if name.endswith(".gz") else "zstd"
    left = most
    try:
        with _stream(file, packed, name) as stream:
            while data := stream.read(_BLOCK):
                left -= len(data)
                if left < 0:
                    raise ArchiveError("altered", f"{key}: it has more than {most} bytes")
                yield data
    except broken():  # also data that needs more memory to unpack than this package's own ever does
        raise ArchiveError("altered", f"{key}: it cannot be unpacked") from None


@contextmanager
def _stream(file: IO[bytes], packed: str, name: str) -> Iterator[Any]:
    descriptor = file.fileno()
    size = os.fstat(descriptor).st_size
    with unpacked(LogFile(name, (0, 0), size, packed), descriptor) as stream:
        yield stream
