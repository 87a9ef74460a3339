"""One name or one scalar of a record: held back, cut to its room, counted."""

from __future__ import annotations

from typing import Any

from audit_emit._fields.containers import of_tuple
from audit_emit._fields.frame import Frame
from audit_emit._fields.outcome import Notes
from audit_emit._fields.persons import room_of, unwrapped
from audit_emit._fields.repeated import parts_of
from audit_emit._fields.subject import WITHHELD
from audit_emit._fields.text import (
    MAX_KEY,
    cut_text,
    json_size,
    key_parts,
    key_text,
    plain_size,
    short_text,
)
from audit_emit._fields.types import open_value
from audit_emit._fields.values import MAX_TABLE, Cut, Members
from audit_emit._redaction.finders.cards import is_card
from audit_emit._redaction.finders.words_of_prose import STRONG
from audit_emit._redaction.names import is_secret_value
from audit_emit._redaction.redactor import OVERLAP, Redactor, Secret
from audit_emit._runtime.foreign import type_name
from audit_emit._runtime.interrupts import let_through

__all__ = ["Pieces"]

MAX_STRING = 8192
ROOM = 52 * 1024
"""Bytes for the values; the rest of the 60 KiB of the fields is for the list of what was cut."""
MAX_SCANNED = 72 * 1024
"""Characters looked at: a text that is held back whole leaves no trace in the room."""
_SUSPICIOUS = 72
_MAX_NAMED = 32


class Pieces(Notes):
    """What a pass has left of its limits, and how it spends them on names and scalars.

    Args:
        redactor: the rules.
        secret_event: whether the event is about a secret.

    Attributes:
        nodes: values looked at.
        to_scan: characters that may still be looked at.
        named: what was held back by its name or its type, so that it is nowhere else.
        withheld: how many values of persons could not be sealed where they stand.
    """

    def __init__(self, redactor: Redactor, *, secret_event: bool) -> None:
        super().__init__(report=redactor.report)
        self._redactor = redactor
        self._secret_event = secret_event
        self._room = ROOM
        self.nodes = 0
        self.to_scan = MAX_SCANNED
        self.named: list[str] = []
        self.withheld = 0
        self._seals = False
        self._tables = 0

    def _unwrapped(self, members: Members) -> dict[int, Any]:
        """Take values of persons out of their wrapping, so that every rule looks at them."""
        found = unwrapped(members, self._stack)
        if found:
            self._room -= room_of(found, self._room, first=not self._seals)
            self._seals = True
        return found

    def _withhold(self) -> str:
        """What stands for a value of a person that cannot be sealed where it is."""
        self.withheld += 1
        return self._fit(WITHHELD, len(WITHHELD))

    def _opened(self, value: object, kind: type) -> Any:
        """What ``open_value`` makes of a value, whatever it raises."""
        if self._tables > MAX_TABLE and not (kind is int or kind is float or kind is bool):
            return Cut(type_name(kind), "not looked at")
        try:
            return open_value(value)
        except Exception as error:  # noqa: BLE001 - foreign code may raise anything
            let_through(error)
            return "<unrepresentable " + type_name(kind)[1:]

    def _hold(self, value: object) -> str:
        self._room -= 48
        if type(value) is str and self._redactor.is_held_back(value):
            return value
        self._count_redacted("type" if type(value) is Secret else "name")
        return self._redactor.held_back(value)

    def _name_secret(self, value: object) -> None:
        """Note what must be nowhere else in the fields; of a container, the texts in it."""
        queue = [value]
        for at in range(_MAX_NAMED):
            if at >= len(queue):
                return
            one = queue[at]
            kind = type(one)
            if kind is str:
                self.named.append(one)  # type: ignore[arg-type]
                self.named += parts_of(one)  # type: ignore[arg-type]
            elif kind is bytes:
                self.named.append(one.decode("utf-8", "replace"))  # type: ignore[attr-defined]
            elif kind is int and (digits := short_text(one)):
                self.named.append(digits)
            elif kind is dict:
                queue += list(one.values())[:_MAX_NAMED]  # type: ignore[attr-defined]
            elif kind is list or kind is tuple:
                queue += one[:_MAX_NAMED]  # type: ignore[index]

    def _name_found(self, secrets: list[str]) -> None:
        """Note what was found in a text: what looks drawn at random is a secret elsewhere, too."""
        for secret in secrets:
            if STRONG.match(secret):
                self.named.append(secret.rpartition(":")[2])  # a user's password is the last part
                self.named += filter(STRONG.match, parts_of(secret))

    def _number(self, value: float) -> int | float | str:
        self._room -= 24
        if -(10**19) < value < 10**19 and value == int(value):
            digits = str(abs(int(value)))
            if is_card(digits):
                self._count_redacted("card-number")
                return self._redactor.held_back(digits)
        return value

    def _charge(self, text: str) -> bool:
        """Count what looking at a text costs: many times as much where it may hold secrets."""
        if self._redactor.suspicious(text, secret_event=self._secret_event):
            self.to_scan -= 3 * len(text) + _SUSPICIOUS
            return True
        self.to_scan -= len(text)
        return False

    def _fit(self, text: str, length: int) -> str:
        """The text cut to what a string and the record may hold."""
        limit = max(0, min(MAX_STRING, self._room - 8))
        text, size = cut_text(text, limit)
        if length > len(text):
            self._note(f"{length} characters, {len(text)} kept")
        self._room -= size + 3
        return text

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

    def _is_name_of_secret(self, entry: object) -> bool:
        return (
            (type(entry) is str or type(entry) is bytes)
            and len(entry) <= MAX_KEY
            and self._redactor.is_secret_key(key_text(entry), self._secret_event)
        )

    def _by_alias(self, aliases: tuple[str, ...], name: str, value: object) -> tuple[bool, str]:
        """Whether a further name of a member is that of a secret, and which."""
        for alias in aliases:
            if self._redactor.is_secret_key(alias, self._secret_event) or (
                type(value) is str and is_secret_value(alias, value)
            ):
                return True, alias
        return False, name

    def _label(self, name: str, frame: Frame) -> str:
        length = len(name)
        name = name[: MAX_KEY + OVERLAP]
        suspicious = self._charge(name)
        found = self._redactor.scrub_by(name, self._secret_event) if suspicious else None
        if found is not None:
            name = found.text
            self._count_redacted(*found.rules)
        label = name
        if len(label) > MAX_KEY:
            label = label[:MAX_KEY]
            shown = "" if self._is_personal(self._stack[:-1]) else f"{label[:16]}: "
            self._note(f"{shown}a name of {length} characters, {MAX_KEY} kept")
        names = frame.names
        while label in names:
            names[label] += 1
            label = f"{label}~{names[label]}"
        names[label] = 0
        size = len(label) if plain_size(label) else json_size(label) + 2
        self._room -= size + 4
        return label
