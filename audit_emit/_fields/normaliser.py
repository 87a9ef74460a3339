"""Any Python value as the ``fields`` of a record: plain, redacted, limited.

Two ways to the same text: ``Normaliser.fast`` for the dict of harmless scalars that most events
carry, ``Normaliser.full`` for everything else. What ``fast`` cannot prove harmless it leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from audit_emit._fields.plain import Encode, Plain
from audit_emit._fields.repeated import spread
from audit_emit._fields.types import open_value
from audit_emit._fields.values import Members
from audit_emit._fields.walk import RESERVED, Walk
from audit_emit._format import encode
from audit_emit._redaction.redactor import OVERLAP, SCAN, Redactor
from audit_emit._runtime import observer as _observer
from audit_emit._runtime.failure import Counters
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.lazy import Pattern
from audit_emit._runtime.observer import UNOBSERVED, Observer

__all__ = ["MISSING", "Normalised", "Normaliser", "is_secret_event"]

MISSING: Final[Any] = type("Missing", (), {"__repr__": lambda _: "MISSING", "__slots__": ()})()
"""``Normalised.workspace_id`` when the fields had none."""

_MAX_FAST_ID = 10**40


_ABOUT = Pattern(r"(?:^|[.:/\-_])(?:token|credential|api[_-]?key|password)s?(?:$|[.:/\-_])")


def is_secret_event(event_type: object) -> bool:
    """Whether an event is about a secret, so that its ``value`` is one."""
    if not issubclass(type(event_type), str):  # not ``isinstance``: that asks the object
        return False
    lower = str.__getitem__(event_type, slice(0, 256)).lower()  # type: ignore[index]
    return "secret" in lower or _ABOUT.search(lower) is not None


class Normalised:
    """The fields of a record.

    Attributes:
        value: plain JSON values only; and, where values of persons are sealed, ``Subject`` with
            such a value in it.
        workspace_id: the override that was among the fields, plain; ``MISSING`` without one.
        cut: how many values were cut or left out; ``value["_cut"]`` lists them.
        redacted: how many were held back, whole or in part.
        withheld: how many values of persons stand nowhere, as they cannot be sealed.
    """

    __slots__ = ("cut", "redacted", "value", "withheld", "workspace_id")

    def __init__(
        self,
        value: dict[str, Any],
        workspace_id: Any = MISSING,
        cut: int = 0,
        redacted: int = 0,
        withheld: int = 0,
    ) -> None:
        self.withheld: int = withheld
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
        observer: is called when ``full`` fails.
        compiled: as of ``Plain``.
        counters: count what is held back on the quick way.
    """

    def __init__(
        self,
        redactor: Redactor,
        observer: Observer = UNOBSERVED,
        compiled: Callable[..., Encode] | None = None,
        counters: Counters | None = None,
    ) -> None:
        self._redactor = redactor
        self._observer = observer
        self.plain: Plain = Plain(redactor, compiled, counters)

    def fast(self, fields: object, secret_event: bool) -> str | None:
        """The JSON text of plain fields; ``None`` when ``full`` has to look.

        Args:
            fields: what the caller gave.
            secret_event: whether the event is about a secret.
        """
        return self.plain.text(fields, secret_event)

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
        value, more = spread(
            walk.run(members, source, RESERVED), walk.named, self._redactor.held_back
        )
        if more and walk.report is not None:
            walk.report.append("named in another field")
        if walk.report:
            value["_redacted"] = walk.report
        if walk.racy:
            value["_racy"] = True
        if walk.cut:
            value["_cut"] = walk.cuts
            if walk.cut > len(walk.cuts):
                walk.cuts.append(f"+{walk.cut - len(walk.cuts)} more")
        return Normalised(value, workspace_id, walk.cut, walk.redacted + more, walk.withheld)


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
