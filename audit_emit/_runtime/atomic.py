"""Replacing a small file of our own: there is the old content or the new, whatever happens."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress

from audit_emit._runtime.files import sync_directory, write_all

__all__ = ["replace_file"]


def unique() -> str:
    """A part of a name that no other process takes."""
    return secrets.token_hex(4)


def replace_file(path: str | os.PathLike[str], data: bytes, *, mode: int = 0o600) -> None:
    """Replace a file, durably. Several processes may do so at the same time.

    Raises:
        OSError: it cannot be written, and the one before stays; or it is perhaps not durable.
    """
    path = os.fspath(path)
    fresh = f"{path}.{unique()}.new"  # of nobody else: another one may be writing, too
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(fresh, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(fresh)
        raise
    sync_directory(os.path.dirname(path) or ".", must=True)
