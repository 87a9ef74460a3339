"""A short secret in a file: a PIN, a token. It is read anew for each use, as it may be rotated."""

from __future__ import annotations

import os
import stat

from audit_emit._runtime.words import why_not_opened

_LONGEST = 4096


def read_secret(path: str) -> str:
    """The first line of a file that nobody else can read or change.

    Raises:
        ValueError: it is not like that; the message shows neither the path nor what is in it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise ValueError(f"its secret cannot be read: {why_not_opened(error)}") from None
    try:
        found = os.fstat(descriptor)
        content = os.read(descriptor, _LONGEST) if stat.S_ISREG(found.st_mode) else b""
    except OSError as error:
        raise ValueError(f"its secret cannot be read: {why_not_opened(error)}") from None
    finally:
        os.close(descriptor)
    if found.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise ValueError(
            "others can read or change its secret; the mode must be 0600, 0640 or less"
        )
    line = content.partition(b"\n")[0].strip()
    if not line or not line.isascii():
        raise ValueError("the file of its secret holds none")
    return line.decode()
