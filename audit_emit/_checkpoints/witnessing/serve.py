"""A witness: cosigns checkpoints that continue what it saw before (C2SP tlog-witness).

For each log it keeps one file, the note that it cosigned last, under the SHA-256 of its origin. The
file is replaced and synced before the cosignature is given out. One lock for the whole state keeps
other threads and processes from replacing the file after it was read and before it is written.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from audit_emit._checkpoints import durable
from audit_emit._format.checkpoint import parse_text
from audit_emit._format.cosignature import cosign, cosigned_at
from audit_emit._format.merkle_proofs import verify_consistency
from audit_emit._format.signed_note import MAX_BYTES, Note, Signature
from audit_emit._runtime.http_server import Answer, Request, told
from audit_emit._signing.cosigners import Cosigner
from audit_emit._signing.trusted_keys import ED25519, Ed25519Key, KeyRing
from audit_emit._stores.jsonl.lockfile import UNLOCK, LockFile, flock

LONGEST = 64 * 1024
"""The most bytes that a request may have."""

_PROOF = 63
_LOCK_SECONDS = 5.0
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})", re.ASCII)
_MONITOR = re.compile(r"/([0-9a-f]{64})/checkpoint", re.ASCII)
_EMPTY = hashlib.sha256(b"").digest()


class Asked(NamedTuple):
    """A request that can be understood; nothing of it is checked."""

    old: int
    proof: tuple[bytes, ...]
    note: Note
    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, body: bytes) -> Asked:
        """The body of ``add-checkpoint``.

        Raises:
            ValueError: it is none.
        """
        head, blank, note = body.partition(b"\n\n")
        old, *lines = head.decode("ascii").split("\n")
        found = _OLD.fullmatch(old)
        if not blank or found is None or len(lines) > _PROOF:
            raise ValueError("old size, at most 63 hashes, an empty line, a checkpoint")
        parsed = Note.from_bytes(note)
        origin, size, root = parse_text(parsed.text.encode())
        if int(found[1]) > size:
            raise ValueError("the old size is above that of the checkpoint")
        return cls(int(found[1]), tuple(map(_hash, lines)), parsed, origin, size, root)


def _hash(line: str) -> bytes:
    try:
        made = base64.b64decode(line, validate=True)
    except binascii.Error:
        raise ValueError("a line of the proof is no base64") from None
    if len(made) != 32 or base64.b64encode(made).decode() != line:
        raise ValueError("a line of the proof is no hash")
    return made


class Witness:
    """See the module.

    Args:
        directory: of the state; it must exist, and belong to this witness alone.
        keys: those that it signs with.
        logs: verifier keys of the logs that it knows; the name of a key is the origin.
        now: seconds since 1970.
    """

    def __init__(
        self,
        directory: str,
        keys: Sequence[Cosigner],
        logs: Sequence[Ed25519Key],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._keys = tuple(keys)
        self._ring = KeyRing(logs)
        self._origins = {key.name for key in logs}
        self._now = now
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """The answer to one request.

        Raises:
            OSError: the state cannot be read or written; nothing was signed then.
            ValueError: the state is not one that this witness wrote.
        """
        if request.method == "POST" and request.path == "/add-checkpoint":
            return self._add(request.body)
        found = _MONITOR.fullmatch(request.path)
        if request.method == "GET" and found is not None:
            kept = durable.content(self._path(found[1]), MAX_BYTES)
            if kept is not None:
                return Answer(200, kept, cached="no-cache")
        return told(404, "here are POST /add-checkpoint and GET /<SHA-256 of origin>/checkpoint")

    def _add(self, body: bytes) -> Answer:
        try:
            asked = Asked.parse(body)
        except ValueError as error:
            return told(400, f"that is no request: {error}")
        if asked.origin not in self._origins:
            return told(404, "this witness does not know the log")
        signatures = self._signed_by_log(asked)
        if not signatures:
            return told(403, "no key of the log signed the checkpoint")
        with self._locked():
            return self._cosign(asked, signatures)

    def _cosign(self, asked: Asked, signatures: tuple[Signature, ...]) -> Answer:
        path = self._path(hashlib.sha256(asked.origin.encode()).hexdigest())
        known = self._known(path, asked.origin)
        refused = _refused(asked, *(known or (0, _EMPTY)))
        if refused is not None:
            return refused
        seconds = int(self._now())
        made = [cosign(key, seconds, asked.note.text.encode()) for key in self._keys]
        durable.replace(path, Note(asked.note.text, (*signatures, *made)).to_bytes())
        return Answer(200, Note("", tuple(made)).to_bytes().lstrip(b"\n"))

    def _known(self, path: str, origin: str) -> tuple[int, bytes] | None:
        """Size and root that were cosigned last.

        Raises:
            ValueError: the file is there, and this witness did not sign it.
        """
        kept = durable.content(path, MAX_BYTES)
        if kept is None:
            return None
        note = Note.from_bytes(kept)
        text = note.text.encode()
        found, size, root = parse_text(text)
        mine = any(
            cosigned_at(key, text, line) is not None
            for key in self._keys
            for line in note.signatures
        )
        if found != origin or not mine:
            raise ValueError(f"{path} is not what this witness wrote; nothing is signed")
        return size, root

    def _signed_by_log(self, asked: Asked) -> tuple[Signature, ...]:
        """The signatures of the keys of this log, one of each key; others are passed over.

        They are kept in the note with ours: a line that is sent a hundred times must not make the
        note too long to be read again.
        """
        text = asked.note.text.encode()
        found: dict[str, Signature] = {}
        for line in asked.note.signatures:
            if line.key_id in found or line.name != asked.origin:
                continue
            if self._ring.check(ED25519, line.key_id, line.name, text, line.signature) == "ok":
                found[line.key_id] = line
        return tuple(found.values())

    def _path(self, digest: str) -> str:
        return os.path.join(self._directory, f"{digest}.checkpoint")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock:
            lock = LockFile(os.path.join(self._directory, "witness.lock"))
            lock.open()
            try:
                if not lock.acquire(time.monotonic() + _LOCK_SECONDS):
                    raise TimeoutError("another process uses the state of this witness")
                yield
            finally:
                flock(lock.descriptor, UNLOCK)
                lock.close()


def _refused(asked: Asked, size: int, root: bytes) -> Answer | None:
    """Why a request does not continue what was cosigned last; ``None`` if it does.

    Args:
        size, root: of the checkpoint that was cosigned last; of an empty tree where there is none.
    """
    if asked.old != size or (asked.size == size and asked.root != root and size):
        return _conflict(size)
    if size:
        holds = verify_consistency(size, asked.size, root, asked.root, asked.proof)
    else:
        holds = not asked.proof and (asked.size > 0 or asked.root == root)
    if holds:
        return None
    return told(422, "the proof does not lead from the old checkpoint to this one")


def _conflict(size: int) -> Answer:
    return Answer(409, b"%d\n" % size, "text/x.tlog.size")
