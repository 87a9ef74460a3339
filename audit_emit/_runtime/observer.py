"""Whoever wants to know of a failure that is stopped before it reaches the caller of ``emit``.

Two may: the application, by ``on_error``, whose own failures are stopped in turn; and the tests of
an application, by ``audit_emit.testing.strict``, which raises the failure where it happened.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from audit_emit._runtime.interrupts import let_through

OnError = Callable[[BaseException, str, str | None], object]
"""Called with the exception, the stage, and the id of the event if it has one already."""

strict: Callable[[BaseException], object] | None = None
"""Raises what it is given. Set by ``audit_emit.testing.strict``, ``None`` at all other times."""


class Observer:
    """What one emitter does with the failures that it stops.

    Args:
        on_error: of the application.
    """

    __slots__ = ("_inside", "_on_error")

    def __init__(self, on_error: OnError | None = None) -> None:
        self._on_error = on_error
        self._inside = threading.local()

    def tell(self, error: BaseException, stage: str, event_id: str | None = None) -> None:
        """Say that a failure was stopped.

        Raises:
            BaseException: the failure itself, in the block of ``testing.strict`` and only there.
        """
        self.notify(error, stage, event_id)
        if strict is not None:
            strict(error)

    def notify(self, error: BaseException, stage: str, event_id: str | None = None) -> None:
        """Say the same of what is no mistake of the program: ``testing.strict`` does not raise it.

        What ``on_error`` raises is stopped here. What fails while it runs, such as an event that
        it emits itself, is not told to it: that might never end.
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
"""For what belongs to no emitter: only ``testing.strict`` is told."""


def id_in(record: Any) -> str | None:
    """The event id in the beginning of a record, as text or bytes, that reaches past the id.

    The members after the fields come in a fixed order and hold no text of the caller, so the last
    place that looks like the id is the id (docs/wire-format.md).
    """
    text = record.decode("utf-8", "replace") if isinstance(record, bytes) else record
    _, found, rest = text.rpartition('},"v":1,"id":"')
    return rest[:36] if found else None
