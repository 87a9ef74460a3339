"""The ``fields`` of the records that a log has about itself (docs/wire-format.md, section 5)."""

from __future__ import annotations

from typing import Any

from audit_emit._format.record import Head, bump, chain_line, ts_of
from audit_emit._format.tail import Dirt
from audit_emit._stores.base import Draft, Linked

Note = tuple[str, dict[str, Any]]
"""Event type and fields."""


def rotated(previous: str | None, last: Head, reason: str) -> dict[str, Any]:
    """``audit.rotated``: which file this one follows, and the record that its first links to."""
    return {"previous": previous, "last_seq": last.seq, "last_hash": last.hash, "reason": reason}


def recovered(dirt: Dirt) -> dict[str, Any]:
    """``audit.recovered``: which bytes are no record."""
    return {"offset": dirt.offset, "bytes": dirt.length, "sha256": dirt.sha256}


def missing(head: Head | None, last: Head, last_ns: int, reason: str) -> dict[str, Any]:
    """``audit.gap`` of a file that ends in ``head``, though its chain went on to ``last``."""
    there = head.seq if head is not None and head.chain == last.chain else 0
    return {
        "lost": max(last.seq - there, 1),
        "first_ts": head.ts if head is not None else None,
        "last_ts": ts_of(last_ns) if last_ns else None,
        "reason": reason,
        "sink": "jsonl",
    }


def rewritten(lines: list[bytes], unsynced: int) -> dict[str, Any]:
    """``audit.gap`` after a failed sync: how many records are written again, and how many lost."""
    return {
        "lost": 0,
        "rewritten": len(lines),
        "unsynced": unsynced,
        "first_ts": lines[0][7:37].decode() if lines else None,
        "last_ts": lines[-1][7:37].decode() if lines else None,
        "reason": "fsync-failed",
        "sink": "jsonl",
    }


def chained(drafts: list[Draft], last: Head, last_ns: int) -> tuple[list[Linked], Head, int]:
    """Several records of the log about itself in a row, and the end of the chain after them.

    Args:
        drafts: the records.
        last, last_ns: the record before the first, and its time.

    Returns:
        The records in their chain, its head, and the time of the last one.
    """
    records: list[Linked] = []
    chain, seq, before, _ = last
    for draft in drafts:
        prefix, last_ns = (
            (draft.prefix, draft.ns) if draft.ns != last_ns else (bump(draft.prefix), draft.ns + 1)
        )
        seq += 1
        line, digest = chain_line(prefix, chain, seq, before)
        records.append(Linked(line.encode(), chain, seq, digest, before, draft.id, own=True))
        before = digest
    return records, Head(chain, seq, before, ""), last_ns
