"""Reports of a store that fails, on stderr and to the observer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_emit._runtime.foreign import bare_name

if TYPE_CHECKING:
    from audit_emit._core.outbox import Outbox

__all__ = ["complain", "trouble"]


def complain(outbox: Outbox, reason: str, detail: str = "") -> None:
    """Report on stderr that the store cannot be written to."""
    outbox.stderr_log.report(
        f"file {reason}",
        f"{outbox.place} cannot be written ({f'{reason}: {detail}' if detail else reason}); "
        "events are kept in memory and written when it is back",
    )


def trouble(outbox: Outbox, what: str, error: BaseException) -> None:
    """Report an unexpected failure; on stderr only its type, as its text may hold anything."""
    outbox.counters.internal_errors += 1
    outbox.stderr_log.report(what, f"{what} failed: {bare_name(type(error))}")
    outbox.observer.notify(error, what)
