"""Writing to files of this library."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from audit_emit._runtime.interrupts import let_through

__all__ = ["naming", "sync_directory", "write_all"]

_DIRECTORY = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_NONBLOCK", 0)
)
_FAILURES = frozenset({errno.EIO, errno.ENOSPC, errno.EDQUOT})
"""Errors of a disk. Any other error means that the file system cannot sync directories."""


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Add a path to an ``OSError`` that has none, as those of ``os.write`` and ``os.fsync``."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = path
        raise


def write_all(descriptor: int, data: bytes) -> None:
    """Write bytes to a blocking descriptor, in as many calls as the system needs.

    Raises:
        OSError: a part of the data was not written.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: str, *, must: bool = False) -> None:
    """Make the names in a directory durable, if the file system can.

    Args:
        must: raise if the file system can but has failed.

    Raises:
        OSError: with ``must``, the disk is broken or full.
    """
    try:
        descriptor = os.open(path, _DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        let_through(error)
        if must and error.errno in _FAILURES:
            raise
