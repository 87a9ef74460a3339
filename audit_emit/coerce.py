"""Any Python value as the ``fields`` of a record: plain, redacted, limited.

Two ways to the same text: ``Normaliser.fast`` for the dict of harmless scalars that most events
carry, ``Normaliser.full`` for everything else. What ``fast`` cannot prove harmless it leaves.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.json import Encoder

from audit_emit import _observer, encode
from audit_emit._fields.keys import TOGETHER_NAMES
from audit_emit._fields.text import plain_size
from audit_emit._fields.types import open_value
from audit_emit._fields.values import Members
from audit_emit._fields.walk import RESERVED, Walk
from audit_emit._interrupts import let_through
from audit_emit._observer import UNOBSERVED, Observer
from audit_emit._redaction import digits, plain_text
from audit_emit.redact import OVERLAP, SCAN, Redactor

__all__ = ["MISSING", "Normalised", "Normaliser", "is_secret_event"]

MISSING: Final[Any] = type("Missing", (), {"__repr__": lambda _: "MISSING", "__slots__": ()})()
"""``Normalised.workspace_id`` when the fields had none."""

MAX_FAST_FIELDS = 32
MAX_FAST_LENGTH = 4096
_MAX_FAST_BYTES = 8192
MAX_FAST_TABLE = 65536
"""Bytes of a dict that is copied: a table keeps the places of what was deleted."""
MAX_FAST_INT = 10**12
_MAX_FAST_ID = 10**40
_MAX_VETTED = 4096
_MAY_BE_JSON = "{[\ufeff \t\r\n"
_encode = Encoder().encode


def is_secret_event(event_type: object) -> bool:
    """Whether an event is about a secret, so that its ``value`` is one."""
    return (
        isinstance(event_type, str)
        and "secret" in str.__getitem__(event_type, slice(0, 256)).lower()
    )


class Normalised:
    """The fields of a record.

    Attributes:
        value: plain JSON values only.
        workspace_id: the override that was among the fields, plain; ``MISSING`` without one.
        cut: how many values were cut or left out; ``value["_cut"]`` lists them.
        redacted: how many were held back, whole or in part.
    """

    __slots__ = ("cut", "redacted", "value", "workspace_id")

    def __init__(
        self, value: dict[str, Any], workspace_id: Any = MISSING, cut: int = 0, redacted: int = 0
    ) -> None:
        self.value: dict[str, Any] = value
        self.workspace_id: Any = workspace_id
        self.cut: int = cut
        self.redacted: int = redacted


_too_deep = Normalised({"_lossy": "recursion"}, cut=1)
"""Made beforehand, as nothing can be made at the recursion limit; shared, so not to be changed."""


class Normaliser:
    """Both ways, under one redactor. Safe to share between threads.

    Args:
        redactor: the rules.
        observer: told of a failure of ``full``.
    """

    def __init__(self, redactor: Redactor, observer: Observer = UNOBSERVED) -> None:
        self._redactor = redactor
        self._observer = observer
        self._vetted = redactor.harmless

    def fast(
        self,
        fields: object,
        secret_event: bool,  # noqa: ARG002 - names that any event holds back are never fast
    ) -> str | None:
        """The JSON text of harmless fields; ``None`` when ``full`` has to look."""
        if (
            type(fields) is not dict
            or len(fields) > MAX_FAST_FIELDS
            or fields.__sizeof__() > MAX_FAST_TABLE
        ):
            return None
        plain = fields.copy()  # what is looked at must be what is encoded
        vetted = self._vetted
        length = 0
        for name, value in plain.items():
            # The exact type first: a name of another one may only claim to equal a known one.
            if type(name) is not str or (name not in vetted and not self._vet(name)):
                return None
            kind = type(value)
            if kind is str:
                length += len(value)
            elif kind is int or kind is float:
                if not -MAX_FAST_INT < value < MAX_FAST_INT:
                    return None
            elif value is not None and kind is not bool:
                return None
        if length > MAX_FAST_LENGTH:
            return None
        try:
            raw = _encode(plain)
        except UnicodeEncodeError as error:  # a surrogate
            let_through(error)
            return None
        text = raw.decode()
        classes = raw.translate(plain_text.classes).decode()
        if (
            plain_text.MARK in classes
            or any(printed in classes for printed in plain_text.PRINTED)
            or text.count(":") != len(plain)
            or ':"{' in text
            or ':"[' in text
            or digits.enough_beside_ids(text, raw)
            or self._redactor.engine.prefilter.suspicious(text)
        ):
            return self._careful(plain, text)
        return text

    def _careful(self, plain: dict[str, Any], text: str) -> str | None:
        """``fast`` for what needs a look at each value."""
        suspicious = self._redactor.suspicious
        for value in plain.values():
            if type(value) is str and value and (value[0] in _MAY_BE_JSON or suspicious(value)):
                return None
        text = encode.safe(text)
        return text if len(text) <= _MAX_FAST_BYTES and text.isascii() else None

    def _vet(self, name: str) -> bool:
        """Whether a name is harmless; remembered when it is."""
        if len(name) > 64 or not plain_size(name) or ":" in name:
            return False
        redactor = self._redactor
        if (
            name in RESERVED
            or name.lower() in TOGETHER_NAMES
            or redactor.is_secret_key(name, secret_event=True)
            or redactor.suspicious(name)
        ):
            return False
        if len(self._vetted) >= _MAX_VETTED:
            self._vetted.clear()
        self._vetted.add(name)
        return True

    def identity(self, value: object) -> str:
        """An id as text, secrets held back, at most 8 KiB; a container is only named.

        All-digit ids stay, also where their digits would pass for a card number.
        """
        if type(value) is int and -_MAX_FAST_ID < value < _MAX_FAST_ID:
            return str(value)
        if type(value) is str and value[: SCAN + OVERLAP].isdigit():
            return value[:SCAN]
        plain = Walk(self._redactor, secret_event=False).scalar(value)
        return plain if type(plain) is str else encode.to_json(plain)

    def scrub(self, text: str) -> str:
        """The first 8 KiB of a text, secrets held back."""
        return self._redactor.scrub(text) or text[:SCAN]

    def full(self, event_type: str, fields: object) -> Normalised:
        """Any value as plain fields. Never raises an ``Exception``.

        What foreign code raises beyond ``Exception`` (``KeyboardInterrupt``, ``SystemExit``,
        ``CancelledError``) passes through.
        """
        try:
            return self._full(is_secret_event(event_type), fields)
        except RecursionError as error:
            self._stopped(error)
            return _too_deep
        except MemoryError as error:
            let_through(error)
            self._stopped(error)
            return Normalised({"_lossy": "memory"}, cut=1)
        except Exception as error:  # noqa: BLE001 - the last line: an event with nothing in it is an event
            let_through(error)
            self._stopped(error)
            return Normalised({"_lossy": "error"}, cut=1)

    def _stopped(self, error: Exception) -> None:
        """Tell of a failure, as far as there is room for a call left at the recursion limit."""
        try:
            self._observer.tell(error, "fields")
        except RecursionError:
            if _observer.strict is not None:
                raise

    def _full(self, secret_event: bool, fields: object) -> Normalised:
        if fields is None:
            return Normalised({})
        walk = Walk(self._redactor, secret_event=secret_event)
        members = _members(fields)
        source = fields if members is not None else None
        if members is None:
            members = Members("dict", [("value", fields)], 1)
        workspace_id = _take_workspace_id(fields, members)
        if workspace_id is not MISSING:
            workspace_id = walk.scalar(workspace_id)
        value = walk.run(members, source, RESERVED)
        if walk.racy:
            value["_racy"] = True
        if walk.cut:
            value["_cut"] = walk.cuts
            if walk.cut > len(walk.cuts):
                walk.cuts.append(f"+{walk.cut - len(walk.cuts)} more")
        return Normalised(value, workspace_id, walk.cut, walk.redacted)


def _members(fields: object) -> Members | None:
    """The members of what has named ones; ``None`` for anything else."""
    try:
        members = open_value(fields)
    except Exception as error:  # noqa: BLE001 - foreign code may raise anything; the walk names the type
        let_through(error)
        return None
    return members if type(members) is Members and members.kind == "dict" else None


def _take_workspace_id(fields: object, members: Members) -> Any:
    entries = members.entries
    for at, (name, value) in enumerate(entries):
        if type(name) is str and name == "workspace_id":
            del entries[at]
            members.total -= members.total > 0
            return value
    if members.total > len(entries) and type(fields) is dict:
        members.total -= "workspace_id" in fields
        return fields.get("workspace_id", MISSING)
    return MISSING
