"""Witnesses of the tests: keys, one that answers over HTTP, and logs that are cosigned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.http_served import serving
from support.prunable_log import ORIGIN, PrunableLog

from audit_emit._checkpoints.prove import newest_checkpoint
from audit_emit._checkpoints.witnessing.collect import collect
from audit_emit._checkpoints.witnessing.kept import Attempt, Kept
from audit_emit._checkpoints.witnessing.serve import LONGEST, Witness
from audit_emit._format.checkpoint import Checkpoint
from audit_emit._readers.opening import open_reader
from audit_emit._signing.cosigners import Cosigner
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing

PAIR = Ed25519Key.from_seed(b"l" * 32)
RING = KeyRing([PAIR])
KEYS = [
    Cosigner.of_pair(f"w{n}.example.com", Ed25519Key.from_seed(bytes([n]) * 32))
    for n in range(1, 4)
]


class WitnessedLog(PrunableLog):
    """A log that an Ed25519 pair signs, as it grows."""

    def __init__(self, directory: Path, records: int = 300) -> None:
        super().__init__(directory, records=records, part=100, ring=RING)
        self.kept = Kept(str(directory))

    @property
    def newest(self) -> Checkpoint:
        """The newest checkpoint."""
        with open_reader(str(self.path)) as reader:
            found = newest_checkpoint(reader, RING)
        assert found is not None
        return found

    @property
    def vkey(self) -> Ed25519Key:
        """The verifier key of the log, under its whole name."""
        return Ed25519Key.from_vkey(PAIR.to_vkey(self.newest.origin))

    def grow(self) -> None:
        """One record more, signed."""
        self.append("audit.started", {"pid": 1})
        self.sign()

    def collect(self, now: float | None = None) -> dict[str, Attempt]:
        """Ask every witness that is configured and due."""
        with open_reader(str(self.path)) as reader:
            return collect(self.kept, reader, self.newest, RING, now=now)


@contextmanager
def answering(witness: Witness) -> Iterator[str]:
    """The address of a witness."""
    with serving(witness.answer, most=LONGEST) as server:
        yield server.url


def witness_of(directory: Path, log: WitnessedLog, key: Cosigner = KEYS[0]) -> Witness:
    """A witness that knows a log."""
    directory.mkdir(exist_ok=True)
    return Witness(str(directory), [key], [log.vkey])


__all__ = ["KEYS", "ORIGIN", "PAIR", "RING", "WitnessedLog", "answering", "witness_of"]
