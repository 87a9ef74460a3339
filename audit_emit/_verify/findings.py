"""What a verifier reports: a closed set of kinds, and the verdict that follows from them.

The kinds and the exit status are those of docs/wire-format.md, section 7.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Any

import msgspec

from audit_emit._format.record import parsed
from audit_emit.errors import VerificationError

KEPT = 1000
"""How many findings of one kind are kept; the others are counted."""


class Kind(StrEnum):
    """Every kind of finding that there is."""

    EVENT_HASH_MISMATCH = "event-hash-mismatch"
    EVENT_PREV_HASH_MISMATCH = "event-prev-hash-mismatch"
    SEQUENCE_GAP = "sequence-gap"
    SEQUENCE_DUPLICATE = "sequence-duplicate"
    CHAIN_ID_MISMATCH = "chain-id-mismatch"
    MALFORMED_LINE = "malformed-line"
    TORN_TAIL = "torn-tail"
    CHECKPOINT_SIGNATURE_MISMATCH = "checkpoint-signature-mismatch"
    CHECKPOINT_ROOT_MISMATCH = "checkpoint-root-mismatch"
    ORIGIN_MISMATCH = "origin-mismatch"
    NOT_ANCHORED = "not-anchored"
    NOT_WITNESSED = "not-witnessed"
    TRUNCATED = "truncated"
    MISSING_SEGMENT = "missing-segment"
    NOTHING_FOUND = "nothing-found"
    KEY_UNAVAILABLE = "key-unavailable"
    RECOVERED_TEAR = "recovered-tear"
    DECLARED_GAP = "declared-gap"
    LEGACY_RECORD = "legacy-record"
    PRUNED = "pruned"
    UNKNOWN_VERSION = "unknown-version"


INFORMATIVE = frozenset(
    {
        Kind.RECOVERED_TEAR,
        Kind.DECLARED_GAP,
        Kind.LEGACY_RECORD,
        Kind.PRUNED,
        Kind.UNKNOWN_VERSION,
    }
)
"""Kinds that change no verdict: declared by the log itself, or of another version of the format."""

INCOMPLETE = frozenset({Kind.TORN_TAIL, Kind.DECLARED_GAP, Kind.KEY_UNAVAILABLE})
"""What could not be checked, or is declared as missing: neither good nor tampered with."""

TAMPERED = frozenset(Kind) - INFORMATIVE - INCOMPLETE - {Kind.NOTHING_FOUND}
"""What no writer of this format leaves behind."""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is not as it should be, and where.

    Attributes:
        kind: what it is.
        file: the name of the file; ``-`` for standard input.
        offset: of the line's first byte, in the file as it is when not compressed.
        line: number of the line, from 1.
        seq: of the record or checkpoint; where there is none, the number expected there.
        expected, actual: what should be there, and what is.
        note: what a reader should know beyond that.
        size: bytes, without a newline, that are certainly no record; else ``None``.
        record: what the line says now: ``ts``, ``event_type``, ``user_id`` and ``actor_kind``.
        between: the checkpoints between which the record lies: the last one before it, and the
            first that covers it; 0 where there is none.
    """

    kind: Kind
    file: str
    offset: int | None = None
    line: int | None = None
    seq: int | None = None
    expected: str | int | None = None
    actual: str | int | None = None
    note: str = ""
    size: int | None = None
    record: dict[str, str] | None = None
    between: tuple[int, int] | None = None


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """The verdict on one log.

    Attributes:
        findings: in the order in which they came up, at most ``KEPT`` of a kind.
        counts: how many there are of each kind.
        chain: the chain that was followed; empty when there was none.
        records: chained records that were read.
        legacy: records from before the chain.
        unclaimed: size and SHA-256 of the records before the chain that no signed record declares.
        first_seq, last_seq, last_hash: the chain from end to end; 0 and empty without records.
        checkpoints: how many were read.
        anchored_seq: head of the newest checkpoint whose signature and root are right; else 0.
        anchored_at: when it was signed, as its line says.
        anchored_by: algorithm and id of the key that signed it.
        anchored_time: when it was signed, as a signature over the time proves, in seconds since
            1970; 0 where nothing signed the time.
        unanchored: records after it that no signature covers, those about checkpoints aside.
        origin: of the log, as that checkpoint names it.
        anchored_root: its Merkle root.
        witnessed_seq: records of the newest checkpoint that enough witnesses cosigned; 0 where
            nobody was asked for, or not enough did.
        witnessed_by: the names of their keys.
        witnessed_time: when the first of them signed it, in seconds since 1970.
        outside_seq: records of the newest checkpoint that was kept elsewhere and agrees; 0 where
            nothing was named.
        outside_time: when a timestamp authority saw it, in seconds since 1970; 0 without one.
        demanded: what was demanded of the anchor, in words; empty where nothing was.
        partial: the verification began or ended inside the log, as asked for.
    """

    findings: tuple[Finding, ...]
    counts: dict[str, int]
    chain: str = ""
    records: int = 0
    legacy: int = 0
    first_seq: int = 0
    last_seq: int = 0
    last_hash: str = ""
    checkpoints: int = 0
    anchored_seq: int = 0
    anchored_at: str = ""
    anchored_by: str = ""
    anchored_time: int = 0
    unanchored: int = 0
    origin: str = ""
    anchored_root: str = ""
    demanded: str = ""
    unclaimed: tuple[int, str] | None = None
    partial: bool = False
    witnessed_seq: int = 0
    witnessed_by: tuple[str, ...] = ()
    witnessed_time: int = 0
    outside_seq: int = 0
    outside_time: int = 0

    @property
    def tampered(self) -> bool:
        """Something is there that no writer leaves behind."""
        return not TAMPERED.isdisjoint(self.counts)

    @property
    def incomplete(self) -> bool:
        """Something is declared as missing, torn off, or could not be checked."""
        return not INCOMPLETE.isdisjoint(self.counts)

    @property
    def exit_status(self) -> int:
        """0 good, 1 tampered with, 4 incomplete, 3 nothing found; where several hold, the first."""
        if self.tampered:
            return 1
        if self.incomplete:
            return 4
        return 3 if Kind.NOTHING_FOUND in self.counts else 0

    def raise_for_findings(self) -> None:
        """Raise unless everything is good.

        Raises:
            VerificationError: the exit status is not 0.
        """
        if self.exit_status:
            raise VerificationError(self)

    def as_dict(self) -> dict[str, Any]:
        """The report and its verdict, as plain values."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        verdict = {0: "ok", 1: "tampered", 3: "nothing-found", 4: "incomplete"}[self.exit_status]
        return {"verdict": verdict, "exit_status": self.exit_status, **found}


SHOWN = ("ts", "event_type", "user_id", "actor_kind")
"""Members by which people recognise a record."""

_LONGEST = 200
"""Characters of a member that are kept."""


def seen(line: bytes) -> dict[str, str] | None:
    """The members of a line that help people recognise it; nothing of it is checked."""
    record = parsed(line)
    if record is None:
        return None
    members = ((name, record.get(name)) for name in SHOWN)
    return {name: str(value)[:_LONGEST] for name, value in members if value is not None}


class Findings:
    """Collects findings; memory is bounded whatever a log holds."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.counts: Counter[str] = Counter()

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it unless there are many of its kind."""
        self.counts[finding.kind] += 1
        if self.counts[finding.kind] <= KEPT:
            self.kept.append(finding)

    def show(self, finding: Finding, line: bytes) -> None:
        """Add a finding, with the members of its line."""
        if self.counts[finding.kind] < KEPT:
            finding = msgspec.structs.replace(finding, record=seen(line))
        self.add(finding)

    def room(self, kind: Kind) -> int:
        """How many more of a kind are kept; the others are counted."""
        return max(KEPT - self.counts[kind], 0)

    def count(self, kind: Kind, more: int) -> None:
        """Count findings of which nothing else is known."""
        if more > 0:
            self.counts[kind] += more
