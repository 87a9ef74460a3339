"""Which builder of records an emitter has."""

from __future__ import annotations

from collections.abc import Callable

from audit_emit._core.marking import MarkingBuilder
from audit_emit._core.misuse import Misuse
from audit_emit._core.record_builder import RecordBuilder
from audit_emit._runtime.failure import Counters
from audit_emit._runtime.observer import Observer
from audit_emit._settings.settings import Settings
from audit_emit._stores.clock import Clock

__all__ = ["builder_of"]


def builder_of(
    settings: Settings,
    counters: Counters,
    misuse: Misuse,
    tell: Callable[[str, str], None],
    observer: Observer,
    *,
    clock: Clock,
) -> RecordBuilder:
    """The builder for some settings: who seals nothing pays nothing for it."""
    if settings.subject_keys is None:
        kind = MarkingBuilder if settings.schemas else RecordBuilder
        return kind(settings, counters, misuse, tell, observer)
    from audit_emit._core.sealing import SealingBuilder  # noqa: PLC0415 - for those who seal only

    return SealingBuilder(settings, counters, misuse, tell, observer, clock=clock)
