r"""The keys of persons in one file of slots of 64 bytes.

A slot is synced before its key is used for the first time, and is overwritten in place and synced
when the key is destroyed: unlike a database or a file of its own, no journal, no free page and no
unlinked block keeps a copy in the file system. Several processes share the file under ``flock``.

The first slot is the header: ``AESUBJ1\n``, the generation (8 bytes, little-endian, one more with
every change that must empty caches), a secret of 32 bytes, CRC-32. Every other slot:

    tag        12  of HMAC-SHA256(secret, the person's id)
    key        32  in states 3 and 6 the SHA-256 of the key, in states 4 and 5 zero; with a master
                   key in states 1 and 2 a seed of the key (see master.py)
    pseudonym  12  what the key gave (see sealed.py), so that it can be recorded after the key
    state       1  1 live, 2 marked, 3 destroyed, 4 recorded, 5 lifted, 6 a key that is gone
    zero        3
    crc         4  CRC-32 of the 60 bytes before

A slot of state 4 keeps the tag alone, so that the person gets no other key by chance. The hash of
its key, which leads to the records, goes to a slot of state 6 with a random tag. A slot of 64 zero
bytes is one that failed.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from struct import Struct

from audit_emit._subjects.locked_file import LOCK_SECONDS, LockedFile, apart
from audit_emit._subjects.master import Master, beside
from audit_emit._subjects.sealed import KEY_BYTES, pseudonym_of
from audit_emit._subjects.store import DESTROYED, ERASED, GONE, LIVE, MARKED, Tombstone
from audit_emit.errors import KeyStoreError

__all__ = ["SlotFile"]

SLOT = 64
_MAGIC = b"AESUBJ1\n"
_HEADER = Struct("<8sQ32s12xI")
_ENTRY = Struct("<12s32s12sB3xI")
_GENERATION, _GENERATION_SIZE = 8, 8
_TAG = 12
_LIFTED = 5
_NUMBERS = {LIVE: 1, MARKED: 2, DESTROYED: 3, ERASED: 4, GONE: 6}
_NO_PSEUDONYM = f"p-{'0' * 24}"
_STATES = {number: state for state, number in _NUMBERS.items()}

LOOK_SECONDS = 1.0
"""How often it is asked whether the path is still the file that is open."""

_BLOCK = 1 << 20


def _summed(entry: bytes) -> bytes:
    return entry[:60] + zlib.crc32(entry[:60]).to_bytes(4, "little")


def _header(generation: int, secret: bytes) -> bytes:
    # The generation changes by itself, so it is not in the sum.
    total = zlib.crc32(_HEADER.pack(_MAGIC, 0, secret, 0)[:60])
    return _HEADER.pack(_MAGIC, generation, secret, total)


def _made(tag: bytes, kept: bytes, pseudonym: str, number: int) -> bytes:
    return _summed(_ENTRY.pack(tag, kept, bytes.fromhex(pseudonym[2:]), number, 0))


def _parsed(data: bytes, at: int, master: Master | None) -> Tombstone | None:
    """What a slot says; ``None`` for one that does not count.

    Args:
        master: makes a key of what is in the slot; ``None`` where that is the key.

    Raises:
        ValueError: it is damaged.
    """
    if len(data) < SLOT:
        raise ValueError("is not there any more")
    if data == bytes(SLOT):
        return None
    if data != _summed(data):
        raise ValueError("is damaged")
    _, key, pseudonym, number, _ = _ENTRY.unpack(data)
    state = _STATES.get(number)
    if state is None:
        return None
    if state == ERASED:
        return Tombstone(state, None, "", "", at)
    if state in {LIVE, MARKED}:
        key = key if master is None else master.key_of(key)
        if pseudonym_of(key) != f"p-{pseudonym.hex()}":
            of = "of another master key than the one beside the file" if master else "no key"
            raise ValueError(f"is {of}")
        digest = hashlib.sha256(key).hexdigest()
        return Tombstone(state, key, digest, f"p-{pseudonym.hex()}", at)
    return Tombstone(state, None, key.hex(), "" if state == GONE else f"p-{pseudonym.hex()}", at)


def _is_new(path: str) -> bool:
    """Whether no slot was ever made: with another master key those that are there were gone."""
    try:
        return os.stat(path).st_size <= SLOT
    except FileNotFoundError:
        return True


def _needs_no_service(path: str) -> None:
    """Refuse a file of seeds: a key that is made in it would be one that a thief of it has.

    Raises:
        KeyStoreError: the file has a master key.
    """
    if os.path.lexists(beside(path)):
        raise KeyStoreError(
            "service-missing",
            f"{path} has its master key in a key service: name that, as in "
            f"openbao:KEY?slots={path}",
        )


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
            generation = os.pread(descriptor, _GENERATION_SIZE, _GENERATION)
        except OSError:
            return True
        now_there = (self._file.opened, generation)
        if now_there == self._seen:
            return False
        self._seen = now_there
        return True

    def obtain(self, subject: str, patience: float = LOCK_SECONDS) -> bytes | None:
        """See ``KeyStore``."""
        with self._held(make=True, patience=patience):
            found = self._of(subject)
            if found is not None:
                return found.key if found.state == LIVE else None
            kept = os.urandom(KEY_BYTES)
            key = kept if self._master is None else self._master.key_of(kept)
            self._append(_made(self._tag(subject), kept, pseudonym_of(key), _NUMBERS[LIVE]))
            return key

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
                tag, digest = os.urandom(_TAG), bytes.fromhex(now.sha256)
                self._append(_made(tag, digest, _NO_PSEUDONYM, _NUMBERS[GONE]))
            erased = Tombstone(ERASED, None, "", "", now.place)
            self._overwrite(erased, _NUMBERS[ERASED])
            return erased

    def allow(self, subject: str) -> bool:
        """See ``KeyStore``."""
        with self._held() as there:
            found = self._of(subject) if there else None
            if found is None or found.state != ERASED:
                return False
            self._overwrite(found, _LIFTED)
            return True

    def _changed(self, found: Tombstone, state: str) -> Tombstone:
        with self._held() as there:
            now = self._same(found, there=there)
            changed = now._replace(state=state, key=now.key if state == MARKED else None)
            self._overwrite(changed, _NUMBERS[state])
            return changed

    def _same(self, found: Tombstone, *, there: bool) -> Tombstone:
        """What is there now of what was found before."""
        now = self._entry(int(found.place)) if there else None
        if now is None or now.sha256 != found.sha256:
            raise KeyStoreError("changed", f"{self.shown} has changed meanwhile; run it again")
        return now

    # -- the slots ----------------------------------------------------------------------------

    @contextmanager
    def _held(self, *, make: bool = False, patience: float = LOCK_SECONDS) -> Iterator[bool]:
        """The file, locked, and what others have added to it read; whether there is one."""
        if self._master is None:
            _needs_no_service(self._file.path)
        elif make or os.path.lexists(self._file.path):
            # Before the lock: a service may take longer than others would wait for that.
            ask = patience >= LOCK_SECONDS  # an event itself waits: no service answers so soon
            self._master.load(make=_is_new(self._file.path), ask=ask)
        with self._file.held(make=make, patience=patience) as there:
            yield there and self._learn(make=make)

    def _learn(self, *, make: bool) -> bool:
        file = self._file
        if self._read_of != file.opened:
            self._forget()
        size = file.size
        if size < SLOT:
            if not make:
                return False
            file.cut(0)
            file.put(0, _header(1, os.urandom(32)))
            file.sync(name=True)
            size = SLOT
        if not self._secret:
            head = file.read(0, SLOT)
            magic, generation, secret, _ = _HEADER.unpack(head)
            if magic != _MAGIC or head != _header(generation, secret):
                raise KeyStoreError("damaged", f"{self.shown} is no file of keys, or is damaged")
            self._secret = secret
            self._read_of = file.opened
            if self._seen is None:  # else keys of another file may be out, and that is to be told
                self._seen = (file.opened, head[_GENERATION : _GENERATION + _GENERATION_SIZE])
        at, whole = len(self._tags) // _TAG, size // SLOT - 1
        if at != whole:
            while at < whole:
                block = file.read((at + 1) * SLOT, min(_BLOCK, (whole - at) * SLOT))
                slots = [block[begin : begin + _TAG] for begin in range(0, len(block), SLOT)]
                self._tags += b"".join(slots)
                at += len(slots)
            file.sync()  # who has added them may not have come so far
        return True

    def _tag(self, subject: str) -> bytes:
        text = subject.encode("utf-8", "surrogatepass")
        return hmac.digest(self._secret, text, "sha256")[:_TAG]

    def _of(self, subject: str) -> Tombstone | None:
        """The slot that decides about a person."""
        tag, at = self._tag(subject), -1
        while (at := self._tags.find(tag, at + 1)) >= 0:
            if at % _TAG == 0:
                found = self._entry(at // _TAG)
                if found is not None:
                    return found
        return None

    def _all(self) -> Iterator[Tombstone]:
        at, count = 0, len(self._tags) // _TAG
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
            return _parsed(found, at, self._master)
        except ValueError as error:
            raise KeyStoreError("damaged", f"slot {at} of {self.shown} {error}") from None

    def _overwrite(self, found: Tombstone, number: int) -> None:
        """Overwrite a slot in place, and sync it.

        The generation comes first: killed in between, nobody goes on with what is in a cache.
        """
        generation = int.from_bytes(self._file.read(_GENERATION, _GENERATION_SIZE), "little") + 1
        self._file.put(_GENERATION, generation.to_bytes(_GENERATION_SIZE, "little"))
        at = int(found.place)
        tag = bytes(self._tags[at * _TAG : (at + 1) * _TAG])
        kept = self._kept(at) if found.key is not None else bytes.fromhex(found.sha256)
        self._file.put((at + 1) * SLOT, _made(tag, kept, found.pseudonym or _NO_PSEUDONYM, number))
        self._file.sync()

    def _kept(self, at: int) -> bytes:
        """What is in a slot in the place of a key."""
        return self._file.read((at + 1) * SLOT + _TAG, KEY_BYTES)

    def _append(self, slot: bytes) -> None:
        place = (len(self._tags) // _TAG + 1) * SLOT
        try:
            self._file.put(place, slot)
            self._file.sync()
        except OSError:
            # Nobody has used this key, and nobody will.
            try:
                self._file.cut(place)
            except OSError:
                self._file.put(place, bytes(SLOT))
            raise
        self._tags += slot[:_TAG]

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
