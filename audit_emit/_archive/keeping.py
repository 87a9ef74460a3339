"""Legal holds on archived objects: what a hold covers must not be deleted there either."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from audit_emit._format.manifest import Manifest
from audit_emit._objects.bucket import Bucket
from audit_emit._objects.first import first_version
from audit_emit._retention.holds import Holds
from audit_emit.errors import ObjectStoreError

Progress = Callable[[int, int], None]


def keep(
    bucket: Bucket,
    manifests: Iterable[Manifest],
    holds: Holds,
    progress: Progress | None = None,
    *,
    free: bool,
) -> int:
    """Set the legal hold of every object that should have one, and lift others; how many changed.

    It can be interrupted, and done again.

    Args:
        manifests: of the log that the holds are of.
        free: whether a hold may be lifted; for that the log must have been verified.
        progress: called with the number of batches that were looked at, and of all batches.

    Raises:
        ObjectStoreError: the store does not do it; ``no-lock`` where the bucket cannot.
    """
    changed = 0
    known = list(manifests)
    for number, one in enumerate(known, 1):
        wanted = holds.is_held(one.first_seq, one.last_seq) is not None
        for key, version in objects_of(bucket, one):
            stored = bucket.look_at(key, version)
            if stored is not None and stored.hold != wanted and (wanted or free):
                bucket.hold(key, version, on=wanted)
                changed += 1
        if progress is not None:
            progress(number, len(known))
    return changed


def hold_new(bucket: Bucket, one: Manifest, holds: Holds) -> None:
    """Put a batch that has just been archived under the holds that are on its records.

    A bucket that does not support holds is reported when a hold is placed, not with every batch.

    Raises:
        ObjectStoreError: the store does not do it.
    """
    if holds.is_held(one.first_seq, one.last_seq) is None:
        return
    try:
        for key, version in objects_of(bucket, one):
            bucket.hold(key, version, on=True)
    except ObjectStoreError as error:
        if error.reason not in {"no-lock", "not-implemented"}:
            raise


def objects_of(bucket: Bucket, one: Manifest) -> Iterator[tuple[str, str]]:
    """Keys and versions of a batch: its parts, then its manifest.

    Raises:
        ObjectStoreError: the store gives no answer.
    """
    for part in one.parts:
        yield one.key_of(part), part.version
    stored = bucket.look_at(one.key, first_version(bucket, one.key))
    if stored is not None:
        yield one.key, stored.version
