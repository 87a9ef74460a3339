"""An audit trail for a service: one call that never raises, never blocks and never leaks.

    from audit_emit import emit
    emit(None, "secret.rotated", {"key": "STRIPE_LIVE_KEY", "scope": "global"})

Importing this loads the standard library and ``msgspec``, nothing else.

PYTEST_DONT_REWRITE: there is no assertion here, so that pytest need not be imported before this.
"""

from __future__ import annotations

from audit_emit._core.audited import audited
from audit_emit._core.default import (
    configure,
    emit,
    emit_strict,
    flush,
    hash_value_prefix,
    health,
    open_log,
    start_archiver,
)
from audit_emit._core.emitter import Emitter
from audit_emit._core.event import Event
from audit_emit._fields.subject import Subject
from audit_emit._format.record import Receipt
from audit_emit._redaction.redactor import Secret
from audit_emit._redaction.rule import Rule
from audit_emit._schemas.event import Field
from audit_emit._settings.settings import Settings
from audit_emit._version import __version__ as __version__
from audit_emit.context import (
    AuditContext,
    bind,
    current_context,
    with_actor_kind,
    with_correlation_id,
    with_user_id,
    with_workspace_id,
)
from audit_emit.errors import AuditError, ConfigError

__all__ = [
    "AuditContext",
    "AuditError",
    "ConfigError",
    "Emitter",
    "Event",
    "Field",
    "Receipt",
    "Rule",
    "Secret",
    "Settings",
    "Subject",
    "audited",
    "bind",
    "configure",
    "current_context",
    "emit",
    "emit_strict",
    "flush",
    "hash_value_prefix",
    "health",
    "open_log",
    "start_archiver",
    "with_actor_kind",
    "with_correlation_id",
    "with_user_id",
    "with_workspace_id",
]
