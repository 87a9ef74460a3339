"""Standard output as a mirror of the chain: every line after a prefix that shippers look for.

A line that is too long is written as its stub (docs/wire-format.md, section 3). A line that cannot
be written at once is dropped, which the chain declares when the reader is back.
"""

from __future__ import annotations

from audit_emit._format.record import stub
from audit_emit._runtime.nonblocking_fd import Descriptor

PREFIX = b"audit: "
NUMBERS = {1: "stdout", 2: "stderr"}


class StdoutMirror(Descriptor):
    """See ``Mirror``.

    Args:
        max_bytes: bytes of the longest line, prefix and newline included.
        number: 2 for standard error, where standard output is a protocol's.
    """

    def __init__(self, max_bytes: int, number: int = 1) -> None:
        super().__init__(number, prefix=PREFIX, max_bytes=max_bytes, shorten=stub)

    show = Descriptor.write
    after_fork = Descriptor.leave_parent
