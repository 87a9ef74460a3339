"""Sigma's own kinds of correlations at work. Pure."""

from __future__ import annotations

from typing import Any

from audit_emit._detection.groups import short
from audit_emit._detection.members import lasting
from audit_emit._detection.watcher import KEPT, Watcher, amount
from audit_emit._detection.windows import Event, Hit, Parts, Sliding, Values

_NAMED = 64
"""The least number of records that a count names, if it has that many."""


class EventCount(Watcher):
    """``event_count``."""

    state = Sliding

    def add(self, state: Sliding, part: int, value: Any, event: Event) -> Hit | None:
        """See ``Watcher``."""
        del part, value
        spec = self.spec
        most = max(int(spec.least) + 1, _NAMED)
        return state.take(event, 1, span=spec.timespan, least=spec.least, most=most)

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        return f"{hit.figure:.0f} records within {lasting(self.spec.timespan)}"


class ValueCount(Watcher):
    """``value_count``."""

    state = Values
    reads = True

    def add(self, state: Values, part: int, value: Any, event: Event) -> Hit | None:
        """See ``Watcher``."""
        del part
        found, spec = None, self.spec
        for one in value[:KEPT] if isinstance(value, list) else (value,):
            text = short(one)
            if text is not None:
                hit = state.take(event, text, span=spec.timespan, least=int(spec.least))
                found = hit if hit is not None and (found is None or hit.fresh) else found
        return found

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        spec = self.spec
        return f"{hit.figure:.0f} different {spec.field} within {lasting(spec.timespan)}"


class ValueSum(Watcher):
    """``value_sum``."""

    state = Sliding
    reads = True

    def read(self, value: Any) -> float | None:
        """See ``Watcher``."""
        return amount(value)

    def add(self, state: Sliding, part: int, value: float, event: Event) -> Hit | None:
        """See ``Watcher``."""
        del part
        spec = self.spec
        return state.take(event, value, span=spec.timespan, least=spec.least, most=KEPT)

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        spec = self.spec
        return f"{spec.field} adds up to {hit.figure:.15g} within {lasting(spec.timespan)}"


class Temporal(Watcher):
    """``temporal`` and ``temporal_ordered``."""

    state = Parts

    def add(self, state: Parts, part: int, value: Any, event: Event) -> Hit | None:
        """See ``Watcher``."""
        del value
        spec = self.spec
        return state.take(
            event,
            part,
            span=spec.timespan,
            parts=len(spec.rules),
            ordered=spec.type == "temporal_ordered",
        )

    def said(self, hit: Hit) -> str:
        """See ``Watcher``."""
        del hit
        word = " then " if self.spec.type == "temporal_ordered" else " and "
        return f"{word.join(self.spec.rules)} within {lasting(self.spec.timespan)}"
