"""Which builder of records an emitter has."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from audit_emit._core.record_builder import RecordBuilder

if TYPE_CHECKING:
    from audit_emit._core.emitter import Emitter

__all__ = ["builder_of"]


def builder_of(emitter: Emitter, tell: Callable[[str, str], None]) -> RecordBuilder:
    """Make the builder that the settings of an emitter need.

    Args:
        emitter: has its settings, counters, clock, ``misuse`` and observer already.
        tell: writes a sentence to stderr, at most once a minute for each kind.
    """
    settings = emitter.settings
    given = (settings, emitter.counters, emitter.misuse, tell, emitter.observer)
    if settings.subject_keys is None:
        if not settings.schemas:
            return RecordBuilder(*given)
        from audit_emit._core.marking import MarkingBuilder  # noqa: PLC0415 - for those with schemas

        return MarkingBuilder(*given)
    from audit_emit._core.sealing import SealingBuilder  # noqa: PLC0415 - for those who seal only

    return SealingBuilder(*given, clock=emitter.clock)
