"""Whole lines of a log, from the blocks of any reader."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator

from audit_emit._format.line_splitter import Lines
from audit_emit._readers.base import MISSING, Block, Flaw


def whole_lines_of(items: Iterable[Block | Flaw]) -> Iterator[bytes]:
    """Blocks of whole lines, with their newlines.

    Lines that are too long to be records, and those without an end, are left out.

    Args:
        items: what ``blocks`` or ``since`` of a reader gives.

    Raises:
        OSError: a part is damaged, so that an answer without it would be wrong.
    """
    lines, part = Lines(), ""
    for item in items:
        if isinstance(item, Flaw):
            if item.kind != MISSING:
                raise OSError(errno.EIO, item.note, item.part)
            continue
        if item.part != part or not item.offset:
            lines.rest()
            part = item.part
        for block in lines.feed(item.data):
            if isinstance(block, bytes):
                yield block
