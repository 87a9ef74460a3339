"""Replacing a small file of our own: there is the old content or the new, whatever happens."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from audit_emit._runtime.files import write_all

__all__ = ["replace_file"]


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file, durably; mode 0600.

    Raises:
        OSError: it cannot be written; the one before stays.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            os.unlink(temporary)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
