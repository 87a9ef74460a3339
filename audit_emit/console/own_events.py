"""The console's own events: who looked at what, exported, verified, signed, and who was refused.

They go to another log, never into the one that the console shows: looking at a log must not change
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from audit_emit import AuditContext, Emitter
from audit_emit._facade.reports import ACKNOWLEDGED, NO_TRAIL, Trail
from audit_emit.console.access import Identity
from audit_emit.console.refusals import Refusals

VIEWED = "console.viewed"
EXPORTED = "console.exported"
EXPORT_ENDED = "console.export_ended"
VERIFIED = "console.verified"
CHECKPOINTED = "console.checkpointed"
ARCHIVED = "console.archive_run"
PROVED = "console.proof_downloaded"
SIGNED_IN = "console.signed_in"
REFUSED = "console.refused"


class Emits(Protocol):
    """The method of an ``Emitter`` that the console needs."""

    def emit(self, ctx: Any, event_type: Any, fields: Any = None, /) -> Any:
        """See ``audit_emit.emit``."""


class OwnEvents:
    """Writes the console's own events.

    Args:
        emitter: that writes them; ``None``: nobody keeps them.

    Attributes:
        trail: the log that they go to, where it can be read again; else it names none.
    """

    def __init__(self, emitter: Emits | None) -> None:
        self._emitter = emitter
        self._refusals = Refusals(partial(_refused, emitter))
        self.trail: Trail = Trail.of(emitter.settings) if isinstance(emitter, Emitter) else NO_TRAIL

    def refused(self, name: str, path: str) -> None:
        """Record that somebody was refused; many refusals within a minute become one, counted.

        Args:
            name: of a user of this console; empty for anybody else.
            path: that he asked for.
        """
        self._refusals.note(name, path)

    def close(self) -> None:
        """Record the refusals that are counted and not recorded yet."""
        self._refusals.close()

    def tell(self, event_type: str, identity: Identity | str, **fields: Any) -> None:
        """Record one."""
        name = identity if isinstance(identity, str) else identity.name
        _emit(self._emitter, event_type, name, fields)

    def acknowledge(self, identity: Identity, chain: str, alert: str, note: str) -> None:
        """Record that a user acknowledges an alert. When this returns, the record is durable.

        Args:
            chain: of the log with the alert.
            alert: its id.
            note: the user's remark.

        Raises:
            AuditError: it could not be recorded.
            LookupError: the console keeps no log of its own that it could be read from again.
        """
        if not isinstance(self._emitter, Emitter) or not self.trail.where:
            raise LookupError("the console keeps no log of its own")
        fields = {"anomaly": alert, "chain": chain, **({"note": note} if note else {})}
        context = AuditContext(user_id=identity.name, actor_kind="user")
        self._emitter.emit_strict(context, ACKNOWLEDGED, fields)


def _refused(emitter: Emits | None, name: str, path: str, count: int) -> None:
    _emit(emitter, REFUSED, name, {"path": path, "count": count if count > 1 else None})


def _emit(emitter: Emits | None, event_type: str, name: str, fields: Mapping[str, Any]) -> None:
    if emitter is None:
        return
    emitter.emit(
        AuditContext(user_id=name, actor_kind="user" if name else "anonymous"),
        event_type,
        {key: value for key, value in fields.items() if value not in {None, ""}},
    )
