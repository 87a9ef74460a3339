"""What works beside an emitter in its process, and has a state that ``health`` shows."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from audit_emit._core.emitter import Emitter


class Beside(Protocol):
    """See ``report``."""

    def report(self) -> dict[str, Any]:
        """``state`` (``ok``, ``off``, ``failing`` or another word), and more."""
        ...


_archivers: weakref.WeakKeyDictionary[Emitter, Beside] = weakref.WeakKeyDictionary()


def archives(emitter: Emitter, archiver: Beside) -> None:
    """Have the health of an emitter show an archiver, in place of the one before."""
    _archivers[emitter] = archiver


def beside(emitter: Emitter) -> Beside | None:
    """The archiver that the health of an emitter shows."""
    return _archivers.get(emitter)


def archiver_of(emitter: Emitter) -> dict[str, Any]:
    """The report of the archiver of an emitter."""
    found = beside(emitter)
    return found.report() if found is not None else {"state": "off"}
