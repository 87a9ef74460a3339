"""Signs the tree over a log: reads what is new, signs, keeps it, and tells the log of it.

1. The newest thing that was signed is found: what this process remembers, what the state says, and
   the newest checkpoint. They must not contradict each other, and without the first two a log that
   was signed before is only signed by who says that this is meant.
2. The records since then are read and checked; their tree must extend what was signed.
3. The new tree is remembered before anybody sees a signature over it.
4. The checkpoint goes to ``checkpoints.jsonl``, and into the chain as ``audit.checkpoint``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import msgspec

from audit_emit._checkpoints.new_leaves import Growth, Place, read_growth
from audit_emit._checkpoints.signer_state import (
    MISSING,
    OTHER_KEY,
    Loaded,
    Records,
    State,
    make_state,
)
from audit_emit._checkpoints.tiles import Store, TiledFrontier
from audit_emit._format.checkpoint import Checkpoint, sign
from audit_emit._format.key_change import RECORD as KEY_ROTATED
from audit_emit._format.key_change import Succession, rotation_fields, told
from audit_emit._format.record import head_of, ns_of, ts_of
from audit_emit._signing.trusted_keys import Key, KeyRing
from audit_emit._stores.jsonl.directory import Layout
from audit_emit._stores.jsonl.lockfile import UNLOCK, LockFile, flock
from audit_emit.errors import CheckpointError, ConfigError, ForgedChangeError, SinkError

THRESHOLD = 100
"""New records after which a checkpoint is due."""

INTERVAL_SECONDS = 300.0
LOCK_SECONDS = 10.0
_MOST = 1 << 16
"""New records of which tiles are kept up; of more at once the next ``prove`` makes them."""


Record = Callable[[str, dict[str, Any]], None]
"""Writes a record about the log into its chain: event type and fields."""


class _ChangeRecord(msgspec.Struct):
    fields: dict[str, Any]


_CHANGE = msgspec.json.Decoder(_ChangeRecord)


class Since(NamedTuple):
    """What was signed last, by this process or another one."""

    place: Place
    at: str
    key: tuple[str, str]
    """Algorithm and id."""

    anchors: tuple[tuple[int, bytes], ...]
    """Sizes and roots that were signed, from that place on."""

    line: Checkpoint | None
    """The newest one in ``checkpoints.jsonl``."""

    lost: str = ""
    """What is the matter with the state, if the signer may only begin where nothing was signed."""

    @property
    def owed(self) -> bool:
        """Whether a tree was signed for which there is no line in ``checkpoints.jsonl``."""
        size = self.place.frontier.size
        return size > 0 and (self.line is None or self.line.head_seq < size)


class Checkpointer:
    """Signs one log. Processes that share the log exclude each other.

    Args:
        path: absolute path of the active segment.
        ring: the newest key signs; the older ones vouch for what they signed.
        origin: the name of the log without its chain: the checkpoint's origin is
            ``<origin>/<chain>``.
        record: see ``Record``.
        state: where to keep what was signed last; ``checkpoints.state`` beside the log by default.
        first: begin again where that is lost, though the log was signed before.
        pause: seconds to leave to other threads after each 64 KiB.
        now_ns: the wall clock.

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
        self._ring = ring
        self._record = record
        self._pause = pause
        self._now_ns = now_ns
        self._files = Records(self.layout, state)
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
        """Sign what is new.

        Args:
            reason: one of ``checkpoint.REASONS``.
            at_least: new records that make it worth while.
            not_within: seconds that must have passed since the last checkpoint, whoever made it.
            timeout: seconds for all of it; without one, only waiting for another signer is
                bounded.
            give_up: asked while the log is read whether to stop.

        Returns:
            The checkpoint; ``None`` when there is nothing, or not enough, that is new.

        Raises:
            CheckpointError: the log does not extend what was signed, and nothing was signed now;
                or another process is at it.
            OSError: a file cannot be read or written.
        """
        deadline = None if timeout is None else time.monotonic() + timeout

        def stops() -> bool:
            return give_up() or (deadline is not None and time.monotonic() >= deadline)

        if self._retired:
            raise CheckpointError("key-retired", self._retired)  # the log need not be read again
        with self._locked(deadline):
            since = self._since(stops)
            if self._age(since) < not_within:
                return None
            keys = Succession(self._ring)
            tiled = TiledFrontier.resume(self._tiles, since.place.frontier, most=_MOST)
            growth = Growth(since.place, since.anchors, partial(_follow, keys), tiled)
            read_growth(self.layout, growth, give_up=stops, pause=self._pause)
            old = self._replaced(since, keys, growth.chain)
            if since.lost == OTHER_KEY or (since.lost and growth.declares):
                raise self._begun_before(since.lost)
            if growth.frontier.size == 0:
                return None
            if old is not None:
                # The first checkpoint of the new key covers the record that names it.
                self._tell_change(old, since, growth.place, reason)
                read_growth(self.layout, growth, give_up=stops, pause=self._pause)
            elif growth.events < at_least and not since.owed:
                return None
            if tiled is not None:
                tiled.flush()  # before they are signed, so that a crash leaves too many of them
            made = self._sign(self._key, growth.place, reason)
        self._record("audit.checkpoint", checkpoint_fields(made))
        return made

    def newest(self) -> Checkpoint | None:
        """The last checkpoint that a key of the ring signed."""
        return self._files.newest(self._ring)

    @contextmanager
    def _locked(self, deadline: float | None) -> Iterator[None]:
        lock = LockFile(self._files.lock)
        lock.open()
        try:
            if not lock.acquire(deadline or time.monotonic() + LOCK_SECONDS):
                raise CheckpointError("busy", "another process is making a checkpoint")
            yield
        finally:
            # A child that was forked meanwhile has the descriptor, too, and would keep the lock.
            with suppress(OSError):
                flock(lock.descriptor, UNLOCK)
            lock.close()
            self._tiles.close()

    def _since(self, give_up: Callable[[], bool]) -> Since:
        """The newest thing that this signer, or an older key of its ring, has signed.

        Raises:
            CheckpointError: what is there contradicts itself, or is lost.
        """
        newest = self._files.newest(self._ring)
        anchors = ((newest.head_seq, bytes.fromhex(newest.root_hash)),) if newest else ()
        state, lost = self._remembered(give_up)
        if state is None:
            if lost == MISSING and self._files.any():
                raise self._begun_before(lost)
            if newest is None:
                return Since(Place.genesis(), "", ("", ""), (), None, lost)
            place = Place.genesis()._replace(chain=newest.chain)
            key = (newest.sig_alg, newest.key_id)
            return Since(place, newest.at, key, anchors, newest, lost)
        if newest is not None and newest.chain != state.chain:
            raise CheckpointError("another-chain", "checkpoints.jsonl is of another chain")
        place = state.place()
        if newest is None or newest.head_seq < place.frontier.size:
            anchors = ()
        return Since(place, state.at, (state.sig_alg, state.key_id), anchors, newest)

    def _remembered(self, give_up: Callable[[], bool]) -> Loaded:
        """What was signed last: the state, which must continue what this process has seen signed.

        Raises:
            CheckpointError: it does not, or is not what a signer saved.
        """
        mine = self._signed
        state, lost = self._files.load(self._ring)
        if mine is None:
            if self._first:
                return Loaded(None, "")
            if lost not in ("", MISSING, OTHER_KEY):
                raise self._begun_before(lost)
        elif state is None or state.tree[0] < mine.tree[0]:
            if lost != OTHER_KEY:
                self._files.save(mine)  # somebody changed it, or put an older one there
            state = mine
        elif state.tree != mine.tree:
            # Another process signed since, and it need not know what this one does.
            growth = Growth(mine.place(), (state.tree,))
            read_growth(self.layout, growth, give_up=give_up, pause=self._pause)
        self._signed = state
        return Loaded(state, lost)

    def _begun_before(self, lost: str) -> CheckpointError:
        """The log was signed before, and what was signed is not known any more."""
        return CheckpointError(
            "state-missing" if lost == MISSING else "state",
            f"the log was signed before, and {self._files.state} {lost}; restore it, or, if you "
            "know why, let the signer begin again: audit-emit checkpoint --first",
        )

    def _age(self, since: Since) -> float:
        try:
            return abs(self._now_ns() - ns_of(since.at)) / 1e9
        except ValueError:
            return float("inf")  # nothing was signed, or a line without a signed time says nonsense

    def _replaced(self, since: Since, keys: Succession, chain: str) -> Key | None:
        """The key whose place this signer's takes; ``None`` when that is settled, or it is lost.

        Raises:
            CheckpointError: this signer's key was itself replaced.
        """
        origin = f"{self.origin}/{chain}"
        mine = (self._key.algorithm, self._key.key_id(origin) or "")
        change = keys.retired(mine, origin)
        last = keys.latest(since.key)
        if change is not None:
            self._retired = f"record {change.seq} says that {told(change.new)} signs from there on"
        elif not since.key[0] or last == mine:
            return None
        elif self._files.has_signed(mine):
            self._retired = f"{told(last)} has signed since, and a key that gave way never returns"
        if self._retired:
            self._retired += "; put the newest key last, and restart"
            raise CheckpointError("key-retired", self._retired)
        return next((old for old in self._ring.find(*last, origin) if old.secret), None)

    def _tell_change(self, old: Key, since: Since, place: Place, reason: str) -> None:
        """Let the old key sign the name of the new one, together with what was signed by then."""
        line = since.line
        if line is None or since.owed:
            line = self._sign(old, place, reason)  # what the change is bound to must be there
        tree = (line.head_seq, line.root_hash)
        fields = rotation_fields(old, self._key, f"{self.origin}/{place.chain}", tree)
        try:
            self._record(KEY_ROTATED, fields)
        except SinkError as error:
            raise CheckpointError(
                "not-told",
                f"the new key signs nothing, as the log cannot be written to ({error.reason})",
            ) from error

    def _sign(self, key: Key, place: Place, reason: str) -> Checkpoint:
        origin = f"{self.origin}/{place.chain}"
        at = ts_of(self._now_ns())
        made = sign(
            key,
            at=at,
            origin=origin,
            chain=place.chain,
            size=place.frontier.size,
            head_hash=place.head,
            root=place.frontier.root(),
            reason=reason,
        )
        state = make_state(key, place, at=at, origin=origin)
        self._files.save(state)
        self._signed = state
        self._files.append(made)
        return made


def _follow(keys: Succession, seq: int, line: bytes) -> None:
    """What a record says of the keys, if it is right; a forged one is for verifiers to tell."""
    head = head_of(line)
    with suppress(ForgedChangeError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        keys.follow(_CHANGE.decode(line).fields, seq, head.chain if head is not None else "")


def checkpoint_fields(made: Checkpoint) -> dict[str, Any]:
    """The ``fields`` of ``audit.checkpoint``: with the record's chain, the whole checkpoint."""
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
