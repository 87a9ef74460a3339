"""Brings the newest checkpoint to every witness that is configured, at most once a minute."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial

import msgspec

from audit_emit._checkpoints.consistency import checkpoint_of, proof_between
from audit_emit._checkpoints.notes import handed_over, kept_size, note_of
from audit_emit._checkpoints.witnessing.kept import Attempt, Cosigned, Kept
from audit_emit._checkpoints.witnessing.submit import submit
from audit_emit._format.checkpoint import Checkpoint, parse_text
from audit_emit._format.policy import Witness
from audit_emit._format.record import ns_of
from audit_emit._format.signed_note import Note
from audit_emit._readers.base import LogReader
from audit_emit._signing.trusted_keys import ED25519, KeyRing

SECONDS = 60
"""Seconds between two attempts with one witness."""

TELL = "it knows the old key alone: tell it the new one (audit-emit vkey)"
"""The note about a witness that cosigned what both keys signed, and nothing after that."""


def collect(
    kept: Kept, reader: LogReader, newest: Checkpoint, ring: KeyRing, *, now: float | None = None
) -> dict[str, Attempt]:
    """Ask every witness of ``witness.policy`` that has an address and is due.

    Where the key of the log was replaced, a witness may know the old one alone. The first note
    after that is signed by both: it is sent to every witness, and later again to those that did
    not answer.

    Args:
        kept: the files of witnesses of this log.
        reader, newest, ring: of the log, its newest checkpoint, the trusted keys.
        now: seconds since 1970.

    Returns:
        The attempts, by key id of the witness; witnesses that were not asked are left out.

    Raises:
        ValueError: the policy is none, or the checkpoint is signed with a shared key.
        OSError: a file cannot be read or written.
    """
    policy = kept.policy()
    if policy is None:
        return {}
    if newest.sig_alg != ED25519:
        raise ValueError("witnesses sign notes, and a shared key (HMAC) makes none")
    both = handed_over(kept.directory, newest.origin, ring)
    note = note_of(newest, both)
    changed = both is not None and both.text == note.text
    since = ns_of(newest.at) // 10**9 if changed else 0
    attempts = kept.attempts()
    made: dict[str, Attempt] = {}
    taken: list[Cosigned] = []
    for witness in policy.witnesses.values():
        last = attempts.get(witness.key.key_id)
        at = time.time() if now is None else now
        if not witness.url or not due(last, newest.head_seq, at, since):
            continue
        proof = partial(proof_between, reader, new=newest, ring=ring)
        attempt, cosigned, refused = submit(newest, note, witness, proof)
        taken += [cosigned] if cosigned is not None else []
        if refused and both is not None and not changed:
            attempt = _about_change(kept, reader, both, witness, ring, last) or attempt
        made[witness.key.key_id] = _since(attempt, last)
    if taken:
        kept.take(taken, newest, note_of(newest, both, cosigned=True))
    if made:
        kept.tell(made)
    return made


def _about_change(
    kept: Kept,
    reader: LogReader,
    both: Note,
    witness: Witness,
    ring: KeyRing,
    last: Attempt | None,
) -> Attempt | None:
    """Ask a witness that knows no newer key about the note that both keys signed.

    ``None`` where it has cosigned that before, or does not now.
    """
    _, size, _ = parse_text(both.text.encode())
    if last is not None and last.cosigned_size >= size:
        return None
    with suppress(ValueError):
        first = checkpoint_of(reader, size, ring)
        if first.text() == both.text.encode():
            proof = partial(proof_between, reader, new=first, ring=ring)
            attempt, cosigned, _ = submit(first, both, witness, proof)
            if cosigned is not None:
                # Others may have cosigned what came after it: the file never goes back.
                back = kept_size(kept.directory, first.origin, ring) > size
                kept.take([cosigned], first, None if back else both)
                return msgspec.structs.replace(attempt, note=TELL)
    return None


def _since(attempt: Attempt, last: Attempt | None) -> Attempt:
    """An attempt; if it failed, with what the witness has cosigned before."""
    if attempt.state == "cosigned" or last is None:
        return attempt
    return msgspec.structs.replace(
        attempt, cosigned_at=last.cosigned_at, cosigned_size=last.cosigned_size
    )


def due(last: Attempt | None, size: int, now: float, since: int = 0) -> bool:
    """Whether a witness is to be asked about a checkpoint of this size.

    Args:
        last: the last attempt with it.
        size: of the newest checkpoint.
        now: seconds since 1970.
        since: when the key changed with that checkpoint; 0 where it did not.
    """
    if last is None:
        return True
    if last.state == "cosigned" and last.cosigned_size == size:
        return False
    if last.tried_at <= since:
        return True
    # An attempt in the future means that the clock was set back since.
    return not 0 <= now - last.tried_at < SECONDS
