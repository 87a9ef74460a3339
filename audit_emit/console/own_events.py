"""The console's own trail: who looked at what, exported, verified, signed, and who was refused.

These records go to an emitter of the console's own, never into the log that it shows: looking at a
log must not change it.
"""

from __future__ import annotations

from typing import Any, Protocol

from audit_emit import AuditContext
from audit_emit.console.access import Identity

VIEWED = "console.viewed"
EXPORTED = "console.exported"
VERIFIED = "console.verified"
CHECKPOINTED = "console.checkpointed"
ARCHIVED = "console.archive_run"
PROVED = "console.proof_downloaded"
REFUSED = "console.refused"


class Emits(Protocol):
    """What an emitter is to the console."""

    def emit(self, ctx: Any, event_type: Any, fields: Any = None, /) -> Any:
        """See ``audit_emit.emit``."""


class OwnEvents:
    """Writes the console's own events.

    Args:
        emitter: that writes them; ``None``: nobody keeps them.
    """

    def __init__(self, emitter: Emits | None) -> None:
        self._emitter = emitter

    def tell(self, event_type: str, identity: Identity | str, **fields: Any) -> None:
        """Record one."""
        if self._emitter is None:
            return
        name = identity if isinstance(identity, str) else identity.name
        kind = "user" if name else "anonymous"
        self._emitter.emit(
            AuditContext(user_id=name, actor_kind=kind),
            event_type,
            {key: value for key, value in fields.items() if value not in {None, ""}},
        )
