"""The records that a log gained, read as leaves of its tree.

Every record is checked on the way: its hash, its link and its number. A tree is only made of what
follows; bytes that are no record are passed over, as they are declared in the chain.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import NamedTuple

from audit_emit._tree import nodes_of
from audit_emit.chain import ZERO, Frontier
from audit_emit.errors import CheckpointError
from audit_emit.record import head_of
from audit_emit.sinks.segments import Layout
from audit_emit.sinks.tail import first_seq

_CHUNK = 64 * 1024
"""Bytes read at a time; between two reads other threads get their turn."""

_MAX_LINE = 1024 * 1024
_HASH_MEMBER = len(',"hash":"') + 64 + len('"}')
_CHECKPOINT = b'Z","event_type":"audit.checkpoint",'
_TYPE_AT = len('{"ts":"2026-05-19T20:00:00.123456789')


class Place(NamedTuple):
    """How far a log was read.

    Attributes:
        chain: its id; empty before the first record.
        frontier: the tree over everything up to here.
        head: ``hash`` of the last record.
        offset: where the last record ended in its file; a hint.
    """

    chain: str
    frontier: Frontier
    head: str
    offset: int

    @classmethod
    def genesis(cls) -> Place:
        """Before the first record."""
        return cls("", Frontier(), ZERO, 0)


class Growth:
    """Reads on from a place.

    Args:
        place: its frontier is not changed.
        anchor: a size and the root that was signed for it, to be compared on the way.
    """

    def __init__(self, place: Place, anchor: tuple[int, bytes] | None = None) -> None:
        self.chain = place.chain
        self.frontier = place.frontier.copy()
        self.head = place.head
        self.offset = place.offset
        self.events = 0
        """Records that nothing signed covers yet, those about checkpoints not counted."""
        self._anchor_size, self._anchor_root = anchor or (-1, b"")
        self._compare()

    @property
    def place(self) -> Place:
        """How far it is by now."""
        return Place(self.chain, self.frontier.copy(), self.head, self.offset)

    def feed(self, lines: list[bytes], end: int) -> list[bytes]:
        """Add whole lines, without their newlines.

        Args:
            end: offset in the file just after the last of them.

        Returns:
            The lines that are records.

        Raises:
            CheckpointError: a record does not follow the one before.
        """
        leaves = [sha256(b"\0" + line[:-_HASH_MEMBER] + b"}").digest() for line in lines]
        if not self._follow(lines, leaves):
            lines, leaves, foreign = self._sorted_out(lines, leaves)
        else:
            foreign = 0
        if lines:
            self.head = leaves[-1].hex()
            self.offset = end - foreign
        self._add(lines, leaves)
        return lines

    def _follow(self, lines: list[bytes], leaves: list[bytes]) -> bool:
        """Whether each line is the next record: what almost all batches are."""
        names = [leaf.hex().encode() for leaf in leaves]
        numbers = range(self.frontier.size + 1, self.frontier.size + len(lines) + 1)
        links = zip(numbers, [self.head.encode(), *names], names, strict=False)
        return all(map(bytes.endswith, lines, map(self._tail().__mod__, links)))

    def _sorted_out(
        self, lines: list[bytes], leaves: list[bytes]
    ) -> tuple[list[bytes], list[bytes], int]:
        """The records among the lines, and how many bytes follow the last of them."""
        kept: list[bytes] = []
        kept_leaves: list[bytes] = []
        head, seq, foreign = self.head, self.frontier.size, 0
        for line, leaf in zip(lines, leaves, strict=True):
            if head_of(line) is None:
                foreign += len(line) + 1
                continue
            self.chain = self.chain or _chain_of(line)
            name = leaf.hex()
            seq += 1
            if not line.endswith(self._tail() % (seq, head.encode(), name.encode())):
                raise self._broken(line, seq)
            head, foreign = name, 0
            kept.append(line)
            kept_leaves.append(leaf)
        return kept, kept_leaves, foreign

    def _add(self, lines: list[bytes], leaves: list[bytes]) -> None:
        """Extend the tree; and count what is new, unless a checkpoint is known to cover it."""
        known = self._anchor_size - self.frontier.size
        if 0 < known <= len(leaves):
            self._extend(leaves[:known])
            self._compare()
            self.events = 0
            lines, leaves = lines[known:], leaves[known:]
        self._extend(leaves)
        own = [1 for line in lines if line.startswith(_CHECKPOINT, _TYPE_AT)]
        self.events += len(lines) - len(own)

    def _extend(self, leaves: list[bytes]) -> None:
        self.frontier.extend(nodes_of(self.frontier.size, leaves))

    def reaches_anchor(self) -> bool:
        """Whether everything that was signed before is there."""
        return self.frontier.size >= self._anchor_size

    def _tail(self) -> bytes:
        """How the next record ends."""
        chain = self.chain.encode()
        return b',"chain":"%b","seq":%%d,"prev_hash":"%%b","hash":"%%b"}' % chain

    def _broken(self, line: bytes, expected: int) -> CheckpointError:
        found = head_of(line)
        if found is not None and found.chain != self.chain:
            return CheckpointError("another-chain", f"record {expected} is of another chain")
        if found is not None and found.seq != expected:
            return CheckpointError(
                "sequence", f"record {found.seq} stands where record {expected} belongs"
            )
        return CheckpointError("hash-mismatch", f"record {expected} was changed, or does not link")

    def _compare(self) -> None:
        if self.frontier.size == self._anchor_size and self.frontier.root() != self._anchor_root:
            raise CheckpointError(
                "not-extended",
                f"the first {self._anchor_size} records are not those that were signed",
            )


def _chain_of(line: bytes) -> str:
    found = head_of(line)
    return found.chain if found is not None else ""


def read_growth(
    layout: Layout,
    growth: Growth,
    *,
    give_up: Callable[[], bool] = bool,
    pause: float = 0.0,
) -> None:
    """Read everything that a log gained since ``growth`` was made.

    Args:
        give_up: asked after each 64 KiB whether there is no time left.
        pause: seconds to leave to other threads after each 64 KiB.

    Raises:
        CheckpointError: the log does not continue from there, or time is up.
        OSError: a file cannot be read.
    """
    with open_segments(layout) as descriptors:
        number, offset = _find(descriptors, growth)
        for descriptor in descriptors[number:]:
            for lines, end in batches(descriptor, offset):
                growth.feed(lines, end)
                if give_up():
                    raise CheckpointError("timeout", "the new records could not be read in time")
                if pause:
                    time.sleep(pause)
            offset = 0
    if not growth.reaches_anchor():
        raise CheckpointError("truncated", "the log holds fewer records than were signed")


def records(layout: Layout) -> Iterator[tuple[bytes, bytes]]:
    """Leaf hash and line of every record of a log, from the first one on.

    Raises:
        CheckpointError: a record does not follow the one before.
        OSError: a file cannot be read.
    """
    growth = Growth(Place.genesis())
    with open_segments(layout) as descriptors:
        for descriptor in descriptors:
            for lines, end in batches(descriptor, 0):
                for line in growth.feed(lines, end):
                    # Checked by now: it is the hash that the record states.
                    yield bytes.fromhex(line[-66:-2].decode()), line


@contextmanager
def open_segments(layout: Layout) -> Iterator[list[int]]:
    """Descriptors of all segments, oldest first.

    The active one is opened first: should it be closed meanwhile it is among the closed ones, too,
    and is then recognised.
    """
    descriptors: list[int] = []
    try:
        active = _open(layout.active)
        names = layout.closed_segments()
        if active is not None:
            descriptors.append(active)
        here = os.fstat(active) if active is not None else None
        for place, name in enumerate(names):
            closed = _open(name)
            if closed is None:
                raise CheckpointError("missing-segment", "a segment went away while it was read")
            if here is not None and os.path.samestat(os.fstat(closed), here):
                os.close(closed)
                break
            descriptors.insert(place, closed)
        yield descriptors
    finally:
        for descriptor in descriptors:
            with suppress(OSError):
                os.close(descriptor)


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None


def batches(descriptor: int, offset: int) -> Iterator[tuple[list[bytes], int]]:
    """Whole lines from ``offset`` on, and where each batch of them ends. A torn end is left."""
    rest = b""
    while chunk := os.pread(descriptor, _CHUNK, offset):
        offset += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield lines, offset - len(rest)
        elif len(rest) > _MAX_LINE:
            rest = rest[-_MAX_LINE:]  # no record is as long: it is passed over in any case


def _find(descriptors: list[int], growth: Growth) -> tuple[int, int]:
    """The file and the offset at which to read on."""
    size = growth.frontier.size
    if size == 0:
        return 0, 0
    ending = f'"hash":"{growth.head}"}}\n'.encode()
    for number in range(len(descriptors) - 1, -1, -1):
        start = growth.offset - len(ending)
        if start >= 0 and os.pread(descriptors[number], len(ending), start) == ending:
            return number, growth.offset
    for number in range(len(descriptors) - 1, -1, -1):
        first = first_seq(descriptors[number])
        if first == size + 1:
            return number, 0  # everything before it was moved away, and is signed
        if first is not None and first <= size:
            offset = _offset_after(descriptors[number], ending.removesuffix(b"\n"))
            if offset is not None:
                return number, offset
            break
    raise CheckpointError(
        "not-extended",
        f"record {size}, which was signed, is not in the log as it was "
        "(a segment that is not signed to its end must neither be packed nor moved away)",
    )


def _offset_after(descriptor: int, ending: bytes) -> int | None:
    for lines, end in batches(descriptor, 0):
        for number, line in enumerate(lines):
            if line.endswith(ending):
                return end - sum(len(after) + 1 for after in lines[number + 1 :])
    return None
