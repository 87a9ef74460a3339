"""The end of a chained record: the one place that knows how it is written.

The compiled part knows it too, for speed (``_native/linked.c``); tests compare the two.
"""

from __future__ import annotations

import re

LINK = re.compile(
    rb',"chain":"([0-9a-f]{16})","seq":([1-9][0-9]{0,18})'
    rb',"prev_hash":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}'
)
"""The end of a chained record: chain, seq, prev_hash, hash."""

LINK_MAX = len(',"chain":"","seq":,"prev_hash":"","hash":""}') + 16 + 19 + 64 + 64
"""The most bytes that it has."""

LINK_MIN = len(',"chain":"","seq":1,"prev_hash":"","hash":""}') + 16 + 64 + 64
"""The fewest bytes that it has."""

HASH = b',"hash":"'
HASH_MEMBER = len(HASH) + 64 + len('"}')
"""Bytes at the end of a record that its hash does not cover, except the closing brace."""

TS = slice(7, 37)
"""The place of ``ts`` in a record of this version."""


def link_of(line: bytes) -> re.Match[bytes] | None:
    """The chain members at the end of a line; ``None`` when it does not end in them.

    The end decides: ``hash`` is always the last member, so nothing in ``fields`` can pass for it.
    """
    at = line.rfind(b',"chain":"', max(0, len(line) - LINK_MAX))
    return LINK.fullmatch(line, at) if at >= 0 else None
