"""Whether what was read of a log leads to a signed checkpoint, which may be many parts further on.

A checkpoint that covers a thousand parts is reached once: where each of them has to end is noted on
the way, by the hash of the last record there, which binds all records before it.
"""

from __future__ import annotations

from audit_emit._archive.sources import whole_blocks
from audit_emit._checkpoints.new_leaves import GrowingTree, Position
from audit_emit._format.checkpoint import Checkpoint
from audit_emit._format.record import Head
from audit_emit._readers.base import LogReader
from audit_emit.errors import ArchiveError, CheckpointError

MOST = 20_000
"""Ends of blocks that are noted (some 5 GB), as rows are cut anywhere; of files every end is."""


class Ahead:
    """Looks ahead in one log.

    Args:
        reader: of the whole log.
    """

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self._by = (0, "")
        self._ends: dict[int, str] = {}

    def prove(self, position: Position, by: Checkpoint) -> None:
        """Refuse what does not lead to the checkpoint that covers it.

        Args:
            position: the end of what was read.
            by: a checkpoint whose signature is good, of this record or a later one.

        Raises:
            ArchiveError: it is so: nothing that was not signed is archived.
        """
        end = (by.head_seq, by.root_hash)
        noted = self._ends.get(position.frontier.size) if end == self._by else None
        if by.chain == position.chain and noted == position.head:
            return
        try:
            self._look(position, by)
        except (CheckpointError, LookupError) as error:
            raise ArchiveError("not-extended", str(error)) from None
        self._by = end

    def _look(self, position: Position, by: Checkpoint) -> None:
        if by.chain != position.chain:
            raise CheckpointError("another-chain", "the checkpoint is of another chain")
        tree = GrowingTree(position, [(by.head_seq, bytes.fromhex(by.root_hash))])
        ends = self._ends = {}

        def note() -> None:
            ends[tree.frontier.size] = tree.head

        if not tree.reaches_anchors():
            head = Head(position.chain, position.frontier.size, position.head, "")
            for block in whole_blocks(self._reader.since(head), note):
                tree.feed(block, 0)
                if tree.reaches_anchors():
                    break
                if len(ends) < MOST:
                    note()
        if not tree.reaches_anchors():
            raise CheckpointError("truncated", "the log holds fewer records than were signed")
