"""Signs the tree over a log: reads what is new, signs, keeps it, and tells the log of it.

1. The newest thing that was signed is found: the state, or else the newest checkpoint.
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

from audit_emit._signing.growth import Growth, Place, read_growth
from audit_emit._signing.signed import Records, make_state
from audit_emit.checkpoint import Checkpoint, sign
from audit_emit.errors import CheckpointError, ConfigError
from audit_emit.record import head_of, ns_of, ts_of
from audit_emit.rotation import RECORD as KEY_ROTATED
from audit_emit.rotation import ForgedChangeError, Succession, rotation_fields, told
from audit_emit.signing import Key, KeyRing
from audit_emit.sinks.jsonl import SinkError
from audit_emit.sinks.lockfile import UNLOCK, LockFile, flock
from audit_emit.sinks.segments import Layout

THRESHOLD = 100
"""New records after which a checkpoint is due."""

INTERVAL_SECONDS = 300.0
LOCK_SECONDS = 10.0

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

    anchor: tuple[int, bytes] | None
    owed: bool
    """A signed tree for which there is no line in ``checkpoints.jsonl``."""


class Checkpointer:
    """Signs one log. Processes that share the log exclude each other.

    Args:
        path: absolute path of the active segment.
        ring: the newest key signs; the older ones vouch for what they signed.
        origin: the name of the log without its chain: the checkpoint's origin is
            ``<origin>/<chain>``.
        record: see ``Record``.
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
        pause: float = 0.0,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.layout = Layout.of(path)
        self.origin = origin
        self._ring = ring
        self._record = record
        self._pause = pause
        self._now_ns = now_ns
        self._files = Records(self.layout)
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
            since = self._since()
            if self._age(since) < not_within:
                return None
            keys = Succession(self._ring)
            growth = Growth(since.place, since.anchor, partial(_follow, keys))
            read_growth(self.layout, growth, give_up=stops, pause=self._pause)
            old = self._replaced(since, keys, growth.chain)
            if growth.frontier.size == 0:
                return None
            if old is not None:
                # The first checkpoint of the new key covers the record that names it.
                self._tell_change(old, growth.chain)
                read_growth(self.layout, growth, give_up=stops, pause=self._pause)
            elif growth.events < at_least and not since.owed:
                return None
            made = self._sign(growth.place, reason)
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

    def _since(self) -> Since:
        """The newest thing that this signer, or an older key of its ring, has signed.

        Raises:
            CheckpointError: what is there contradicts itself.
        """
        state = self._files.load()
        newest = self._files.newest(self._ring)
        anchor = (newest.head_seq, bytes.fromhex(newest.root_hash)) if newest else None
        if state is not None and state.check(self._ring) == "ok":
            place = state.place()
            if newest is not None and newest.chain != state.chain:
                raise CheckpointError("another-chain", "checkpoints.jsonl is of another chain")
            ahead = anchor is not None and anchor[0] >= place.frontier.size
            return Since(
                place,
                state.at,
                (state.sig_alg, state.key_id),
                anchor if ahead else None,
                owed=not ahead,
            )
        if newest is not None:
            place = Place.genesis()._replace(chain=newest.chain)
            key = (newest.sig_alg, newest.key_id)
            return Since(place, newest.at, key, anchor, owed=False)
        if state is not None and state.check(self._ring) == "mismatch":
            raise CheckpointError(
                "state", "checkpoints.state was changed, and no checkpoint is there to go by"
            )
        return Since(Place.genesis(), "", ("", ""), None, owed=False)

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

    def _tell_change(self, old: Key, chain: str) -> None:
        fields = rotation_fields(old, self._key, f"{self.origin}/{chain}")
        try:
            self._record(KEY_ROTATED, fields)
        except SinkError as error:
            raise CheckpointError(
                "not-told",
                f"the new key signs nothing, as the log cannot be written to ({error.reason})",
            ) from error

    def _sign(self, place: Place, reason: str) -> Checkpoint:
        origin = f"{self.origin}/{place.chain}"
        at = ts_of(self._now_ns())
        made = sign(
            self._key,
            at=at,
            origin=origin,
            chain=place.chain,
            size=place.frontier.size,
            head_hash=place.head,
            root=place.frontier.root(),
            reason=reason,
        )
        self._files.save(make_state(self._key, place, at=at, origin=origin))
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
