"""Signs the Merkle tree over a log.

The steps of one checkpoint:

1. Find what was signed last, from three sources: the memory of this process, the state file, and
   the newest line in ``checkpoints.jsonl``. They must not contradict each other. When only the
   last one is left, the log is signed only if the operator has asked for it (``--first``), because
   an attacker who rewrote the log would have deleted the state.
2. Read the records since then and check them. Their tree must extend the one that was signed.
3. Save the new tree in the state file, before a signature over it exists anywhere.
4. Append the checkpoint to ``checkpoints.jsonl``, and to the chain as ``audit.checkpoint``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import msgspec

from audit_emit._checkpoints.beginning import first_position
from audit_emit._checkpoints.new_leaves import GrowingTree, Position, read_new_records
from audit_emit._checkpoints.notes import hand_over
from audit_emit._checkpoints.refusals import Refusals, newest_first
from audit_emit._checkpoints.signer_state import (
    MISSING,
    OTHER_KEY,
    Loaded,
    SignerFiles,
    State,
    make_state,
    state_lost,
)
from audit_emit._checkpoints.tiles import Store, TiledFrontier
from audit_emit._format.checkpoint import Checkpoint, sign
from audit_emit._format.key_change import RECORD as KEY_ROTATED
from audit_emit._format.key_change import Succession, describe_key, rotation_fields
from audit_emit._format.record import head_of, ns_of, ts_of
from audit_emit._readers.base import LogReader
from audit_emit._readers.files.opening import readers_of
from audit_emit._signing.trusted_keys import Key, KeyRing
from audit_emit._stores.jsonl.directory import Layout
from audit_emit._stores.jsonl.lockfile import UNLOCK, LockFile, flock
from audit_emit.errors import CheckpointError, ConfigError, ForgedChangeError, SinkError

THRESHOLD = 100
"""The number of new records after which a checkpoint is due."""

INTERVAL_SECONDS = 300.0
LOCK_SECONDS = 10.0
_MOST = 1 << 16
"""The most new records at once whose tiles are written; of more, ``prove`` writes the tiles."""

Record = Callable[[str, dict[str, Any]], None]
"""Appends a record about the log to its chain: event type and fields."""


class _ChangeRecord(msgspec.Struct):
    fields: dict[str, Any]


_CHANGE = msgspec.json.Decoder(_ChangeRecord)


class LastSigned(NamedTuple):
    """What was signed last, by this process or another one."""

    position: Position
    at: str
    key: tuple[str, str]
    """Algorithm and id of the key that signed it."""

    anchors: tuple[tuple[int, bytes], ...]
    """Sizes and roots of signed trees, from that position on."""

    line: Checkpoint | None
    """The newest line of ``checkpoints.jsonl`` that a trusted key signed."""

    lost: str = ""
    """What is wrong with the state file, if it cannot be used. Then a log that declares an earlier
    checkpoint must not be signed."""

    @property
    def line_missing(self) -> bool:
        """Whether a tree was signed that has no line in ``checkpoints.jsonl`` (after a crash)."""
        size = self.position.frontier.size
        return size > 0 and (self.line is None or self.line.head_seq < size)

    def age(self, now_ns: int) -> float:
        """Seconds since then; infinite when nothing was signed, or at no valid time."""
        try:
            return abs(now_ns - ns_of(self.at)) / 1e9
        except ValueError:
            return float("inf")


class Checkpointer:
    """Signs one log. A lock excludes other processes that sign the same log.

    Args:
        path: absolute path of the active segment.
        ring: the newest key signs; older ones check what they have signed.
        origin: the name of the log without its chain. The origin of a checkpoint is
            ``<origin>/<chain>``.
        record: see ``Record``.
        state: the path of the state file; default: ``checkpoints.state`` in the log's directory.
        first: sign even if the state of a log that was signed before is lost.
        pause: seconds to sleep after each 64 KiB, to leave time to other threads.
        now_ns: the wall clock, in nanoseconds since 1970.

    Raises:
        ConfigError: the newest key cannot sign, or not for this origin.
    """

    def __init__(
        self,
        path: str,
        ring: KeyRing,
        *,
        origin: str,
        record: Record,
        state: str = "",
        first: bool = False,
        pause: float = 0.0,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.layout: Layout = Layout.of(path)
        self.origin = origin
        self.ring = ring
        self._record = record
        self._refusals = Refusals(record, self._newest_first)
        self._pause = pause
        self._now_ns = now_ns
        self._files = SignerFiles(self.layout, state)
        self._tiles = Store(self.layout.directory)
        self._first = first
        self._signed: State | None = None
        self._key = _signer(ring, origin)
        self._retired = ""

    def run(
        self,
        reason: str,
        *,
        at_least: int = 1,
        not_within: float = 0.0,
        timeout: float | None = None,
        give_up: Callable[[], bool] = bool,
    ) -> Checkpoint | None:
        """Sign the records that were added since the last checkpoint.

        Args:
            reason: one of ``checkpoint.REASONS``.
            at_least: the smallest number of new records for which a checkpoint is made.
            not_within: seconds that must have passed since the last checkpoint of any process.
            timeout: seconds for the whole call; without one, only the wait for another signer is
                bounded.
            give_up: called while the log is read; true stops the reading.

        Returns:
            The checkpoint; ``None`` when there are no new records, or not enough.

        Raises:
            CheckpointError: the log does not extend what was signed, so nothing was signed now; or
                another process is making a checkpoint.
            OSError: a file cannot be read or written.
        """
        deadline = None if timeout is None else time.monotonic() + timeout

        def stops() -> bool:
            return give_up() or (deadline is not None and time.monotonic() >= deadline)

        if self._retired:
            raise CheckpointError("key-retired", self._retired)  # the log need not be read again
        with self._refusals.told(self.origin), self._locked(deadline):
            last = self._last_signed(stops)
            if last.age(self._now_ns()) < not_within:
                return None
            made = self._extend(last, reason, at_least, stops)
        if made is not None:
            self._record("audit.checkpoint", checkpoint_fields(made))
        return made

    def _extend(
        self, last: LastSigned, reason: str, at_least: int, stops: Callable[[], bool]
    ) -> Checkpoint | None:
        """Read on from what was signed last, and sign that; see ``run``."""
        keys = Succession(self.ring)
        tiled = TiledFrontier.resume(self._tiles, last.position.frontier, most=_MOST)
        tree = GrowingTree(last.position, last.anchors, partial(_follow_key_change, keys), tiled)
        self._read(tree, stops)
        old = self._previous_key(last, keys, tree.chain)
        if last.lost == OTHER_KEY or (last.lost and tree.declares):
            raise state_lost(self._files.state, last.lost)
        if tree.frontier.size == 0:
            return None
        if old is not None:
            # The first checkpoint of the new key covers the record that names it.
            self._announce_key_change(old, last, tree.position, reason)
            self._read(tree, stops)
        elif tree.events < at_least and not last.line_missing:
            return None
        if tiled is not None:
            tiled.flush()  # before the signature: a crash may leave too many tiles, not too few
        made = self._sign(self._key, tree.position, reason)
        hand_over(self.layout.directory, made, old)
        return made

    def newest(self) -> Checkpoint | None:
        """The last checkpoint that a key of the ring has signed."""
        return self._files.newest(self.ring)

    def _read(self, tree: GrowingTree, give_up: Callable[[], bool]) -> None:
        """Feed the tree with the new records of the log; subclasses read other kinds of logs."""
        read_new_records(self.layout, tree, give_up=give_up, pause=self._pause)

    @contextmanager
    def _locked(self, deadline: float | None) -> Iterator[None]:
        try:
            with _alone(self._files.lock, deadline):
                yield
        finally:
            self._tiles.close()

    def _last_signed(self, give_up: Callable[[], bool]) -> LastSigned:
        """What this signer, or an older key of its ring, has signed last.

        Raises:
            CheckpointError: the sources contradict each other, or the state is lost.
        """
        newest = self._files.newest(self.ring)
        anchors = ((newest.head_seq, bytes.fromhex(newest.root_hash)),) if newest else ()
        state, lost = self._load_state(give_up)
        if state is None:
            if lost == MISSING and self._files.any():
                raise state_lost(self._files.state, lost)
            position = self._beginning()
            if newest is None:
                return LastSigned(position, "", ("", ""), (), None, lost)
            position = position._replace(chain=newest.chain)
            return LastSigned(position, newest.at, _key_of(newest), anchors, newest, lost)
        if newest is not None and newest.chain != state.chain:
            raise CheckpointError("another-chain", "checkpoints.jsonl is of another chain")
        position = state.position()
        if newest is None or newest.head_seq < position.frontier.size:
            anchors = ()
        return LastSigned(position, state.at, (state.sig_alg, state.key_id), anchors, newest)

    def _beginning(self) -> Position:
        with suppress(FileNotFoundError), self.reader() as reader:
            return first_position(reader, self.ring)
        return Position.genesis()

    def reader(self) -> LogReader:
        """The reader of the log; subclasses give that of other kinds of logs."""
        return readers_of([self.layout.active])[0]

    def _newest_first(self) -> Iterator[bytes]:
        """The lines of the log, the last one first; another kind of log has other lines."""
        return newest_first(self.layout)

    def _load_state(self, give_up: Callable[[], bool]) -> Loaded:
        """Load the state file, which must not be behind what this process has signed itself.

        Raises:
            CheckpointError: the file was changed, or its tree does not extend the one that this
                process has signed.
        """
        mine = self._signed
        state, lost = self._files.load(self.ring)
        if mine is None:
            if self._first:
                return Loaded(None, "")
            if lost not in ("", MISSING, OTHER_KEY):
                raise state_lost(self._files.state, lost)
        elif state is None or state.tree[0] < mine.tree[0]:
            if lost != OTHER_KEY:
                self._files.save(mine)  # it was changed, or replaced by an older one
            state = mine
        elif state.tree != mine.tree:
            # Another process has signed since: check that its tree extends ours.
            tree = GrowingTree(mine.position(), (state.tree,))
            self._read(tree, give_up)
        self._signed = state
        return Loaded(state, lost)

    def _previous_key(self, last: LastSigned, keys: Succession, chain: str) -> Key | None:
        """The key that ours replaces now; ``None`` if no other signed last, or it is not here.

        Raises:
            CheckpointError: this signer's key was itself replaced by another one.
        """
        origin = f"{self.origin}/{chain}"
        mine = (self._key.algorithm, self._key.key_id(origin) or "")
        change = keys.retired(mine, origin)
        current = keys.latest(last.key)
        if change is not None:
            self._retired = (
                f"record {change.seq} says that {describe_key(change.new)} signs from there on"
            )
        elif not last.key[0] or current == mine:
            return None
        elif self._files.has_signed(mine):
            self._retired = (
                f"{describe_key(current)} has signed since; a replaced key is not used again"
            )
        if self._retired:
            self._retired += "; put the newest key last, and restart"
            raise CheckpointError("key-retired", self._retired)
        return next((old for old in self.ring.find(*current, origin) if old.secret), None)

    def _announce_key_change(
        self, old: Key, last: LastSigned, position: Position, reason: str
    ) -> None:
        """Record the new key in the chain, signed by the old one over the tree signed so far."""
        line = last.line
        if line is None or last.line_missing:
            line = self._sign(old, position, reason)  # the record refers to this checkpoint
        tree = (line.head_seq, line.root_hash)
        fields = rotation_fields(old, self._key, f"{self.origin}/{position.chain}", tree)
        try:
            self._record(KEY_ROTATED, fields)
        except SinkError as error:
            raise CheckpointError(
                "not-told",
                f"the new key signs nothing, as the log cannot be written to ({error.reason})",
            ) from error

    def _sign(self, key: Key, position: Position, reason: str) -> Checkpoint:
        origin = f"{self.origin}/{position.chain}"
        at = ts_of(self._now_ns())
        made = sign(
            key,
            at=at,
            origin=origin,
            chain=position.chain,
            size=position.frontier.size,
            head_hash=position.head,
            root=position.frontier.root(),
            reason=reason,
        )
        state = make_state(key, position, at=at, origin=origin)
        self._files.save(state)
        self._signed = state
        self._files.append(made)
        return made


@contextmanager
def _alone(path: str, deadline: float | None) -> Iterator[None]:
    lock = LockFile(path)
    lock.open()
    try:
        if not lock.acquire(deadline or time.monotonic() + LOCK_SECONDS):
            raise CheckpointError("busy", "another process is making a checkpoint")
        yield
    finally:
        # A forked child inherits the descriptor, so closing it here would not free the lock.
        with suppress(OSError):
            flock(lock.descriptor, UNLOCK)
        lock.close()


def _key_of(signed: Checkpoint) -> tuple[str, str]:
    return signed.sig_alg, signed.key_id


def _follow_key_change(keys: Succession, seq: int, line: bytes) -> None:
    """Apply a record ``audit.key_rotated`` if it is valid; verifiers report a forged one."""
    head = head_of(line)
    with suppress(ForgedChangeError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        keys.follow(_CHANGE.decode(line).fields, seq, head.chain if head is not None else "")


def checkpoint_fields(made: Checkpoint) -> dict[str, Any]:
    """The ``fields`` of ``audit.checkpoint``: everything in the checkpoint except the chain."""
    fields = {
        "head_seq": made.head_seq,
        "root_hash": made.root_hash,
        "sig_alg": made.sig_alg,
        "key_id": made.key_id,
        "signature": made.signature,
        "at": made.at,
        "origin": made.origin,
        "head_hash": made.head_hash,
        "reason": made.reason,
    }
    return {**fields, "cosignature": made.cosignature} if made.cosignature else fields


def _signer(ring: KeyRing, origin: str) -> Key:
    key = ring.signer
    if key is None:
        raise ConfigError("signing_key", "the newest key cannot sign: its private half is not here")
    if key.key_id(f"{origin}/{'0' * 16}") is None:
        raise ConfigError("origin", "is not one that the newest key is meant for")
    return key
