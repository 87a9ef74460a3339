"""The database of an emitter: instead of a file (the direct store), or beside it (shipping)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from audit_emit._core.mirror_queue import MirrorQueue
from audit_emit._runtime.failure import Counters, StderrLog
from audit_emit._runtime.threads import weak_callback
from audit_emit._settings.settings import Settings
from audit_emit._stores.base import Draft, Lent

if TYPE_CHECKING:
    from audit_emit._shipping.thread import ShippingThread
    from audit_emit._stores.postgres.chains import Linked
    from audit_emit._stores.postgres.queue import QueuedChains

__all__ = ["Database"]

_READER_SECONDS = 1.0
"""How long the thread of the direct store waits for a reader of standard output, for a batch."""

_CLOSE_SECONDS = 2.0


class Database:
    """What an emitter has to do with a database; nothing where none is configured.

    Args:
        settings: of the emitter.
        lent: makes the records about the log itself.
        configuration: what ``audit.started`` says besides the process.
        counters, stderr_log: who is told.

    Attributes:
        direct: appends events instead of a file.
        shipping: copies the file.
    """

    def __init__(
        self,
        settings: Settings,
        lent: Lent,
        configuration: Callable[[], dict[str, Any]],
        counters: Counters,
        stderr_log: StderrLog,
    ) -> None:
        self.direct: QueuedChains | None = None
        self.shipping: ShippingThread | None = None
        self._mirrored: MirrorQueue | None = None
        self._missed: Callable[[], object] = bool
        if settings.store is None or settings.disabled:
            return
        if settings.jsonl is not None:
            from audit_emit._shipping.thread import ShippingThread  # noqa: PLC0415 - an extra

            self.shipping = ShippingThread(settings.store, settings.jsonl, stderr_log.report)
            return
        from audit_emit._stores.postgres.queue import QueuedChains  # noqa: PLC0415 - an extra

        self.direct = QueuedChains(
            settings.store,
            service=settings.service,
            durability=settings.durability,
            chain_by=settings.chain_by,
            own=lambda event_type, fields: lent.own(event_type, fields).prefix,
            started=lambda: {"pid": os.getpid(), **configuration()},
            counters=counters,
            show=weak_callback(self._show_appended),
            tell=stderr_log.report,
        )

    def serve(self, mirrored: MirrorQueue, missed: Callable[[], object]) -> None:
        """Show what is appended; ``missed`` is called when a line was not shown."""
        self._mirrored, self._missed = mirrored, missed

    def __del__(self) -> None:
        try:
            if self.direct is not None:
                self.direct.close(_CLOSE_SECONDS)
            if self.shipping is not None:
                self.shipping.stop(0.0)
        except Exception:  # noqa: BLE001, S110 - modules are empty while the interpreter shuts down
            pass

    def put(self, draft: Draft, show: Callable[[Draft], object]) -> bool:
        """Have the direct store append an event; whether there is one.

        Args:
            draft: the event.
            show: shows it at once, without its place: called when nobody knows how long it waits.
        """
        direct = self.direct
        if direct is None:
            return False
        if direct.fault is not None:
            show(draft)
        direct.put(draft.prefix)
        return True

    def after_fork(self) -> None:
        """Begin anew in a forked child."""
        if self.direct is not None:
            self.direct.after_fork()

    def flush(self, seconds: float) -> bool:
        """Whether everything that waits for the direct store is appended within some seconds."""
        return self.direct is None or self.direct.flush(seconds)

    def close(self, seconds: float) -> bool:
        """Give connections and threads back; whether everything is appended and shipped."""
        done = self.shipping is None or self.shipping.stop(seconds)
        return (self.direct is None or self.direct.close(seconds)) and done

    def give_up(self) -> None:
        """Count what still waits as lost; the process ends."""
        if self.direct is not None:
            self.direct.give_up()

    def _show_appended(self, appended: Sequence[Linked]) -> None:
        """Show what was appended; called by the direct store's thread, which may wait a little.

        A batch comes at once: its reader is given time, once for all of it.
        """
        mirrored = self._mirrored
        mirror = mirrored.mirror if mirrored is not None else None
        if mirrored is None or mirror is None:
            return
        deadline = time.monotonic() + _READER_SECONDS
        for linked in appended:
            while not mirror.show(linked.line):
                if mirrored.is_begun() or time.monotonic() > deadline:
                    mirrored.missed(linked.line)
                    self._missed()
                    break
                time.sleep(0.002)
