"""Compares a log with the manifests of its archive, as with checkpoints. Pure.

A manifest is signed, and has the hash of the last record of its part: such a head binds the whole
chain before it, wherever the records are read from. A manifest that no trusted key signed is
reported, and proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from audit_emit._format.key_change import Name, Succession, describe_key
from audit_emit._format.manifest import Manifest
from audit_emit._signing.trusted_keys import KeyRing, Verdict
from audit_emit._verify.findings import Finding, Findings, Kind


class Edge(Protocol):
    """Where the archive ends and the disk begins; 0 for nothing there."""

    @property
    def oldest_hot_seq(self) -> int: ...

    @property
    def highest_archived_seq(self) -> int: ...


@runtime_checkable
class Archived(Protocol):
    """A reader of a log that is in an archive, as a whole or in part."""

    @property
    def manifests(self) -> Sequence[Manifest]: ...

    @property
    def edge(self) -> Edge: ...

    def trust(self, ring: KeyRing) -> None:
        """From now on fetch only objects whose manifest one of these keys has signed."""
        ...


def heads_of(manifests: Iterable[Manifest], ring: KeyRing) -> dict[int, str]:
    """The hash of the last record of each part whose manifest a pinned key has signed."""
    return {one.last_seq: one.last_hash for one in manifests if one.check(ring) == "ok"}


def judge(manifests: Iterable[Manifest], keys: Succession, findings: Findings) -> None:
    """Report the manifests that no trusted key has signed.

    Args:
        keys: as they are after the log was read, since the log may name further keys.
    """
    unknown: dict[Name, Manifest] = {}
    for one in manifests:
        name = (one.sig_alg, one.key_id)
        verdict = _verdict(one, keys)
        if verdict == "mismatch":
            findings.add(
                Finding(
                    Kind.CHECKPOINT_SIGNATURE_MISMATCH,
                    one.key,
                    seq=one.last_seq,
                    expected=f"a signature by {describe_key(name)}",
                    note="the manifest of an archive",
                )
            )
        elif verdict == "key-unavailable":
            unknown.setdefault(name, one)
    for name, one in unknown.items():
        note = f"manifests of the archive were not checked: {describe_key(name)} is not given"
        findings.add(Finding(Kind.KEY_UNAVAILABLE, one.key, note=note))


def _verdict(one: Manifest, keys: Succession) -> Verdict:
    change = keys.retired((one.sig_alg, one.key_id), one.origin)
    if change is not None and one.last_seq >= change.seq:
        return "mismatch"
    return one.check(keys.ring)
