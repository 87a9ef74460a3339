"""Asks witnesses to cosign the newest checkpoint (C2SP tlog-witness, ``add-checkpoint``).

A witness first says which size it has cosigned, and is then sent the proof from that size on. So
nothing about it has to be remembered here. A witness that knows more records than were signed here
has seen another history of this log, or the log was set back: that is a finding, and asking again
would not change it.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from audit_emit._checkpoints.witnessing.kept import Attempt, Cosigned
from audit_emit._format.checkpoint import Checkpoint
from audit_emit._format.cosignature import cosigned_at
from audit_emit._format.policy import Witness
from audit_emit._format.signed_note import Note, parse_line
from audit_emit._runtime import http_client
from audit_emit._runtime.http_client import Answered
from audit_emit._runtime.words import words_of
from audit_emit.errors import AuditEmitError

Proof = Callable[[int], Sequence[bytes]]
"""The consistency proof from a smaller size to that of the checkpoint; see ``proof_between``."""

_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n?")
_MOST_LINES = 64
_FORBIDDEN = 403


class Outcome(NamedTuple):
    """The result of one attempt with one witness.

    Attributes:
        attempt: the part of it that is kept in ``witness.json``.
        cosigned: the cosignature, if there is one.
        refused: it answered 403: no key that it knows of this log has signed the note.
    """

    attempt: Attempt
    cosigned: Cosigned | None = None
    refused: bool = False


def submit(newest: Checkpoint, note: Note, witness: Witness, proof: Proof) -> Outcome:
    """Ask one witness.

    Args:
        newest: the newest checkpoint.
        note: what is sent: its text, signed by the log.
        witness: it has an address.
        proof: makes a consistency proof; see ``Proof``.
    """
    now = int(time.time())
    size = newest.head_seq
    try:
        answer = _ask(note, witness, 0, [])
        if answer.status == 409:
            known = _size_of(answer)
            if known > size:
                return Outcome(Attempt("ahead", now, known, f"{known} records, here {size}"))
            answer = _ask(note, witness, known, proof(known) if 0 < known < size else [])
            if answer.status == 409 and known == size == _size_of(answer):
                return Outcome(Attempt("disagrees", now, known, "another tree of the same size"))
            if answer.status == 422:
                why = f"its tree of {known} records is not the beginning of this one"
                return Outcome(Attempt("disagrees", now, known, why))
        if answer.status != 200:
            failed = Attempt("failed", now, note=f"it answered {answer.status}")
            return Outcome(failed, refused=answer.status == _FORBIDDEN)
        return _taken(newest, witness, answer, now)
    except (OSError, ValueError, LookupError) as error:
        return Outcome(Attempt("failed", now, note=_why(error)[:300]))


def _why(error: Exception) -> str:
    by_system = isinstance(error, OSError) and not isinstance(error, AuditEmitError)
    return words_of(error) if by_system else str(error)


def request_of(note: Note, old: int, proof: Sequence[bytes]) -> bytes:
    """The body of ``add-checkpoint``."""
    hashes = "".join(f"{base64.b64encode(node).decode()}\n" for node in proof)
    return f"old {old}\n{hashes}\n".encode() + note.to_bytes()


def _ask(note: Note, witness: Witness, old: int, proof: Sequence[bytes]) -> Answered:
    body = request_of(note, old, proof)
    return http_client.ask("POST", f"{witness.url.rstrip('/')}/add-checkpoint", body)


def _size_of(answer: Answered) -> int:
    found = _SIZE.fullmatch(answer.body)
    if found is None or answer.kind != "text/x.tlog.size":
        raise ValueError("it answered 409 without the size that it knows")
    return int(found[1])


def _taken(newest: Checkpoint, witness: Witness, answer: Answered, now: int) -> Outcome:
    """The first cosignature in an answer that is by the key that is pinned.

    Only one signature of each answer is kept: a witness must not crowd out those of others.
    """
    text, size = newest.text(), newest.head_seq
    for line in answer.body.decode("utf-8", "replace").split("\n")[:_MOST_LINES]:
        try:
            at = cosigned_at(witness.key, text, parse_line(line))
        except ValueError:
            continue
        if at is not None:
            made = Attempt("cosigned", now, size, cosigned_at=at, cosigned_size=size)
            kept = Cosigned(1, newest.origin, size, newest.root_hash, at, line)
            return Outcome(made, kept)
    return Outcome(Attempt("failed", now, note="its answer has no signature by its key"))
