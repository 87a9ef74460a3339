"""The logging module: emits audit events from loggers, and adds the ids of a request to log lines.

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

Levels and ``logging.disable`` drop events before a handler sees them: give the logger a level of
its own, as above, or call ``audit_emit.emit``, which no level affects. Since Python 3.13.4 the
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

from audit_emit import Emitter
from audit_emit._facade.adapters import Normalised, bare_name, emit_late, let_through, valid_type
from audit_emit.context import EMPTY, FIELDS
from audit_emit.integrations._common import (
    MERGED,
    Emits,
    context_ids,
    emitter_or_default,
    error_name,
    line_text,
    render_line,
    report_failure,
    scrub,
    warn,
)
from audit_emit.integrations._snapshot import (
    Call,
    Snapshot,
    extra_names,
    find_call,
    make_picklable,
    snapshot_of,
    take_snapshot,
)

__all__ = ["AuditContextFilter", "AuditHandler", "AuditJsonFormatter", "AuditLoggerAdapter"]

FORMAT_ERROR = "_format_error"

_STANDARD = frozenset({*RESERVED_ATTRS, "taskName", "audit", *FIELDS})
"""Attributes of a log record that do not come from ``extra``, or are not fields of the event."""

_LIBRARY_PREFIXES = ("_", "otel")
"""Prefixes of the attributes that libraries add to every record."""

OWN_LOGGER = "audit_emit"
TRACEBACK_HEAD = 1_000
TRACEBACK_TAIL = 4_500
"""Characters of a long traceback that are kept, at either end. A string may have 8 KiB as JSON,
where a control character takes up to six bytes."""
_WINDOW = 8_000
"""Characters at either end of a long traceback that are searched for secrets."""


class AuditHandler(logging.Handler):
    """A handler that emits each log record as an audit event.

    The message is the event type and ``extra={"audit": {…}}`` holds the fields. Arguments are not
    merged into the message, because an event type must not contain values. Of an exception only the
    class name is kept, as ``error``. The actor is that of the bound context. When ``extra`` has no
    ``audit``, all of ``extra`` becomes the fields, and a warning is printed once on stderr.

    A log record may arrive after the call that made it has returned, from a ``MemoryHandler`` or
    through a ``QueueHandler``. Its event then has the time at which the log record was made, and no
    actor: the context that is bound now belongs to something else. To keep the context, put an
    ``AuditContextFilter`` on the handler that buffers. Without one, a queue merges arguments and
    traceback into the message; its first line becomes the event type if it is well-formed, and
    otherwise nothing of the message is recorded.

    Never raises. Log records of the logger ``audit_emit`` and its children are ignored, and so is
    whatever this thread logs while an event is being emitted.

    Args:
        emitter: receives the events; default: the process-wide emitter at the time of each event.
        level: the level of the handler.
    """

    def __init__(self, emitter: Emits | None = None, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self._emitter = emitter
        self._inside = threading.local()

    def createLock(self) -> None:  # noqa: N802 - the name is the logging module's
        """Use no lock: the emitter has its own, with a time limit, and safe after a fork."""
        self.lock: None = None

    def handle(self, record: logging.LogRecord) -> Any:
        """Filter and emit; if a filter raises, the event is emitted."""
        try:
            passed: Any = self.filter(record)
        except Exception as error:  # noqa: BLE001 - a broken filter must not cost an event
            let_through(error)
            report_failure("logging", error)
            passed = True
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Emit the event of one log record."""
        # A record that an application makes itself may have any object as its name.
        name = record.name if isinstance(record.name, str) else ""
        if name == OWN_LOGGER or name.startswith(OWN_LOGGER + "."):
            return
        if getattr(self._inside, "emitting", False):
            report_failure("logging", RuntimeError("logged while an event was being emitted"))
            return
        self._inside.emitting = True
        try:
            self._emit_event(record)
        except Exception as error:  # noqa: BLE001 - a log call never fails because of its audit copy
            let_through(error)
            report_failure("logging", error)
        finally:
            self._inside.emitting = False

    def _emit_event(self, record: logging.LogRecord) -> None:
        emitter = emitter_or_default(self._emitter)
        call, snapshot = find_call(record), snapshot_of(record)
        delayed = not call.running or call.by_hand
        context = snapshot.context if snapshot is not None else EMPTY if delayed else None
        event_type, fields = _event_type(record, snapshot), _fields(record, snapshot, call)
        if not isinstance(emitter, Emitter):
            fields = fields.value if type(fields) is Normalised else fields
            emitter.emit(context, event_type, fields)
        elif delayed:
            emit_late(emitter, record.created, context or EMPTY, event_type, fields)
        else:
            emitter.emit(context, event_type, fields)


class _Placeholder(str):
    """The text in place of an id that is not set; ``AuditJsonFormatter`` leaves it out."""

    __slots__ = ()


class AuditContextFilter(logging.Filter):
    """Adds the ids of the bound context to every log record; filters none out.

    Afterwards ``%(workspace_id)s``, ``%(user_id)s``, ``%(actor_kind)s``, ``%(correlation_id)s``,
    ``%(trace_id)s`` and ``%(span_id)s`` always exist; values that ``extra`` has set are kept. Add
    the filter to handlers: the filter of a logger does not see the records of child loggers.

    On a handler that buffers records (``QueueHandler``, ``MemoryHandler``) it also saves whatever
    of an audit event may have changed when the record is handled: the context, the message before
    merging, the class of an exception, and ``extra["audit"]``, which is replaced on the record by
    plain values with secrets redacted. When the filter itself runs after the call has returned, the
    ids are unknown.

    Args:
        default: the text for an id that is not set.
    """

    def __init__(self, default: str = "-") -> None:
        super().__init__()
        self._default = _Placeholder(default)

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the attributes; never raises."""
        attributes = record.__dict__
        try:
            known = context_ids(take_snapshot(record).context)
            # The handler is the ``self`` of the caller, which is Filterer.filter.
            make_picklable(record, sys._getframe(1).f_locals.get("self"))  # noqa: SLF001
        except Exception as error:  # noqa: BLE001 - a log call never fails because of its ids
            let_through(error)
            report_failure("logging", error)
            known = {}
        for name in FIELDS:
            attributes.setdefault(name, known.get(name) or self._default)
        return True


class AuditLoggerAdapter(logging.LoggerAdapter[logging.Logger]):
    """A ``LoggerAdapter`` whose ``extra`` is merged with that of the call, instead of replacing it.

    The ``audit`` mappings of both are merged as well. Where both have a key, the call wins.
    """

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Return the message unchanged, and the merged ``extra``."""
        own: dict[str, Any] = dict(self.extra or {})
        given: dict[str, Any] = dict(kwargs.get("extra") or {})
        merged = {**own, **given}
        if isinstance(own.get("audit"), dict) and isinstance(given.get("audit"), dict):
            merged["audit"] = {**own["audit"], **given["audit"]}
        return msg, {**kwargs, "extra": merged}


class AuditJsonFormatter(BaseJsonFormatter):
    """Formats application logs as JSON, with the ids of the bound context and secrets redacted.

    Values of any type become JSON within the limits of an audit record. A record that cannot be
    formatted (its arguments do not fit the message) still gives a line. Accepts the arguments of
    python-json-logger's ``BaseJsonFormatter``.

    Args:
        fmt: the format; default: level, logger and message.
        timestamp: whether to add ``timestamp`` in UTC; a string is used as its name.
        emitter: whose redaction rules apply; default: those of the process-wide emitter.
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
        """Return one line. Never raises."""
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
        """Add the members that python-json-logger adds, then the ids."""
        super().add_fields(log_data, record, message_dict)
        if FORMAT_ERROR in record.__dict__:
            log_data[FORMAT_ERROR] = record.__dict__[FORMAT_ERROR]
        for name in [name for name, value in log_data.items() if isinstance(value, _Placeholder)]:
            del log_data[name]
        snapshot = snapshot_of(record)
        context = find_call(record).context if snapshot is None else snapshot.context
        for name, text in context_ids(context).items():
            log_data.setdefault(self.rename_fields.get(name, name), text)

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """Render the members as JSON, whatever their types."""
        message = log_data.get(self.rename_fields.get("message", "message"))
        return render_line(message, log_data, self._emitter)

    def formatException(self, ei: Any) -> Any:  # noqa: N802 - the name is the logging module's
        """Return the traceback; a long one loses its middle, because its end names the error."""
        text = super().formatException(ei)
        if isinstance(text, str) and len(text) > TRACEBACK_HEAD + TRACEBACK_TAIL:
            # Redact before the cut, which may separate the name of a secret from its value.
            head = scrub(text[:_WINDOW], self._emitter)[:TRACEBACK_HEAD]
            tail = scrub(_last_lines(text, _WINDOW), self._emitter)
            return f"{head}\n…\n{_last_lines(tail, TRACEBACK_TAIL)}"
        return text


def _without_arguments(record: logging.LogRecord, problem: str) -> logging.LogRecord:
    """A copy of a record whose message is not merged with its arguments, and notes the problem."""
    plain = copy(record)
    plain.msg = record.msg if isinstance(record.msg, str) else line_text(record.msg)
    plain.args = ()
    plain.__dict__[FORMAT_ERROR] = problem
    return plain


def _last_lines(text: str, limit: int) -> str:
    """The last whole lines of a text, up to ``limit`` characters.

    When the very last line is longer than that, its beginning.
    """
    if len(text) <= limit:
        return text
    start = text.find("\n", len(text) - limit - 1) + 1
    if not start or start == len(text):
        start = text.rfind("\n", 0, len(text) - 1) + 1
    return text[start : start + limit]


def _event_type(record: logging.LogRecord, snapshot: Snapshot | None) -> Any:
    """The message before merging; ``MERGED`` when only a merged one is left."""
    if snapshot is not None and snapshot.event_type is not None:
        return snapshot.event_type
    # A logging call never leaves args as None. QueueHandler sets it when it merges the message.
    if record.args is None and isinstance(record.msg, str):
        first = str.partition(record.msg, "\n")[0]
        return first if valid_type(first) else MERGED
    return record.msg


def _fields(record: logging.LogRecord, snapshot: Snapshot | None, call: Call) -> Any:
    """The fields of the event, with the class name of an exception as ``error``."""
    fields = record.__dict__.get("audit")
    error = error_name(record.exc_info) or ("" if snapshot is None else snapshot.error)
    own = {"error": error} if error else {}
    if snapshot is not None and snapshot.fields is not None and fields is snapshot.fields:
        return snapshot.normalised(own)
    if fields is None or fields is True:
        fields = _extra(record, snapshot, call, unmarked=fields is None) or None
        if fields and snapshot is not None and snapshot.fields is not None:
            return snapshot.normalised(own)
    if own and (fields is None or isinstance(fields, dict)):
        return {**own, **(fields or {})}
    return fields


def _extra(
    record: logging.LogRecord, snapshot: Snapshot | None, call: Call, *, unmarked: bool
) -> dict[str, Any]:
    """The attributes that came from ``extra``, for an event without ``extra["audit"]``.

    Args:
        unmarked: whether the caller gave no ``audit`` at all, which is worth a warning.
    """
    attributes = record.__dict__
    names: Iterable[str]
    if snapshot is not None:
        names = snapshot.names
    elif call.running and not call.by_hand:
        names = extra_names(call.extra)
    else:
        names = [
            name
            for name in attributes
            if name not in _STANDARD and not name.startswith(_LIBRARY_PREFIXES)
        ]
    extra = {name: attributes[name] for name in names if name in attributes}
    if extra and unmarked:
        warn(
            "extra",
            'an audit event was logged without extra={"audit": {…}}: all of its extra are fields; '
            "a LoggerAdapter replaces the extra of a call, an AuditLoggerAdapter adds to it",
        )
    return extra
