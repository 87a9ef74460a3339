"""The file ``checkpoint``: the newest signed note of a log, with the cosignatures of its witnesses.

It is what C2SP tlog-tiles serves under that name, and what an auditor checks with a policy.
"""

from __future__ import annotations

import os
from contextlib import suppress

from audit_emit._checkpoints import durable
from audit_emit._format.checkpoint import Checkpoint, parse_text
from audit_emit._format.signed_note import MAX_BYTES, Note, Signature
from audit_emit._signing.trusted_keys import ED25519, Key, KeyRing
from audit_emit.errors import SignerError

NAME = "checkpoint"
HANDOVER = "handover.note"
"""The first note after the last change of key, which both keys have signed."""

_KEYS = 2


def hand_over(directory: str, first: Checkpoint, before: Key | None) -> None:
    """Keep the note of the first checkpoint of a key, signed by the key before it as well.

    A witness that knows only the old key accepts this note, and so cosigns the change to the new
    key. It is kept because a witness may be away now, and the old key signs nothing later. An error
    is ignored: without the note the operators of witnesses have to add the new key.

    Args:
        directory: of the log, or of the state of its signer.
        first: the checkpoint.
        before: the key that was replaced just now, if any was; a shared key signs no note.
    """
    key_id = before.key_id(first.origin) if before is not None else None
    if before is None or key_id is None or {before.algorithm, first.sig_alg} != {ED25519}:
        return
    with suppress(OSError, SignerError):
        note = first.to_note()
        made = Signature(first.origin, key_id, before.sign(first.text()))
        both = Note(note.text, (*note.signatures, made))
        durable.replace(os.path.join(directory, HANDOVER), both.to_bytes())


def handed_over(directory: str, origin: str, ring: KeyRing) -> Note | None:
    """What ``hand_over`` has kept of the last change of the key of a log.

    Args:
        directory: see ``hand_over``.
        origin: of the log, with its chain.
        ring: the trusted keys, one of which must have signed it.
    """
    with suppress(OSError, ValueError):
        note = Note.from_bytes(durable.content(os.path.join(directory, HANDOVER), MAX_BYTES) or b"")
        own = tuple(one for one in note.signatures if one.name == origin)[:_KEYS]
        if parse_text(note.text.encode())[0] == origin and note.check(ring) == "ok":
            return Note(note.text, own)
    return None


def note_of(newest: Checkpoint, both: Note | None, *, cosigned: bool = False) -> Note:
    """The note of a checkpoint; that of the first one after a change of key is signed by both.

    Args:
        newest: the checkpoint.
        both: what ``handed_over`` gives.
        cosigned: see ``Checkpoint.to_note``.

    Raises:
        ValueError: the checkpoint is signed with a shared key.
    """
    note = newest.to_note(cosigned=cosigned)
    if both is None or both.text != note.text:
        return note
    more = tuple(one for one in both.signatures if one not in note.signatures)
    return Note(note.text, (*note.signatures, *more))


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


def kept_size(directory: str, origin: str, ring: KeyRing) -> int:
    """Records of the note of the file; 0 where it is none of this log that a key of it signed."""
    with suppress(ValueError):
        note = Note.from_bytes(kept_note(directory))
        name, size, _ = parse_text(note.text.encode())
        if name == origin and note.check(ring) == "ok":
            return size
    return 0


def kept_note(directory: str) -> bytes:
    """The bytes of the file; empty where there is none that can be read."""
    with suppress(OSError, ValueError):
        return durable.content(os.path.join(directory, NAME), MAX_BYTES) or b""
    return b""
