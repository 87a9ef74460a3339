"""The file ``checkpoint``: the newest signed note of a log, with the cosignatures of its witnesses.

It is what C2SP tlog-tiles serves under that name, and what an auditor checks with a policy.
"""

from __future__ import annotations

import os
from contextlib import suppress

from audit_emit._checkpoints import durable
from audit_emit._format.checkpoint import Checkpoint
from audit_emit._format.signed_note import MAX_BYTES, Note, Signature
from audit_emit._signing.trusted_keys import ED25519, Key, KeyRing

NAME = "checkpoint"


def note_of(newest: Checkpoint, before: Key | None = None, *, cosigned: bool = False) -> Note:
    """The note of a checkpoint, signed by a key that is being replaced as well.

    Whoever knows only that one, as a witness may, can go on with it, and learn the new one then.

    Args:
        newest: the checkpoint.
        before: the key that was replaced just now; a shared key signs no note.
        cosigned: see ``Checkpoint.to_note``.

    Raises:
        ValueError: the checkpoint is signed with a shared key.
    """
    note = newest.to_note(cosigned=cosigned)
    key_id = before.key_id(newest.origin) if before and before.algorithm == ED25519 else None
    if before is None or key_id is None:
        return note
    made = Signature(newest.origin, key_id, before.sign(newest.text()))
    return Note(note.text, (*note.signatures, made))


def newest_note(directory: str, newest: Checkpoint, ring: KeyRing) -> bytes:
    """The note of the file where it is one that a key of the ring signed, else one of the newest.

    Args:
        directory: of the log; empty where it has none.
        newest: the newest checkpoint.
        ring: the trusted keys.

    Raises:
        ValueError: there is no such file, and the checkpoint is signed with a shared key.
    """
    kept = kept_note(directory) if directory else b""
    if kept:
        with suppress(ValueError):
            note = Note.from_bytes(kept)
            if note.text.startswith(f"{newest.origin}\n") and note.check(ring) == "ok":
                return kept
    return newest.to_note(cosigned=True).to_bytes()


def kept_note(directory: str) -> bytes:
    """The bytes of the file; empty where there is none that can be read."""
    with suppress(OSError, ValueError):
        return durable.content(os.path.join(directory, NAME), MAX_BYTES) or b""
    return b""
