"""One bounded, iterative pass over any value: redacted, limited, plain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.json import Decoder

from audit_emit._fields.frame import Frame, made_frame
from audit_emit._fields.persons import wrap
from audit_emit._fields.pieces import Pieces
from audit_emit._fields.subject import Subject
from audit_emit._fields.text import short_text
from audit_emit._fields.types import open_value
from audit_emit._fields.values import UNKNOWN, BytesText, Cut, Long, Members
from audit_emit._format import encode
from audit_emit._redaction.finders.prose import is_plain_number, is_plain_value
from audit_emit._redaction.names import (
    depends_on_value,
    fold,
    is_described,
    is_secret_value,
    is_weak,
)
from audit_emit._redaction.readings import escaped, readings
from audit_emit._redaction.redactor import OVERLAP, SCAN, Redactor, Secret
from audit_emit._redaction.siblings import NO_NAMES, is_looked_into
from audit_emit._runtime.foreign import type_name
from audit_emit._runtime.interrupts import let_through

__all__ = ["RESERVED", "Walk"]

MAX_DEPTH = 16
MAX_NODES = 10_000
_MAX_JSON_IN_JSON = 3
_JSON_NODES = 4
_END = object()
# Without a hook, a float near the ends of its range takes 20 µs.
_decode = Decoder(float_hook=float).decode
_decode_lines = Decoder(float_hook=float).decode_lines
CLEAN = True
_JSON_BEGINS = ("{", "[", "\ufeff", " ", "\t", "\r", "\n")

RESERVED = (
    "_cut",
    "_redacted",
    "_racy",
    "_lossy",
    "_spilled",
    "_event_type",
    "_withheld",
    "_schema",
    "workspace_id",
)
"""Names that the emitter gives a meaning: a caller's own get a suffix."""


class Walk(Pieces):
    """The pass over one record's fields.

    Attributes:
        cuts: what was cut, as text, at most ``MAX_CUTS``; ``cut`` counts all.
        redacted: how many values were held back, whole or in part.
        racy: a container changed while it was read.
    """

    def __init__(self, redactor: Redactor, *, secret_event: bool, level: int = 0) -> None:
        super().__init__(redactor, secret_event=secret_event)
        self._level = level
        self._open: set[int] = set()
        self.racy = False

    def run(self, members: Members, source: object, taken: tuple[str, ...] = ()) -> Any:
        """The plain dict or list of a container's members.

        Args:
            members: of the container.
            source: the container itself, to see a cycle.
            taken: names that its keys must not have.
        """
        out = self._push(members, source)
        self._stack[0].names.update(dict.fromkeys(taken, 0))
        while self._stack:
            frame = self._stack[-1]
            entry = next(frame.entries, _END)
            if entry is _END:
                self._pop()
            elif self.nodes >= MAX_NODES or self._room < 64 or self.to_scan < 0:
                self._note(f"the rest: {'too long' if self._room < 64 else 'too many values'}")
                while self._stack:
                    self._pop()
            else:
                self.nodes += 1
                self._one(frame, entry)
        return out

    def _one(self, frame: Frame, entry: Any) -> None:
        frame.index += 1
        if frame.kind == "dict":
            name, value = entry
            held = frame.by_name
            if (
                type(name) is str
                and not held
                and not frame.strict
                and frame.aliases is None
                and name not in frame.names
                and name in self._redactor.harmless
            ):
                frame.names[name] = 0
                frame.label = name
                self._room -= len(name) + 4
                frame.out[name] = self._plain(value, hold=False)
                return
            name, hold = self._name(name)
            hold = hold or (held is not NO_NAMES and fold(name) in held)
            hold = hold or (frame.strict and not is_described(name))
            if not hold and depends_on_value(name):
                hold = is_secret_value(name, short_text(value))
            frame.label = label = self._label(name, frame)
            if not hold and frame.aliases is not None:
                hold, name = self._by_alias(frame.aliases.get(name, ()), name, value)
            if hold:
                frame.out[label] = self._of_name(name, value, strict=frame.strict)
                return
            if name == "netloc" and type(value) is str:
                # A URL without its scheme; what is said of it is said with the //, too.
                value = (self._redactor.scrub(f"//{value}") or f"//{value}")[2:]
            frame.out[label] = self._plain(value, hold=False)
        elif frame.index in frame.by_place or frame.strict:
            frame.out.append(self._of_name("", entry, strict=frame.strict))
        else:
            frame.out.append(self._plain(entry, hold=False))

    def _of_name(self, name: str, value: object, *, strict: bool) -> Any:
        """What has the name of a secret; of a thing that has descriptions, these are shown."""
        if value is None or value is True or value is False:
            return self._plain(value, hold=False)
        kind = type(value)
        if (kind is int and is_plain_number(name, value)) or (  # type: ignore[arg-type]
            kind is str and is_plain_value(name, value)  # type: ignore[arg-type]
        ):
            return self._plain(value, hold=False)
        if kind is not str and kind is not int:
            opened = self._opened(value, kind)
            if type(opened) is Members and (
                not (opened.entries or opened.total)
                or strict
                or is_looked_into(name, opened.kind, opened.entries)
            ):
                return self._container(value, opened, strict=True)
        if kind is not str or not (
            (len(value) <= 64 and value.isalpha() and is_weak(name))  # type: ignore[arg-type, attr-defined]
            or self._redactor.is_held_back(value)  # type: ignore[arg-type]
        ):
            self._name_secret(value)
        return self._hold(value)

    def scalar(self, value: object) -> Any:
        """The plain form of what stands outside of the fields; a container is only named."""
        opened = self._plain(value, hold=False)
        if self._stack:
            self._pop()
            return type_name(type(value))
        return opened

    def _plain(self, value: object, *, hold: bool) -> Any:
        if value is None:
            self._room -= 5
            return None
        if hold:
            return self._hold(value)
        if type(value) is str:
            if value == "":
                self._room -= 3
                return value
            return self._string(value, len(value))
        return self._shown(value, self._opened(value, type(value)))

    def _shown(self, value: object, opened: Any) -> Any:
        kind = type(opened)
        if kind is str:
            return self._string(opened, len(opened))
        if kind is Members:
            return self._container(value, opened)
        if kind is Long:
            return self._string(opened.head, opened.length)
        if kind is Secret:
            self._name_secret(opened.get_secret_value())
            return self._hold(opened)
        if kind is BytesText:
            return self._bytes(opened)
        if kind is Subject:
            return self._withhold()
        if kind is Cut:
            self._note(opened.note)
            return self._fit(opened.text, len(opened.text))
        if (kind is int or kind is float) and not -(10**12) < opened < 10**12:
            return self._number(opened)
        self._room -= 6 if kind is bool or (kind is int and -1000 < opened < 10_000) else 24
        return opened

    def _string(self, text: str, length: int) -> str:
        looked_at = min(len(text), SCAN + OVERLAP)
        suspicious = self._charge(text[:looked_at])
        if self.to_scan < 0:
            self._note(f"{length} characters, not looked at")
            return ""
        inner = self._json_in(text) if length <= SCAN else None
        if type(inner) is str:
            return self._fit(inner, len(inner))
        found = None
        if suspicious and inner is not CLEAN:
            found = self._redactor.scrub_by(text, self._secret_event)
        if found is not None:
            self._count_redacted(*found.rules)
            self._name_found(found.secrets)
            if length <= SCAN:
                length = len(found.text)
            text = found.text
        return self._fit(text, length)

    def _json_in(self, text: str) -> str | bool | None:
        """The text of a JSON text in which something was held back; else ``None``.

        ``CLEAN``: it is JSON, all of it was looked at as fields are, and nothing was held back.
        """
        if text[:1] not in _JSON_BEGINS or self._level >= _MAX_JSON_IN_JSON:
            return None
        read = _read_json(text.lstrip("\ufeff \t\r\n"))
        if read is None:
            return None
        value, lines = read
        walk = Walk(self._redactor, secret_event=self._secret_event, level=self._level + 1)
        walk.nodes, walk.to_scan = self.nodes + _JSON_NODES, self.to_scan
        plain = walk.run(open_value(value), value)
        self.nodes, self.to_scan = walk.nodes, walk.to_scan
        self.named += walk.named
        if not walk.redacted:
            return CLEAN if not walk.cut and _is_whole(text, value) else None
        self._merge(walk)
        if walk.cut:
            self._note("JSON in a text: cut")
        return "\n".join(map(encode.to_json, plain)) if lines else encode.to_json(plain)

    def _bytes(self, opened: BytesText) -> str:
        for reading in opened.readings():
            suspicious = self._charge(reading)
            inner = self._json_in(reading)
            if type(inner) is str or (
                suspicious
                and inner is not CLEAN
                and self._redactor.scrub(reading, self._secret_event) is not None
            ):
                return self._hold(opened.data)
        text = opened.base64()
        return self._fit(text, len(text))

    def _container(self, value: object, members: Members, *, strict: bool = False) -> Any:
        if id(value) in self._open:
            self._room -= 10
            return "<cycle>"
        if len(self._stack) >= MAX_DEPTH:
            self._note("too deep")
            self._room -= 10
            return "<depth>"
        if not members.entries and not members.total:
            self._room -= 3
            return {} if members.kind == "dict" else []
        return self._push(members, value, strict=strict)

    def _push(self, members: Members, source: object, *, strict: bool = False) -> Any:
        out: Any = {} if members.kind == "dict" else []
        entries = members.entries
        if members.total == UNKNOWN:
            self._note(f"more than {len(entries)} items, {len(entries)} kept")
        elif members.total > len(entries) and not members.racy:
            self._note(f"{members.total} items, {len(entries)} kept")
        if members.note:
            self._note(members.note)
        self._tables += members.table
        self.racy = self.racy or members.racy
        subjects = self._unwrapped(members) if self._redactor.seals else None
        above = self._stack[-1] if self._stack else None
        frame = made_frame(members, source, out, above, self._is_name_of_secret, strict=strict)
        if subjects:
            frame.subjects = subjects
        self._room -= 3
        self._open.add(id(source))
        self._stack.append(frame)
        return out

    def _pop(self) -> None:
        frame = self._stack.pop()
        self._open.discard(id(frame.source))
        if frame.kind == "set":
            frame.out.sort(key=encode.to_json)
        if frame.subjects:
            wrap(frame)


def _read_json(text: str) -> tuple[Any, bool] | None:
    """The value of an object or a list, or of several in lines, and whether it is those."""
    if text[:1] not in ("{", "["):
        return None
    try:
        return _decode(text), False
    except (ValueError, RecursionError) as error:
        let_through(error)
    if "\n" not in text:
        return None
    try:
        return _decode_lines(text), True
    except (ValueError, RecursionError) as error:
        let_through(error)
        return None


def _is_whole(text: str, value: object) -> bool:
    """Whether a JSON text is an object all of which is in its value, under names as they are.

    Of two members of one name only one is. A list alone may be one of a name and its value. And a
    name may have further escapes, which only a text is looked at for.
    """
    if type(value) is not dict or "\\u0022" in text:
        return False
    if encode.to_json(value).count('"') != text.count('"'):
        return False
    return not escaped(text) or not any(readings("\n".join(_names_in(value))))


def _names_in(value: dict[str, Any]) -> Iterator[str]:
    """The names in an object, at any depth."""
    queue: list[Any] = [value]
    for one in queue:  # grows
        if type(one) is dict:
            yield from one
            queue += one.values()
        elif type(one) is list:
            queue += one
