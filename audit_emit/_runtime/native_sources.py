"""What the compiled part is made of: its build keeps the digest, and an import compares it.

A source tree that is installed as it stands (``pip install --editable``) changes under its compiled
part. ``hatch_build.py`` loads this file by itself, so it imports nothing of the package.
"""

from __future__ import annotations

import os
from zlib import crc32

__all__ = ["digest"]


def digest(directory: str) -> str:
    """The checksum of the C sources in a directory; an empty text where there are none.

    It tells versions of one source tree apart, and is no proof against anybody.

    Raises:
        OSError: one of them cannot be read.
    """
    try:
        names = sorted(filter(_is_source, os.listdir(directory)))
    except OSError:
        return ""  # a wheel has none, and was built as a whole
    found = 0
    for name in names:
        with open(os.path.join(directory, name), "rb") as file:
            found = crc32(file.read(), found)
    return f"{found:08x}" if names else ""


def _is_source(name: str) -> bool:
    """Whether a file is one, as against what an editor keeps beside it (``.#plain.c``)."""
    return name.endswith((".c", ".h")) and not name.startswith(".")
