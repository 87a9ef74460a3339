"""``audit: {…}`` on standard output, for a shipper to read (docs/wire-format.md, section 3).

The copy for search. A line is written whole or not at all, and never waits for its reader; what
is not written is counted, and declared in the chain once the reader is back.
"""

from __future__ import annotations

from audit_emit._format.record import stub
from audit_emit._runtime.nonblocking_fd import Descriptor

PREFIX = b"audit: "
NUMBERS = {1: "stdout", 2: "stderr"}


def open_stdout(max_bytes: int, to: bool | str = True) -> Descriptor:
    """Standard output as a sink of record lines; a line that is too long becomes its stub.

    Args:
        max_bytes: bytes of the longest line, prefix and newline included.
        to: ``stderr`` for standard error, where standard output is a protocol's.
    """
    number = 2 if to == "stderr" else 1
    return Descriptor(number, prefix=PREFIX, max_bytes=max_bytes, shorten=stub)
