"""The files of a signer: its state (the tree that it signed last) and the checkpoints.

``checkpoints.state`` holds the frontier of the tree and is itself signed, so that nobody can give
the signer another history. It may be kept in a directory that the writer of the log cannot write.
Without it the signer starts only on explicit request, from the newest checkpoint that verifies: the
tree is then computed again from the first record, and must have the root that was signed.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from audit_emit._checkpoints import durable
from audit_emit._checkpoints.new_leaves import Position
from audit_emit._format.chain import Frontier
from audit_emit._format.checkpoint import Checkpoint, check
from audit_emit._format.key_change import Name
from audit_emit._readers.files.plain_lines import backward
from audit_emit._readers.files.regular import open_regular
from audit_emit._signing.trusted_keys import Key, KeyRing, Verdict
from audit_emit._stores.jsonl.directory import Layout
from audit_emit.errors import CheckpointError

_PURPOSE = b"audit_emit state of a signer, version 1\n"
_MAX_STATE = 64 * 1024
_SHORTEST = 256
_MAX_LINE = 64 * 1024
"""The longest line of ``checkpoints.jsonl`` that is read, in bytes; a usual one has some 500."""


class State(msgspec.Struct, frozen=True):
    """The state file: one line of JSON. ``frontier`` is that of the tree that was signed last."""

    v: int
    at: str
    origin: str
    chain: str
    frontier: str
    head_hash: str
    offset: int
    sig_alg: str
    key_id: str
    signature: str = ""

    def text(self) -> bytes:
        """The text that is signed. Its first line keeps it from being taken for a checkpoint."""
        return _PURPOSE + msgspec.json.encode(msgspec.structs.replace(self, signature=""))

    def check(self, ring: KeyRing) -> Verdict:
        """Whether a key of the ring has signed this state."""
        try:
            signature = base64.b64decode(self.signature, validate=True)
        except ValueError:
            return "mismatch"
        return ring.check(self.sig_alg, self.key_id, self.origin, self.text(), signature)

    @property
    def tree(self) -> tuple[int, bytes]:
        """Size and root of the tree that was signed."""
        frontier = Frontier.from_text(self.frontier)
        return frontier.size, frontier.root()

    def position(self) -> Position:
        """The position from which to continue reading.

        Raises:
            ValueError: the frontier is malformed.
        """
        return Position(self.chain, Frontier.from_text(self.frontier), self.head_hash, self.offset)


_DECODER = msgspec.json.Decoder(State)


def make_state(key: Key, position: Position, *, at: str, origin: str) -> State:
    """Make a state for a position, and sign it."""
    made = State(
        1,
        at,
        origin,
        position.chain,
        position.frontier.to_text(),
        position.head,
        position.offset,
        key.algorithm,
        key.key_id(origin) or "",
    )
    signature = base64.b64encode(key.sign(made.text())).decode()
    return msgspec.structs.replace(made, signature=signature)


MISSING = "is not there"
OTHER_KEY = "is signed with another key"


class Loaded(NamedTuple):
    """The state, or ``None`` and the reason why it cannot be used."""

    state: State | None
    why: str


class SignerFiles:
    """The files that a signer keeps in the directory of a log.

    Args:
        layout: where the log is.
        state: the path of the state file; default: ``checkpoints.state`` in that directory.
    """

    def __init__(self, layout: Layout, state: str = "") -> None:
        self.directory = layout.directory
        self.checkpoints = os.path.join(layout.directory, "checkpoints.jsonl")
        self.state = state or os.path.join(layout.directory, "checkpoints.state")
        self.lock = self.checkpoints + ".lock"

    def load(self, ring: KeyRing) -> Loaded:
        """Load the state file.

        Raises:
            OSError: it cannot be read.
        """
        try:
            data = durable.content(self.state, _MAX_STATE)
            if data is None:
                return Loaded(None, MISSING)
            found = _DECODER.decode(data)
            found.position()
            verdict = found.check(ring)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            verdict = "mismatch"
        if verdict == "ok":
            return Loaded(found, "")
        return Loaded(None, OTHER_KEY if verdict == "key-unavailable" else "was changed")

    def save(self, state: State) -> None:
        """Replace the state file, atomically and durably.

        Raises:
            OSError: the file is still the previous one, or the new one is perhaps not durable.
        """
        durable.replace(self.state, msgspec.json.encode(state) + b"\n")

    def append(self, checkpoint: Checkpoint) -> None:
        """Add a line to ``checkpoints.jsonl``, durably.

        Raises:
            OSError: the line was not added, or is perhaps not durable.
        """
        durable.append(self.checkpoints, checkpoint.to_line(), alone=True)

    def newest(self, ring: KeyRing) -> Checkpoint | None:
        """The last checkpoint that a key of the ring has signed; other lines are skipped."""
        return next((found for found in self.backward() if check(found, ring) == "ok"), None)

    def any(self) -> bool:
        """Whether there is any checkpoint, with a good or a bad signature."""
        return next(self.backward(), None) is not None

    def has_signed(self, name: Name) -> bool:
        """Whether any checkpoint names this key as the one that signed it."""
        return any((found.sig_alg, found.key_id) == name for found in self.backward())

    def backward(self) -> Iterator[Checkpoint]:
        """The checkpoints, newest first, with good and bad signatures."""
        try:
            descriptor = open_regular(self.checkpoints)
        except FileNotFoundError:
            return
        try:
            for line in backward(descriptor, os.fstat(descriptor).st_size, _MAX_LINE + 1):
                if not _SHORTEST <= len(line) <= _MAX_LINE:
                    continue
                try:
                    found = Checkpoint.from_line(line)
                except ValueError:
                    continue
                yield found
        finally:
            os.close(descriptor)


def state_lost(file: str, lost: str) -> CheckpointError:
    """The error for a log that was signed before, when the state of the signer is lost."""
    return CheckpointError(
        "state-missing" if lost == MISSING else "state",
        f"the log was signed before, and {file} {lost}; restore it, or, if you know why, let the "
        "signer begin again: audit-emit checkpoint --first",
    )


def state_of(chain: str) -> str:
    """Where the state of the signer of a chain of a database is kept by default.

    The hash tiles are in the same directory.
    """
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(os.path.abspath(home), "audit_emit", "signer", chain, "checkpoints.state")
