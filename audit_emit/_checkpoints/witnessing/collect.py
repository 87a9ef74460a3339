"""Brings the newest checkpoint to every witness that is configured, at most once a minute."""

from __future__ import annotations

import time
from functools import partial

import msgspec

from audit_emit._checkpoints.consistency import proof_between
from audit_emit._checkpoints.notes import note_of
from audit_emit._checkpoints.witnessing.kept import Attempt, Cosigned, Kept
from audit_emit._checkpoints.witnessing.submit import submit
from audit_emit._format.checkpoint import Checkpoint
from audit_emit._readers.base import LogReader
from audit_emit._signing.trusted_keys import ED25519, Key, KeyRing

SECONDS = 60
"""Between two attempts with a witness."""


def collect(
    kept: Kept,
    reader: LogReader,
    newest: Checkpoint,
    ring: KeyRing,
    *,
    now: float | None = None,
    before: Key | None = None,
) -> dict[str, Attempt]:
    """Ask every witness of ``witness.policy`` that has an address and is due.

    Args:
        kept: the files of witnesses of this log.
        reader: of the log.
        newest: its newest checkpoint.
        ring: the trusted keys.
        now: seconds since 1970.
        before: the key that the one of the checkpoint has replaced just now. It signs the note as
            well, and every witness is asked at once: it may know no other key yet.

    Returns:
        How it went, by key id; nothing of witnesses that were not asked.

    Raises:
        ValueError: the policy is none, or the checkpoint is signed with a shared key.
        OSError: a file cannot be read or written.
    """
    policy = kept.policy()
    if policy is None:
        return {}
    if newest.sig_alg != ED25519:
        raise ValueError("witnesses sign notes, and a shared key (HMAC) makes none")
    note = note_of(newest, before)
    attempts = kept.attempts()
    made: dict[str, Attempt] = {}
    taken: list[Cosigned] = []
    for witness in policy.witnesses.values():
        last = attempts.get(witness.key.key_id)
        at = time.time() if now is None else now
        if not witness.url or not (before or due(last, newest.head_seq, at)):
            continue
        proof = partial(proof_between, reader, new=newest, ring=ring)
        attempt, cosigned = submit(newest, note, witness, proof)
        made[witness.key.key_id] = _since(attempt, last)
        taken += [cosigned] if cosigned is not None else []
    if taken:
        kept.take(taken, newest, note_of(newest, before, cosigned=True))
    if made:
        kept.tell(made)
    return made


def _since(attempt: Attempt, last: Attempt | None) -> Attempt:
    """An attempt, with what the witness has cosigned before where it has not now."""
    if attempt.state == "cosigned" or last is None:
        return attempt
    return msgspec.structs.replace(
        attempt, cosigned_at=last.cosigned_at, cosigned_size=last.cosigned_size
    )


def due(last: Attempt | None, size: int, now: float) -> bool:
    """Whether a witness is to be asked about a checkpoint of this size."""
    if last is None:
        return True
    if last.state == "cosigned" and last.cosigned_size == size:
        return False
    # A time that is still to come is of a clock that was set back.
    return not 0 <= now - last.tried_at < SECONDS
