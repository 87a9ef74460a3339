"""Files that have their name only when they are whole: the old content or the new, never a part."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from audit_emit._runtime.files import naming, sync_directory, write_all

__all__ = ["named_when_whole", "replace_file"]


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
    with naming(path), named_when_whole(fresh, path, mode) as descriptor:
        write_all(descriptor, data)
    sync_directory(os.path.dirname(path) or ".", must=True)


@contextmanager
def named_when_whole(fresh: str, path: str, mode: int) -> Iterator[int]:
    """A descriptor to write a file with, which is synced and gets its name at the end of the block.

    Where the block or that fails, nothing is left of it. The directory is not synced.

    Args:
        fresh: its name until then, beside it, which nothing has.
        mode: its permissions, but for those that the umask takes away.

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
