"""Writing to files of our own."""

from __future__ import annotations

import os

from audit_emit._runtime.interrupts import let_through

__all__ = ["sync_directory", "write_all"]

_DIRECTORY = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_NONBLOCK", 0)
)


def write_all(descriptor: int, data: bytes) -> None:
    """Write bytes to a blocking descriptor, in as many calls as the system needs.

    Raises:
        OSError: a part of the data was not written.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: str) -> None:
    """Make the names in a directory durable; a file system that cannot is left alone."""
    try:
        descriptor = os.open(path, _DIRECTORY)
    except OSError as error:
        let_through(error)
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        let_through(error)
    finally:
        os.close(descriptor)
