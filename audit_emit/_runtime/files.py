"""Writing to files of our own."""

from __future__ import annotations

import os

__all__ = ["write_all"]


def write_all(descriptor: int, data: bytes) -> None:
    """Write bytes to a blocking descriptor, in as many calls as the system needs.

    Raises:
        OSError: a part of the data was not written.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
