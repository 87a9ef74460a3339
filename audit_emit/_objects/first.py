"""The versions of objects that were put first.

What nobody replaces was put first: whoever puts something over it later, or deletes it, hides it,
and takes nothing away.
"""

from __future__ import annotations

from collections.abc import Callable

from audit_emit._objects.bucket import Bucket, Version
from audit_emit.errors import ObjectStoreError


def first_versions(
    bucket: Bucket, wanted: Callable[[str], bool], below: str = ""
) -> dict[str, str]:
    """Keys, each with the version that was put first; that is empty where a bucket keeps none.

    Args:
        wanted: says of a key whether it is looked for.
        below: what the keys begin with.

    Raises:
        ObjectStoreError: see ``failure_of``.
    """
    found: dict[str, Version] = {}
    try:
        for one in bucket.versions(below):
            if one.deleted or not wanted(one.key):
                continue
            known = found.get(one.key)
            # Of one second the later one in the answer is older: it has the newest versions first.
            if known is None or one.at <= known.at:
                found[one.key] = one
    except ObjectStoreError as error:
        if error.reason not in {"not-implemented", "denied"}:
            raise
        return {key: "" for key in bucket.names(below) if wanted(key)}
    return {key: one.version for key, one in found.items()}


def first_version(bucket: Bucket, key: str) -> str:
    """The same of one key; empty where there is none."""
    return first_versions(bucket, lambda found: found == key, key).get(key, "")
