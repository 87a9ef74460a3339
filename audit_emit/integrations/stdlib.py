"""The logging module: audit events out of loggers, and the ids of a request into log lines.

    logging.config.dictConfig({
        "version": 1,
        "formatters": {"json": {"()": "audit_emit.integrations.stdlib.AuditJsonFormatter"}},
        "handlers": {
            "audit": {"()": "audit_emit.integrations.stdlib.AuditHandler"},
            "app": {"class": "logging.StreamHandler", "formatter": "json"},
        },
        "loggers": {"audit": {"handlers": ["audit"], "level": "DEBUG", "propagate": False}},
        "root": {"handlers": ["app"], "level": "INFO"},
    })
    logging.getLogger("audit").info("secret.set", extra={"audit": {"key": "API"}})

Levels and ``logging.disable`` take events away before a handler sees them: give the logger its
own level, as above, or call ``audit_emit.emit``, which no level touches. Since Python 3.13.4 the
logging module also drops what is logged while the same thread is inside a handler.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterable, MutableMapping
from copy import copy
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS, BaseJsonFormatter

from audit_emit._core.deferred import emit_late
from audit_emit._core.emitter import Emitter
from audit_emit._fields.normaliser import Normalised
from audit_emit._format.record import valid_type
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.interrupts import let_through
from audit_emit.context import EMPTY, FIELDS
from audit_emit.integrations._bridge import (
    Emits,
    context_ids,
    error_name,
    id_text,
    render_line,
    say,
    scrub,
    tell,
    through,
)
from audit_emit.integrations._taken import (
    Call,
    Taken,
    call_of,
    given_names,
    make_portable,
    take,
    taken_of,
)

__all__ = ["AuditContextFilter", "AuditHandler", "AuditJsonFormatter", "AuditLoggerAdapter"]

MERGED = "<a log message, merged with its arguments>"

FORMAT_ERROR = "_format_error"

_STANDARD = frozenset({*RESERVED_ATTRS, "taskName", "audit", *FIELDS})
"""Attributes of a record that nobody gave as ``extra``, or that are no fields."""

_OF_LIBRARIES = ("_", "otel")
"""How the names begin that libraries put on every record."""

OWN_LOGGER = "audit_emit"
TRACEBACK_HEAD = 1_000
TRACEBACK_TAIL = 4_500
"""Characters kept; a line break takes six bytes of the 8 KiB that a string may have."""
_WINDOW = 8_000
"""Characters at either end in which secrets are looked for."""


class AuditHandler(logging.Handler):
    """A handler that emits each log record as an audit event.

    The message is the event type, ``extra={"audit": {…}}`` are the fields; arguments are not put
    into the message, as a type is no place for values. Of an exception only the type is kept, as
    ``error``. The actor is the bound context. Without ``audit`` in it, all of ``extra`` are the
    fields, and that is said once on stderr.

    A record that comes later than the call which made it, out of a ``MemoryHandler`` or behind a
    ``QueueHandler``, is an event of the time at which it was made, and of nobody: who acts now has
    nothing to do with it. An ``AuditContextFilter`` on whatever keeps it takes along what it needs.
    Without one the message of a queue has its arguments and its traceback in it: its first line is
    the event type when it is well-formed, and nothing of it is recorded when it is not.

    Never raises. Records of the logger ``audit_emit`` and its children are ignored, and so is what
    is logged on this thread while a record is being emitted.

    Args:
        emitter: where events go; default: the process-wide emitter of the moment.
        level: of the handler.
    """

    def __init__(self, emitter: Emits | None = None, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self._emitter = emitter
        self._inside = threading.local()

    def createLock(self) -> None:  # noqa: N802 - the name is the logging module's
        """No lock: the emitter has its own, bounded in time and safe after a fork."""
        self.lock: None = None

    def handle(self, record: logging.LogRecord) -> Any:
        """Filter and emit; a filter that fails lets the event through."""
        try:
            passed: Any = self.filter(record)
        except Exception as error:  # noqa: BLE001 - a broken filter must not cost an event
            let_through(error)
            tell("logging", error)
            passed = True
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Emit the event of one log record."""
        # A record that was made by hand may have no name.
        name = record.name if isinstance(record.name, str) else ""
        if name == OWN_LOGGER or name.startswith(OWN_LOGGER + "."):
            return
        if getattr(self._inside, "emitting", False):
            tell("logging", RuntimeError("logged while an event was being emitted"))
            return
        self._inside.emitting = True
        try:
            self._emit_event(record)
        except Exception as error:  # noqa: BLE001 - a log call never fails because of its audit copy
            let_through(error)
            tell("logging", error)
        finally:
            self._inside.emitting = False

    def _emit_event(self, record: logging.LogRecord) -> None:
        emitter = through(self._emitter)
        call, taken = call_of(record), taken_of(record)
        late = not call.running or call.by_hand
        context = taken.context if taken is not None else EMPTY if late else None
        event_type, fields = _event_type(record, taken), _fields(record, taken, call)
        if not isinstance(emitter, Emitter):
            fields = fields.value if type(fields) is Normalised else fields
            emitter.emit(context, event_type, fields)
        elif late:
            emit_late(emitter, record.created, context or EMPTY, event_type, fields)
        else:
            emitter.emit(context, event_type, fields)


class _Unknown(str):
    """What stands for an id that is not known; a JSON line does without it."""

    __slots__ = ()


class AuditContextFilter(logging.Filter):
    """Puts the ids of the bound context on every log record; passes every record.

    ``%(workspace_id)s``, ``%(user_id)s``, ``%(actor_kind)s``, ``%(correlation_id)s``,
    ``%(trace_id)s`` and ``%(span_id)s`` always exist then; what ``extra`` set already wins. Put it
    on handlers: a filter of a logger does not see the records of its children.

    On a handler that keeps records for later (``QueueHandler``, ``MemoryHandler``) it also takes
    everything of an audit event that may be another by then: the context, the message as it was
    logged, the type of an exception, and ``extra["audit"]``, which it makes plain on the record,
    with its secrets held back. Reached later than the call, it knows nobody.

    Args:
        default: what an id that is not known reads.
    """

    def __init__(self, default: str = "-") -> None:
        super().__init__()
        self._default = _Unknown(default)

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the attributes; never raises."""
        attributes = record.__dict__
        try:
            known = context_ids(take(record).context)
            # Whose filter this is: the method of the logging module that runs it knows.
            make_portable(record, sys._getframe(1).f_locals.get("self"))  # noqa: SLF001
        except Exception as error:  # noqa: BLE001 - a log call never fails because of its ids
            let_through(error)
            tell("logging", error)
            known = {}
        for name in FIELDS:
            attributes.setdefault(name, known.get(name) or self._default)
        return True


class AuditLoggerAdapter(logging.LoggerAdapter[logging.Logger]):
    """A ``LoggerAdapter`` that adds to the ``extra`` of a call, where that one replaces it.

    Of ``audit``, too, the members of both are there; those of the call win.
    """

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """The message as it is, and ``extra`` of both."""
        own: dict[str, Any] = dict(self.extra or {})
        given: dict[str, Any] = dict(kwargs.get("extra") or {})
        merged = {**own, **given}
        if isinstance(own.get("audit"), dict) and isinstance(given.get("audit"), dict):
            merged["audit"] = {**own["audit"], **given["audit"]}
        return msg, {**kwargs, "extra": merged}


class AuditJsonFormatter(BaseJsonFormatter):
    """Application logs as JSON, with the ids of the bound context, secrets held back.

    Values of any type become JSON within the limits of an audit record; a record that cannot be
    formatted (arguments that do not fit the message) is still a line. Takes what
    ``BaseJsonFormatter`` of python-json-logger takes.

    Args:
        fmt: default: level, logger and message.
        timestamp: adds ``timestamp``, UTC; a string names the member.
        emitter: whose redaction settings hold; default: the process-wide emitter's.
        options: see ``pythonjsonlogger.core.BaseJsonFormatter``.
    """

    def __init__(
        self,
        fmt: Any = None,
        *args: Any,
        timestamp: bool | str = True,
        emitter: Emits | None = None,
        **options: Any,
    ) -> None:
        options.setdefault("reserved_attrs", [*RESERVED_ATTRS, "taskName"])
        super().__init__(
            fmt or "%(levelname)s %(name)s %(message)s", *args, timestamp=timestamp, **options
        )
        self._emitter = emitter

    def format(self, record: logging.LogRecord) -> str:
        """One line; never raises."""
        try:
            return super().format(record)
        except Exception as error:  # noqa: BLE001 - logging would print the arguments and lose the line
            let_through(error)
            problem = bare_name(type(error))
        try:
            return super().format(_without_arguments(record, problem))
        except Exception as error:  # noqa: BLE001 - it is not the arguments
            let_through(error)
            return self.prefix + self.jsonify_log_record(
                {
                    "levelname": record.levelname,
                    "name": record.name,
                    "message": record.msg,
                    FORMAT_ERROR: problem,
                }
            )

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """The members of python-json-logger, then the ids."""
        super().add_fields(log_data, record, message_dict)
        if FORMAT_ERROR in record.__dict__:
            log_data[FORMAT_ERROR] = record.__dict__[FORMAT_ERROR]
        for name in [name for name, value in log_data.items() if isinstance(value, _Unknown)]:
            del log_data[name]
        taken = taken_of(record)
        context = call_of(record).context if taken is None else taken.context
        for name, text in context_ids(context).items():
            log_data.setdefault(self.rename_fields.get(name, name), text)

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """JSON of whatever is in the line."""
        message = log_data.get(self.rename_fields.get("message", "message"))
        return render_line(message, log_data, self._emitter)

    def formatException(self, ei: Any) -> Any:  # noqa: N802 - the name is the logging module's
        """The traceback, cut in the middle when long: its end names the error."""
        text = super().formatException(ei)
        if isinstance(text, str) and len(text) > TRACEBACK_HEAD + TRACEBACK_TAIL:
            # A cut may part a name from its value, so secrets are held back before it.
            head = scrub(text[:_WINDOW], self._emitter)[:TRACEBACK_HEAD]
            tail = scrub(_last_lines(text, _WINDOW), self._emitter)
            return f"{head}\n…\n{_last_lines(tail, TRACEBACK_TAIL)}"
        return text


def _without_arguments(record: logging.LogRecord, problem: str) -> logging.LogRecord:
    """The same record with its message as it was logged, and what is wrong with it."""
    plain = copy(record)
    plain.msg = record.msg if isinstance(record.msg, str) else id_text(record.msg)
    plain.args = ()
    plain.__dict__[FORMAT_ERROR] = problem
    return plain


def _last_lines(text: str, limit: int) -> str:
    """The whole lines at the end of a text; a last line that is too long loses its end."""
    if len(text) <= limit:
        return text
    start = text.find("\n", len(text) - limit - 1) + 1
    if not start or start == len(text):
        start = text.rfind("\n", 0, len(text) - 1) + 1
    return text[start : start + limit]


def _event_type(record: logging.LogRecord, taken: Taken | None) -> Any:
    """The message as it was logged, or what is surely that."""
    if taken is not None and taken.event_type is not None:
        return taken.event_type
    # No call leaves None there; what merges a message for another thread or process does.
    if record.args is None and isinstance(record.msg, str):
        first = str.partition(record.msg, "\n")[0]
        return first if valid_type(first) else MERGED
    return record.msg


def _fields(record: logging.LogRecord, taken: Taken | None, call: Call) -> Any:
    """The fields of the event, with the type of an exception that was logged along."""
    fields = record.__dict__.get("audit")
    error = error_name(record.exc_info) or ("" if taken is None else taken.error)
    own = {"error": error} if error else {}
    if taken is not None and taken.fields is not None and fields is taken.fields:
        return taken.normalised(own)
    if fields is None or fields is True:
        fields = _extra(record, taken, call, told=fields is None) or None
        if fields and taken is not None and taken.fields is not None:
            return taken.normalised(own)
    if own and (fields is None or isinstance(fields, dict)):
        return {**own, **(fields or {})}
    return fields


def _extra(
    record: logging.LogRecord, taken: Taken | None, call: Call, *, told: bool
) -> dict[str, Any]:
    """What was given beside the message by somebody who did not name it ``audit``."""
    attributes = record.__dict__
    names: Iterable[str]
    if taken is not None:
        names = taken.names
    elif call.running and not call.by_hand:
        names = given_names(call.extra)
    else:
        names = [
            name
            for name in attributes
            if name not in _STANDARD and not name.startswith(_OF_LIBRARIES)
        ]
    extra = {name: attributes[name] for name in names if name in attributes}
    if extra and told:
        say(
            "extra",
            'an audit event was logged without extra={"audit": {…}}: all of its extra are fields; '
            "a LoggerAdapter replaces the extra of a call, an AuditLoggerAdapter adds to it",
        )
    return extra
