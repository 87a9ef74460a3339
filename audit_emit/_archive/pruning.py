"""Removes segments that are archived, after the archive has proved that it has every record.

What may be removed at all, and how it is said, is known in ``_retention``: a prefix of the log, old
enough, under no hold, signed, never the newest segment. Here one more bound is found: the last
record of those batches, from the first one on, that the store just now gave back as they were.

What counts as proof is signed: the manifests, and the record ``audit.pruned`` of what went before.
The journal only says which manifests to ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from audit_emit._archive.journal import Journal
from audit_emit._archive.proving import prove_part
from audit_emit._archive.state import head_after, parsed, trusted
from audit_emit._format.manifest import Manifest
from audit_emit._objects.bucket import Bucket
from audit_emit._readers.archived.manifests import links
from audit_emit._retention.files import Outcome, Pruner
from audit_emit._retention.statement import Limits
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import ArchiveError, ObjectStoreError

Progress = Callable[[int, int], None]


class Pruned(NamedTuple):
    """What a run did.

    Attributes:
        outcome: of the removal; see there.
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
            progress: called with the records that were proved and those that are to be.

        Raises:
            RetentionError: see ``Pruner``.
            ObjectStoreError: the store gives no answer; nothing was removed.
            OSError: a file cannot be read or written.
        """
        reason = f"archived in {self._bucket.settings.shown}"
        planned = self._pruner.run(Limits(cutoff_ns, reason), rehearse=True)
        if not planned.files:
            return Pruned(planned, 0, "")
        wanted = planned.removal.last_seq if planned.removal is not None else 0
        manifests = self._journal.manifests(planned.chain)
        last, stopped = self._proved(manifests, planned.before, wanted, progress)
        proved = last.last_seq if last is not None else 0
        limits = Limits(cutoff_ns, reason, proved, head_after(last))
        return Pruned(self._pruner.run(limits, rehearse=rehearse), proved, stopped)

    def _proved(
        self, manifests: Sequence[Manifest], gone: int, wanted: int, progress: Progress | None
    ) -> tuple[Manifest | None, str]:
        """The last of the batches that are there as they were, and why no more are.

        Args:
            gone: the last record that a signed record calls removed: batches up to it need not be
                fetched again.
            wanted: the last record that is to go.

        Raises:
            ObjectStoreError: the store gives no answer.
        """
        before: Manifest | None = None
        broken = dict(links(manifests))
        for one in manifests:
            if one.first_seq > wanted:
                break
            try:
                if one.key in broken:
                    raise ArchiveError("manifest", f"{one.key}: {broken[one.key]}")
                self._same(one)
                if one.last_seq > gone:
                    prove_part(self._bucket, one, before)
            except ArchiveError as error:
                return before, str(error)
            except ObjectStoreError as error:
                if error.reason not in {"not-found", "too-long"}:
                    raise
                return before, str(error)
            before = one
            if progress is not None:
                progress(min(one.last_seq, wanted), wanted)
        return before, ""

    def _same(self, one: Manifest) -> None:
        """Whether the store has the manifest that the journal has, and a trusted key signed it.

        Raises:
            ArchiveError: it has not.
            ObjectStoreError: it gives no answer.
        """
        if parsed(one.key, self._bucket.small(one.key)) != one:
            raise ArchiveError("altered", f"{one.key}: it is another one than was put there")
        trusted(one, self._ring)
        stored = self._bucket.look_at(one.key_of(one.records), one.records.version)
        if stored is not None and self._bucket.settings.lock and not (stored.mode or stored.hold):
            raise ArchiveError("unlocked", f"{one.key_of(one.records)}: nothing locks it")
