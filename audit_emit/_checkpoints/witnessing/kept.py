"""The files about the witnesses of a log: their keys, their signatures, and the last attempts.

``witness.policy`` names the witnesses (C2SP tlog-policy), ``cosignatures.jsonl`` has every
cosignature that was checked, ``checkpoint`` the newest note with its cosignatures, and
``witness.json`` how the last attempts ended. A verifier trusts none of these files: it is given the
keys of the witnesses.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

import msgspec

from audit_emit._checkpoints import durable
from audit_emit._checkpoints.notes import NAME as CHECKPOINT
from audit_emit._format.checkpoint import Checkpoint, text_of
from audit_emit._format.cosignature import Count, Seconds
from audit_emit._format.policy import LONGEST, Policy
from audit_emit._format.signed_note import Note, Signature, parse_line
from audit_emit._readers.files.plain_lines import backward
from audit_emit._readers.files.regular import open_regular

POLICY = "witness.policy"
COSIGNATURES = "cosignatures.jsonl"
STATUS = "witness.json"
MOST = 10_000
"""How many lines of ``cosignatures.jsonl`` are read, from its end."""

_LONGEST_LINE = 8192


class Cosigned(msgspec.Struct, frozen=True):
    """One line of ``cosignatures.jsonl``.

    Attributes:
        v: 1.
        origin, size, root: of the checkpoint; ``root`` is 64 hex digits.
        at: seconds since 1970, as the witness signed them.
        line: its signature line of the note, without the newline.
    """

    v: int
    origin: str
    size: Count
    root: str
    at: Seconds
    line: str

    @property
    def text(self) -> bytes:
        """What the witness signed: the text of the checkpoint.

        Raises:
            ValueError: the root is no hash.
        """
        return text_of(self.origin, self.size, bytes.fromhex(self.root))

    @property
    def signature(self) -> Signature:
        """The line as a signature.

        Raises:
            ValueError: it is none.
        """
        return parse_line(self.line)


class Attempt(msgspec.Struct, frozen=True):
    """How the last attempt with one witness ended.

    Attributes:
        state: ``cosigned``; ``failed``; ``ahead`` (it has cosigned more records than are signed
            here) or ``disagrees`` (another tree of the same size): both are findings.
        tried_at: seconds since 1970.
        size: records that it has cosigned, as far as that is known.
        note: what went wrong.
        cosigned_at, cosigned_size: the last cosignature of it; 0 for none.
    """

    state: str
    tried_at: Seconds
    size: Count = 0
    note: str = ""
    cosigned_at: Seconds = 0
    cosigned_size: Count = 0

    @property
    def is_finding(self) -> bool:
        """Whether it knows something of this log that this log does not know."""
        return self.state in {"ahead", "disagrees"}


class _Status(msgspec.Struct):
    v: int = 1
    witnesses: dict[str, Attempt] = {}


_LINE = msgspec.json.Decoder(Cosigned)


class Kept:
    """The files in one directory: that of the log, or of the state of its signer.

    Args:
        directory: which.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def policy(self) -> Policy | None:
        """The policy that names the witnesses; ``None`` if there is no such file.

        Raises:
            ValueError: the file is no policy.
            OSError: it cannot be read.
        """
        data = durable.content(self._path(POLICY), LONGEST)
        return None if data is None else Policy.parse(data)

    def add(self, name: str, vkey: str, url: str) -> Policy:
        """Add a witness to the policy; all of them are the quorum, unless the file says otherwise.

        Raises:
            ValueError: it is there already, or its key or address cannot be used.
            OSError: the file cannot be read or written.
        """
        lines = (durable.content(self._path(POLICY), LONGEST) or b"quorum none\n").decode("latin-1")
        kept = [line for line in lines.split("\n") if line]
        first = next(
            (at for at, line in enumerate(kept) if line.split()[:1] in [["group"], ["quorum"]]),
            len(kept),
        )
        kept.insert(first, f"witness {name} {vkey} {url}")
        rest = kept[first + 1 :]
        if rest == ["quorum none"]:
            kept[first + 1 :] = [f"group witnesses all {name}", "quorum witnesses"]
        elif rest and rest[0].startswith("group witnesses all "):
            kept[first + 1] += f" {name}"
        data = "\n".join([*kept, ""]).encode("latin-1")
        policy = Policy.parse(data)
        durable.replace(self._path(POLICY), data)
        return policy

    def attempts(self) -> dict[str, Attempt]:
        """How the last attempts ended, by the key id of the witness; what cannot be read is not."""
        with suppress(OSError, ValueError, msgspec.MsgspecError, RecursionError):
            data = durable.content(self._path(STATUS), 1 << 20)
            if data is not None:
                return msgspec.json.decode(data, type=_Status).witnesses
        return {}

    def tell(self, attempts: dict[str, Attempt]) -> None:
        """Keep how attempts ended.

        Raises:
            OSError: it cannot be written.
        """
        whole = _Status(1, {**self.attempts(), **attempts})
        durable.replace(
            self._path(STATUS), msgspec.json.format(msgspec.json.encode(whole), indent=1)
        )

    def take(self, cosigned: Sequence[Cosigned], newest: Checkpoint, note: Note | None) -> None:
        """Keep cosignatures of a checkpoint, and its note with all of them.

        Args:
            cosigned: of the witnesses.
            newest, note: the checkpoint, and its note with the signatures of the log; ``None``:
                the note that is there is of a newer one, and stays.

        Raises:
            OSError: they cannot be written.
        """
        lines = b"".join(msgspec.json.encode(one) + b"\n" for one in cosigned)
        durable.append(self._path(COSIGNATURES), lines)
        if note is None:
            return
        by_key: dict[tuple[str, str], Signature] = {}
        for one in self.cosigned():
            if (one.origin, one.size, one.root) == (
                newest.origin, newest.head_seq, newest.root_hash
            ):  # fmt: skip
                with suppress(ValueError):
                    line = one.signature
                    by_key.setdefault((line.name, line.key_id), line)
        made = Note(note.text, (*note.signatures, *by_key.values()))
        durable.replace(self._path(CHECKPOINT), made.to_bytes())

    def cosigned(self, most: int = MOST) -> Iterator[Cosigned]:
        """All cosignatures, newest first; nothing of them is checked."""
        try:
            descriptor = open_regular(self._path(COSIGNATURES))
        except OSError:
            return
        try:
            lines = backward(descriptor, os.fstat(descriptor).st_size, _LONGEST_LINE)
            for number, line in enumerate(lines):
                if number == most:
                    return
                with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    found = _LINE.decode(line)
                    if found.v == 1:
                        yield found
        finally:
            os.close(descriptor)
