"""What is taken of a log record while the call that made it runs, for a handler that comes later.

A buffer or a queue hands a record on when the call has long returned: by then another request may
be bound on this thread, and what the caller logged may have been changed.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

from audit_emit._fields.normaliser import MISSING, Normalised
from audit_emit.context import EMPTY, FIELDS, AuditContext, current_context
from audit_emit.integrations._bridge import error_name, made_plain, plain_id

__all__ = ["ATTRIBUTE", "Call", "Taken", "call_of", "make_portable", "take", "taken_of"]

ATTRIBUTE = "_audit_taken"
"""Where a record carries what was taken; formatters leave such names out."""

_DEEPEST = 64
_MACHINERY = frozenset({"logging", "logging.handlers"})
_PORTABLE = frozenset({*logging.makeLogRecord({}).__dict__, ATTRIBUTE, "audit"})
_PLAIN = frozenset({str, int, float, bool, type(None)})
_LOG = logging.Logger._log.__code__  # noqa: SLF001 - the function that makes a record and hands it on


class Taken:
    """What was taken of one record: plain values only, so that it can be pickled.

    Attributes:
        context: who acted.
        event_type: the message as it was logged; ``None`` when it was no text.
        error: the type of the exception that was logged along, or an empty text.
        fields: what ``extra["audit"]`` was, or without one all of ``extra``: plain, with its
            secrets held back. ``None`` when there was neither.
        names: the other names that ``extra`` had.
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
        return "<taken>"

    def __reduce__(self) -> tuple[Any, ...]:
        """How it is pickled, also by the protocol of a ``SocketHandler``, which knows no slots."""
        ids = {name: getattr(self.context, name) for name in FIELDS}
        parts = ids, self.event_type, self.error, self.fields, self._cut, self._redacted, self.names
        return _again, parts

    def normalised(self, extra: Mapping[str, Any]) -> Normalised:
        """The fields as an emitter takes them, on top of ``extra``."""
        fields = {**extra, **(self.fields or {})}
        return Normalised(fields, MISSING, self._cut, self._redacted)


def _again(
    ids: dict[str, Any],
    event_type: str | None,
    error: str,
    fields: Any,
    cut: int,
    redacted: int,
    names: tuple[str, ...],
) -> Taken:
    """What was pickled."""
    known = None if fields is None else Normalised(fields, MISSING, cut, redacted)
    return Taken(AuditContext(**ids), event_type, error, known, names)


class Call:
    """The logging call that has made a record, seen from a handler, filter or formatter.

    Attributes:
        running: whether it is still running. It counts as such for whoever calls a filter or a
            formatter by hand, without the logging module.
        by_hand: whether nothing of the logging module is at work.
        extra: what was given as ``extra``, if that can be known.
    """

    __slots__ = ("by_hand", "extra", "running")

    def __init__(self, *, running: bool, by_hand: bool = False, extra: Any = None) -> None:
        self.running = running
        self.by_hand = by_hand
        self.extra = extra

    @property
    def context(self) -> AuditContext:
        """Who acts: the bound context, but nobody when the call has returned."""
        return current_context() if self.running else EMPTY


def call_of(record: logging.LogRecord) -> Call:
    """What is known of the call that has made ``record``.

    The function that makes records is looked for on the stack: it runs until every handler has
    had the record.
    """
    callee = frame = sys._getframe(1)  # noqa: SLF001 - nothing public is as cheap
    by_hand = True
    for _ in range(_DEEPEST):
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
    return Call(running=False)  # another call hands on what was kept


def _is_same(value: object, record: logging.LogRecord) -> bool:
    """Whether it is this record, or the one of which this is a copy."""
    if value is record:
        return True
    return (
        issubclass(type(value), logging.LogRecord)
        and isinstance(value, logging.LogRecord)
        and (value.created, value.thread, value.lineno)
        == (record.created, record.thread, record.lineno)
        and value.pathname == record.pathname
    )


def taken_of(record: logging.LogRecord) -> Taken | None:
    """What was taken of it, if anything was. Nothing that a stranger sent can pass for it."""
    taken = record.__dict__.get(ATTRIBUTE)
    return taken if type(taken) is Taken else None


def take(record: logging.LogRecord) -> Taken:
    """Take of a record what is there now, and leave it with it, unless that was done before.

    ``extra["audit"]`` becomes plain on the record itself: what pickles the record for a queue
    pickles all of it.
    """
    taken = taken_of(record)
    if taken is not None:
        return taken
    attributes = record.__dict__
    call = call_of(record)
    event_type = record.msg if isinstance(record.msg, str) else None
    names = given_names(call.extra)
    fields = None
    if attributes.get("audit") is not None and attributes["audit"] is not True:
        fields = made_plain(event_type, attributes["audit"])
        attributes["audit"] = fields.value
    elif extra := {name: attributes[name] for name in names if name in attributes}:
        fields = made_plain(event_type, extra)
    taken = Taken(
        _plain_context(call.context),
        None if event_type is None else str.__str__(event_type),
        error_name(record.exc_info),
        fields,
        names,
    )
    attributes[ATTRIBUTE] = taken
    return taken


def make_portable(record: logging.LogRecord, handler: object) -> None:
    """Make plain what was put on a record, if ``handler`` is one that pickles records.

    A value that cannot be pickled would cost the whole record, and nobody would hear of it. On its
    way to any other handler a record stays as it is: that one may want the value itself.
    """
    handlers = sys.modules.get("logging.handlers")
    if handlers is None or not isinstance(handler, handlers.QueueHandler | handlers.SocketHandler):
        return
    attributes = record.__dict__
    for name in [name for name in attributes if name not in _PORTABLE]:
        if type(attributes[name]) not in _PLAIN:
            attributes[name] = made_plain(record.msg, {name: attributes[name]}).value.get(name)


def given_names(extra: Any) -> tuple[str, ...]:
    """The names of ``extra`` but for the one of the fields."""
    if not isinstance(extra, dict):
        return ()
    return tuple(name for name in extra if type(name) is str and name != "audit")


def _plain_context(context: AuditContext) -> AuditContext:
    ids = context.as_dict()
    if all(type(value) is str for value in ids.values()):
        return context
    return AuditContext(**{name: plain_id(ids[name]) for name in FIELDS})
