"""structlog: audit events out of log calls, and the ids of a request into log lines.

    structlog.configure(processors=[
        AuditTee(),  # log.info("secret.set", audit=True, key="API") is emitted,
                     # log.info("User signed in", audit="auth.login") too
        add_audit_context,  # every line says who and in which request
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        AuditRenderer(),  # JSON of anything, secrets held back
    ])

A tee sees what reaches it. What a level filter of the bound logger, an earlier processor that
drops, ``structlog.testing.capture_logs`` or another ``structlog.configure`` takes away never
arrives: put ``AuditTee`` first, and call ``audit_emit.emit`` itself, which goes through none of
them, for events that must be there whatever the log level is.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from structlog.typing import EventDict, WrappedLogger

from audit_emit._format.record import valid_type
from audit_emit._runtime.interrupts import let_through
from audit_emit.context import FIELDS, AuditContext, current_context, is_empty
from audit_emit.integrations._bridge import (
    Emits,
    context_ids,
    error_name,
    id_text,
    render_line,
    say,
    tell,
    through,
)

__all__ = ["AuditRenderer", "AuditTee", "add_audit_context"]

_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})
_NO_MARK = (
    "an event has an audit member that is neither a mark nor an event type, and is not emitted"
)
_USE = 'audit=True emits an event whose message is its type; audit="auth.login" names the type'

PRIVATE = frozenset({"_record", "_from_structlog", "_logger", "_name"})
"""What structlog puts into an event dict for its own processors."""


class AuditTee:
    """A processor that also emits the events that are marked.

    ``audit=True`` (also 1, ``"true"``, ``"yes"`` and ``"on"``): ``event`` is the event type, the
    other members are the fields; an ``exc_info`` becomes ``error``, the exception's type.
    ``audit="auth.login"`` names the event type, and ``event`` is a field: for log messages that are
    sentences. ``audit={…}`` adds to the fields. The event goes on down the chain without its mark
    and otherwise as it came; a false mark is taken off, too. Never raises, never drops. Any other
    value of ``audit`` is an ordinary member, and that is said once on stderr.

    The actor is the bound context. What it lacks is taken from structlog's context variables
    (``bind_contextvars(user_id=…)``). Ids that only repeat either stay out of the fields, so a
    ``workspace_id`` that ``merge_contextvars`` brought in does not override the one that is bound.

    Args:
        emitter: where events go; default: the process-wide emitter of the moment.
    """

    def __init__(self, emitter: Emits | None = None) -> None:
        self._emitter = emitter

    def __call__(self, _logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
        """Emit the event if it is marked, and pass it on."""
        try:
            if "audit" in event_dict:
                mark = _mark(event_dict["audit"])
                if mark is not None:
                    del event_dict["audit"]
                if mark is not None and mark is not False:
                    context = _context()
                    through(self._emitter).emit(context, *_event(event_dict, mark, context))
        except Exception as error:  # noqa: BLE001 - a log call never fails because of its audit copy
            let_through(error)
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
        let_through(error)
        tell("structlog", error)
    return event_dict


class AuditRenderer:
    """The last processor: the event as one line of JSON, whatever is in it.

    Values of any type, hostile ones included, become JSON within the limits of a record, and
    secrets are held back by the rules of a record. The line is an application log line, not a
    record: the default prefix is empty so that no reader of ``audit:`` lines takes it for one.

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


def _mark(audit: Any) -> Any:
    """What ``audit`` of an event means.

    Returns:
        ``True``, ``False``, an event type, a mapping of fields, or ``None``: it is no mark.
    """
    if audit is None or isinstance(audit, bool | Mapping):
        return audit
    if isinstance(audit, int):
        return audit != 0
    word = str.lower(audit) if isinstance(audit, str) else ""
    if word in _YES or word in _NO:
        return word in _YES
    if valid_type(audit):
        return audit
    say("structlog mark", f"{_NO_MARK}: {_USE}")
    return None


def _context() -> AuditContext:
    """The bound context, with what it lacks from structlog's context variables."""
    live = current_context()
    copies = _copies()
    ids = {
        name: copies[name]
        for name in FIELDS
        if name in copies and _is_unset(getattr(live, name)) and not _is_unset(copies[name])
    }
    # A default is no knowledge, and neither is that of a request in which nobody signed in.
    if _is_unset(live.user_id) and copies.get("actor_kind", "user") != "user":
        ids["actor_kind"] = copies["actor_kind"]
    return live.replace(**ids) if ids else live


def _is_unset(value: Any) -> bool:
    return value is None or is_empty(value)


def _copies() -> dict[str, Any]:
    module = sys.modules.get("structlog.contextvars")
    copies: dict[str, Any] = module.get_contextvars() if module is not None else {}
    return copies


def _event(event_dict: EventDict, mark: Any, context: AuditContext) -> tuple[Any, dict[str, Any]]:
    """The event type and the fields of a marked event; the event dict stays as it is."""
    fields = {key: value for key, value in event_dict.items() if key not in PRIVATE}
    if isinstance(mark, str):
        event_type: Any = mark
    else:
        event_type = fields.pop("event", None)
        if isinstance(event_type, str) and not valid_type(event_type):
            say("structlog type", f"a marked event whose message is no event type: {_USE}")
    for name in _repeated(fields, context):
        del fields[name]
    if "exc_info" in fields and (error := error_name(fields.pop("exc_info"))):
        fields.setdefault("error", error)
    return event_type, {**fields, **mark} if isinstance(mark, Mapping) else fields


def _repeated(fields: dict[str, Any], context: AuditContext) -> list[str]:
    """The ids in ``fields`` that are copies of what is bound, here or in structlog's variables.

    structlog's copy may be older than the bound context: another thread of the request changed
    the context, and only its own structlog variables. So it does not count as said by the call.
    """
    copies = _copies()
    repeated = []
    for name, live in context_ids(context).items():
        if name in fields:
            text = id_text(fields[name])
            if text == live or (name in copies and text == id_text(copies[name])):
                repeated.append(name)
    return repeated
