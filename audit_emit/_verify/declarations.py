"""What a log declares about itself, in its records of the types ``audit.*``. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from audit_emit._format.key_change import RECORD as KEY_ROTATED
from audit_emit._format.key_change import Succession
from audit_emit._format.removal import RECORD as PRUNED
from audit_emit._format.unanchored import Policy
from audit_emit._verify.anchors import CHECKPOINTS
from audit_emit._verify.findings import KEPT, Finding, Findings, Kind
from audit_emit._verify.fragments import NEAR, Fragments, fields_of
from audit_emit._verify.known_heads import FORGED, Checkpoints, Place
from audit_emit._verify.legacy import RECORD as LEGACY
from audit_emit._verify.legacy import Legacy
from audit_emit._verify.removals import Removals
from audit_emit.errors import ForgedChangeError

Kept = Callable[[int, str], bool]
"""Called with a size and a SHA-256: whether such bytes were moved to ``quarantine/``, and are there
still."""


class Declarations:
    """Compares the declarations with the log while the records are read.

    Args:
        keys: the trusted keys; changes of key are added.
        checkpoints, fragments: what the declarations are about.
        legacy: the records from before the chain.
        findings: where declarations are reported, and what does not fit them.
        removals: the records that were removed.
        whole: the log's own directory was read, so that the file of checkpoints belongs to it.
        kept: see ``Kept``; ``None`` where declared bytes may be in files that are not read.
    """

    def __init__(
        self,
        keys: Succession,
        checkpoints: Checkpoints,
        fragments: Fragments,
        legacy: Legacy,
        findings: Findings,
        *,
        removals: Removals,
        whole: bool,
        kept: Kept | None = None,
    ) -> None:
        self._kept = kept
        self._removals = removals
        self._keys = keys
        self._checkpoints = checkpoints
        self._fragments = fragments
        self._legacy = legacy
        self._findings = findings
        self._whole = whole
        self._declared = 0
        self._first = 0
        self._policies: list[tuple[int, Policy]] = []
        self.policy = Policy()
        """How often the log is signed, as its last signed part says."""

    def take(self, record: Mapping[str, Any], chain: str, seq: int, place: Place) -> None:
        """One of these records, whose hash and link hold."""
        kind, fields = record.get("event_type"), record.get("fields")
        if not isinstance(fields, dict):
            return
        if kind == "audit.recovered":
            self._recovered(fields, seq, place)
        elif kind == "audit.gap":
            self._gap(fields, seq, place)
        elif kind == "audit.checkpoint":
            self._checkpoint(fields, chain, place)
        elif kind == KEY_ROTATED:
            self._key_rotated(fields, chain, seq, place)
        elif kind == "audit.started":
            self._started(fields, seq)
        elif kind == LEGACY:
            self._legacy.declare(fields, seq)
        elif kind == PRUNED:
            self._removals.take(fields, chain, seq, place)

    def anchored(self, seq: int) -> None:
        """A signature covers the chain up to this record: its declarations count from now on."""
        self._fragments.anchored(seq)
        signed = [policy for told, policy in self._policies if told <= seq]
        if signed:
            self.policy = signed[-1]
            del self._policies[: len(signed)]

    def end(self, *, demanded: bool) -> None:
        """The log is at its end: report missing checkpoints and missing declared bytes.

        Args:
            demanded: a missing signature is reported elsewhere.
        """
        self._checkpoints.settle()
        if len(self._checkpoints):
            return
        if self._declared and self._whole:
            if not self._checkpoints.file:
                note = f"the file is gone; the chain declares {self._declared} checkpoints"
                self._findings.add(
                    Finding(Kind.MISSING_SEGMENT, CHECKPOINTS, seq=self._first, note=note)
                )
        elif self._keys.ring.keys and not demanded:
            note = "a key is given, and no checkpoint is there that it could be used for"
            self._findings.add(Finding(Kind.KEY_UNAVAILABLE, CHECKPOINTS, note=note))

    def _recovered(self, fields: Mapping[str, Any], seq: int, place: Place) -> None:
        declared = fields_of(fields)
        keys = bool(self._keys.ring.keys)
        if declared is None or self._fragments.declare(*declared, seq, keys=keys) is not None:
            return
        kind, note = Kind.RECOVERED_TEAR, "declared, and no longer in the file"
        # The declared bytes were just before the record, so perhaps in the last removed file.
        removed = self._removals.last and seq < self._removals.last + NEAR
        if self._kept is not None and not removed and not self._kept(*declared):
            kind = Kind.MISSING_SEGMENT
            note = f"{declared[0]} bytes that it declares are neither in the log nor in quarantine/"
        self._findings.add(place.finding(kind, seq, note=note))

    def _started(self, fields: Mapping[str, Any], seq: int) -> None:
        policy = Policy.of(fields)
        if policy is not None and len(self._policies) < KEPT:
            self._policies.append((seq, policy))

    def _gap(self, fields: Mapping[str, Any], seq: int, place: Place) -> None:
        lost = fields.get("lost")
        if fields.get("sink") != "stdout" and type(lost) is int and lost > 0:
            note = short(fields.get("reason"))
            self._findings.add(place.finding(Kind.DECLARED_GAP, seq, actual=lost, note=note))

    def _checkpoint(self, fields: Mapping[str, Any], chain: str, place: Place) -> None:
        """The chain records every checkpoint: one that the file lacks was taken out of it."""
        size = fields.get("head_seq")
        if type(size) is not int or not 0 < size < 2**63:
            return
        self._declared += 1
        self._first = self._first or size
        if not self._checkpoints.file:
            return
        there = next(self._checkpoints.like(size, chain, {}), None)
        if there is None:
            expected = f"this checkpoint in {self._checkpoints.file}"
            self._findings.add(place.finding(Kind.SEQUENCE_GAP, size, expected=expected))
            return
        members = {name: fields[name] for name in there.members() if name in fields}
        if next(self._checkpoints.like(size, chain, members), None) is None:
            differing = [
                name for name, value in there.members().items() if members.get(name, value) != value
            ]
            note = f"{self._checkpoints.file} has another {' and '.join(differing)}"
            kind = Kind.CHECKPOINT_ROOT_MISMATCH
            self._findings.add(
                place.finding(
                    kind,
                    size,
                    expected=there.root,
                    actual=short(fields.get("root_hash")),
                    note=note,
                )
            )

    def _key_rotated(self, fields: Mapping[str, Any], chain: str, seq: int, place: Place) -> None:
        try:
            self._keys.follow(fields, seq, chain, partial(self._holds, chain))
        except ForgedChangeError as error:
            note = f"a change of key: {error}"
            self._findings.add(place.finding(Kind.CHECKPOINT_SIGNATURE_MISMATCH, seq, note=note))

    def _holds(self, chain: str, size: int, root: str) -> bool:
        """Whether the file has this checkpoint; then the records are compared with it anyway.

        Without a file of checkpoints nothing is anchored, whatever key is trusted.
        """
        return not self._checkpoints.file or any(
            each.state != FORGED
            for each in self._checkpoints.like(size, chain, {"root_hash": root})
        )


def short(value: object) -> str:
    """A value from a log, for a message."""
    return value[:200] if isinstance(value, str) else repr(value)[:200]
