"""Finds out, before the first record, whether a log could be written, and if not, why."""

from __future__ import annotations

import errno
import os
import stat

from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.nonblocking_fd import error_word
from audit_emit._stores.jsonl.directory import Layout, is_there

__all__ = ["obstacle"]


def obstacle(layout: Layout) -> str | None:
    """What would keep a process that has nothing open yet from writing a log, as one word.

    Nothing is made or changed. What only writing shows (a full disk, a lock that is held) is not
    seen; nor can this user's rights be known for sure everywhere (NFS).

    Returns:
        The name of an errno, as ``health`` tells it; ``None`` where nothing is in the way.
    """
    try:
        missing = False
        for path in (layout.active, layout.lock):
            missing = not _is_writable_file(path) or missing
        _look_at_directory(layout.directory, writes=missing)
    except OSError as error:
        let_through(error)
        return error_word(error)
    return None


def _is_writable_file(path: str) -> bool:
    """Whether there is a file that can be opened; ``False`` where there is none yet."""
    try:
        mode = os.stat(path, follow_symlinks=False).st_mode
    except FileNotFoundError as error:
        let_through(error)
        return False
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, "a symbolic link")
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "a directory")
    if not stat.S_ISREG(mode):
        raise OSError("no regular file")
    _demand(path, os.R_OK | os.W_OK)
    return True


def _look_at_directory(path: str, *, writes: bool) -> None:
    """Whether files can be made in a directory, or the directory itself."""
    while True:
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError as error:
            let_through(error)
            if is_there(path):
                raise  # a link to nowhere
            path, writes = os.path.dirname(path), True
            continue
        if not stat.S_ISDIR(mode):
            raise OSError(errno.ENOTDIR, "not a directory")
        _demand(path, os.X_OK | (os.W_OK if writes else 0))
        return


def _demand(path: str, rights: int) -> None:
    effective = os.access in os.supports_effective_ids
    if os.access(path, rights, effective_ids=effective):
        return
    read_only = hasattr(os, "statvfs") and os.statvfs(path).f_flag & os.ST_RDONLY
    raise OSError(errno.EROFS if read_only else errno.EACCES, "no right to")
