"""The keys of persons in one file of slots of 64 bytes.

A slot is synced before its key is used for the first time, and is overwritten in place and synced
when the key is destroyed: unlike a database or a file of its own, no journal, no free page and no
unlinked block keeps a copy in the file system. Several processes share the file under ``flock``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from audit_emit._subjects.locked_file import LOCK_SECONDS, LockedFile, apart
from audit_emit._subjects.master import Master, beside
from audit_emit._subjects.sealed import KEY_BYTES, pseudonym_of
from audit_emit._subjects.slot_format import (
    GENERATION_AT,
    GENERATION_BYTES,
    LIFTED,
    NO_MARK,
    NO_PSEUDONYM,
    NUMBERS,
    SLOT,
    TAG_BYTES,
    header_of,
    made,
    needs_its_service,
    parsed,
    secret_of,
    tag_of,
)
from audit_emit._subjects.store import DESTROYED, ERASED, GONE, LIVE, MARKED, Tombstone
from audit_emit.errors import KeyStoreError

__all__ = ["SlotFile"]

LOOK_SECONDS = 1.0
"""Time between two checks that the path is still the file that is open."""

_BLOCK = 1 << 20


def _is_new(path: str) -> bool:
    """Whether there is no file yet that another master key would open nothing of."""
    try:
        return os.stat(path).st_size < SLOT
    except FileNotFoundError:
        return True


def _needs_no_service(path: str) -> None:
    """Refuse a file of seeds: a key that is made in it would be one that a thief of it has.

    Raises:
        KeyStoreError: the file has a master key.
    """
    if os.path.lexists(beside(path)):
        raise needs_its_service(path)


class SlotFile:
    """See ``KeyStore``.

    Args:
        path: absolute; the file is made, with mode 0600, when the first key is.
        master: with it, what is in a slot is a seed (see ``master.py``).
        kind, shown: see ``KeyStore``.
    """

    method: str = "overwritten"

    def __init__(
        self, path: str, master: Master | None = None, *, kind: str = "slots", shown: str = ""
    ) -> None:
        self.kind: str = kind
        self.shown: str = shown or f"slots:{path}"
        self._master = master
        self.asks: bool = master is not None
        self._file = LockedFile(path)
        self._forget()
        self._looked = 0.0
        self._seen: tuple[int, bytes] | None = None
        """Of the keys that were given out: which opening of the file, and its generation."""

    def _forget(self) -> None:
        self._read_of = -1
        self._secret = b""
        self._tags = bytearray()

    # -- what everybody asks -----------------------------------------------------------------

    def has_changed(self) -> bool:
        """See ``KeyStore``."""
        descriptor = self._file.descriptor
        if descriptor < 0:
            return False
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._looked = now
            if not self._file.is_in_place():
                return True
        try:
            generation = os.pread(descriptor, GENERATION_BYTES, GENERATION_AT)
        except OSError:
            return True
        now_there = (self._file.opened, generation)
        if now_there == self._seen:
            return False
        self._seen = now_there
        return True

    def obtain(self, subject: str, timeout: float = LOCK_SECONDS) -> bytes | None:
        """See ``KeyStore``."""
        with self._held(make=True, timeout=timeout):
            found = self._of(subject)
            if found is not None:
                return found.key if found.state == LIVE else None
            kept = os.urandom(KEY_BYTES)
            key = kept if self._master is None else self._master.key_of(kept)
            self._append(
                made(tag_of(self._secret, subject), kept, pseudonym_of(key), NUMBERS[LIVE])
            )
            return key

    def prepare(self) -> None:
        """See ``KeyStore``."""
        if self._master is not None:
            self._master.load(make=_is_new(self._file.path))

    def find(self, subject: str) -> Tombstone | None:
        """See ``KeyStore``."""
        with self._held() as there:
            return self._of(subject) if there else None

    def all(self) -> list[Tombstone]:
        """See ``KeyStore``."""
        with self._held() as there:
            return list(self._all()) if there else []

    # -- an erasure ---------------------------------------------------------------------------

    @contextmanager
    def apart(self) -> Iterator[None]:
        """See ``KeyStore``."""
        with apart(f"{self._file.path}.erasing"):
            yield

    def mark(self, found: Tombstone) -> Tombstone:
        """See ``KeyStore``."""
        return self._changed(found, MARKED)

    def destroy(self, found: Tombstone) -> Tombstone:
        """See ``KeyStore``."""
        with self._held() as there:
            self._same(found, there=there)
            kept = self._kept(int(found.place))
        gone = self._changed(found, DESTROYED)
        if found.key is not None and self._file.has(kept):
            raise KeyStoreError("not-destroyed", f"{self.shown} still has a key that was erased")
        return gone

    def settle(self, found: Tombstone) -> Tombstone:
        """See ``KeyStore``."""
        with self._held() as there:
            now = self._same(found, there=there)
            if not any(one.sha256 == now.sha256 for one in self._all() if one.state == GONE):
                tag, digest = os.urandom(TAG_BYTES), bytes.fromhex(now.sha256)
                self._append(made(tag, digest, NO_PSEUDONYM, NUMBERS[GONE]))
            erased = Tombstone(ERASED, None, "", "", now.place)
            self._overwrite(erased, NUMBERS[ERASED])
            return erased

    def allow(self, subject: str) -> bool:
        """See ``KeyStore``."""
        with self._held() as there:
            found = self._of(subject) if there else None
            if found is None or found.state != ERASED:
                return False
            self._overwrite(found, LIFTED)
            return True

    def _changed(self, found: Tombstone, state: str) -> Tombstone:
        with self._held() as there:
            now = self._same(found, there=there)
            changed = now._replace(state=state, key=now.key if state == MARKED else None)
            self._overwrite(changed, NUMBERS[state])
            return changed

    def _same(self, found: Tombstone, *, there: bool) -> Tombstone:
        """What is there now of what was found before."""
        now = self._entry(int(found.place)) if there else None
        if now is None or now.sha256 != found.sha256:
            raise KeyStoreError("changed", f"{self.shown} has changed meanwhile; run it again")
        return now

    # -- the slots ----------------------------------------------------------------------------

    @contextmanager
    def _held(self, *, make: bool = False, timeout: float = LOCK_SECONDS) -> Iterator[bool]:
        """The file, locked, and what others have added to it read; whether there is one."""
        if self._master is None:
            _needs_no_service(self._file.path)
        elif make or os.path.lexists(self._file.path):
            # Before the lock: a service may take longer than others would wait for that.
            ask = timeout >= LOCK_SECONDS  # an event itself waits: no service answers so soon
            self._master.load(make=_is_new(self._file.path), ask=ask)
        with self._file.held(make=make, timeout=timeout) as there:
            yield there and self._learn(make=make)

    def _learn(self, *, make: bool) -> bool:
        file, mark = self._file, self._master.mark() if self._master else NO_MARK
        if self._read_of != file.opened:
            self._forget()
        size = file.size
        if size < SLOT:
            if not make:
                return False
            file.cut(0)
            file.put(0, header_of(1, os.urandom(32), mark))
            file.sync(name=True)
            size = SLOT
        if not self._secret:
            head = file.read(0, SLOT)
            self._secret = secret_of(head, mark, file.path)
            self._read_of = file.opened
            if self._seen is None:  # else keys of another file may be out, and that is to be told
                self._seen = (file.opened, head[GENERATION_AT : GENERATION_AT + GENERATION_BYTES])
        at, whole = len(self._tags) // TAG_BYTES, size // SLOT - 1
        if at != whole:
            while at < whole:
                block = file.read((at + 1) * SLOT, min(_BLOCK, (whole - at) * SLOT))
                slots = [block[begin : begin + TAG_BYTES] for begin in range(0, len(block), SLOT)]
                self._tags += b"".join(slots)
                at += len(slots)
            file.sync()  # who has added them may not have come so far
        return True

    def _of(self, subject: str) -> Tombstone | None:
        """The slot that decides about a person."""
        tag, at = tag_of(self._secret, subject), -1
        while (at := self._tags.find(tag, at + 1)) >= 0:
            if at % TAG_BYTES == 0:
                found = self._entry(at // TAG_BYTES)
                if found is not None:
                    return found
        return None

    def _all(self) -> Iterator[Tombstone]:
        at, count = 0, len(self._tags) // TAG_BYTES
        while at < count:
            block = self._file.read((at + 1) * SLOT, min(_BLOCK, (count - at) * SLOT))
            for begin in range(0, max(len(block), 1), SLOT):
                found = self._entry(at, block[begin : begin + SLOT])
                at += 1
                if found is not None:
                    yield found

    def _entry(self, at: int, data: bytes | None = None) -> Tombstone | None:
        """A slot that counts; ``None`` for one that failed, or whose person was let in again."""
        found = self._file.read((at + 1) * SLOT, SLOT) if data is None else data
        try:
            return parsed(found, at, self._master)
        except ValueError as error:
            raise KeyStoreError("damaged", f"slot {at} of {self.shown} {error}") from None

    def _overwrite(self, found: Tombstone, number: int) -> None:
        """Overwrite a slot in place, and sync it.

        The generation is written first: after a kill in between, no process uses its cache.
        """
        generation = int.from_bytes(self._file.read(GENERATION_AT, GENERATION_BYTES), "little") + 1
        self._file.put(GENERATION_AT, generation.to_bytes(GENERATION_BYTES, "little"))
        at = int(found.place)
        tag = bytes(self._tags[at * TAG_BYTES : (at + 1) * TAG_BYTES])
        kept = self._kept(at) if found.key is not None else bytes.fromhex(found.sha256)
        self._file.put((at + 1) * SLOT, made(tag, kept, found.pseudonym or NO_PSEUDONYM, number))
        self._file.sync()

    def _kept(self, at: int) -> bytes:
        """What is in a slot in the place of a key."""
        return self._file.read((at + 1) * SLOT + TAG_BYTES, KEY_BYTES)

    def _append(self, slot: bytes) -> None:
        place = (len(self._tags) // TAG_BYTES + 1) * SLOT
        try:
            self._file.put(place, slot)
            self._file.sync()
        except OSError:
            # No process has used this key, and none will.
            try:
                self._file.cut(place)
            except OSError:
                self._file.put(place, bytes(SLOT))
            raise
        self._tags += slot[:TAG_BYTES]

    def after_fork(self) -> None:
        """See ``KeyStore``."""
        self._file.after_fork()
        self._forget()
        self._seen = None

    def close(self) -> None:
        """See ``KeyStore``."""
        if self._master is not None:
            self._master.forget()
        self._file.close()
        self._forget()
        self._seen = None
