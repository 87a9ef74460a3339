"""Writes files so that after a crash they are whole, or as they were before."""

from __future__ import annotations

import os
from contextlib import suppress

from audit_emit._readers.files.regular import open_regular
from audit_emit._runtime.atomic import replace_file
from audit_emit._runtime.files import sync_directory, write_all
from audit_emit._stores.jsonl.directory import FILE_MODE, open_file


def replace(path: str, data: bytes) -> None:
    """Replace a file, atomically and durably. Several processes may do so at the same time.

    Raises:
        OSError: the file is still the previous one, or the new one is perhaps not durable.
    """
    replace_file(path, data, mode=FILE_MODE)


def append(path: str, data: bytes, *, alone: bool = False) -> None:
    """Add whole lines to a file, durably; one that is not there is made.

    A line that a crash cut off stays as it is: what is added begins on a new line.

    Args:
        path: of the file.
        data: the lines.
        alone: nobody else adds to it now, so a part of them that was written is taken back.

    Raises:
        OSError: they were not added, or are perhaps not durable.
    """
    is_new = not os.path.lexists(path)
    descriptor = open_file(path, append=True)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        try:
            write_all(descriptor, (b"\n" if torn else b"") + data)
        except OSError:
            if alone:
                with suppress(OSError):
                    os.ftruncate(descriptor, size)
            raise
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        sync_directory(os.path.dirname(path), must=True)


def content(path: str, most: int) -> bytes | None:
    """The bytes of a regular file; ``None`` where there is none.

    Raises:
        OSError: it cannot be read, or is no regular file.
        ValueError: it has more bytes than ``most``.
    """
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{path} has more than {most} bytes")
    return data
