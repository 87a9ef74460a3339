"""Removes segments that are archived, after the archive has proved that it has every record.

``_retention`` decides what may be removed at all, and records it: a prefix of the log, old enough,
under no hold, signed, never the newest segment. This module adds one more bound: the last record of
the batches that were fetched from the store just now, and verified.

Only signed data counts as proof: the manifests, and the records ``audit.pruned`` of earlier
removals. The journal only says which manifests to ask for.
"""

from __future__ import annotations

from typing import NamedTuple

from audit_emit._archive.journal import Journal
from audit_emit._archive.prefix import Prefix, Progress, proved_prefix
from audit_emit._archive.state import head_after
from audit_emit._objects.bucket import Bucket
from audit_emit._readers.archived.manifests import cold_logs
from audit_emit._readers.archived.vouching import vouched
from audit_emit._retention.files import Outcome, Pruner
from audit_emit._retention.rows import RowsOutcome, RowsPruner
from audit_emit._retention.statement import Limits
from audit_emit._signing.trusted_keys import KeyRing


class Pruned(NamedTuple):
    """The result of a run.

    Attributes:
        outcome: the result of the removal.
        proved: the last record that the archive gave back; 0 for none.
        stopped: why no more was proved; empty if all of it was.
    """

    outcome: Outcome
    proved: int
    stopped: str


class ArchivePruner:
    """Prunes one log of files.

    Args:
        bucket: the archive.
        pruner: of the log.
        journal: of the archiver.
        ring: the trusted keys.
    """

    def __init__(
        self,
        bucket: Bucket,
        pruner: Pruner,
        journal: Journal,
        ring: KeyRing,
    ) -> None:
        self._bucket = bucket
        self._pruner = pruner
        self._journal = journal
        self._ring = ring

    def run(
        self, cutoff_ns: int, *, rehearse: bool = False, progress: Progress | None = None
    ) -> Pruned:
        """Remove what is old, archived, and proved.

        Args:
            cutoff_ns: only what is older, in nanoseconds since 1970.
            rehearse: change nothing.
            progress: called with the number of records proved, and of those to prove.

        Raises:
            RetentionError: see ``Pruner``.
            ObjectStoreError: the store gives no answer; nothing was removed.
            OSError: a file cannot be read or written.
        """
        reason = reason_of(self._bucket)
        planned = self._pruner.run(Limits(cutoff_ns, reason), rehearse=True)
        if not planned.files:
            return Pruned(planned, 0, "")
        wanted = planned.removal.last_seq if planned.removal is not None else 0
        manifests = self._journal.manifests(planned.chain)
        found = proved_prefix(
            self._bucket, self._ring, manifests, wanted, gone=planned.before, progress=progress
        )
        limits = Limits(cutoff_ns, reason, found.seq, head_after(found.last))
        return Pruned(self._pruner.run(limits, rehearse=rehearse), found.seq, found.stopped)


class PrunedRows(NamedTuple):
    """The result of a run.

    Attributes:
        outcome: the result of the removal.
        proved: of each chain that had old rows, how much of it the archive gave back.
    """

    outcome: RowsOutcome
    proved: dict[str, Prefix]


def prune_rows(
    bucket: Bucket,
    pruner: RowsPruner,
    ring: KeyRing,
    cutoff_ns: int,
    *,
    drop: bool,
    rehearse: bool = False,
    progress: Progress | None = None,
) -> PrunedRows:
    """Remove the months of a database that are old, and of whose chains the archive has every row.

    Args:
        bucket: the archive.
        pruner: of the database.
        ring: the trusted keys.
        cutoff_ns, rehearse, progress: see ``ArchivePruner``.
        drop: see ``RowsPruner``.

    Raises:
        RetentionError: see ``RowsPruner``.
        ObjectStoreError: the store gives no answer; nothing was removed.
        DatabaseError: the database does not do it; nothing was removed.
    """
    limits = Limits(cutoff_ns, reason_of(bucket))
    planned = pruner.run(limits, rehearse=True)
    proved: dict[str, Prefix] = {}
    if not planned.chains:
        return PrunedRows(planned, proved)
    archived = cold_logs(bucket, {}, {part.chain for part in planned.chains})
    there = {cold.chain: vouched(cold.manifests, ring) for cold in archived}
    for part in planned.chains:
        manifests = there.get(part.chain, [])
        proved[part.chain] = proved_prefix(
            bucket, ring, manifests, part.last, gone=part.first - 1, progress=progress
        )
    heads = {chain: head_after(found.last) for chain, found in proved.items()}
    return PrunedRows(pruner.run(limits, drop=drop, rehearse=rehearse, copied=heads), proved)


def reason_of(bucket: Bucket) -> str:
    """The reason in the record of a removal: that the records are in this archive."""
    return f"archived in {bucket.settings.shown}"
