"""A record of the log as Loki should have it: its time, its place in a chain, its bytes. Pure."""

from __future__ import annotations

from sys import intern
from typing import NamedTuple

from audit_emit._format.chain import body_of, leaf_hash
from audit_emit._format.link import link_of
from audit_emit._loki.labels import placement_of, time_of, unwrapped

_OPENING = b'{"ts":"'
_TS = slice(7, 37)
_SPILLED = b'"_spilled":'


class LoggedRecord(NamedTuple):
    """One line of a log that the pipeline ships.

    Attributes:
        ts: nanoseconds since 1970.
        line: the text that is shipped, without prefix and newline.
        chain: its chain; empty for a record from before there was a chain.
        seq: its number in the chain, or 0.
    """

    ts: int
    line: bytes
    chain: str
    seq: int


class Extent(NamedTuple):
    """What a log holds of one chain.

    Attributes:
        first, last: ``seq`` of its first and its last record.
        fresh: records from this ``seq`` on may still be on their way to Loki; 0 for none.
    """

    first: int
    last: int
    fresh: int = 0


def parse_record(line: bytes) -> LoggedRecord | None:
    """Parse a line (without its newline); ``None`` if the pipeline does not ship it as a record."""
    link = link_of(line)
    if link is not None and line.startswith(_OPENING):
        ts = time_of(line[_TS].decode("latin-1"))
        if ts is not None:
            return LoggedRecord(ts, line, intern(link[1].decode()), int(link[2]))
    line = unwrapped(line)
    found = placement_of(line)
    if found is None:
        return None
    link = link_of(line)
    if link is None:
        return LoggedRecord(found.ts, line, "", 0)
    return LoggedRecord(found.ts, line, intern(link[1].decode()), int(link[2]))


def stated_hash(line: bytes) -> str:
    """The hash that a line states; an empty string if it states none."""
    link = link_of(line)
    return "" if link is None else link[4].decode()


def hash_holds(line: bytes) -> bool:
    """Whether the hash that a chained line states is right."""
    return leaf_hash(body_of(line)) == stated_hash(line)


def is_cut(line: bytes) -> bool:
    """Whether a line is marked as a stub (docs/wire-format.md, section 3)."""
    return _SPILLED in line
