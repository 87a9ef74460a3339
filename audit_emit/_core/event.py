"""``Event``: a declared event, which is emitted by itself."""

from __future__ import annotations

from typing import Any

import msgspec

from audit_emit._core import default as _process
from audit_emit._format.record import Receipt
from audit_emit._runtime import observer as _observer
from audit_emit._schemas.event import Declaration
from audit_emit.context import GivenContext

__all__ = ["Event"]

_asdict = msgspec.structs.asdict


class Event(Declaration):
    """The base of event classes, whose fields are declared: a type checker finds mistakes.

        class SecretSet(Event, type="secret.set"):
            key: str
            scope: Literal["global", "workspace"] = "global"

        SecretSet(key="STRIPE_LIVE_KEY").emit()

    is ``emit(None, "secret.set", {"key": "STRIPE_LIVE_KEY", "scope": "global"})``. The fields are
    given by name, and cannot be changed. A field that is ``msgspec.UNSET`` is left out. Types are
    those that msgspec knows; ``Annotated[str, msgspec.Meta(max_length=64)]`` narrows one, and
    ``Field`` describes it to people, exports and erasure. Python does not compare values with
    types: a type checker does, and ``configure(schemas=[SecretSet])`` checks what is recorded.

    Raises:
        TypeError: where a class is defined: its type is not valid, or a field has the name of a
            method. Where an event is made: a field is missing, or its name is unknown.
    """

    def emit(self, ctx: GivenContext = None) -> Receipt | None:
        """Record it; see ``Emitter.emit``. Never raises an ``Exception`` of its own.

        Args:
            ctx: as of ``emit``: ``None`` means the bound context.

        Returns:
            The receipt when the record is in its store, ``None`` when it is not, or not yet.
        """
        try:
            fields = _asdict(self) if self.__is_plain__ else _members(self)
            return _process.emit(ctx, self.__event_type__, fields)
        except (RecursionError, MemoryError) as error:
            # No room for the call. No function can be called here either, but an operator works.
            emitter = _process._current  # noqa: SLF001
            if _observer.strict is not None:
                raise
            if emitter is None:
                _process._unmade += 1  # noqa: SLF001
                return None
            try:
                emitter.outbox.lossy += ((self.__event_type__, error.__class__),)
            except MemoryError:
                emitter.outbox.unmade += 1
            emitter.outbox.pending = True
            return None

    def emit_strict(self, ctx: GivenContext = None) -> Receipt:
        """Record it or raise ``AuditError``; see ``Emitter.emit_strict``."""
        return _process.emit_strict(ctx, self.__event_type__, _members(self))


def _members(event: Event) -> dict[str, Any]:
    """The fields by their names in the record, without those that are unset."""
    values = zip(event.__struct_encode_fields__, _asdict(event).values(), strict=True)
    return {name: value for name, value in values if value is not msgspec.UNSET}
