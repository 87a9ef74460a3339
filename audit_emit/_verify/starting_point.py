"""Where verification begins, if not with the first record. Pure."""

from __future__ import annotations

import re

from audit_emit._format.line_splitter import placed_lines
from audit_emit._format.link import TS, link_of
from audit_emit._verify.chain_position import Branch


class Beginning:
    """Skips lines up to the first record that was asked for.

    Args:
        seq: its number, at least.
        since: its ``ts``, at least.
    """

    def __init__(self, seq: int, since: str) -> None:
        self.waiting = seq > 1 or bool(since)
        """Whether it did not come yet."""
        self.passed = Branch("", 0)
        """The last record that was passed over: its chain and number are as it says."""
        self._seq = seq
        self._since = since

    def look(self, block: bytes) -> tuple[int, re.Match[bytes] | None]:
        """Skip lines.

        Args:
            block: whole lines, with their newlines.

        Returns:
            How many bytes are skipped, and the link of the record with which to begin.
        """
        for end, line in placed_lines(block):
            link = link_of(line)
            if link is not None:
                if self._begins(line, int(link[2])):
                    self.waiting = False
                    return end - len(line) - 1, link
                self.passed = Branch(link[1].decode(), int(link[2]))
        return len(block), None

    def _begins(self, line: bytes, seq: int) -> bool:
        return seq >= self._seq and line[TS].decode("latin-1") >= self._since
