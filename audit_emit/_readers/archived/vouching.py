"""Whose word it is that an object of an archive is to be fetched.

Whoever may write to a bucket can put a manifest there that names an object of any size. Where keys
are given, what a manifest names that none of them vouches for is fetched up to a bound, and nothing
where such a manifest claims to be signed by one of them. Something is fetched because a key may be
one that the log names further on (``audit.key_rotated``), in a part that this key signed itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from audit_emit._format.manifest import Manifest, Packed
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import ArchiveError

UNVOUCHED_BYTES = 4 << 30
"""Bytes that are read at most on the word of manifests that no key that is given vouches for."""

REASON = "unvouched"


def vouched(manifests: Sequence[Manifest], ring: KeyRing) -> list[Manifest]:
    """Those that a trusted key signed, or that one of these names, directly or through others.

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
        """Let these keys be the ones that are given; none changes nothing."""
        if ring.keys:
            self._ring, self._keys = ring, -1

    def refused(self, of: Manifest, part: Packed) -> str:
        """Why an object is not to be fetched; empty where it may be."""
        if not self._ring.keys or self._vouches(of):
            return ""
        if of.check(self._ring) == "mismatch":
            return f"{of.key}: the key that it names did not sign it; nothing of it is fetched"
        if (of.key, part) in self._taken:
            return ""
        size = max(part.size, part.packed_size)
        if size > self._left:
            return (
                f"{of.key}: no key that is given vouches for it, and not more than {self._most} "
                "bytes are fetched of what is so; give the key that signed it (--key, or "
                "AUDIT_EMIT_SIGNING_KEY_FILE)"
            )
        self._left -= size
        self._taken.add((of.key, part))
        return ""

    def check(self, of: Manifest, part: Packed) -> None:
        """Refuse what is not to be fetched.

        Raises:
            ArchiveError: it is so.
        """
        why = self.refused(of, part)
        if why:
            raise ArchiveError(REASON, why)

    def check_ahead(self, of: Manifest) -> None:
        """Refuse what may not be fetched before it is its turn: nothing is, up to a bound.

        Else what is fetched ahead would use the bound up, and a key that vouches for it may be in
        what is read until then: how many processes there are must not change what is found.

        Raises:
            ArchiveError: no key that is known so far vouches for it.
        """
        if self._ring.keys and not self._vouches(of):
            raise ArchiveError(REASON, f"{of.key}: no key that is known so far vouches for it")

    def _vouches(self, of: Manifest) -> bool:
        known = len(self._ring.every().keys)
        if known != self._keys:
            self._keys = known
            self._good = {one.place for one in vouched(self._manifests, self._ring)}
        return of.place in self._good
