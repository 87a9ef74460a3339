"""Parts that work in the process of an emitter, and whose state its ``health`` shows."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from audit_emit._core.emitter import Emitter


class HealthSource(Protocol):
    """A part with a state of its own, such as an archiver."""

    def report(self) -> dict[str, Any]:
        """``state`` (``ok``, ``off``, ``failing`` or another word), and more."""
        ...


_archivers: weakref.WeakKeyDictionary[Emitter, HealthSource] = weakref.WeakKeyDictionary()


def show_archiver(emitter: Emitter, archiver: HealthSource) -> None:
    """Show an archiver in the health of an emitter, in place of the one before."""
    _archivers[emitter] = archiver


def shown_archiver(emitter: Emitter) -> HealthSource | None:
    """The archiver that the health of an emitter shows."""
    return _archivers.get(emitter)


def archiver_of(emitter: Emitter) -> dict[str, Any]:
    """The report of the archiver of an emitter; its state is ``off`` where there is none."""
    found = shown_archiver(emitter)
    return found.report() if found is not None else {"state": "off"}
