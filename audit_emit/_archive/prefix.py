"""How much of a log the archive really has: its batches, fetched and verified from the first on.

Local records are only removed up to the end of this prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from audit_emit._archive.proving import prove_part
from audit_emit._archive.state import same_there, trusted
from audit_emit._format.manifest import Manifest
from audit_emit._objects.bucket import Bucket
from audit_emit._readers.archived.manifests import links
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import ArchiveError, ObjectStoreError

Progress = Callable[[int, int], None]


class Prefix(NamedTuple):
    """The batches that were verified.

    Attributes:
        last: the last of the batches that are there as they were; ``None`` for none.
        stopped: why no further batch was; empty if all that were wanted are.
    """

    last: Manifest | None
    stopped: str

    @property
    def seq(self) -> int:
        """The last record that the archive gave back; 0 for none."""
        return self.last.last_seq if self.last is not None else 0


def proved_prefix(
    bucket: Bucket,
    ring: KeyRing,
    manifests: Sequence[Manifest],
    wanted: int,
    *,
    gone: int = 0,
    progress: Progress | None = None,
) -> Prefix:
    """Fetch the batches one after the other, and verify each record by record.

    Args:
        ring: the trusted keys.
        manifests: of the log, in the order of their records.
        wanted: the last record that is to be removed.
        gone: the last record that was removed before, as a signed record says: batches up to it
            are not fetched again, and the first batch must not begin later than just after it.
        progress: called with the number of records proved, and of those to prove.

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
            if before is None and one.first_seq > gone + 1:
                why = f"{one.key}: records before it, which are here, are not in the archive"
                raise ArchiveError("missing", why)
            _same(bucket, ring, one)
            if one.last_seq > gone:
                prove_part(bucket, one, before)
        except ArchiveError as error:
            return Prefix(before, str(error))
        except ObjectStoreError as error:
            if error.reason not in {"not-found", "too-long"}:
                raise
            return Prefix(before, str(error))
        before = one
        if progress is not None:
            progress(min(one.last_seq, wanted), wanted)
    return Prefix(before, "")


def _same(bucket: Bucket, ring: KeyRing, one: Manifest) -> None:
    """Check that the store has this manifest, and that a trusted key signed it.

    Raises:
        ArchiveError: it has not.
        ObjectStoreError: it gives no answer.
    """
    same_there(bucket, one)
    trusted(one, ring)
    for part in one.parts[:1]:
        stored = bucket.look_at(one.key_of(part), part.version)
        if stored is not None and bucket.settings.lock and not (stored.mode or stored.hold):
            raise ArchiveError("unlocked", f"{one.key_of(part)}: nothing locks it")
