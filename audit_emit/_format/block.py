"""Proves many whole lines at once, at the speed of hashing; almost all of a log is proved here.

A block of lines is proved when every line states the hash that its bytes have, links to the line
before it, and looks like a record of this version. A block that is not proved has no verdict yet:
``verify.Verifier`` takes it line by line. Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import Literal, NamedTuple

import msgspec

from audit_emit._format.line_splitter import ended_lines, first_lines
from audit_emit._format.link import HASH_MEMBER, LINK_MIN, TS, link_of
from audit_emit._format.merkle_ranges import HASH, Nodes, nodes_of
from audit_emit._format.span import Span, between
from audit_emit._format.unanchored import Tail, Watch

_TOO_MANY = 10**19
"""The lowest number with more digits than any ``seq`` has."""

_VERSION = b',"v":1,"id":"'
_SHAPES = 4
"""How many lengths of the end of a record are tried: with and without a trace, and before and after
``seq`` gets another digit."""

_KIND_AT = 36
"""The place of the event type in a record, if the fraction of its ``ts`` has nine digits."""

_TYPE = b'Z","event_type":"'
_OF_LOG = b"audit."
_TOLD = _TYPE + _OF_LOG

_BODY = slice(-HASH_MEMBER - 1)
"""The bytes of a line with its newline that are hashed, without the closing brace."""

Found = tuple[bytes, bytes, bytes, bool]
"""The result for linked lines: their hashes, one after the other; the lowest and the highest of
their beginnings, up to a place; and whether the mark stands at that place in one of them."""

Linked = Callable[[bytes, str, int, str, int, bytes, bytes], Found | None]
linked: Linked | None = None
"""A faster function in place of ``_linked``; set by ``use``."""


def use(function: Linked | None) -> None:
    """Have blocks proved by a function that does the same as ``_linked``; ``None``: by that."""
    global linked  # noqa: PLW0603 - there is one for the process, and nothing else is kept
    linked = function


class Shape(msgspec.Struct, gc=False):
    """What every record of this version has, chain and payload aside."""

    ts: str
    event_type: str
    v: Literal[1]


SHAPE = msgspec.json.Decoder(Shape)
ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding a line can raise."""


class Mark(NamedTuple):
    """The state of the chain at one record.

    Attributes:
        seq, hash: of the record.
        ts: of the record; empty where only hashes and links are checked.
        nodes: the leaves from the mark before this one up to this record.
        tail: the counts of the records after the mark before this one, up to this record.
    """

    seq: int
    hash: str
    ts: str
    nodes: Nodes
    tail: Tail


class Own(NamedTuple):
    """A record of the log about itself: its place in the block."""

    row: int
    offset: int
    line: bytes


class Proof(NamedTuple):
    """A block of lines that are all part of one chain.

    Attributes:
        chain, prev_hash: of the first record.
        seq: of the first record.
        records: how many there are.
        marks: the chain at the records that the caller named, and at the last record.
        own: the records of the log about itself.
        hashes: of all of them, 32 bytes each, if requested.
        span: their earliest and latest ``ts``, if requested.
    """

    chain: str
    prev_hash: str
    seq: int
    records: int
    marks: list[Mark]
    own: list[Own]
    hashes: bytes = b""
    span: Span = ("", "")


def prove(
    block: bytes,
    named: Sequence[int] = (),
    *,
    tree: bool = False,
    strict: bool = False,
    watch: Watch | None = None,
    leaves: bool = False,
    span: bool = False,
    shape: bool = True,
) -> Proof | None:
    """What a block of whole lines proves; ``None`` when one of them is out of the ordinary.

    Args:
        block: lines with their newlines, at least one.
        named: ``seq`` of the records in question, ascending, none of them twice.
        tree: whether to hash the tree as well.
        strict: whether to parse the JSON of every record.
        watch: which records are counted.
        leaves: whether to return the hash of every record.
        span: whether to return their earliest and latest ``ts``.
        shape: whether to check the version of each record, and to return the ``ts`` of marks; a
            Merkle tree needs neither.
    """
    first = _link_of_first(block)
    found = _follow(block, first, _KIND_AT, _TYPE, _OF_LOG)
    if first is None or found is None:
        return None
    hashes, low, high, told = found
    lines = ended_lines(block) if shape else []
    if shape and not _ordinary(lines, strict=strict):
        return None
    chain, seq, prev_hash = first
    own = _own(lines or ended_lines(block)) if told else []
    marks = _marks(seq, hashes, named, lines, tree=tree, watch=watch)
    times = between(low + _TYPE, high + _TYPE) if span else ("", "")
    count = len(hashes) // HASH
    return Proof(chain, prev_hash, seq, count, marks, own, hashes if leaves else b"", times)


def prove_links(block: bytes) -> Proof | None:
    """What a block proves of the chain and its tree; the content of the records is not checked.

    Args:
        block: as for ``prove``.

    Returns:
        A proof with the hashes of all records; ``None`` when one of them does not link to the one
        before it.
    """
    first = _link_of_first(block)
    found = _follow(block, first, 0, b"", b"")
    if first is None or found is None:
        return None
    chain, seq, prev_hash = first
    hashes = found[0]
    count = len(hashes) // HASH
    last = Mark(seq + count - 1, hashes[-HASH:].hex(), "", [], Tail())
    return Proof(chain, prev_hash, seq, count, [last], [], hashes)


def _link_of_first(block: bytes) -> tuple[str, int, str] | None:
    """Chain, ``seq`` and ``prev_hash`` of the first record of a block."""
    link = link_of(first_lines(block, 1)[0])
    return (link[1].decode(), int(link[2]), link[3].decode()) if link is not None else None


def _follow(
    block: bytes, first: tuple[str, int, str] | None, place: int, alike: bytes, mark: bytes
) -> Found | None:
    """The result of the compiled function, or of ``_linked``; ``None`` without a first record."""
    if first is None:
        return None
    return (linked or _linked)(block, *first, place, alike, mark)


def _linked(
    block: bytes, chain: str, seq: int, prev_hash: str, place: int, alike: bytes, mark: bytes
) -> Found | None:
    """Hash lines and check their links; ``None`` if one does not link to the one before it.

    Args:
        block: whole lines.
        chain, seq, prev_hash: of the first record.
        place: how many bytes at the beginning of the lines are compared.
        alike: must come next in each line.
        mark: may come after that; the result says whether it does in any line.
    """
    lines = ended_lines(block)
    if len(lines) * LINK_MIN > len(block):
        return None  # most of them are too short for records, and to hash them takes memory
    hashes = [sha256(b"\0" + line[_BODY] + b"}").digest() for line in lines]
    if not _are_linked(lines, chain, seq, [prev_hash, *map(bytes.hex, hashes)]):
        return None
    kinds = {line[place : place + len(alike) + len(mark)] for line in lines}
    if not all(kind.startswith(alike) for kind in kinds):
        return None
    return b"".join(hashes), min(lines)[:place], max(lines)[:place], alike + mark in kinds


def _are_linked(lines: list[bytes], chain: str, seq: int, hashes: Sequence[str]) -> bool:
    """Whether the lines end as records with these hashes do.

    Args:
        hashes: ``prev_hash`` of the first record, and then the hash of each.
    """
    start = f',"chain":"{chain}","seq":'
    ends = [
        f'{start}{number},"prev_hash":"{before}","hash":"{computed}"}}\n'
        for number, (before, computed) in enumerate(pairwise(hashes), seq)
    ]
    if seq + len(lines) > _TOO_MANY:
        return False
    size = len(ends[0])
    if len(ends[-1]) == size:
        return b"".join(map(itemgetter(slice(-size, None)), lines)) == "".join(ends).encode()
    return all(map(bytes.endswith, lines, map(str.encode, ends)))


def _ordinary(lines: list[bytes], *, strict: bool) -> bool:
    """Whether the lines, whose hashes and links hold, are records of this version.

    Only a writer of the chain can have written such a line, so its text is parsed only if that is
    requested, or if it does not look like a record that this version writes.
    """
    rest = lines
    for _ in range(0 if strict else _SHAPES):
        # From ``v`` to the end, most records of a log have the same length.
        start = rest[0].rfind(_VERSION) - len(rest[0])
        place = slice(start, start + len(_VERSION))
        rest = [line for line in rest if line[place] != _VERSION]
        if not rest:
            return True
    try:
        return len(SHAPE.decode_lines(b"".join(rest))) == len(rest)
    except ERRORS:
        return False


def _marks(
    first: int,
    hashes: bytes,
    named: Sequence[int],
    lines: list[bytes],
    *,
    tree: bool,
    watch: Watch | None,
) -> list[Mark]:
    last = first + len(hashes) // HASH - 1
    here = named[bisect_left(named, first) : bisect_left(named, last)]
    ends = [first - 1, *here, last]
    marks = []
    for before, seq in pairwise(ends):
        begin, end = before + 1 - first, seq + 1 - first
        nodes = nodes_of(before, hashes[begin * HASH : end * HASH]) if tree else []
        tail = watch.tail(lines[begin:end]) if watch is not None and seq > watch.after else Tail()
        ts = lines[end - 1][TS].decode("latin-1") if lines else ""
        marks.append(Mark(seq, hashes[(end - 1) * HASH : end * HASH].hex(), ts, nodes, tail))
    return marks


def _own(lines: list[bytes]) -> list[Own]:
    offsets = accumulate(map(len, lines), initial=0)
    return [
        Own(row, offset, line[:-1])
        for row, (offset, line) in enumerate(zip(offsets, lines, strict=False))
        if line.startswith(_TOLD, _KIND_AT)
    ]
