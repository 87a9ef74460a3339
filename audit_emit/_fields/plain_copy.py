"""What the compiled part does, in Python: a copy of a payload, which is looked at and encoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Raw
from msgspec.json import Encoder

from audit_emit._fields.pieces import MAX_STRING
from audit_emit._fields.text import json_size, plain_size
from audit_emit._fields.verdicts import BESIDE, HARMLESS, SECRET, Look, Shape
from audit_emit._fields.withheld import MAX_BYTES, hold, in_json, is_nowhere_else
from audit_emit._format import encode
from audit_emit._redaction.redactor import Scrubbed
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.lazy import Pattern

__all__ = ["Copy"]

MAX_TEXT = MAX_STRING // 2
"""Characters of a text. In JSON it may have twice as many bytes, as on the full way."""
MAX_ITEMS = 256
MAX_DEPTH = 12
MAX_TABLE = 65536
"""Bytes of a dict that is copied: a table keeps the places of what was deleted."""
MAX_INT = 10**12
_SHORT = MAX_STRING // 6
"""Characters of a text that is not too long, whatever is in it: an escape has six bytes."""
_MAX_SHAPE = 64
_MAX_SHAPE_LENGTH = 1024
_MAX_SHAPES = 512

_BEGINS = Pattern("\0[{\\[\ufeff \t\r\n-]")
_JSON_BEGINS = ("{", "[", "\ufeff", " ", "\t", "\r", "\n")
_encode = Encoder().encode


def _may_be_json(text: str) -> bool:
    return text.startswith(_JSON_BEGINS)


def _bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _is_long(text: str) -> bool:
    """Whether the full way cuts a text, or is the one to tell."""
    if len(text) <= _SHORT:
        return False
    return len(text) > MAX_TEXT or (not plain_size(text) and json_size(text) > MAX_STRING)


class _Full(Exception):  # noqa: N818 - no error: something needs the full way
    pass


class Copy:
    """One payload on the quick way.

    Args:
        look: says what is known, and answers what is not.
    """

    __slots__ = ("_beside", "_found", "_items", "_left", "_look", "_shapes", "_texts")

    def __init__(self, look: Look) -> None:
        self._look = look
        self._shapes = look.shapes
        self._texts: list[str] = []
        self._found: list[str] = []
        self._left: dict[str, tuple[Raw, int]] = {}
        """What is left of texts in which something is held back, and the length of each."""
        self._beside = False
        self._items = 0

    def json(self, fields: object) -> tuple[str, int] | None:
        """As ``Plain.encode``."""
        if type(fields) is not dict:
            return None
        try:
            plain = self._dict(fields, 1)
        except _Full:
            return None
        held, length = len(self._found), 0
        if not self._harmless():
            return None
        if self._left:
            more, length = self._put_left(plain)
            held += more
        try:
            out = encode.safe(_encode(plain).decode())
        except UnicodeEncodeError as error:  # a surrogate
            let_through(error)
            return None
        if length + _bytes_of(out) > MAX_BYTES or not is_nowhere_else(self._found, out):
            return None
        return out, held

    def _dict(self, given: dict[Any, Any], depth: int) -> dict[str, Any]:
        size = len(given)
        if size > MAX_ITEMS or given.__sizeof__() > MAX_TABLE:
            raise _Full
        plain = given.copy()
        # The exact type first: a name of another one may only claim to equal a known one.
        for name in plain:
            if type(name) is not str:
                raise _Full
        self._items += size
        shape = tuple(plain)
        known = self._shapes.get(shape)
        if known is None:
            known = self._learn(shape)
        beside, secret = known
        if beside:
            self._beside = True
        held = self._hold_back(plain, secret) if secret else None
        texts = self._texts
        for name, value in plain.items():
            kind = type(value)
            if kind is str:
                texts.append(value)
            elif kind is int or kind is float:
                if not -MAX_INT < value < MAX_INT:
                    plain[name] = self._other(value, kind, depth)
            elif kind is not bool and value is not None:
                plain[name] = self._other(value, kind, depth)
        # Only now: msgspec writes a Raw as it is, so one that was given must not pass for ours.
        if held:
            plain.update(held)
        return plain

    def _learn(self, shape: tuple[str, ...]) -> Shape:
        """What names are, the first time that they are met together."""
        look = self._look
        secret: list[str] = []
        beside = False
        for name in shape:
            known = look.names.get(name) or look.name(name)
            if known == SECRET:
                secret.append(name)
            elif known == BESIDE:
                beside = True
            elif known != HARMLESS:
                raise _Full
        found = (beside, tuple(secret))
        if len(shape) <= _MAX_SHAPE and sum(map(len, shape)) <= _MAX_SHAPE_LENGTH:
            if len(self._shapes) >= _MAX_SHAPES:
                self._shapes.clear()
            self._shapes[shape] = found
        return found

    def _list(self, given: Any, depth: int) -> list[Any]:
        size = len(given)
        if size > MAX_ITEMS:
            raise _Full
        plain = list(given)
        self._beside = True
        self._items += size
        texts = self._texts
        for at, value in enumerate(plain):
            kind = type(value)
            if kind is str:
                texts.append(value)
            elif kind is int or kind is float:
                if not -MAX_INT < value < MAX_INT:
                    plain[at] = self._other(value, kind, depth)
            elif kind is not bool and value is not None:
                plain[at] = self._other(value, kind, depth)
        return plain

    def _other(self, value: Any, kind: type, depth: int) -> Any:
        if kind is dict or kind is list or kind is tuple:
            if depth >= MAX_DEPTH or self._items > MAX_ITEMS:
                raise _Full
            return (self._dict if kind is dict else self._list)(value, depth + 1)
        said = self._look.other(value)
        if said is None:
            raise _Full
        if type(said) is bytes:
            return Raw(said)
        self._texts.append(str(said))
        return said

    def _hold_back(self, plain: dict[str, Any], secret: tuple[str, ...]) -> dict[str, Raw]:
        """What stands in the places of secrets, where there is nothing left to look at."""
        redactor, held = self._look.redactor, {}
        for name in secret:
            said = hold(redactor, plain[name], self._found)
            if said is None:
                raise _Full
            held[name] = Raw(said.encode())
            plain[name] = None
        return held

    def _put_left(self, plain: dict[str, Any]) -> tuple[int, int]:
        """Put what is left of texts in their places; how many those are, and how long they were."""
        left, count, length = self._left, 0, 0
        containers: list[Any] = [plain]
        for container in containers:  # grows
            members = container.items() if type(container) is dict else enumerate(container)
            for at, value in members:
                kind = type(value)
                if kind is dict or kind is list:
                    containers.append(value)
                elif kind is str and value in left:
                    container[at] = left[value][0]
                    count += 1
                    length += left[value][1]
        return count, length

    def _harmless(self) -> bool:
        """Whether nothing in the texts is secret but what is held back in them."""
        if self._items > MAX_ITEMS:
            return False
        look = self._look
        quiet, telling = look.quiet, look.telling
        texts = [text for text in self._texts if text not in quiet]
        if not texts:
            return True
        if telling and not telling.isdisjoint(texts):
            if self._beside:
                return False
            texts = [text for text in texts if text not in telling]
            if not texts:
                return True
        together = "\0" + "\0".join(texts)
        if len(together) > _SHORT and (len(together) > MAX_BYTES or any(map(_is_long, texts))):
            return False
        begins = _BEGINS.search(together) is not None
        may_tell = look.may_tell(together) or (begins and "\0-" in together)
        suspects = look.suspects(together, telling=may_tell)
        if begins:
            suspects.append(_may_be_json)
        if not suspects and not may_tell:
            look.remember(texts, len(together))
            return True
        return all(self._is_harmless(text, suspects, may_tell=may_tell) for text in texts)

    def _is_harmless(
        self, text: str, suspects: list[Callable[[str], bool]], *, may_tell: bool
    ) -> bool:
        look = self._look
        clean = True
        if any(suspect(text) for suspect in suspects):
            clean = look.is_clean(text)
            if not clean and not self._is_left(text):
                return False
        if may_tell and look.tells_anything(text):
            if self._beside:
                return False
            if clean:
                look.remember_telling(text)
        elif clean:
            look.remember([text], len(text))
        return True

    def _is_left(self, text: str) -> bool:
        """Whether a text stays, or what is left of it is known."""
        said = self._look.text(text)
        if type(said) is not Scrubbed:
            return said is not False
        if self._beside:  # what it may say of others is for the full way
            return False
        made = in_json(said, self._found)
        if made is not None:
            self._left[text] = Raw(made.encode()), said.length
        return made is not None
