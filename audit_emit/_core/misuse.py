"""Wrong calls of ``emit``: counted, and reported on stderr with what a right call looks like.

The event is recorded all the same, as far as the call is understood. ``emit_strict`` refuses it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from audit_emit._format import record
from audit_emit._runtime.failure import Counters
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.observer import UNOBSERVED, Observer
from audit_emit.context import AuditContext, understand
from audit_emit.errors import AuditError

__all__ = ["Misuse"]

CALL = "emit(ctx, event_type, fields), where ctx is None for the bound context"

_TYPE = (
    f"an event type must match {record.TYPE.pattern}, such as secret.set, "
    f'have at most {record.TYPE_LIMIT} characters and not begin with "{record.RESERVED}"; '
    f"the call is {CALL}"
)
_CONTEXT = (
    "a context must be None, an AuditContext, a contextvars.Context or a mapping of workspace_id, "
    f"user_id, actor_kind, correlation_id, trace_id and span_id; the call is {CALL}"
)

_NOT_THE_CALLER = ("audit_emit.", "logging.", "structlog.")
_DEEPEST = 64


class Misuse:
    """Counts and reports wrong calls of one emitter.

    Args:
        counters: where they are counted.
        tell: writes a sentence to stderr, at most once a minute for each kind
            (``StderrLog.report``).
        observer: gets what ``emit_strict`` would have raised.
    """

    def __init__(
        self,
        counters: Counters,
        tell: Callable[[str, str], None] | None = None,
        observer: Observer = UNOBSERVED,
    ) -> None:
        self._counters = counters
        self._tell = tell
        self._observer = observer

    def event_type(self) -> None:
        """Count and report an event that was recorded as ``audit.invalid_event_type``."""
        self._counters.invalid_event_types += 1
        self._say("event type", f"an event has no usable type{_where()}: {_TYPE}")
        self._observer.tell(_bad_type(), "event_type")

    def context(self, mistake: str) -> None:
        """Count and report a ``ctx`` that was ignored, whole or in part, as it is not valid."""
        self._counters.invalid_contexts += 1
        self._say("context", f"a context cannot be used{_where()}, {mistake}: {_CONTEXT}")
        self._observer.tell(_bad_context(mistake), "context")

    def understand(self, ctx: object) -> AuditContext:
        """The context that ``ctx`` of ``emit`` means; a mistake in it is counted and reported."""
        if issubclass(type(ctx), AuditContext):  # a subclass, such as that of an anonymous request
            return ctx  # type: ignore[return-value]
        context, mistake = understand(ctx)
        if mistake:
            self.context(mistake)
        return context

    def checked(self, ctx: object, *, usable_type: bool) -> AuditContext:
        """The context that ``ctx`` of ``emit_strict`` means.

        Args:
            ctx: what the caller gave.
            usable_type: whether the event type that the caller gave is valid.

        Raises:
            AuditError: the event type or the context is not valid.
        """
        if not usable_type:
            raise self.refuse_event_type()
        context, mistake = understand(ctx)
        if mistake:
            raise self.refuse_context(mistake)
        return context

    def refuse_event_type(self) -> AuditError:
        """Count an event type that is not valid, and make the error that ``emit_strict`` raises."""
        self._counters.invalid_event_types += 1
        return _bad_type()

    def refuse_context(self, mistake: str) -> AuditError:
        """Count a context that is not valid, and make the error that ``emit_strict`` raises."""
        self._counters.invalid_contexts += 1
        return _bad_context(mistake)

    def _say(self, kind: str, message: str) -> None:
        if self._tell is not None:
            self._tell(kind, message)


def _bad_type() -> AuditError:
    return AuditError("invalid-event-type", _TYPE)


def _bad_context(mistake: str) -> AuditError:
    return AuditError("invalid-context", f"{mistake}: {_CONTEXT}")


def _where() -> str:
    """The line of the caller's code, as `` (file:line)``."""
    try:
        frame = sys._getframe(2)  # noqa: SLF001 - nothing public is as cheap
        for _ in range(_DEEPEST):
            module = f"{frame.f_globals.get('__name__')}."
            if not module.startswith(_NOT_THE_CALLER):
                return f" ({frame.f_code.co_filename}:{frame.f_lineno})"
            if frame.f_back is None:
                break
            frame = frame.f_back
    except Exception as error:  # noqa: BLE001 - a place that is not known is no reason to fail
        let_through(error)
    return ""
