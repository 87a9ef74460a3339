"""The checksum of the sources of the compiled part: a build keeps it, and an import compares it.

In a source tree that is installed in place (``pip install --editable``), the sources may change
after the build. ``hatch_build.py`` loads this file alone, so it imports nothing of the package.
"""

from __future__ import annotations

import os
from zlib import crc32

__all__ = ["digest"]


def digest(directory: str) -> str:
    """The checksum of the C sources in a directory; an empty text where there are none.

    It tells versions of one source tree apart; it does not protect against manipulation.

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
    """Whether a file is a C source, and not a temporary file of an editor (``.#plain.c``)."""
    return name.endswith((".c", ".h")) and not name.startswith(".")
