"""A directory for derived data of a log whose own directory cannot be written.

It is below the system's temporary directory, and only this user can read and write it. Its content
is still checked by whoever reads it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile


def private_directory(of: str) -> str:
    """A directory that only this user can read and write, the same one for the same log each time.

    Args:
        of: the log's directory.

    Raises:
        OSError: it cannot be made, or somebody else made it.
    """
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    above = os.path.join(tempfile.gettempdir(), f"audit_emit-{user}")
    named = hashlib.sha256(os.fsencode(os.path.realpath(of))).hexdigest()[:16]
    path = os.path.join(above, named)
    for each in (above, path):
        try:
            os.mkdir(each, 0o700)
        except FileExistsError:
            found = os.lstat(each)
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != user or found.st_mode & 0o077:
                raise PermissionError(1, "is not a directory of this user alone", each) from None
    return path
