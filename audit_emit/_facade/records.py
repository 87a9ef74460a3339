"""A line as a record: its place, its time, its link, its hash, for commands."""

from __future__ import annotations

from audit_emit._format.chain import ZERO, body_of, leaf_hash
from audit_emit._format.line_splitter import MAX_LINE, ended_lines, split_lines
from audit_emit._format.link import link_of
from audit_emit._format.receipt_text import Claim, parse_receipt
from audit_emit._format.record import MAX_SEQ, SERVICE, Head, head_of, is_time, ns_of, parsed, ts_of
from audit_emit._loki.labels import Placement, placement_of, service_of, time_of, unwrapped
from audit_emit._loki.records import Extent, hash_holds, is_cut

__all__ = [
    "MAX_LINE",
    "MAX_SEQ",
    "SERVICE",
    "ZERO",
    "Claim",
    "Extent",
    "Head",
    "Placement",
    "body_of",
    "ended_lines",
    "hash_holds",
    "head_of",
    "is_cut",
    "is_time",
    "leaf_hash",
    "link_of",
    "ns_of",
    "parse_receipt",
    "parsed",
    "placement_of",
    "service_of",
    "split_lines",
    "time_of",
    "ts_of",
    "unwrapped",
]
