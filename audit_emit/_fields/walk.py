"""One bounded, iterative pass over any value: redacted, limited, plain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.json import Decoder

from audit_emit import encode
from audit_emit._fields.cards import is_card
from audit_emit._fields.text import MAX_KEY, cut_text, json_size, key_parts, key_text, plain_size
from audit_emit._fields.together import NO_NAMES, held_items, held_names
from audit_emit._fields.types import open_value
from audit_emit._fields.values import MAX_TABLE, UNKNOWN, BytesText, Cut, Long, Members, of_tuple
from audit_emit._foreign import type_name
from audit_emit._interrupts import let_through
from audit_emit.redact import OVERLAP, SCAN, Redactor, Secret

__all__ = ["RESERVED", "Walk"]

MAX_STRING = 8192
MAX_DEPTH = 16
MAX_NODES = 10_000
ROOM = 52 * 1024
"""Bytes for the values; what is cut is told in the rest of the 60 KiB of the fields."""
MAX_SCANNED = 72 * 1024
"""Characters looked at: a text that is held back whole leaves no trace in the room."""
MAX_CUTS = 32
CUT_ROOM = 5 * 1024
MAX_PATH = 120
_MAX_JSON_IN_JSON = 3
_JSON_NODES = 4
_SUSPICIOUS = 72
_END = object()
# Without a hook, a float near the ends of its range takes 20 µs.
_decode = Decoder(float_hook=float).decode
_decode_lines = Decoder(float_hook=float).decode_lines
_JSON_BEGINS = ("{", "[", "\ufeff", " ", "\t", "\r", "\n")

RESERVED = ("_cut", "_racy", "_lossy", "_spilled", "_event_type", "_withheld", "workspace_id")
"""Names that the emitter gives a meaning: a caller's own get a suffix."""


class _Frame:
    """A container that is being walked; it keeps its source alive, so that ids stay true."""

    __slots__ = (
        "entries",
        "held",
        "held_names",
        "index",
        "kind",
        "label",
        "names",
        "out",
        "source",
    )

    def __init__(self, kind: str, entries: Iterator[Any], out: Any, source: object) -> None:
        self.kind = kind
        self.entries = entries
        self.out = out
        self.source = source
        self.index = -1
        self.label = ""
        self.names: dict[str, int] = {}
        self.held_names: frozenset[str] = NO_NAMES
        self.held: frozenset[int] = frozenset()


class Walk:
    """The pass over one record's fields.

    Attributes:
        cuts: what was cut, as text, at most ``MAX_CUTS``; ``cut`` counts all.
        redacted: how many values were held back, whole or in part.
        racy: a container changed while it was read.
    """

    def __init__(self, redactor: Redactor, *, secret_event: bool, level: int = 0) -> None:
        self._redactor = redactor
        self._secret_event = secret_event
        self._level = level
        self._stack: list[_Frame] = []
        self._open: set[int] = set()
        self._room = ROOM
        self.nodes = 0
        self.to_scan = MAX_SCANNED
        self._tables = 0
        self._cut_room = CUT_ROOM
        self.cuts: list[str] = []
        self.cut = 0
        self.redacted = 0
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

    def _one(self, frame: _Frame, entry: Any) -> None:
        frame.index += 1
        if frame.kind == "dict":
            name, value = entry
            held = frame.held_names
            if (
                type(name) is str
                and not held
                and name not in frame.names
                and name in self._redactor.harmless
            ):
                frame.names[name] = 0
                frame.label = name
                self._room -= len(name) + 4
                frame.out[name] = self._plain(value, hold=False)
                return
            name, hold = self._name(name)
            hold = hold or (held is not NO_NAMES and name[:32].lower() in held)
            frame.label = label = self._label(name, frame)
            if name == "netloc" and type(value) is str and not hold:
                # A URL without its scheme; what is said of it is said with the //, too.
                value = (self._redactor.scrub(f"//{value}") or f"//{value}")[2:]
            frame.out[label] = self._plain(value, hold=hold)
        else:
            frame.out.append(self._plain(entry, hold=frame.index in frame.held))

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

    def _opened(self, value: object, kind: type) -> Any:
        """What ``open_value`` makes of a value, whatever it raises."""
        if self._tables > MAX_TABLE and not (kind is int or kind is float or kind is bool):
            return Cut(type_name(kind), "not looked at")
        try:
            return open_value(value)
        except Exception as error:  # noqa: BLE001 - foreign code may raise anything
            let_through(error)
            return "<unrepresentable " + type_name(kind)[1:]

    def _shown(self, value: object, opened: Any) -> Any:
        kind = type(opened)
        if kind is str:
            return self._string(opened, len(opened))
        if kind is Members:
            return self._container(value, opened)
        if kind is Long:
            return self._string(opened.head, opened.length)
        if kind is Secret:
            return self._hold(opened)
        if kind is BytesText:
            return self._bytes(opened)
        if kind is Cut:
            self._note(opened.note)
            return self._fit(opened.text, len(opened.text))
        if (kind is int or kind is float) and not -(10**12) < opened < 10**12:
            return self._number(opened)
        self._room -= 6 if kind is bool or (kind is int and -1000 < opened < 10_000) else 24
        return opened

    def _hold(self, value: object) -> str:
        self._room -= 48
        if type(value) is str and self._redactor.is_held_back(value):
            return value
        self.redacted += 1
        return self._redactor.held_back(value)

    def _number(self, value: float) -> int | float | str:
        self._room -= 24
        if -(10**19) < value < 10**19 and value == int(value):
            digits = str(abs(int(value)))
            if is_card(digits):
                self.redacted += 1
                return self._redactor.held_back(digits)
        return value

    # Text

    def _string(self, text: str, length: int) -> str:
        looked_at = min(len(text), SCAN + OVERLAP)
        suspicious = self._charge(text[:looked_at])
        if self.to_scan < 0:
            self._note(f"{length} characters, not looked at")
            return ""
        inner = self._json_in(text) if length <= SCAN else None
        if inner is not None:
            return self._fit(inner, len(inner))
        scrubbed = self._redactor.scrub(text, self._secret_event) if suspicious else None
        if scrubbed is not None:
            self.redacted += 1
            if length <= SCAN:
                length = len(scrubbed)
            text = scrubbed
        return self._fit(text, length)

    def _charge(self, text: str) -> bool:
        """Count what looking at a text costs: many times as much where it may hold secrets."""
        if self._redactor.suspicious(text):
            self.to_scan -= 3 * len(text) + _SUSPICIOUS
            return True
        self.to_scan -= len(text)
        return False

    def _json_in(self, text: str) -> str | None:
        """The text of a JSON text in which something was held back; else ``None``."""
        if text[:1] not in _JSON_BEGINS or self._level >= _MAX_JSON_IN_JSON:
            return None
        text = text.lstrip("\ufeff \t\r\n")
        if text[:1] not in ("{", "["):
            return None
        lines = False
        try:
            value = _decode(text)
        except (ValueError, RecursionError) as error:
            let_through(error)
            if not (lines := "\n" in text):
                return None
            try:
                value = _decode_lines(text)
            except (ValueError, RecursionError) as error:
                let_through(error)
                return None
        walk = Walk(self._redactor, secret_event=self._secret_event, level=self._level + 1)
        walk.nodes, walk.to_scan = self.nodes + _JSON_NODES, self.to_scan
        plain = walk.run(open_value(value), value)
        self.nodes, self.to_scan = walk.nodes, walk.to_scan
        if not walk.redacted:
            return None
        self.redacted += walk.redacted
        if walk.cut:
            self._note("JSON in a text: cut")
        return "\n".join(map(encode.to_json, plain)) if lines else encode.to_json(plain)

    def _bytes(self, opened: BytesText) -> str:
        for reading in opened.readings():
            suspicious = self._charge(reading)
            if self._json_in(reading) is not None or (
                suspicious and self._redactor.scrub(reading, self._secret_event) is not None
            ):
                return self._hold(opened.data)
        text = opened.base64()
        return self._fit(text, len(text))

    def _fit(self, text: str, length: int) -> str:
        """The text cut to what a string and the record may hold."""
        limit = max(0, min(MAX_STRING, self._room - 8))
        text, size = cut_text(text, limit)
        if length > len(text):
            self._note(f"{length} characters, {len(text)} kept")
        self._room -= size + 3
        return text

    # Containers

    def _container(self, value: object, members: Members) -> Any:
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
        return self._push(members, value)

    def _push(self, members: Members, source: object) -> Any:
        out: Any = {} if members.kind == "dict" else []
        entries = members.entries
        if members.total == UNKNOWN:
            self._note(f"more than {len(entries)} items, {len(entries)} kept")
        elif members.total > len(entries) and not members.racy:
            self._note(f"{members.total} items, {len(entries)} kept")
        self._tables += members.table
        self.racy = self.racy or members.racy
        frame = _Frame(members.kind, iter(entries), out, source)
        if members.kind == "dict":
            frame.held_names = held_names(entries, self._is_name_of_secret)
        elif members.kind == "list":
            frame.held = held_items(entries, self._is_name_of_secret)
        self._room -= 3
        self._open.add(id(source))
        self._stack.append(frame)
        return out

    def _pop(self) -> None:
        frame = self._stack.pop()
        self._open.discard(id(frame.source))
        if frame.kind == "set":
            frame.out.sort(key=encode.to_json)

    def _is_name_of_secret(self, entry: object) -> bool:
        return (
            (type(entry) is str or type(entry) is bytes)
            and len(entry) <= MAX_KEY
            and self._redactor.is_secret_key(key_text(entry), self._secret_event)
        )

    # Keys and paths

    def _name(self, key: Any) -> tuple[str, bool]:
        """The text of a key, and whether it is the name of a secret."""
        if type(key) is not tuple:
            name = key_text(key)
            return name, self._redactor.is_secret_key(name, self._secret_event)
        parts = key_parts(of_tuple(key))
        names = [at for at in range(len(parts)) if self._is_name_of_secret(key[at])]
        for at in names:
            if at + 1 < len(parts):
                parts[at + 1] = self._hold(key[at + 1])
        return "(" + ", ".join(parts) + ")", bool(names)

    def _label(self, name: str, frame: _Frame) -> str:
        length = len(name)
        name = name[: MAX_KEY + OVERLAP]
        suspicious = self._charge(name)
        scrubbed = self._redactor.scrub(name, self._secret_event) if suspicious else None
        if scrubbed is not None:
            self.redacted += 1
            name = scrubbed
        label = name
        if len(label) > MAX_KEY:
            label = label[:MAX_KEY]
            self._note(f"{label[:16]}: a name of {length} characters, {MAX_KEY} kept")
        names = frame.names
        while label in names:
            names[label] += 1
            label = f"{label}~{names[label]}"
        names[label] = 0
        size = len(label) if plain_size(label) else json_size(label) + 2
        self._room -= size + 4
        return label

    def _note(self, what: str) -> None:
        self.cut += 1
        if len(self.cuts) < MAX_CUTS and self._cut_room > 0:
            path = self._path()
            entry = f"{path}: {what}" if path else what
            self._cut_room -= len(encode.text(entry).encode()) + 1
            self.cuts.append(entry)

    def _path(self) -> str:
        parts = [
            f".{frame.label}" if frame.kind == "dict" else f"[{frame.index}]"
            for frame in self._stack
        ]
        path = "".join(parts).lstrip(".")
        return path if len(path) <= MAX_PATH else path[: MAX_PATH - 1] + "…"
