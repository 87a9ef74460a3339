"""What must not be shown, and what stands in its place.

Three rules: the name of a value (``keys``), what it looks like (``detect``), its type
(``Secret``, pydantic's). A value held back is ``hmac-sha256:<key id>:<16 hex digits>`` under a
key, so that equal secrets stay comparable, else ``[redacted]``: a plain hash of a short secret can
be guessed in a second.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn

from audit_emit._redaction.engine import MOST_FOUND, Engine
from audit_emit._redaction.names import MAX_NAME, fold, is_secret_name
from audit_emit._redaction.own_names import OwnNames
from audit_emit._redaction.rule import Rule
from audit_emit._redaction.rules.cloud import ACCESS_KEY_IDS
from audit_emit._redaction.words import VALUES
from audit_emit._runtime.foreign import class_dict, type_name
from audit_emit._runtime.interrupts import door, let_through
from audit_emit._runtime.lazy import Pattern

__all__ = ["Redactor", "Secret", "hash_value_prefix"]

SCAN = 8192
"""Characters of a text that are looked at and may be shown."""
OVERLAP = 512
"""Characters beyond, looked at only, so that a secret across the cut is seen."""
REDACTED = "[redacted]"
_MAX_CACHED = 4096
_MAX_TEXT = 65536
_MAX_PARTS = 1024
_HELD = Pattern(r"hmac-sha256:[0-9a-f]{8}:[0-9a-f]{16}")
_KEY_ID = b"audit_emit key id v1"


class Secret:
    """A value that never shows itself; in a record it is held back.

    Two are equal only when they are the same object.

    Args:
        value: what to protect, of any type.
    """

    __slots__ = ("__weakref__", "_value")

    def __init__(self, value: Any) -> None:
        self._value = value

    def get_secret_value(self) -> Any:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('**********')"

    def __str__(self) -> str:
        return "**********"

    def __format__(self, spec: str) -> str:
        return "**********"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a Secret is not pickled or copied: what it protects would be in the clear")


def hash_value_prefix(value: object, n: Any = 8, *, key: bytes | None = None) -> str:
    """The first hex digits of a hash of a value: tells whether two are equal, shows neither.

    Args:
        value: str (as UTF-8), bytes, or anything with a text; a ``Secret`` is what it protects.
        n: how many digits, 1 to 64; what is no number means 8.
        key: HMAC-SHA256 under this key, else SHA-256.

    Never raises.
    """
    try:
        digits = min(64, max(1, int(n)))
    except Exception as error:  # noqa: BLE001 - junk of any type means the default
        let_through(error)
        digits = 8
    data = _bytes(_open(value))
    if key:
        return hmac.digest(key, data, "sha256").hex()[:digits]
    return hashlib.sha256(data).hexdigest()[:digits]


@door
def _open(value: object) -> object:
    """What a ``Secret`` or a type like pydantic's ``SecretStr`` protects, else the value."""
    for _ in range(8):
        if not is_secret_type(type(value)):
            break
        try:
            value = value.get_secret_value()  # type: ignore[attr-defined]
        except Exception as error:  # noqa: BLE001 - a foreign method may raise anything
            let_through(error)
            return type_name(type(value))
    return value


def is_secret_type(kind: type) -> bool:
    """Whether values of a type are secret: they have ``get_secret_value``."""
    return any("get_secret_value" in class_dict(base) for base in type.mro(kind))


@door
def _bytes(value: object) -> bytes:
    try:
        if isinstance(value, str):
            return str.encode(value, "utf-8", "surrogatepass")
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value)
        if _is_container(type(value)):
            return _parts(value)
        return str(value).encode("utf-8", "surrogatepass")
    except Exception as error:  # noqa: BLE001 - a foreign __str__ may raise anything
        let_through(error)
        return type_name(type(value)).encode("utf-8", "surrogatepass")


class Scrubbed(NamedTuple):
    """A text with each secret in it held back.

    Attributes:
        text: what is left of the first 8 KiB.
        rules: the ids of the rules that found something.
        secrets: what was held back.
    """

    text: str
    rules: list[str]
    secrets: list[str]

    @property
    def length(self) -> int:
        """Characters of the text as it was given, at least: what stands instead counts, too."""
        return len(self.text) + sum(map(len, self.secrets))


class Redactor:
    """The rules with their settings. Safe to share between threads.

    Args:
        hash_key: the key of held-back values; without one they are ``[redacted]``.
        secret_keys: names that are secret besides the built-in ones, in any spelling.
        safe_keys: names that are not, whatever the rules say.
        rules: what else is secret in a text, besides what the library knows.
        hide_access_key_ids: whether the ids of access keys are held back, too.
        report: whether records say which rules held back what.
        seals: whether values of persons are sealed after this; else they are held back.
    """

    def __init__(
        self,
        hash_key: bytes | None = None,
        secret_keys: Iterable[str] = frozenset(),
        safe_keys: Iterable[str] = frozenset(),
        rules: Iterable[Rule] = (),
        *,
        hide_access_key_ids: bool = False,
        report: bool = False,
        seals: bool = False,
    ) -> None:
        self.seals: bool = seals
        self._key = hash_key or None
        self.key_id: str | None = (
            hmac.digest(hash_key, _KEY_ID, "sha256").hex()[:8] if hash_key else None
        )
        padded = _padded(hash_key or b"")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))
        self.report: bool = report
        self._secret = OwnNames(secret_keys)
        self._safe = OwnNames(safe_keys, exact=True)
        if hide_access_key_ids:
            rules = (*rules, *ACCESS_KEY_IDS)
        self.engine: Engine = Engine(tuple(rules), self._secret.parts)
        self.harmless: set[str] = set()
        """Names that were found to be short, plain and never secret, in any event."""
        self._cache: tuple[dict[str, bool], dict[str, bool]] = ({}, {})

    def __repr__(self) -> str:
        return f"Redactor(key_id={self.key_id!r})"

    def is_secret_key(self, key: str, secret_event: bool = False) -> bool:
        """Whether a value under this name is held back.

        Args:
            key: the name, in any spelling.
            secret_event: ``value``, ``old_value``, ``new_value`` and ``plaintext`` count, too.
        """
        cache = self._cache[secret_event]
        known = cache.get(key)
        if known is None:
            known = self._judge(key, secret_event)
            if len(key) <= 128:
                if len(cache) >= _MAX_CACHED:
                    cache.clear()
                cache[key] = known
        return known

    def _judge(self, key: str, secret_event: bool) -> bool:
        if len(key) <= MAX_NAME:
            if self._safe.holds(key):
                return False
            if self._secret.holds(key):
                return True
        return is_secret_name(key, secret_event=secret_event)

    def held_back(self, value: object) -> str:
        """What stands in the place of a value. Never raises; containers are bounded."""
        if self._key is None:
            return REDACTED
        try:
            if type(value) is str and len(value) <= _MAX_TEXT:
                data = value.encode("utf-8", "surrogatepass")
            else:
                data = _text(value)
        except Exception as error:  # noqa: BLE001 - a hostile type: it is held back without its text
            let_through(error)
            return REDACTED
        # HMAC (RFC 2104): copies of what was hashed of the key take a third of the time.
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(data)
        outer.update(inner.digest())
        return f"hmac-sha256:{self.key_id}:{outer.hexdigest()[:16]}"

    def is_held_back(self, value: str) -> bool:
        """Whether a text is what ``held_back`` gives under these settings, and nothing else."""
        if self._key is None:
            return value == REDACTED
        return len(value) == 37 and bool(_HELD.fullmatch(value)) and value[12:20] == self.key_id

    def scrub(self, text: str, secret_event: bool = False) -> str | None:
        """The text with each secret in it held back, or ``None`` when there is none.

        See ``scrub_by``.
        """
        found = self.scrub_by(text, secret_event)
        return None if found is None else found.text

    def scrub_by(self, text: str, secret_event: bool = False) -> Scrubbed | None:
        """The same, with the ids of the rules that found them, and what they found.

        Only the first 8 KiB are looked at, and only they are in the result: what is beyond is the
        caller's to cut, also when the result is ``None``.
        """
        if len(text) > SCAN + OVERLAP:
            text = text[: SCAN + OVERLAP]
        if not self.suspicious(text, secret_event=secret_event):
            return None
        if secret_event:
            every = self.engine.find(text, self._is_secret_in_event, self._is_secret_member)
        else:
            every = self.engine.find(text, self.is_secret_key)
        found = [one for one in every if one.start < SCAN]
        if not found:
            return None
        spans = [one[:2] for one in found]
        if len(spans) > MOST_FOUND:
            spans[MOST_FOUND - 1 :] = [(spans[MOST_FOUND - 1][0], len(text))]
        parts: list[str] = []
        at = 0
        for start, end in spans:
            parts += (text[at:start], self.held_back(text[start:end]))
            at = end
        parts.append(text[at:SCAN] if at < SCAN else "")
        rules = list(dict.fromkeys(one.rule for one in found))
        return Scrubbed("".join(parts), rules, [text[start:end] for start, end in spans])

    def _is_secret_member(self, key: str) -> bool:
        return self.is_secret_key(key, secret_event=True)

    def _is_secret_in_event(self, key: str) -> bool:
        return self.is_secret_key(key) or fold(key) in VALUES

    def suspicious(self, text: str, *, secret_event: bool = False) -> bool:
        """Whether ``scrub`` has to look: False only when it would find nothing."""
        if secret_event and text[:1] in ("{", "["):
            return True  # what is secret there may have any name
        return self.engine.suspicious(text)


def _padded(key: bytes) -> bytes:
    """A key as HMAC takes it: a block of SHA-256, which is 64 bytes long."""
    return (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")


@door
def _text(value: Any) -> bytes:
    """The bytes that stand for a value in its keyed hash: its text; for containers, its parts."""
    value = _open(value)
    kind = type(value)
    if _is_container(kind):
        return _parts(value)
    if issubclass(kind, str):
        return str.encode(_head(str, value), "utf-8", "surrogatepass")
    if issubclass(kind, bytes | bytearray):
        return bytes(_head(bytes if issubclass(kind, bytes) else bytearray, value))
    if kind is bool or kind is float:
        return repr(value).encode()
    if issubclass(kind, int):
        return _digits(value)
    name = type_name(kind)
    if name.startswith(_KNOWN):
        return _bytes(value)[:_MAX_TEXT]
    return name.encode("utf-8", "surrogatepass")


def _digits(value: Any) -> bytes:
    if int.bit_length(value) > 2000:
        return int.__format__(value, "x").encode()[:_MAX_TEXT]
    return int.__repr__(value).encode()


def _is_container(kind: type) -> bool:
    # By identity: a metaclass may define equality.
    return kind is dict or kind is list or kind is tuple or kind is set or kind is frozenset


_KNOWN = ("<datetime.", "<decimal.", "<uuid.", "<fractions.", "<pathlib.", "<ipaddress.")


def _head(kind: Any, value: Any) -> Any:
    """The value, or the start of a long one with its length."""
    length = kind.__len__(value)
    if length <= _MAX_TEXT:
        return kind.__getitem__(value, slice(0, _MAX_TEXT))
    head = kind.__getitem__(value, slice(0, _MAX_TEXT))
    mark = f"…{length}"
    return head + (mark if kind is str else mark.encode())


def _parts(value: object) -> bytes:
    """A container flattened, breadth first, up to a bound."""
    out = bytearray()
    queue: list[Any] = [value]
    for at in range(_MAX_PARTS):
        if at >= len(queue) or len(out) > _MAX_TEXT:
            break
        item = queue[at]
        kind = type(item)
        if _is_container(kind):
            out += b"(%s %d)" % (kind.__name__.encode(), len(item))
            if len(queue) < _MAX_PARTS:
                queue.extend(_members(item))
        else:
            data = _text(item)
            out += b"%s %d " % (type_name(kind).encode("utf-8", "replace"), len(data)) + data
    return bytes(out)


def _members(item: Any) -> list[Any]:
    from itertools import islice  # noqa: PLC0415

    try:
        if type(item) is dict:
            return [part for pair in islice(item.items(), 256) for part in pair]
        members = list(islice(item, 256))
    except RuntimeError as error:  # changed by another thread meanwhile
        let_through(error)
        return []
    if type(item) in (set, frozenset):
        members.sort(key=lambda member: _text(member) if not _is_container(type(member)) else b"")
    return members
