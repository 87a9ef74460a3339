"""What the integrations share: finding the emitter, its redaction rules, ids as text, log lines.

A logging call must not fail because of what it logs, so nothing here raises an ``Exception``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol

from audit_emit import Emitter
from audit_emit._facade.adapters import (
    MISSING,
    UNOBSERVED,
    Normalised,
    Normaliser,
    Redactor,
    StderrLog,
    bare_name,
    current_emitter,
    get_emitter,
    let_through,
    to_json,
    valid_type,
)
from audit_emit.context import FIELDS, AuditContext, current_context

MAX_ID = 256
"""The most characters of an id in a log line. Longer ids are cut, as in a record."""

MERGED = "<a log message, merged with its arguments>"
"""In place of a message that is no event type: one of its arguments may be a secret."""


class Emits(Protocol):
    """The part of ``audit_emit.Emitter`` that an adapter needs."""

    def emit(self, ctx: Any, event_type: str, fields: Any = None, /) -> object:
        """Emit one event; never raises."""


_stderr = StderrLog()

_DEFAULT_RULES = Normaliser(Redactor())


def emitter_or_default(emitter: Emits | None) -> Emits:
    """Return the given emitter, or else the current process-wide one.

    Looked up for each event: logging is usually set up before ``configure`` is called, and
    ``configure`` replaces the process-wide emitter.
    """
    return get_emitter() if emitter is None else emitter


def warn(kind: str, message: str) -> None:
    """Print a warning about how an adapter is used on stderr, at most one of a kind per minute."""
    _stderr.report(kind, message)


def report_failure(where: str, error: Exception) -> None:
    """Report an exception that was stopped here: to ``on_error``, and rate-limited on stderr.

    Not with ``logging``, which may be what failed.
    """
    current = current_emitter()
    (UNOBSERVED if current is None else current.observer).tell(error, "integration")
    _stderr.report(where, f"{where}: an event or a line is not whole ({bare_name(type(error))})")


def context_ids(context: AuditContext | None = None) -> dict[str, str]:
    """The ids of ``context`` (default: the bound one) that are set, as text that is safe in a line.

    Empty when nothing is bound: the default actor kind alone carries no information.
    """
    bound = current_context() if context is None else context
    ids = {name: line_text(getattr(bound, name)) for name in FIELDS}
    known = {name: text for name, text in ids.items() if text}
    return {} if known == {"actor_kind": "user"} else known


def identity_text(value: Any) -> str:
    """An id of any type as text, secrets redacted; text is returned as it is.

    Only for values that go into a record, whose own rules still apply to them.
    """
    if value is None or type(value) is str:
        return value or ""
    try:
        return _current_rules().identity(value)
    except Exception as error:  # noqa: BLE001 - a foreign __str__ may raise anything
        let_through(error)
        return f"<unrepresentable {bare_name(type(value))}>"


def plain_fields(event_type: Any, fields: Any) -> Normalised:
    """Copy the fields of an event into plain values, secrets redacted. Never raises.

    The emitter that receives the copy applies its own rules again.
    """
    # A malformed event type may have been meant as one about secrets, so the strict rules apply.
    rules = event_type if valid_type(event_type) else "secret.unknown"
    done = _current_rules().full(rules, fields)
    if done.workspace_id is not MISSING:
        done.value["workspace_id"] = done.workspace_id
    return done


def line_text(value: Any) -> str:
    """An id of any type as printable text of at most 256 characters, secrets redacted."""
    if value is None:
        return ""
    try:
        text = _current_rules().identity(value)[:MAX_ID]
        if text.isprintable():
            return text
        return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    except Exception as error:  # noqa: BLE001 - a foreign __str__ may raise anything
        let_through(error)
        return f"<unrepresentable {bare_name(type(value))}>"


def error_name(exc_info: Any) -> str:
    """The name of the exception class that ``exc_info`` of a logging call refers to, or ``""``.

    The message is left out: messages often repeat the data that was being handled.
    """
    if isinstance(exc_info, tuple) and exc_info:
        exc_info = exc_info[0]
    elif exc_info is True:
        exc_info = sys.exc_info()[0]
    if isinstance(exc_info, BaseException):
        exc_info = type(exc_info)
    return bare_name(exc_info) if isinstance(exc_info, type) else ""


def render_line(event_type: Any, values: Mapping[str, Any], emitter: Emits | None) -> str:
    """``values`` as JSON on one line, secrets redacted, within the size limits of a record."""
    try:
        done = _normaliser(emitter).full(event_type, values)
        plain = done.value
        if done.workspace_id is not MISSING:
            plain = {**plain, "workspace_id": done.workspace_id}
        return to_json(plain)
    except Exception as error:  # noqa: BLE001 - neither call should raise; a log line must come out even if one does
        let_through(error)
        report_failure("log line", error)
        return '{"event":"<unrenderable>"}'


def scrub(text: str, emitter: Emits | None) -> str:
    """The first 8 KiB of ``text``, secrets redacted."""
    return _normaliser(emitter).scrub(text)


def _current_rules() -> Normaliser:
    """The rules of the process-wide emitter, without creating it for an ordinary log line."""
    current = current_emitter()
    return _DEFAULT_RULES if current is None else _normaliser(current)


def _normaliser(emitter: Emits | None) -> Normaliser:
    """The normaliser of an emitter; the default one for an object that is not an ``Emitter``."""
    found = emitter_or_default(emitter)
    if isinstance(found, Emitter):
        return found.builder.normaliser
    return _DEFAULT_RULES
