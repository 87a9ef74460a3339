"""Whether an archived part is what its manifest says, down to every hash: fetched and read."""

from __future__ import annotations

from audit_emit._archive.objects import checked_part
from audit_emit._archive.state import based, start_of
from audit_emit._checkpoints.new_leaves import GrowingTree
from audit_emit._format.line_splitter import Lines
from audit_emit._format.manifest import Manifest
from audit_emit._objects.bucket import Bucket
from audit_emit.errors import ArchiveError, CheckpointError


def prove_part(bucket: Bucket, of: Manifest, before: Manifest | None) -> None:
    """Fetch a part, unpack it, and verify its records from the end of the part before.

    Args:
        before: its manifest; ``None`` for the first part.

    Raises:
        ArchiveError: ``missing`` or ``altered``: it is gone, or something else.
        ObjectStoreError: the store gives no answer.
    """
    if of.records is None:
        return
    tree = GrowingTree(start_of(before) if before is not None else based(of))
    lines = Lines()

    def take(data: bytes) -> None:
        for block in lines.feed(data):
            if isinstance(block, bytes):
                tree.feed(block, 0)

    try:
        checked_part(bucket, of, of.records, take)
    except CheckpointError as error:
        raise ArchiveError("altered", f"{of.key_of(of.records)}: {error}") from None
    for part in of.parts:
        if part is not of.records:
            checked_part(bucket, of, part)
    if (tree.frontier.to_text(), tree.head) != (of.frontier, of.last_hash):
        raise ArchiveError("altered", f"{of.key_of(of.records)}: its records are other ones")
