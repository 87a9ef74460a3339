"""structlog: emits audit events from log calls, and adds the ids of a request to log lines.

    structlog.configure(processors=[
        AuditTee(),  # log.info("secret.set", audit=True, key="API") is emitted,
                     # log.info("User signed in", audit="auth.login") too
        add_audit_context,  # every line says who and in which request
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        AuditRenderer(),  # JSON of any value, secrets redacted
    ])

``AuditTee`` sees only the events that reach it. A level filter of the bound logger, an earlier
processor that drops events, ``structlog.testing.capture_logs`` or another ``structlog.configure``
can remove an event before that. So put ``AuditTee`` first, and call ``audit_emit.emit`` directly
for events that must be recorded whatever the log level is.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from structlog.typing import EventDict, WrappedLogger

from audit_emit import Secret
from audit_emit._facade.adapters import let_through, valid_type
from audit_emit.context import FIELDS, AuditContext, current_context, is_empty
from audit_emit.integrations._common import (
    MERGED,
    Emits,
    context_ids,
    emitter_or_default,
    error_name,
    line_text,
    render_line,
    report_failure,
    warn,
)

__all__ = ["AuditRenderer", "AuditTee", "add_audit_context"]

_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})
_NO_MARK = (
    "an event has an audit member that is neither a mark nor an event type, and is not emitted"
)
_USE = 'audit=True emits an event whose message is its type; audit="auth.login" names the type'

_ARGUMENTS = "positional_args"
"""Where ``structlog.stdlib.BoundLogger`` puts what is to be merged into the message."""

PRIVATE = frozenset({"_record", "_from_structlog", "_logger", "_name"})
"""Keys that structlog adds to an event dict for its own processors."""


class AuditTee:
    """A processor that emits every event that carries the mark ``audit``, and passes it on.

    With ``audit=True`` (or 1, ``"true"``, ``"yes"``, ``"on"``), ``event`` is the event type and the
    other members are the fields; ``exc_info`` becomes ``error``, the name of the exception class.
    ``audit="auth.login"`` gives the event type, and ``event`` becomes a field: for log messages
    that are sentences. ``audit={…}`` adds members to the fields.

    The event continues along the chain without its mark and otherwise unchanged; a false mark is
    removed, too. Never raises, and never drops an event. Any other value of ``audit`` is treated as
    an ordinary member, and a warning is printed once on stderr.

    The actor is that of the bound context. Ids that it does not have are taken from structlog's
    context variables (``bind_contextvars(user_id=…)``). Ids in the event that only repeat one of
    the two are left out of the fields, so that a ``workspace_id`` from ``merge_contextvars`` does
    not override the one that is bound.

    Args:
        emitter: receives the events; default: the process-wide emitter at the time of each event.
    """

    def __init__(self, emitter: Emits | None = None) -> None:
        self._emitter = emitter

    def __call__(self, _logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
        """Emit the event if it is marked, and return it."""
        try:
            if "audit" in event_dict:
                mark = _mark(event_dict["audit"])
                if mark is not None:
                    del event_dict["audit"]
                if mark is not None and mark is not False:
                    context = _context()
                    emitter_or_default(self._emitter).emit(
                        context, *_event(event_dict, mark, context)
                    )
        except Exception as error:  # noqa: BLE001 - a log call never fails because of its audit copy
            let_through(error)
            report_failure("structlog", error)
        return event_dict


def add_audit_context(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """A processor that adds the ids of the bound context to ordinary log lines.

    Adds those of ``workspace_id``, ``user_id``, ``actor_kind``, ``correlation_id``, ``trace_id``
    and ``span_id`` that are set; members that the event already has are kept. Place it before
    ``merge_contextvars``, so that the bound context takes precedence over copies of it.
    """
    try:
        for name, text in context_ids().items():
            event_dict.setdefault(name, text)
    except Exception as error:  # noqa: BLE001 - a log call never fails because of its ids
        let_through(error)
        report_failure("structlog", error)
    return event_dict


class AuditRenderer:
    """The last processor: renders the event as one line of JSON, whatever it contains.

    Values of any type, including hostile ones, become JSON within the size limits of a record, and
    secrets are redacted by the rules of a record. The line is an application log line and not a
    record. The default prefix is empty, so that no reader of ``audit:`` lines takes it for one.

    Args:
        prefix: text before the JSON.
        as_bytes: return bytes, as ``BytesLogger`` needs; the default, text, is for ``WriteLogger``,
            ``PrintLogger`` and ``ProcessorFormatter``.
        emitter: whose redaction rules apply; default: those of the process-wide emitter.
    """

    def __init__(
        self, prefix: str = "", *, as_bytes: bool = False, emitter: Emits | None = None
    ) -> None:
        self._prefix = prefix
        self._as_bytes = as_bytes
        self._emitter = emitter

    def __call__(self, _logger: WrappedLogger, _method: str, event_dict: EventDict) -> str | bytes:
        """Render the event. Never raises."""
        values = {key: value for key, value in event_dict.items() if key not in PRIVATE}
        line = self._prefix + render_line(values.get("event"), values, self._emitter)
        return line.encode("utf-8", "backslashreplace") if self._as_bytes else line


def _mark(audit: Any) -> Any:
    """Interpret the member ``audit`` of an event.

    Returns:
        ``True``, ``False``, an event type, a mapping of fields, or ``None`` if it is not a mark.
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
    warn("structlog mark", f"{_NO_MARK}: {_USE}")
    return None


def _context() -> AuditContext:
    """The bound context, completed from structlog's context variables."""
    live = current_context()
    copies = _copies()
    ids = {
        name: copies[name]
        for name in FIELDS
        if name in copies and _is_unset(getattr(live, name)) and not _is_unset(copies[name])
    }
    # Without a user, the actor kind is only a default ("user", or "anonymous" in a request).
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
    """The event type and the fields of a marked event; the event dict is not changed."""
    fields = {key: value for key, value in event_dict.items() if key not in PRIVATE}
    if isinstance(mark, str):
        event_type: Any = mark
    else:
        event_type = fields.pop("event", None)
        if isinstance(event_type, str) and not valid_type(event_type):
            warn("structlog type", f"a marked event whose message is no event type: {_USE}")
            # structlog merges ``log.info("%s logged in with %s", user, password)`` before any
            # processor sees the message.
            event_type = MERGED
    if type(arguments := fields.get(_ARGUMENTS)) is tuple:
        # They have no names, so nothing says which of them is a secret.
        fields[_ARGUMENTS] = [Secret(argument) for argument in arguments]
    for name in _repeated(fields, context):
        del fields[name]
    if "exc_info" in fields and (error := error_name(fields.pop("exc_info"))):
        fields.setdefault("error", error)
    return event_type, {**fields, **mark} if isinstance(mark, Mapping) else fields


def _repeated(fields: dict[str, Any], context: AuditContext) -> list[str]:
    """The ids in ``fields`` that only repeat the bound context or structlog's context variables.

    structlog's copy may be older than the bound context, when another thread of the request has
    changed the context: that thread could update only its own structlog variables. So a value
    that equals structlog's copy does not count as one that the call itself gave.
    """
    copies = _copies()
    repeated = []
    for name, live in context_ids(context).items():
        if name in fields:
            text = line_text(fields[name])
            if text == live or (name in copies and text == line_text(copies[name])):
                repeated.append(name)
    return repeated
