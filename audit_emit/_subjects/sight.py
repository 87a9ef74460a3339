"""What a reader makes of sealed values: whether each can still be opened, and what is in it."""

from __future__ import annotations

from typing import Any

from audit_emit._format.encode import to_json
from audit_emit._format.record import parsed
from audit_emit._subjects.sealed import PREFIX, SubjectKey, pointer_to, sealed_in
from audit_emit._subjects.store import DESTROYED, GONE, LIVE, KeyStore

__all__ = ["IS_ERASED", "IS_SEALED", "Sight"]

IS_SEALED, IS_ERASED = "[sealed]", "[erased]"
"""Shown to people instead of a ciphertext: it can be opened, or its key is destroyed."""


class Sight:
    """Reads with the keys of one store.

    Args:
        store: ``None`` where there is none: then nobody knows whether a key is gone.
    """

    def __init__(self, store: KeyStore | None) -> None:
        self._store = store
        self._keys: dict[str, bytes] = {}
        self._gone: set[str] = set()
        self._known = store is None

    def _learn(self) -> None:
        if self._store is None or (self._known and not self._store.has_changed()):
            return
        self._keys, self._gone = {}, set()
        for one in self._store.all():
            if one.key is not None:
                self._keys[one.sha256[:16]] = one.key
            elif one.state in {DESTROYED, GONE}:
                self._gone.add(one.sha256[:16])
        self._known = True

    def word(self, sealed: str) -> str:
        """What is shown for one sealed value."""
        self._learn()
        begin = len(PREFIX)
        return IS_ERASED if sealed[begin : begin + 16] in self._gone else IS_SEALED

    def tell(self, fields: Any, *, erased_only: bool = False) -> None:
        """Put words in the place of what is sealed in the fields of a record, which it changes.

        Args:
            erased_only: leave ciphertexts that somebody can open.

        Raises:
            KeyStoreError: the store cannot be read.
        """
        for steps, text in sealed_in(fields):
            word = self.word(text)
            if word == IS_ERASED or not erased_only:
                _put(fields, steps, word)

    def open(self, record: dict[str, Any]) -> list[str]:
        """Put the values in the place of what is sealed in a record; the id of the key of each.

        What cannot be opened stays as it is.

        Raises:
            KeyStoreError: the store cannot be read.
        """
        self._learn()
        opened: list[str] = []
        fields, record_id = record.get("fields"), record.get("id")
        if not isinstance(fields, dict) or not isinstance(record_id, str):
            return opened
        for steps, text in sealed_in(fields):
            key_id = text[len(PREFIX) : len(PREFIX) + 16]
            if key_id in self._keys:
                key = SubjectKey(self._keys[key_id])
                plain = key.open(text, record_id, pointer_to(*steps))
                found = parsed(b'{"value":%b}' % plain) if plain is not None else None
                if found is not None:
                    _put(fields, steps, found["value"])
                    opened.append(key_id)
        return opened

    def opened(self, line: bytes) -> tuple[bytes, list[str]]:
        """A line with its values opened, and the ids of their keys; the line itself for none."""
        if PREFIX.encode() not in line:
            return line, []
        record = parsed(line)
        if record is None:
            return line, []
        keys = self.open(record)
        return (to_json(record).encode() if keys else line), keys

    def pseudonym(self, subject: str) -> str:
        """What stands for a person in ``user_id`` while the key lives; else empty.

        Raises:
            KeyStoreError: the store cannot be read.
        """
        found = None if self._store is None else self._store.find(subject)
        return found.pseudonym if found is not None and found.state == LIVE else ""


def _put(fields: Any, steps: tuple[str | int, ...], value: Any) -> None:
    for step in steps[:-1]:
        fields = fields[step]
    fields[steps[-1]] = value
