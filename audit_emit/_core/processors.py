"""The application's processors: they get the fields of an event after the rules of redaction."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from audit_emit._runtime.failure import Counters
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.interrupts import door, let_through
from audit_emit._runtime.observer import Observer
from audit_emit._settings.checks import Processor
from audit_emit._settings.settings import title_of

__all__ = ["Processing"]

_TITLE_LIMIT = 128


class _Named:
    """The logger that processors get: it has a name and enables every level, but logs nothing."""

    name = "audit_emit"
    disabled = False
    level = 0

    def getEffectiveLevel(self) -> int:  # noqa: N802 - the names are the logging module's
        return self.level

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802
        return level >= self.level


_LOGGER = _Named()


class Processing:
    """Runs the processors of one emitter.

    Args:
        processors: called in this order.
        counters: where those that fail are counted.
        tell: writes a sentence to stderr, at most once a minute for each kind
            (``StderrLog.report``).
        observer: gets the exceptions of those that fail.
        scrub: holds back the secrets of a text.
    """

    def __init__(
        self,
        processors: Sequence[Processor],
        counters: Counters,
        tell: Callable[[str, str], None] | None,
        observer: Observer,
        scrub: Callable[[str], str],
    ) -> None:
        self._processors = processors
        self._counters = counters
        self._tell = tell
        self._observer = observer
        self._scrub = scrub
        self._local = threading.local()

    @property
    def is_under_way(self) -> bool:
        """Whether this thread runs a processor at the moment."""
        return getattr(self._local, "now", False)

    def run(self, event_type: str, value: dict[str, Any]) -> dict[str, Any] | str:
        """Run the processors on the fields of an event.

        Returns:
            The fields; or the name of the processor that failed, and no field, as nobody knows what
            it would have removed.

        An event that a processor emits is recorded but not processed: that would never end.
        """
        self._local.now = True
        try:
            return self._processed(event_type, value)
        finally:
            self._local.now = False

    @door
    def _processed(self, event_type: str, value: dict[str, Any]) -> dict[str, Any] | str:
        own = {"event": value.pop("event")} if "event" in value else {}
        event = {"event": event_type, **value}
        named = "event"  # where the event type is now
        for processor in self._processors:
            try:
                result = dict(processor(_LOGGER, "info", dict(event)))
                if result.get(named) is not event_type:
                    named = _renamed(event, result, event_type, named)
                event = result
            except Exception as error:  # noqa: BLE001 - a processor is foreign code
                let_through(error)
                return self._withheld(processor, error)
            except BaseException as error:
                if not _is_drop(error):
                    raise
                return self._withheld(processor, error)
        event.pop(named, None)
        return {**own, **event}

    def _withheld(self, processor: Processor, error: BaseException) -> str:
        """Count and report a processor that failed; returns its name."""
        self._counters.processor_errors += 1
        name = self._scrub(title_of(processor))[:_TITLE_LIMIT]
        if self._tell is not None:
            self._tell(
                f"processor {name}",
                f"the processor {name} failed ({bare_name(type(error))}): the fields of its "
                "events are withheld, as nobody knows what it would have removed",
            )
        self._observer.tell(error, "processor")
        return name


def _renamed(before: dict[str, Any], after: dict[str, Any], event_type: str, named: str) -> str:
    """The name under which a processor has left the event type, which the record has already."""
    for name, value in after.items():
        if value is event_type and before.get(name) is not event_type:
            return name
    return named


def _is_drop(error: BaseException) -> bool:
    """Whether it is structlog's ``DropEvent`` (no ``Exception``), which no audit event obeys."""
    module = sys.modules.get("structlog.exceptions")
    return module is not None and isinstance(error, module.DropEvent)
