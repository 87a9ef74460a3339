"""What the lines of a part say of it beside their hashes: their times, and whose they are. Pure."""

from __future__ import annotations

import re
from io import BytesIO

from audit_emit._format.link import TS
from audit_emit._format.record import head_of, parsed

_UNTIMED = "0000-01-01T00:00:00.000000000Z", "9999-12-31T23:59:59.999999999Z"
"""Times of a part that holds something whose time cannot be told."""

_TS = re.compile(
    rb'\{"ts":"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{9}Z"'
)


def span_of(block: bytes) -> tuple[str, str]:
    """The earliest and the latest ``ts`` in a block.

    Where the first and the last line in the order of their bytes begin as records do, so does every
    line between them.
    """
    lines = BytesIO(block).readlines()  # split() looks at every byte by itself
    low, high = min(lines), max(lines)
    if not (_TS.match(low) and _TS.match(high)):
        return _UNTIMED
    return low[TS].decode(), high[TS].decode()


def service_in(block: bytes) -> str:
    """The service of the first record in a block."""
    for line in block.split(b"\n"):
        record = parsed(line) if head_of(line) is not None else None
        if record is not None and isinstance(record.get("service"), str):
            return str(record["service"])
    return ""
