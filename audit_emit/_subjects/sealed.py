"""The form of a sealed value and of a pseudonym (docs/wire-format.md, section 12).

AES-256-GCM (NIST SP 800-38D) with a random nonce of 12 bytes. The associated data is the id of the
record and the JSON pointer (RFC 6901) of the field, so that a ciphertext opens in its place only.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Callable, Iterator
from typing import Any

from audit_emit._subjects.address import needs_cryptography

__all__ = ["PREFIX", "SEALED", "SubjectKey", "is_pseudonym", "pointer_to", "reopen"]

PREFIX = "aes256gcm:"
SEALED = re.compile(r"aes256gcm:([0-9a-f]{16}):([A-Za-z0-9_-]{38,})")
"""A sealed value: the id of its key; nonce, ciphertext and tag."""

KEY_BYTES = 32
NONCE_BYTES = 12
_NONCES = 256
_LABEL = b"audit_emit pseudonym, version 1"
_PSEUDONYM = re.compile(r"p-[0-9a-f]{24}")
_NO_PART = b"=\n"
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def is_pseudonym(text: str) -> bool:
    """Whether a ``user_id`` has the form of a pseudonym."""
    return _PSEUDONYM.fullmatch(text) is not None


def pointer_to(*steps: str | int) -> str:
    """The JSON pointer (RFC 6901) of a value below ``fields``."""
    return "".join(f"/{str(one).replace('~', '~0').replace('/', '~1')}" for one in steps)


class SubjectKey:
    """The key of one person, and what follows from it.

    Args:
        key: 32 bytes.

    Attributes:
        sha256: of the key, as hex; ``key_id`` is its beginning.
        pseudonym: what stands for the person in ``user_id``.

    Raises:
        ConfigError: ``cryptography`` is not installed.
    """

    __slots__ = ("_begin", "_decrypt", "_encrypt", "key", "key_id", "pseudonym", "sha256")

    def __init__(self, key: bytes) -> None:
        cipher = _aes(key)
        self.key = key
        self.sha256: str = hashlib.sha256(key).hexdigest()
        self.key_id: str = self.sha256[:16]
        self.pseudonym: str = pseudonym_of(key)
        self._begin = f"{PREFIX}{self.key_id}:"
        self._encrypt: Callable[[bytes, bytes, bytes], bytes] = cipher.encrypt
        self._decrypt: Callable[[bytes, bytes, bytes], bytes] = cipher.decrypt

    def seal(self, plain: bytes, record_id: str, pointer: str, nonces: list[bytes]) -> str:
        """A value as it stands in a record.

        Args:
            plain: its JSON text.
            record_id, pointer: where it stands.
            nonces: one of them is taken, and more are drawn where there is none; a list that no
                other process has.
        """
        try:
            nonce = nonces.pop()
        except IndexError:
            nonce = _drawn(nonces)
        # As ``_bound``; this is on the way of an event.
        bound = f"{record_id}\n{pointer}".encode("utf-8", "surrogatepass")
        made = b2a_base64(nonce + self._encrypt(nonce, plain, bound))
        return f"{self._begin}{made.translate(_URL_SAFE, _NO_PART).decode()}"

    def open(self, sealed: str, record_id: str, pointer: str) -> bytes | None:
        """The JSON text of a sealed value; ``None`` where it is none of this key and this place."""
        found = SEALED.fullmatch(sealed)
        if found is None or found[1] != self.key_id:
            return None
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - it is there

        text = found[2]
        try:
            data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            return self._decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _bound(record_id, pointer))
        except (ValueError, InvalidTag):
            return None

    def __repr__(self) -> str:
        return f"SubjectKey({self.key_id})"


def _bound(record_id: str, pointer: str) -> bytes:
    # A name may have a lone surrogate: a record has it as an escape.
    return f"{record_id}\n{pointer}".encode("utf-8", "surrogatepass")


def pseudonym_of(key: bytes) -> str:
    """``p-`` and 24 hex digits: the same for all records of a person while the key lives."""
    return f"p-{hmac.digest(key, _LABEL, 'sha256').hex()[:24]}"


def _drawn(nonces: list[bytes]) -> bytes:
    """A nonce that nobody had before, and more of them in a list."""
    # A signal handler may fork anywhere in here: what is drawn before belongs to this list, and the
    # child has another one.
    drawn = os.urandom(NONCE_BYTES * _NONCES)
    nonces += [drawn[at : at + NONCE_BYTES] for at in range(NONCE_BYTES, len(drawn), NONCE_BYTES)]
    return drawn[:NONCE_BYTES]


def reopen(text: str, old: str, new: str, key_of: Callable[[str], SubjectKey | None]) -> str:
    """The text of a record's ``fields`` under another id of the record.

    What cannot be opened any more is left as it is.

    Args:
        text: a record, or a part of one, in which sealed values are JSON strings.
        old, new: the ids.
        key_of: finds a key by its id.
    """
    at = text.find(',"fields":{')
    end = text.rfind('},"v":')
    if at < 0 or end < 0 or PREFIX not in text:
        return text
    import json  # noqa: PLC0415 - a fork in the middle of an event only

    fields = json.loads(text[at + len(',"fields":') : end + 1])
    swapped, nonces = text, list[bytes]()
    for steps, value in sealed_in(fields):
        key = key_of(value[len(PREFIX) : len(PREFIX) + 16])
        pointer = pointer_to(*steps)
        plain = key.open(value, old, pointer) if key is not None else None
        if key is not None and plain is not None:
            swapped = swapped.replace(value, key.seal(plain, new, pointer, nonces))
    return swapped


def sealed_in(value: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """The sealed values below a plain one, each with the steps that lead to it."""
    found: list[tuple[tuple[str | int, ...], str]] = []
    for way, one in _texts_below(value):
        if one.startswith(PREFIX) and SEALED.fullmatch(one):
            found.append((_steps(way), one))
    return found


def _steps(way: _Way) -> tuple[str | int, ...]:
    steps: list[str | int] = []
    while way is not None:
        way, step = way
        steps.append(step)
    return tuple(reversed(steps))


_Way = tuple[Any, str | int] | None
"""The last step to a value, behind the way to where it begins: a line of many containers within
each other has no long paths to be copied."""


def _texts_below(value: Any) -> Iterator[tuple[_Way, str]]:
    todo: list[tuple[_Way, Any]] = [(None, value)]
    while todo:
        way, one = todo.pop()
        if isinstance(one, str):
            yield way, one
            continue
        items = one.items() if isinstance(one, dict) else enumerate(one)
        below = [(step, member) for step, member in items if isinstance(member, dict | list | str)]
        todo += [((way, step), member) for step, member in reversed(below)]


def _aes(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - optional
    except ImportError:
        raise needs_cryptography() from None
    return AESGCM(key)
