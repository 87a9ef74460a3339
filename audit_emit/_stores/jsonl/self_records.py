"""The ``fields`` of the records that a log has about itself (docs/wire-format.md, section 5)."""

from __future__ import annotations

from typing import Any

from audit_emit._format.chain import leaf_hash
from audit_emit._format.record import Head, bump, ts_of
from audit_emit._format.tail import Dirt

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
    """``audit.gap`` after a failed sync: what follows it once more, and what could not be kept."""
    return {
        "lost": 0,
        "rewritten": len(lines),
        "unsynced": unsynced,
        "first_ts": lines[0][7:37].decode() if lines else None,
        "last_ts": lines[-1][7:37].decode() if lines else None,
        "reason": "fsync-failed",
        "sink": "jsonl",
    }


def chained(
    records: list[tuple[str, int]], last: Head, last_ns: int
) -> tuple[list[bytes], Head, int]:
    """Several records in a row as lines, and the end of the chain after them.

    Args:
        records: prefix and time of each, see ``segment.Own``.
        last, last_ns: the record before the first, and its time.
    """
    lines: list[bytes] = []
    chain, seq, digest, _ = last
    for record, at in records:
        prefix, ns = (record, at) if at != last_ns else (bump(record), at + 1)
        seq += 1
        body = f'{prefix},"chain":"{chain}","seq":{seq},"prev_hash":"{digest}"'
        digest = leaf_hash(f"{body}}}".encode())
        lines.append(f'{body},"hash":"{digest}"}}\n'.encode())
        last_ns = ns
    return lines, Head(chain, seq, digest, ""), last_ns
