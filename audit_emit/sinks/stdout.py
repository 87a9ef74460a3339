"""``audit: {…}`` on standard output, for a shipper to read (docs/wire-format.md, section 3).

The copy for search. A line is written whole or not at all, and never waits for its reader; what
is not written is counted, and declared in the chain once the reader is back.
"""

from __future__ import annotations

from audit_emit import record
from audit_emit.sinks.descriptor import Descriptor

PREFIX = b"audit: "


class StdoutSink:
    """Lines on descriptor 1.

    Args:
        max_bytes: bytes of the longest line, prefix and newline included. Up to ``PIPE_BUF`` (4096)
            lines of several processes on one pipe never interleave.
    """

    def __init__(self, max_bytes: int) -> None:
        self._room = max_bytes - len(PREFIX)
        self._out = Descriptor(1)

    @property
    def kind(self) -> str:
        """What descriptor 1 is: ``pipe``, ``socket``, ``file``, ``terminal``, ``device``."""
        return self._out.kind

    @property
    def fault(self) -> str | None:
        """Why the last line was not written; ``None`` when it was."""
        return self._out.fault

    def write(self, line: bytes) -> bool:
        """Write one record line, or its stub when it is too long.

        Returns:
            Whether it was written.
        """
        if len(line) > self._room:
            line = record.stub(line, self._room)
        return self._out.write(PREFIX + line)

    def close(self) -> None:
        """Give the duplicate of descriptor 1 back."""
        self._out.close()
