"""Which objects of an archive may be fetched, by who signed the manifest that names them.

Whoever may write to a bucket can put a manifest there that names an object of any size. If keys are
given, objects of manifests that none of them has signed are fetched up to a bound in bytes. If such
a manifest names one of these keys as its signer, it is forged, and nothing of it is fetched. The
bound is not 0, because the log may name the key later (``audit.key_rotated``), in a part that this
very key has signed.
"""

from __future__ import annotations

from collections.abc import Sequence

from audit_emit._format.manifest import Manifest, Packed
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import ArchiveError

UNVOUCHED_BYTES = 4 << 30
"""Bytes that are fetched at most for manifests that none of the given keys has signed."""

REASON = "unvouched"


def vouched(manifests: Sequence[Manifest], ring: KeyRing) -> list[Manifest]:
    """The manifests that a trusted key signed, or that a signed one names, directly or not.

    Args:
        manifests: of one chain, in the order of their records.
    """
    good: list[Manifest] = []
    named = ""
    for one in reversed(manifests):
        if one.digest() == named or one.check(ring) == "ok":
            good.append(one)
            named = one.previous
        else:
            named = ""
    return good[::-1]


class Vouching:
    """Which objects of one chain may be fetched.

    Args:
        manifests: of the chain, in the order of their records.
        ring: the keys that are given, if any; it may grow while the log is read.
        most: see ``UNVOUCHED_BYTES``.
    """

    def __init__(
        self, manifests: Sequence[Manifest], ring: KeyRing, most: int = UNVOUCHED_BYTES
    ) -> None:
        self._manifests = manifests
        self._ring = ring
        self._left = most
        self._most = most
        self._taken: set[tuple[str, Packed]] = set()
        self._keys = -1
        self._good: set[tuple[int, int]] = set()

    def trust(self, ring: KeyRing) -> None:
        """Replace the given keys; without any, nothing changes."""
        if ring.keys:
            self._ring, self._keys = ring, -1

    def refused(self, of: Manifest, part: Packed) -> str:
        """Why an object must not be fetched; empty where it may be."""
        if not self._ring.keys or self._vouches(of):
            return ""
        if of.check(self._ring) == "mismatch":
            return f"{of.key}: the key that it names did not sign it; nothing of it is fetched"
        if (of.key, part) in self._taken:
            return ""
        size = max(part.size, part.packed_size)
        if size > self._left:
            return (
                f"{of.key}: none of the given keys signed it, and not more than {self._most} "
                "bytes are fetched of such objects; give the key that signed it (--key, or "
                "AUDIT_EMIT_SIGNING_KEY_FILE)"
            )
        self._left -= size
        self._taken.add((of.key, part))
        return ""

    def check(self, of: Manifest, part: Packed) -> None:
        """Check that an object may be fetched.

        Raises:
            ArchiveError: it must not.
        """
        why = self.refused(of, part)
        if why:
            raise ArchiveError(REASON, why)

    def check_ahead(self, of: Manifest) -> None:
        """Check that an object may be fetched ahead of its turn: only with a signed manifest.

        Otherwise objects that are fetched ahead would use up the bound, and the key that signed
        them may be named in a part that comes before. The number of processes must not change the
        findings.

        Raises:
            ArchiveError: no key that is known so far has signed its manifest.
        """
        if self._ring.keys and not self._vouches(of):
            raise ArchiveError(REASON, f"{of.key}: no key that is known so far vouches for it")

    def _vouches(self, of: Manifest) -> bool:
        known = len(self._ring.every().keys)
        if known != self._keys:
            self._keys = known
            self._good = {one.place for one in vouched(self._manifests, self._ring)}
        return of.place in self._good
