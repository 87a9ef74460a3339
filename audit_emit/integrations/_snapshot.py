"""A snapshot of a ``logging.LogRecord``, made during the logging call, for a later handler.

A ``MemoryHandler`` or a queue passes a record on long after the call has returned. By then another
request may be bound on this thread, and the objects that the caller logged may have changed.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

from audit_emit._facade.adapters import MISSING, Normalised
from audit_emit.context import EMPTY, FIELDS, AuditContext, current_context
from audit_emit.integrations._common import error_name, identity_text, plain_fields

__all__ = [
    "ATTRIBUTE",
    "Call",
    "Snapshot",
    "extra_names",
    "find_call",
    "make_picklable",
    "snapshot_of",
    "take_snapshot",
]

ATTRIBUTE = "_audit_snapshot"
"""The attribute of a log record that holds its snapshot. Formatters skip names that begin with an
underscore."""

_MAX_FRAMES = 64
"""How many frames of the stack are searched for the logging call."""

_MACHINERY = frozenset({"logging", "logging.handlers"})
_PORTABLE = frozenset({*logging.makeLogRecord({}).__dict__, ATTRIBUTE, "audit"})
_PLAIN = frozenset({str, int, float, bool, type(None)})
_LOG = logging.Logger._log.__code__  # noqa: SLF001 - the function that makes a record and hands it on


class Snapshot:
    """The audit event of one log record, as plain values, so that it can be pickled.

    Attributes:
        context: the context that was bound during the logging call.
        event_type: the message without its arguments; ``None`` when it was not text.
        error: the name of the exception's class that was logged with it, or an empty string.
        fields: ``extra["audit"]``, or all of ``extra`` where there is no such key: as plain values
            with secrets redacted. ``None`` when there was neither.
        names: the names in ``extra`` except ``audit``.
    """

    __slots__ = ("_cut", "_redacted", "context", "error", "event_type", "fields", "names")

    def __init__(
        self,
        context: AuditContext,
        event_type: str | None,
        error: str,
        fields: Normalised | None,
        names: tuple[str, ...],
    ) -> None:
        self.context = context
        self.event_type = event_type
        self.error = error
        self.fields = None if fields is None else fields.value
        self._cut = 0 if fields is None else fields.cut
        self._redacted = 0 if fields is None else fields.redacted
        self.names = names

    def __repr__(self) -> str:
        return "<snapshot>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Support pickle protocol 1, which ``SocketHandler`` uses and which cannot pickle slots."""
        ids = {name: getattr(self.context, name) for name in FIELDS}
        parts = ids, self.event_type, self.error, self.fields, self._cut, self._redacted, self.names
        return _unpickled, parts

    def normalised(self, extra: Mapping[str, Any]) -> Normalised:
        """The fields as an emitter accepts them, merged over ``extra``."""
        fields = {**extra, **(self.fields or {})}
        return Normalised(fields, MISSING, self._cut, self._redacted)


def _unpickled(
    ids: dict[str, Any],
    event_type: str | None,
    error: str,
    fields: Any,
    cut: int,
    redacted: int,
    names: tuple[str, ...],
) -> Snapshot:
    """Rebuild a snapshot from the parts of ``__reduce__``."""
    known = None if fields is None else Normalised(fields, MISSING, cut, redacted)
    return Snapshot(AuditContext(**ids), event_type, error, known, names)


class Call:
    """The logging call that made a record, as a handler, filter or formatter sees it.

    Attributes:
        running: whether the call has not returned yet. Also true when a filter or a formatter is
            called directly, with no function of the logging module on the stack.
        by_hand: whether no function of the logging module is on the stack.
        extra: the ``extra`` argument of the call; ``None`` when it is not known.
    """

    __slots__ = ("by_hand", "extra", "running")

    def __init__(self, *, running: bool, by_hand: bool = False, extra: Any = None) -> None:
        self.running = running
        self.by_hand = by_hand
        self.extra = extra

    @property
    def context(self) -> AuditContext:
        """The bound context while the call runs, else an empty one: it may be another request's."""
        return current_context() if self.running else EMPTY


def find_call(record: logging.LogRecord) -> Call:
    """Find the logging call that made ``record``, by looking for it on the stack.

    ``Logger._log`` makes the record and returns only when every handler is done with it. So a
    frame of that function that holds this very record means that the call is still running. A
    logger class with a ``_log`` of its own is recognised by a frame that refers to ``makeRecord``
    and has called ``handle``.
    """
    callee = frame = sys._getframe(1)  # noqa: SLF001 - the public inspect.stack takes milliseconds
    by_hand = True
    for _ in range(_MAX_FRAMES):
        code = frame.f_code
        if code is _LOG or ("makeRecord" in code.co_names and callee.f_code.co_name == "handle"):
            return _call_in(frame, record)
        if by_hand and frame.f_globals.get("__name__") in _MACHINERY:
            by_hand = False
        if frame.f_back is None:
            break
        callee, frame = frame, frame.f_back
    return Call(running=by_hand, by_hand=by_hand)


def _call_in(frame: FrameType, record: logging.LogRecord) -> Call:
    names = frame.f_locals
    if any(_is_same(value, record) for value in names.values()):
        return Call(running=True, extra=names.get("extra"))
    return Call(running=False)  # another call, which made a buffering handler flush this record


def _is_same(value: object, record: logging.LogRecord) -> bool:
    """Whether a value is this record, or the original of which this record is a copy.

    ``QueueHandler.prepare`` copies a record before it changes it.
    """
    if value is record:
        return True
    return (
        issubclass(type(value), logging.LogRecord)
        and isinstance(value, logging.LogRecord)
        and (value.created, value.thread, value.lineno)
        == (record.created, record.thread, record.lineno)
        and value.pathname == record.pathname
    )


def snapshot_of(record: logging.LogRecord) -> Snapshot | None:
    """The snapshot of a record, if it has one.

    Only the class itself is accepted: the attribute may have come through a socket, or be anything
    that a caller put into ``extra``.
    """
    snapshot = record.__dict__.get(ATTRIBUTE)
    return snapshot if type(snapshot) is Snapshot else None


def take_snapshot(record: logging.LogRecord) -> Snapshot:
    """Make the snapshot of a record and attach it to the record; keep one that is there already.

    ``extra["audit"]`` is also replaced by plain values on the record itself, because a queue
    pickles the whole record.
    """
    snapshot = snapshot_of(record)
    if snapshot is not None:
        return snapshot
    attributes = record.__dict__
    call = find_call(record)
    event_type = record.msg if isinstance(record.msg, str) else None
    names = extra_names(call.extra)
    fields = None
    if attributes.get("audit") is not None and attributes["audit"] is not True:
        fields = plain_fields(event_type, attributes["audit"])
        attributes["audit"] = fields.value
    elif extra := {name: attributes[name] for name in names if name in attributes}:
        fields = plain_fields(event_type, extra)
    snapshot = Snapshot(
        _plain_context(call.context),
        None if event_type is None else str.__str__(event_type),
        error_name(record.exc_info),
        fields,
        names,
    )
    attributes[ATTRIBUTE] = snapshot
    return snapshot


def make_picklable(record: logging.LogRecord, handler: object) -> None:
    """Replace the attributes that ``extra`` added by plain values, if ``handler`` pickles records.

    A value that cannot be pickled would make the handler drop the whole record, at best with a
    traceback on standard error. For any other handler the record stays unchanged, because that
    handler may want the value itself.
    """
    handlers = sys.modules.get("logging.handlers")
    if handlers is None or not isinstance(handler, handlers.QueueHandler | handlers.SocketHandler):
        return
    attributes = record.__dict__
    for name in [name for name in attributes if name not in _PORTABLE]:
        if type(attributes[name]) not in _PLAIN:
            attributes[name] = plain_fields(record.msg, {name: attributes[name]}).value.get(name)


def extra_names(extra: Any) -> tuple[str, ...]:
    """The names in ``extra``, except ``audit``, which holds the fields."""
    if not isinstance(extra, dict):
        return ()
    return tuple(name for name in extra if type(name) is str and name != "audit")


def _plain_context(context: AuditContext) -> AuditContext:
    ids = context.as_dict()
    if all(type(value) is str for value in ids.values()):
        return context
    return AuditContext(**{name: identity_text(ids[name]) for name in FIELDS})
