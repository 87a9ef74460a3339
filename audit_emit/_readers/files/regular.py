"""Opening a file that must be a regular one: no link is followed, no pipe is waited for."""

from __future__ import annotations

import errno
import os
import stat

from audit_emit.errors import NotRegularError


def open_regular(path: str) -> int:
    """A descriptor of a regular file, for reading. Nothing is waited for.

    Raises:
        NotRegularError: it is a symbolic link, or no file.
        OSError: it cannot be read, or is a directory.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP and os.path.islink(path):
            why = "is a symbolic link, which is not followed; name the file that it points to"
            raise NotRegularError(errno.ELOOP, why, path) from None
        if error.errno in {errno.ENXIO, errno.EOPNOTSUPP}:
            raise NotRegularError(errno.ENXIO, "is not a regular file", path) from None
        raise
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "Is a directory", path)
    raise NotRegularError(errno.ENXIO, "is not a regular file; a pipe is read as -", path)
