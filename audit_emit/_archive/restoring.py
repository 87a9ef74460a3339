"""Restores an archived log, or a part of it, as files in a directory that ``verify`` can read."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import IO, NamedTuple

from audit_emit._archive.objects import checked_part
from audit_emit._format.manifest import Manifest, Packed, with_records
from audit_emit._objects.bucket import Bucket
from audit_emit._readers.archived.manifests import Cold
from audit_emit._readers.archived.reader import ArchivedReader
from audit_emit._readers.files.quarantine import ENDING, QUARANTINE
from audit_emit._runtime.atomic import named_when_whole
from audit_emit._runtime.files import naming, sync_directory
from audit_emit._stores.jsonl.directory import FILE_MODE, Layout, make_directory

_BLOCK = 1 << 20


class Restored(NamedTuple):
    """What was written.

    Attributes:
        written: segments that were fetched.
        kept: segments that were there already, with the right bytes.
        first, last: the records that are there now.
    """

    written: int
    kept: int
    first: int
    last: int


def restore(
    bucket: Bucket,
    cold: Cold,
    directory: str,
    progress: Callable[[int, int], None] | None = None,
) -> Restored:
    """Write segments and checkpoints. It can be interrupted, and done again.

    The archive ends before the log did. So the last checkpoint is the seal of the last manifest,
    and the active segment is empty.

    Args:
        cold: the manifests of the wanted batches, consecutive, at least one.
        directory: made if it is not there; holds no other log.
        progress: called with the number of bytes written, and of all bytes.

    Raises:
        ArchiveError: an object is not what its manifest says.
        ObjectStoreError: the store gives no answer.
        FileExistsError: there is something else in the directory.
        OSError: something cannot be written.
    """
    manifests = with_records(cold.manifests)
    make_directory(directory)
    layout = Layout.of(os.path.join(directory, "audit.jsonl"))
    _refuse_others(layout, manifests)
    total = sum(one.object.size for one in manifests)
    done = written = kept = 0
    for one in manifests:
        path = layout.closed(one.first_seq)
        part = one.object
        if _is_there(path, part):
            kept += 1
        else:
            _write(path, partial(_fetch, bucket, one, part))
            written += 1
        done += part.size
        if progress is not None:
            progress(done, total)
    _restore_moved(bucket, manifests, os.path.join(directory, QUARANTINE))
    for one in manifests:
        if one.checkpoints is not None:
            checked_part(bucket, one, one.checkpoints)
    _write(os.path.join(directory, "checkpoints.jsonl"), lambda file: _checkpoints(cold, file))
    if not os.path.lexists(layout.active):
        _write(layout.active, lambda _: None)
    sync_directory(directory)
    return Restored(written, kept, manifests[0].first_seq, manifests[-1].last_seq)


def _fetch(bucket: Bucket, of: Manifest, part: Packed, file: IO[bytes]) -> None:
    checked_part(bucket, of, part, file.write)


def _restore_moved(bucket: Bucket, manifests: Sequence[Manifest], place: str) -> None:
    """Restore the bytes in ``quarantine/``, named by their content, as their names are not kept."""
    for one in manifests:
        for part in one.moved:
            make_directory(place)
            path = os.path.join(place, f"{part.sha256}{ENDING}")
            if not _is_there(path, part):
                _write(path, partial(_fetch, bucket, one, part))


def _refuse_others(layout: Layout, manifests: Sequence[Manifest]) -> None:
    """Refuse a directory with files of another log, or of this one while a service writes it."""
    own = {os.path.basename(layout.closed(one.first_seq)) for one in manifests}
    own |= {"checkpoints.jsonl", "audit.jsonl"}
    if any(one.moved for one in manifests):
        own.add(QUARANTINE)
    for name in os.listdir(layout.directory):
        path = os.path.join(layout.directory, name)
        busy = name == "audit.jsonl" and os.path.getsize(path)
        if busy or (name not in own and not name.endswith(".part")):
            raise FileExistsError(
                errno.EEXIST, "is in the way; name a new directory, or an empty one", path
            )


def _is_there(path: str, part: Packed) -> bool:
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size != part.size:
                return False
            digest = sha256()
            while data := file.read(_BLOCK):
                digest.update(data)
    except FileNotFoundError:
        return False
    return digest.hexdigest() == part.sha256


def _write(path: str, fill: Callable[[IO[bytes]], object]) -> None:
    """Write a file that gets its name once it is complete and synced; on failure nothing is left.

    Raises:
        OSError: it cannot be written; the error names it.
    """
    part = f"{path}.part"
    with suppress(FileNotFoundError):
        os.unlink(part)
    with (
        naming(path),
        named_when_whole(part, path, FILE_MODE) as descriptor,
        open(descriptor, "wb", closefd=False) as file,  # flushed before the descriptor is synced
    ):
        fill(file)


def _checkpoints(cold: Cold, file: IO[bytes]) -> None:
    with ArchivedReader(cold) as reader:
        for line in reader.checkpoints() or ():
            file.write(line.line + b"\n")
