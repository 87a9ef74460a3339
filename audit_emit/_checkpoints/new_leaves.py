"""Reads the records that were added to a log, as leaves of its Merkle tree.

The hash, the link and the number of every record are checked, and only records that follow the one
before become leaves. Bytes that are not a record are skipped: the chain declares them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from audit_emit._checkpoints.ordered_segments import CHUNK, Segments, blocks, open_segments
from audit_emit._checkpoints.tiles import TiledFrontier
from audit_emit._format import merkle_ranges
from audit_emit._format.block import Proof, prove, prove_links, use
from audit_emit._format.chain import ZERO, Frontier, body_of, leaf_hash
from audit_emit._format.line_splitter import ended_lines, may_be_chained
from audit_emit._format.merkle_ranges import HASH
from audit_emit._format.record import head_of
from audit_emit._format.span import Span, span_of
from audit_emit._format.tail import first_seq
from audit_emit._runtime import compiled as _compiled
from audit_emit._stores.jsonl.directory import Layout
from audit_emit.errors import CheckpointError

_LARGE_CHUNK = 128 * 1024
"""Bytes read at a time when the call need not leave time to other threads."""

use(_compiled.linked)
merkle_ranges.use(_compiled.parents)

_CHECKPOINT = b'Z","event_type":"audit.checkpoint",'
_OWN = b'Z","event_type":"audit.'
_CHANGE = b'Z","event_type":"audit.key_rotated",'
_TYPE_AT = len('{"ts":"2026-05-19T20:00:00.123456789')
_LINK = b',"chain":"%b","seq":%b,"prev_hash":"%b","hash":"%b"}'


class Position(NamedTuple):
    """How far a log was read.

    Attributes:
        chain: the id of the chain; empty before the first record.
        frontier: the tree over all records so far.
        head: ``hash`` of the last record.
        offset: the offset in its file at which the last record ended. Only a hint: the file may
            have been packed or rewritten since.
    """

    chain: str
    frontier: Frontier
    head: str
    offset: int

    @classmethod
    def genesis(cls) -> Position:
        """The position before the first record."""
        return cls("", Frontier(), ZERO, 0)


class GrowingTree:
    """The tree over a log, which grows as blocks are fed to it.

    Args:
        position: where to start; its frontier is copied.
        anchors: sizes with the roots that were signed for them; compared when that size is reached.
        on_change: called with ``seq`` and line of every record that announces a new signing key.
        on_own: called with the line of every record that the log wrote about itself.
        tiled: the tree of the position, if it is one that writes its tiles as it grows.
        timed: whether ``span`` is wanted.
        bare: only the tree is wanted: nothing of what the records say.
    """

    def __init__(
        self,
        position: Position,
        anchors: Iterable[tuple[int, bytes]] = (),
        on_change: Callable[[int, bytes], None] = lambda _seq, _line: None,
        tiled: TiledFrontier | None = None,
        *,
        on_own: Callable[[bytes], None] = lambda _line: None,
        timed: bool = False,
        bare: bool = False,
    ) -> None:
        self.chain = position.chain
        self.frontier = position.frontier.copy() if tiled is None else tiled
        self._tiled = tiled
        self.head = position.head
        self.offset = position.offset
        self.events = 0
        """Records that no signature covers yet, not counting ``audit.checkpoint``."""
        self.declares = 0
        """``seq`` of the last ``audit.checkpoint``; 0 when there was none."""
        self.span: Span | None = None
        """The earliest and the latest ``ts`` of what was fed, if it is wanted."""
        self._timed = timed
        self._bare = bare and tiled is not None
        self._anchors = dict(anchors)
        self._named = sorted(self._anchors)
        self._on_change = on_change
        self._on_own = on_own
        self._compare()

    @property
    def position(self) -> Position:
        """The position after the last record that was fed."""
        return Position(self.chain, self.frontier.copy(), self.head, self.offset)

    def feed(self, block: bytes, end: int) -> None:
        """Add the records of a block.

        Args:
            block: whole lines, with their newlines.
            end: the offset in the file just after the block.

        Raises:
            CheckpointError: a record does not follow the one before.
        """
        tiled = self._tiled is not None
        proof = (
            prove_links(block)
            if self._bare
            else prove(
                block,
                self._named,
                tree=not tiled,
                leaves=tiled,
                span=self._timed,
                shape=False,
            )
        )
        if proof is not None and self._follows(proof):
            self._add_block(proof)
            self.offset = end
            self._widen(proof.span)
        else:
            self._add_line_by_line(block, end - len(block))
            if self._timed:
                self._widen(span_of(ended_lines(block)))

    def _widen(self, by: Span) -> None:
        if self._timed:
            low, high = self.span or by
            self.span = min(low, by[0]), max(high, by[1])

    def _follows(self, proof: Proof) -> bool:
        here = (self.chain or proof.chain, self.frontier.size + 1, self.head)
        return (proof.chain, proof.seq, proof.prev_hash) == here

    def _add_block(self, proof: Proof) -> None:
        """Add a block that consists of records only, which almost all blocks do."""
        self.chain, self.head = proof.chain, proof.marks[-1].hash
        known = 0
        for mark in proof.marks:
            if self._tiled is not None:
                begin, end = self.frontier.size + 1 - proof.seq, mark.seq + 1 - proof.seq
                self._tiled.take(proof.hashes[begin * HASH : end * HASH])
            self.frontier.extend(mark.nodes)
            if self._compare():
                known = mark.seq + 1 - proof.seq
        self.events += proof.records - known
        for own in proof.own:
            self._look_inside(proof.seq + own.row, own.line)
            self.events -= own.row >= known and _of_checkpoint(own.line)

    def _add_line_by_line(self, block: bytes, offset: int) -> None:
        """Add the records among the lines of a block, one at a time."""
        for end, line in may_be_chained(block):
            head = head_of(line)
            if head is None:
                continue
            self.chain = self.chain or head.chain
            digest = leaf_hash(body_of(line))
            link = (self.chain, self.frontier.size + 1, self.head, digest)
            if not line.endswith(_LINK % tuple(str(each).encode() for each in link)):
                raise self._broken(line, self.frontier.size + 1)
            self.frontier.append(bytes.fromhex(digest))
            self.head, self.offset = digest, offset + end
            if not self._compare():
                self.events += not _of_checkpoint(line)
            self._look_inside(self.frontier.size, line)

    def _look_inside(self, seq: int, line: bytes) -> None:
        if line.startswith(_OWN, _TYPE_AT):
            self._on_own(line)
        if line.startswith(_CHANGE, _TYPE_AT):
            self._on_change(seq, line)
        elif _of_checkpoint(line):
            self.declares = seq

    def reaches_anchors(self) -> bool:
        """Whether the log holds at least as many records as were signed."""
        return self.frontier.size >= max(self._named, default=0)

    def _broken(self, line: bytes, expected: int) -> CheckpointError:
        found = head_of(line)
        if found is not None and found.chain != self.chain:
            return CheckpointError("another-chain", f"record {expected} is of another chain")
        if found is not None and found.seq != expected:
            return CheckpointError(
                "sequence", f"record {found.seq} stands where record {expected} belongs"
            )
        return CheckpointError("hash-mismatch", f"record {expected} was changed, or does not link")

    def _compare(self) -> bool:
        """Whether a root was signed for the current size; then no record so far is new.

        Raises:
            CheckpointError: another root was signed for this size.
        """
        root = self._anchors.get(self.frontier.size)
        if root is None:
            return False
        if self.frontier.root() != root:
            raise CheckpointError(
                "not-extended",
                f"the first {self.frontier.size} records are not those that were signed",
            )
        self.events = 0
        return True


def _of_checkpoint(line: bytes) -> bool:
    return line.startswith(_CHECKPOINT, _TYPE_AT)


def read_new_records(
    layout: Layout,
    tree: GrowingTree,
    *,
    give_up: Callable[[], bool] = bool,
    pause: float = 0.0,
    up_to: int | None = None,
) -> None:
    """Feed ``tree`` with the records that were added to the log after its position.

    Args:
        layout: where the log is.
        tree: grows.
        give_up: called after each 64 KiB; true means that there is no time left.
        pause: seconds to sleep after each 64 KiB, to leave time to other threads.
        up_to: ``seq`` of the last record that is needed; default: all.

    Raises:
        CheckpointError: the log does not continue from the position, or ``give_up`` was true.
        OSError: a file cannot be read.
    """
    with open_segments(layout) as segments:
        first, offset = _find(segments, tree)
        for number in range(first, len(segments)):
            with segments.opened(number) as descriptor:
                for block, end in blocks(descriptor, offset, CHUNK if pause else _LARGE_CHUNK):
                    tree.feed(block, end)
                    if up_to is not None and tree.frontier.size >= up_to:
                        return
                    if give_up():
                        raise CheckpointError(
                            "timeout", "the new records could not be read in time"
                        )
                    if pause:
                        time.sleep(pause)
            offset = 0
    if not tree.reaches_anchors():
        raise CheckpointError("truncated", "the log holds fewer records than were signed")


def _find(segments: Segments, tree: GrowingTree) -> tuple[int, int]:
    """The segment, and the offset in it, at which to continue."""
    size = tree.frontier.size
    if size == 0:
        return 0, 0
    ending = f'"hash":"{tree.head}"}}\n'.encode()
    start = tree.offset - len(ending)
    for number in range(len(segments) - 1, -1, -1):
        with segments.opened(number) as descriptor:
            if start >= 0 and os.pread(descriptor, len(ending), start) == ending:
                return number, tree.offset
    for number in range(len(segments) - 1, -1, -1):
        with segments.opened(number) as descriptor:
            first = first_seq(descriptor)
            if first == size + 1:
                return number, 0  # the segments before it were moved away, and are signed
            if first is not None and first <= size:
                offset = _offset_after(descriptor, ending)
                if offset is not None:
                    return number, offset
                break
    raise CheckpointError(
        "not-extended",
        f"record {size}, which was signed, is not in the log as it was "
        "(a segment that is not signed to its end must neither be packed nor moved away)",
    )


def _offset_after(descriptor: int, ending: bytes) -> int | None:
    for block, end in blocks(descriptor, 0):
        at = block.find(ending)
        if at >= 0:
            return end - len(block) + at + len(ending)
    return None
