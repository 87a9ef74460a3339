"""Files that get their name only when complete: readers see the old or the new content, no part."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from audit_emit._runtime.files import naming, sync_directory, write_all

__all__ = ["named_when_whole", "replace_file"]


def unique() -> str:
    """A part of a file name that no other process uses."""
    return secrets.token_hex(4)


def replace_file(path: str | os.PathLike[str], data: bytes, *, mode: int = 0o600) -> None:
    """Replace a file, durably. Several processes may do so at the same time.

    Raises:
        OSError: it cannot be written, and the old content stays; or the new may not be durable.
    """
    path = os.fspath(path)
    fresh = f"{path}.{unique()}.new"  # a name of its own: another process may be writing, too
    with naming(path), named_when_whole(fresh, path, mode) as descriptor:
        write_all(descriptor, data)
    sync_directory(os.path.dirname(path) or ".", must=True)


@contextmanager
def named_when_whole(fresh: str, path: str, mode: int) -> Iterator[int]:
    """A descriptor to write a file with, which is synced and gets its name at the end of the block.

    If the block or a step after it fails, the file is removed. The directory is not synced.

    Args:
        fresh: its name until then, in the same directory, which no file has.
        mode: its permissions, without those that the umask removes.

    Raises:
        OSError: it cannot be made, synced or renamed.
    """
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(fresh, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(fresh)
        raise
