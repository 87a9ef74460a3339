"""Makes the proof of one record in the form of C2SP, under the note that witnesses have signed."""

from __future__ import annotations

from contextlib import suppress

from audit_emit._checkpoints.notes import kept_note
from audit_emit._checkpoints.prove import prove_record, signer_directory, tile_stores
from audit_emit._checkpoints.tiles import Tiles
from audit_emit._format.chain import body_of
from audit_emit._format.checkpoint import parse_text
from audit_emit._format.merkle_proofs import inclusion_ranges
from audit_emit._format.signed_note import Note
from audit_emit._format.tlog_proof import TlogProof
from audit_emit._readers.base import LogReader
from audit_emit._signing.trusted_keys import ED25519, KeyRing
from audit_emit.errors import CheckpointError, ConfigError

__all__ = ["prove_tlog"]


def prove_tlog(reader: LogReader, seq: int, ring: KeyRing) -> TlogProof:
    """Prove a record with the newest note, where that covers it; else as ``prove_record`` does.

    Args:
        reader, seq: see ``prove_record``.
        ring: the trusted keys. Without any, only a check of the proof shows if the note is good.

    Raises:
        ConfigError: the log is signed with a shared key, and has no notes.
        CheckpointError, LookupError, ValueError, OSError: see ``prove_record``.
    """
    made = prove_record(reader, seq, ring)
    if made.checkpoint.sig_alg != ED25519:
        raise ConfigError("key", "of the log is shared (HMAC): a tlog-proof needs an Ed25519 key")
    entry = body_of(made.record.encode("utf-8", "surrogatepass"))
    with suppress(ValueError):
        note = Note.from_bytes(kept_note(signer_directory(reader)))
        _, size, _ = parse_text(note.text.encode())
        usable = size >= seq and note.check(ring) == ("ok" if ring.keys else "key-unavailable")
        for store in tile_stores(reader) if usable else ():
            with suppress(LookupError, CheckpointError):  # another place may have the tiles
                tiles = Tiles(store)
                path = [tiles.root(*part) for part in inclusion_ranges(seq - 1, size)]
                found = TlogProof(entry, seq - 1, path, note)
                if found.judge(KeyRing()).verdict != "mismatch":
                    return found
    return TlogProof(entry, seq - 1, made.path(), made.checkpoint.to_note(cosigned=True))
