"""structlog: audit events out of log calls, and the ids of a request into log lines.

    structlog.configure(processors=[
        AuditTee(),            # log.info("secret.set", audit=True, key="API") is emitted
        add_audit_context,     # every line says who and in which request
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        AuditRenderer(),       # JSON of anything, secrets held back
    ])

A tee sees what reaches it. What a level filter of the bound logger, an earlier processor that
drops, ``structlog.testing.capture_logs`` or another ``structlog.configure`` takes away never
arrives: put ``AuditTee`` first, and call ``audit_emit.emit`` itself, which goes through none of
them, for events that must be there whatever the log level is.
"""

from __future__ import annotations

import sys
from typing import Any

from structlog.typing import EventDict, WrappedLogger

from audit_emit.integrations._bridge import (
    Emits,
    context_ids,
    error_name,
    id_text,
    render_line,
    tell,
    through,
)

__all__ = ["AuditRenderer", "AuditTee", "add_audit_context"]

PRIVATE = frozenset({"_record", "_from_structlog", "_logger", "_name"})
"""What structlog puts into an event dict for its own processors."""


class AuditTee:
    """A processor that also emits the events that are marked ``audit=True``.

    ``event`` is the event type, the other members are the fields; an ``exc_info`` becomes
    ``error``, the exception's type. The event goes on down the chain without its ``audit`` mark
    and otherwise as it came. Never raises, never drops. A value of ``audit`` that is not a
    ``bool`` is an ordinary member.

    Ids that only repeat the bound context stay out of the fields, so a ``workspace_id`` that
    ``merge_contextvars`` brought in does not override the one that is bound.

    Args:
        emitter: where events go; default: the process-wide emitter of the moment.
    """

    def __init__(self, emitter: Emits | None = None) -> None:
        self._emitter = emitter

    def __call__(self, _logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
        """Emit the event if it is marked, and pass it on."""
        try:
            mark = event_dict.get("audit")
            if mark is True or mark is False:
                del event_dict["audit"]
            if mark is True:
                event_type, fields = _event(event_dict)
                through(self._emitter).emit(None, event_type, fields)
        except Exception as error:  # noqa: BLE001 - a log call never fails because of its audit copy
            tell("structlog", error)
        return event_dict


def add_audit_context(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """A processor that puts the ids of the bound context into ordinary log lines.

    Adds those of ``workspace_id``, ``user_id``, ``actor_kind``, ``correlation_id``, ``trace_id``
    and ``span_id`` that are set; what the event carries already wins. Before
    ``merge_contextvars``, so that the bound context wins over copies of it.
    """
    try:
        for name, text in context_ids().items():
            event_dict.setdefault(name, text)
    except Exception as error:  # noqa: BLE001 - a log call never fails because of its ids
        tell("structlog", error)
    return event_dict


class AuditRenderer:
    """The last processor: the event as one line of JSON, whatever is in it.

    Values of any type, hostile ones included, become JSON within the limits of a record, and
    secrets are held back by the rules of a record. The line is an application log line, not a
    record: the default prefix is empty so that no reader of ``audit: `` lines takes it for one.

    Args:
        prefix: put before the JSON.
        as_bytes: bytes for ``BytesLogger``; text for ``WriteLogger``, ``PrintLogger`` and
            ``ProcessorFormatter``.
        emitter: whose redaction settings hold; default: the process-wide emitter's.
    """

    def __init__(
        self, prefix: str = "", *, as_bytes: bool = False, emitter: Emits | None = None
    ) -> None:
        self._prefix = prefix
        self._as_bytes = as_bytes
        self._emitter = emitter

    def __call__(self, _logger: WrappedLogger, _method: str, event_dict: EventDict) -> str | bytes:
        """Render; never raises."""
        values = {key: value for key, value in event_dict.items() if key not in PRIVATE}
        line = self._prefix + render_line(values.get("event"), values, self._emitter)
        return line.encode("utf-8", "backslashreplace") if self._as_bytes else line


def _event(event_dict: EventDict) -> tuple[Any, dict[str, Any]]:
    """The event type and the fields of a marked event; the event dict stays as it is."""
    fields = {key: value for key, value in event_dict.items() if key not in PRIVATE}
    event_type = fields.pop("event", None)
    for name in _repeated(fields):
        del fields[name]
    if "exc_info" in fields and (error := error_name(fields.pop("exc_info"))):
        fields.setdefault("error", error)
    return event_type, fields


def _repeated(fields: dict[str, Any]) -> list[str]:
    """The ids in ``fields`` that are copies of what is bound, here or in structlog's variables.

    structlog's copy may be older than the bound context: another thread of the request changed
    the context, and only its own structlog variables. So it does not count as said by the call.
    """
    module = sys.modules.get("structlog.contextvars")
    copies = module.get_contextvars() if module is not None else {}
    repeated = []
    for name, live in context_ids().items():
        if name in fields:
            text = id_text(fields[name])
            if text == live or (name in copies and text == id_text(copies[name])):
                repeated.append(name)
    return repeated
