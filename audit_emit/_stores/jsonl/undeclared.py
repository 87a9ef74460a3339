"""Losses that a process could not declare before it ended, left in the lock file for the next one.

A full disk takes no record, but the block of the lock file is allocated already, so that a few
bytes in it can always be changed. The next process that writes the log writes the ``audit.gap``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from audit_emit._runtime.interrupts import let_through
from audit_emit._stores.base import Loss
from audit_emit._stores.jsonl.lockfile import SIZE as PLACE

__all__ = ["PLACE", "SIZE", "added", "gaps", "read"]

SIZE = 512
"""Bytes that it takes in the lock file, from ``PLACE`` on; there are none when nothing is owed."""

_LONGEST_REASON = 64


def read(content: bytes) -> list[Loss]:
    """What ``added`` wrote; nothing for anything else."""
    try:
        return msgspec.json.decode(content, type=list[Loss])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        let_through(error)
        return []


def added(known: list[Loss], more: list[Loss]) -> bytes:
    """Both as ``SIZE`` bytes, one line of JSON: one loss for each sink."""
    by_sink: dict[str, Loss] = {}
    for owed in (*known, *more):
        before = by_sink.get(owed.sink, owed)
        by_sink[owed.sink] = Loss(
            owed.lost + (before.lost if before is not owed else 0),
            min(before.first_ts, owed.first_ts),
            max(before.last_ts, owed.last_ts),
            owed.reason[:_LONGEST_REASON],
            owed.sink,
        )
    return msgspec.json.encode(list(by_sink.values())).ljust(SIZE - 1) + b"\n"


def gaps(content: bytes) -> list[dict[str, Any]]:
    """The ``fields`` of the records that declare these losses."""
    return [msgspec.structs.asdict(owed) for owed in read(content)]
