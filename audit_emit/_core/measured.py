"""How long ``emit`` takes and how long lines are, once ``measure`` was called.

It wraps methods of one emitter, its outbox and its store in functions that measure one call of
sixteen. ``emit`` itself has no code for this, so it costs nothing before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import cycle
from time import perf_counter
from typing import TYPE_CHECKING, Any

from audit_emit._runtime.histogram import Histogram
from audit_emit._runtime.interrupts import let_through
from audit_emit._stores.base import Draft, Linked, Part, Recorded

if TYPE_CHECKING:
    from audit_emit._core.emitter import Emitter

__all__ = ["SAMPLE", "Measured", "measure"]

SAMPLE = 16
"""One of this many calls is measured, beginning with the first one."""

DURATIONS = (5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2)
"""Upper bounds in seconds; no call waits longer than the last one."""

SIZES = (256.0, 512.0, 1024.0, 2048.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0)
"""Upper bounds in bytes; by default a line on standard output has 4096 at most, and Loki takes
262144."""


class Measured:
    """The measurements of one emitter in this process.

    Attributes:
        durations: of calls of ``emit``, in seconds.
        sizes: of lines with their newline, in bytes.
        last: the line that was appended last, or the records. It is only assigned there: at a call,
            an interrupt could come, and the line would be missing on standard output.
    """

    __slots__ = ("durations", "last", "sizes")

    def __init__(self) -> None:
        self.durations: Histogram = Histogram(DURATIONS)
        self.sizes: Histogram = Histogram(SIZES)
        self.last: bytes | Sequence[Linked] = b""

    def reset(self) -> None:
        """Start anew in a forked child."""
        self.durations.reset()
        self.sizes.reset()
        self.last = b""

    def look(self) -> None:
        """Count the size of what was appended last, once."""
        last, self.last = self.last, b""
        try:
            line = last if isinstance(last, bytes) else last[-1].line
            if line:
                self.sizes.add(len(line))
        except Exception as error:  # noqa: BLE001 - an application's store may return anything
            let_through(error)


def measure(emitter: Emitter) -> Measured:
    """Measure an emitter from now on; a second call only returns what was measured so far."""
    made = Measured()
    # In one step, so that of two threads that call this at once only one wraps ``emit``.
    found: Measured = emitter.counters.measured.setdefault("emit", made)
    if found is made:
        # Set on the instances, where they are found before the methods of the class; and not
        # through ``vars()``, which would make every other attribute slower to find.
        parts: tuple[Any, Any, Any] = emitter, emitter.outbox, emitter.store
        whole, outbox, store = parts
        if store is not None:
            with suppress(AttributeError):  # a store of a frozen class: no sizes, only times
                store.append = _append(store.append, found)
        outbox.record = _record(outbox.record, found)
        whole.emit = _emit(whole.emit, found)
    return found


def _emit(emit: Callable[..., Any], measured: Measured) -> Callable[..., Any]:
    took, look = measured.durations.add, measured.look
    skips = cycle([False] + [True] * (SAMPLE - 1)).__next__

    def emit_measured(ctx: Any, event_type: str, fields: Any = None) -> Any:
        if skips():
            return emit(ctx, event_type, fields)
        began = perf_counter()
        receipt = emit(ctx, event_type, fields)
        try:  # no ``suppress``, which would call something where there is no room for that
            took(perf_counter() - began)
            look()
        except (RecursionError, MemoryError):
            pass  # the event is recorded: that its time is not counted is no failure of ``emit``
        return receipt

    return emit_measured


def _record(record: Callable[..., Recorded | None], measured: Measured) -> Callable[..., Any]:
    def record_measured(part: Part, closing: str) -> Recorded | None:
        recorded = record(part, closing)
        if recorded is not None:
            measured.last = recorded[1]
        return recorded

    return record_measured


def _append(append: Callable[..., list[Linked]], measured: Measured) -> Callable[..., Any]:
    def append_measured(drafts: list[Draft], deadline: float = 0.0) -> list[Linked]:
        records = append(drafts, deadline)
        if records:
            measured.last = records
        return records

    return append_measured
