"""Passes on the failures that are stopped before they reach the caller of ``emit``.

There are two receivers: ``on_error`` of the application, whose own exceptions are stopped as well;
and ``audit_emit.testing.strict`` in tests, which raises the failure where it happened.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from audit_emit._runtime.interrupts import let_through

OnError = Callable[[BaseException, str, str | None], object]
"""Called with the exception, the stage, and the id of the event if it has one already."""

strict: Callable[[BaseException], object] | None = None
"""Raises the exception that it gets; set by ``testing.strict``, and ``None`` at other times."""


class Observer:
    """Receives the failures that one emitter stops.

    Args:
        on_error: the callback of the application.
    """

    __slots__ = ("_inside", "_on_error")

    def __init__(self, on_error: OnError | None = None) -> None:
        self._on_error = on_error
        self._inside = threading.local()

    def tell(self, error: BaseException, stage: str, event_id: str | None = None) -> None:
        """Report a failure that was stopped.

        Raises:
            BaseException: the failure itself, but only in a block of ``testing.strict``.
        """
        self.notify(error, stage, event_id)
        if strict is not None:
            strict(error)

    def notify(self, error: BaseException, stage: str, event_id: str | None = None) -> None:
        """Report a failure to ``on_error`` only: one that is not a mistake in the program.

        An exception of ``on_error`` is stopped here. Failures that occur while it runs, for example
        of an event that it emits itself, are not reported to it: that could recurse for ever.
        """
        if self._on_error is None or getattr(self._inside, "now", False):
            return
        self._inside.now = True
        try:
            self._on_error(error, stage, event_id)
        except Exception as failed:  # noqa: BLE001 - the application's code may raise anything
            let_through(failed)
        finally:
            self._inside.now = False


UNOBSERVED = Observer()
"""For failures that belong to no emitter; reports to ``testing.strict`` only."""


def id_in(record: Any) -> str | None:
    """The event id in a record, or in the beginning of one that includes the id.

    The members after the fields have a fixed order and contain no text of the caller, so the last
    match is the id (docs/wire-format.md).
    """
    text = record.decode("utf-8", "replace") if isinstance(record, bytes) else record
    _, found, rest = text.rpartition('},"v":1,"id":"')
    return rest[:36] if found else None
