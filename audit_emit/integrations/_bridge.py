"""What the integrations share: the emitter and its rules, the ids, one line of a log.

A logging call must not fail because of what it logs, so nothing here raises an ``Exception``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol

from audit_emit._core import default as _process
from audit_emit._core.emitter import Emitter
from audit_emit._fields.normaliser import MISSING, Normalised, Normaliser
from audit_emit._format.encode import to_json
from audit_emit._format.record import valid_type
from audit_emit._redaction.redactor import Redactor
from audit_emit._runtime.failure import Complaints
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.observer import UNOBSERVED
from audit_emit.context import FIELDS, AuditContext, current_context

MAX_ID = 256
"""Characters of an id in a log line; as in a record, longer ones are cut."""


class Emits(Protocol):
    """What events go to: an ``Emitter``, or anything with its ``emit``."""

    def emit(self, ctx: Any, event_type: str, fields: Any = None, /) -> object:
        """Emit one event; never raises."""


_complaints = Complaints()

_DEFAULT_RULES = Normaliser(Redactor())


def through(emitter: Emits | None) -> Emits:
    """The emitter given, else the process-wide one of this moment.

    Looked up per event: ``configure`` may replace it, and a logging set-up comes before that.
    """
    return _process.get_emitter() if emitter is None else emitter


def say(kind: str, message: str) -> None:
    """Say on stderr, rate-limited, what somebody should know about how an adapter is used."""
    _complaints.tell(kind, message)


def tell(where: str, error: Exception) -> None:
    """Say on stderr, rate-limited, what was stopped; ``logging`` may be what failed."""
    current = _process._current  # noqa: SLF001 - get_emitter would make one
    (UNOBSERVED if current is None else current.observer).tell(error, "integration")
    _complaints.tell(where, f"{where}: an event or a line is not whole ({bare_name(type(error))})")


def context_ids(context: AuditContext | None = None) -> dict[str, str]:
    """The ids of ``context`` (default: the bound one) that are set, as text safe in any line.

    Empty when nothing is bound: the default actor kind alone tells nobody anything.
    """
    bound = current_context() if context is None else context
    ids = {name: id_text(getattr(bound, name)) for name in FIELDS}
    known = {name: text for name, text in ids.items() if text}
    return {} if known == {"actor_kind": "user"} else known


def plain_id(value: Any) -> str:
    """``value`` as text without secrets, for a place where it is no id yet."""
    if value is None or type(value) is str:
        return value or ""
    try:
        return _rules_now().identity(value)
    except Exception as error:  # noqa: BLE001 - a foreign __str__ may raise anything
        let_through(error)
        return f"<unrepresentable {bare_name(type(value))}>"


def made_plain(event_type: Any, fields: Any) -> Normalised:
    """The fields of an event as they are now: plain, secrets held back. Never raises.

    The emitter that gets them has its own rules for them as well.
    """
    # A type that is none may have been meant to be about a secret, as in a record.
    rules = event_type if valid_type(event_type) else "secret.unknown"
    done = _rules_now().full(rules, fields)
    if done.workspace_id is not MISSING:
        done.value["workspace_id"] = done.workspace_id
    return done


def id_text(value: Any) -> str:
    """``value`` as printable text of at most 256 characters, secrets held back as in a record."""
    if value is None:
        return ""
    try:
        text = _rules_now().identity(value)[:MAX_ID]
        if text.isprintable():
            return text
        return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    except Exception as error:  # noqa: BLE001 - a foreign __str__ may raise anything
        let_through(error)
        return f"<unrepresentable {bare_name(type(value))}>"


def error_name(exc_info: Any) -> str:
    """The type of what ``exc_info`` of a logging call stands for; empty when for nothing.

    Only the type: messages of exceptions repeat what was being handled.
    """
    if isinstance(exc_info, tuple) and exc_info:
        exc_info = exc_info[0]
    elif exc_info is True:
        exc_info = sys.exc_info()[0]
    if isinstance(exc_info, BaseException):
        exc_info = type(exc_info)
    return bare_name(exc_info) if isinstance(exc_info, type) else ""


def render_line(event_type: Any, values: Mapping[str, Any], emitter: Emits | None) -> str:
    """``values`` as JSON on one line, secrets held back, within the limits of a record."""
    try:
        done = _normaliser(emitter).full(event_type, values)
        plain = done.value
        if done.workspace_id is not MISSING:
            plain = {**plain, "workspace_id": done.workspace_id}
        return to_json(plain)
    except Exception as error:  # noqa: BLE001 - both are total; a line is owed even if they fail
        let_through(error)
        tell("log line", error)
        return '{"event":"<unrenderable>"}'


def scrub(text: str, emitter: Emits | None) -> str:
    """The first 8 KiB of ``text``, secrets held back."""
    return _normaliser(emitter).scrub(text)


def _rules_now() -> Normaliser:
    """The rules of the process-wide emitter; an ordinary log line must not make one."""
    current = _process._current  # noqa: SLF001 - get_emitter would make one
    return _DEFAULT_RULES if current is None else _normaliser(current)


def _normaliser(emitter: Emits | None) -> Normaliser:
    """The one that the emitter uses itself; an emitter of another kind has the default rules."""
    found = through(emitter)
    if isinstance(found, Emitter):
        return found._composer.normaliser  # noqa: SLF001 - the rules of its records
    return _DEFAULT_RULES
