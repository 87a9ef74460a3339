r"""The bytes of a file of slots of 64 bytes: ``slots.py`` reads and changes them. Pure.

The first slot is the header: ``AESUBJ1\n``, the generation (8 bytes, little-endian, one more with
every change that must empty caches), a secret of 32 bytes, a mark of the master key (12 bytes; zero
without one), CRC-32. Every other slot:

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
import zlib
from struct import Struct

from audit_emit._subjects.master import MARK_BYTES, Master, beside
from audit_emit._subjects.sealed import pseudonym_of
from audit_emit._subjects.store import DESTROYED, ERASED, GONE, LIVE, MARKED, Tombstone
from audit_emit.errors import KeyStoreError

SLOT = 64
_MAGIC = b"AESUBJ1\n"
_HEADER = Struct("<8sQ32s12sI")
_ENTRY = Struct("<12s32s12sB3xI")
GENERATION_AT, GENERATION_BYTES = 8, 8
TAG_BYTES = 12
LIFTED = 5
NO_MARK = bytes(MARK_BYTES)
NUMBERS = {LIVE: 1, MARKED: 2, DESTROYED: 3, ERASED: 4, GONE: 6}
NO_PSEUDONYM = f"p-{'0' * 24}"
_STATES = {number: state for state, number in NUMBERS.items()}


def _summed(entry: bytes) -> bytes:
    return entry[:60] + zlib.crc32(entry[:60]).to_bytes(4, "little")


def header_of(generation: int, secret: bytes, mark: bytes) -> bytes:
    """The first slot."""
    # The generation changes by itself, so it is not in the sum.
    total = zlib.crc32(_HEADER.pack(_MAGIC, 0, secret, mark, 0)[:60])
    return _HEADER.pack(_MAGIC, generation, secret, mark, total)


def secret_of(head: bytes, mark: bytes, path: str) -> bytes:
    """The secret in a header, if it is that of a file whose master key has this mark.

    Raises:
        KeyStoreError: it is none, or the file belongs to another master key, or to none.
    """
    magic, generation, secret, its, _ = _HEADER.unpack(head)
    if magic != _MAGIC or head != header_of(generation, secret, its):
        raise KeyStoreError("damaged", f"{path} is no file of keys, or is damaged")
    if its == mark:
        return bytes(secret)
    if mark == NO_MARK:
        raise needs_its_service(path)
    if its == NO_MARK:
        raise KeyStoreError(
            "another-master",
            f"{path} was made without a key service: name it without one, and put {beside(path)}, "
            "which is not its own, elsewhere",
        )
    raise KeyStoreError(
        "another-master",
        f"{beside(path)} is not the master key that {path} was made with: put that one back",
    )


def made(tag: bytes, kept: bytes, pseudonym: str, number: int) -> bytes:
    """Every other slot; ``number`` is that of its state."""
    return _summed(_ENTRY.pack(tag, kept, bytes.fromhex(pseudonym[2:]), number, 0))


def parsed(data: bytes, at: int, master: Master | None) -> Tombstone | None:
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


def needs_its_service(path: str) -> KeyStoreError:
    """The error for an address that names a file of seeds without its key service."""
    return KeyStoreError(
        "service-missing",
        f"{path} has its master key in a key service: name that, as in openbao:KEY?slots={path}",
    )


def tag_of(secret: bytes, subject: str) -> bytes:
    """By which a file knows a person, without the id."""
    return hmac.digest(secret, subject.encode("utf-8", "surrogatepass"), "sha256")[:TAG_BYTES]
