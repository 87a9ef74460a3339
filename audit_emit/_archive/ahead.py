"""Whether what was read of a log leads to a signed checkpoint, which may be many parts further on.

The log is read up to such a checkpoint once, also where it covers a thousand parts. On the way the
hash of the last record of each part is kept, which binds all records before it.
"""

from __future__ import annotations

from audit_emit._archive.sources import whole_blocks
from audit_emit._checkpoints.new_leaves import GrowingTree, Position
from audit_emit._format.checkpoint import Checkpoint
from audit_emit._format.record import Head
from audit_emit._readers.base import LogReader
from audit_emit.errors import ArchiveError, CheckpointError

MOST = 20_000
"""How many ends of blocks are kept (some 5 GB): rows are cut anywhere, so their parts may end at
any of them. Of files the end of each is kept."""


class Ahead:
    """Reads one log ahead of the part that is being archived.

    Args:
        reader: of the whole log.
    """

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self._by = (0, "")
        self._ends: dict[int, str] = {}

    def prove(self, position: Position, by: Checkpoint) -> None:
        """Check that the records up to a position lead to the checkpoint that covers them.

        Args:
            position: the end of what was read.
            by: a checkpoint whose signature is good, at this record or a later one.

        Raises:
            ArchiveError: they do not: nothing that was not signed is archived.
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
