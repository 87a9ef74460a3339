"""Records of the log about itself, which no caller of ``emit`` has asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_emit.errors import SinkError

if TYPE_CHECKING:
    from audit_emit._core.outbox import Outbox

__all__ = ["append"]


def append(
    outbox: Outbox,
    event_type: str,
    fields: dict[str, Any],
    deadline: float = 0.0,
    by: tuple[str, str] = ("", "service"),
) -> None:
    """Append one such record, and queue its line to be shown.

    Args:
        outbox: whose store it goes to.
        event_type: begins with ``audit.``.
        fields: recorded as they are: neither redacted nor limited.
        deadline: until when the store may wait (``time.monotonic()``); 0 for none.
        by: see ``RecordBuilder.own``.

    Raises:
        SinkError: it is not in the store.
    """
    if outbox.store is None:
        raise SinkError("no-file")
    draft = outbox.clock.draft(*outbox.builder.own(event_type, fields, by), own=True)
    try:
        outbox.show_later(outbox.store.append([draft], deadline))
    except SinkError as error:
        outbox.show_later(error.linked)
        raise
