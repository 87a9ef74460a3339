"""Many whole lines proved at once: what almost all of a log takes, at the speed of its hashes.

A block of lines is proved when every line is a JSON record with ``v`` 1, states the hash that its
bytes have, and links to the line before it. Nothing is decided here about a block that is not: it
goes through ``verify.Verifier`` line by line. Pure.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Literal, NamedTuple

import msgspec

from audit_emit._tree import Nodes, nodes_of

LINK = re.compile(
    rb',"chain":"([0-9a-f]{16})","seq":([1-9][0-9]{0,18})'
    rb',"prev_hash":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}'
)
"""The end of a chained record: chain, seq, prev_hash, hash."""

LINK_MAX = len(',"chain":"","seq":,"prev_hash":"","hash":""}') + 16 + 19 + 64 + 64
HASH_MEMBER = len(',"hash":"') + 64 + len('"}')


class Linked(msgspec.Struct, gc=False):
    """The members that every chained record of this version has, as far as they matter here."""

    ts: str
    event_type: str
    v: Literal[1]
    chain: str
    seq: int
    prev_hash: str
    hash: str


DECODER = msgspec.json.Decoder(Linked)
ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding a line can raise."""


class Mark(NamedTuple):
    """The chain at one record.

    Attributes:
        seq, hash: of the record.
        nodes: the leaves from the mark before this one up to this record.
    """

    seq: int
    hash: str
    nodes: Nodes


class Own(NamedTuple):
    """A record that the emitter wrote about itself: where it is in its block."""

    row: int
    offset: int
    line: bytes


class Proof(NamedTuple):
    """Lines that are a piece of one chain, without exception.

    Attributes:
        chain, prev_hash: of the first record.
        seq: of the first record.
        records: how many they are.
        marks: those asked for, and the last record.
        own: what the log says about itself.
    """

    chain: str
    prev_hash: str
    seq: int
    records: int
    marks: list[Mark]
    own: list[Own]


def prove(block: bytes, named: Sequence[int] = (), *, tree: bool = False) -> Proof | None:
    """What a block of whole lines proves; ``None`` when one of them is out of the ordinary.

    Args:
        block: lines with their newlines, at least one.
        named: ``seq`` of the records in question, ascending, none of them twice.
        tree: whether to hash the tree as well.
    """
    lines = block.split(b"\n")
    lines.pop()
    try:
        records = DECODER.decode_lines(block)
    except ERRORS:
        return None
    if len(records) != len(lines):
        return None  # the decoder passes over empty lines
    first = records[0]
    chain, seq, prev_hash = first.chain, first.seq, first.prev_hash
    hashes = [sha256(b"\0" + line[:-HASH_MEMBER] + b"}").hexdigest() for line in lines]
    for record, computed in zip(records, hashes, strict=True):
        if (
            record.hash != computed
            or record.prev_hash != prev_hash
            or record.seq != seq
            or record.chain != chain
        ):
            return None
        prev_hash = computed
        seq += 1
    # The members that a decoder finds are those at the end of the line: a hash that stands
    # elsewhere would have to be its own.
    if LINK.fullmatch(lines[0], max(0, lines[0].rfind(b',"chain":"'))) is None:
        return None
    own = [i for i, record in enumerate(records) if record.event_type.startswith("audit.")]
    return Proof(
        chain,
        first.prev_hash,
        first.seq,
        len(lines),
        _marks(first.seq, hashes, named, tree=tree),
        _own(lines, own),
    )


def _marks(first: int, hashes: list[str], named: Sequence[int], *, tree: bool) -> list[Mark]:
    last = first + len(hashes) - 1
    here = named[bisect_left(named, first) : bisect_left(named, last)]
    ends = [first - 1, *here, last]
    marks = []
    for before, seq in pairwise(ends):
        nodes: Nodes = []
        if tree:
            part = bytes.fromhex("".join(hashes[before + 1 - first : seq + 1 - first]))
            nodes = nodes_of(before, [part[i : i + 32] for i in range(0, len(part), 32)])
        marks.append(Mark(seq, hashes[seq - first], nodes))
    return marks


def _own(lines: list[bytes], indexes: list[int]) -> list[Own]:
    found = []
    offset = at = 0
    for index in indexes:
        offset += sum(map(len, lines[at:index])) + index - at
        at = index
        found.append(Own(index, offset, lines[index]))
    return found


def link_of(line: bytes) -> re.Match[bytes] | None:
    """The chain members at the end of a line; ``None`` when it does not end in them."""
    at = line.rfind(b',"chain":"', max(0, len(line) - LINK_MAX))
    return LINK.fullmatch(line, at) if at >= 0 else None
