"""The results of exports: how many records they had, and which parts of the log were left out.

The body of an export holds events and nothing else, so it cannot say what is missing. That is kept
here for the user who asked, and recorded in the console's own events.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import msgspec

KEPT = 20
"""How many exports of one user are remembered."""

_SHOWN = 20
"""How many names of missing parts are kept for one export."""


class Export(msgspec.Struct):
    """One export.

    Attributes:
        id: of it, in this console.
        state: ``running``; ``complete``: everything that matches was sent; ``ended``: the client
            closed the connection before that; ``failed``: the log could not be read to its end.
        records: how many were sent.
        foreign: lines of the log that are no records, and were left out.
        missing: the first names of parts of the log that are not there.
    """

    id: int
    format: str
    query: str
    began: str
    state: str = "running"
    records: int = 0
    foreign: int = 0
    missing: list[str] = []

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the log was left out."""
        return self.state == "complete" and not self.foreign and not self.missing

    def add(self, records: int, foreign: int, missing: str) -> None:
        """Count the records, the foreign lines and the missing part of one piece."""
        self.records += records
        self.foreign += foreign
        if missing and missing not in self.missing and len(self.missing) < _SHOWN:
            self.missing = [*self.missing, missing]

    def told(self, *, whole: bool) -> dict[str, Any]:
        """The result for the user, with ``whole``: whether nothing of the log was left out.

        Args:
            whole: the user sees the whole log; else ``foreign`` and ``missing``, which are about
                all of it, are ``None``.
        """
        hidden = {} if whole else {"foreign": None, "missing": None}
        return {**msgspec.to_builtins(self), **hidden, "whole": self.is_whole}

    def outcome(self) -> dict[str, Any]:
        """The result as fields of an event."""
        return {
            "export": self.id,
            "state": self.state,
            "records": self.records,
            "foreign": self.foreign or None,
            "missing": ", ".join(self.missing),
        }


class Exports:
    """The newest exports of each user of one console."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = count(1)
        self._by_name: dict[str, deque[Export]] = {}

    def begin(self, name: str, form: str, query: str, began: str) -> Export:
        """A new one.

        Args:
            name: who asked.
            form: the format.
            query: what was asked for.
            began: when.
        """
        with self._lock:
            made = Export(next(self._ids), form, query, began)
            self._by_name.setdefault(name, deque(maxlen=KEPT)).append(made)
        return made

    def of(self, name: str) -> list[Export]:
        """Those of a user, newest first."""
        with self._lock:
            return list(self._by_name.get(name, ()))[::-1]


@contextmanager
def noted(export: Export) -> Iterator[None]:
    """Set ``state`` when the export ends, whatever ends it."""
    try:
        yield
    except GeneratorExit:
        export.state = "ended"
        raise
    except BaseException:
        export.state = "failed"
        raise
    export.state = "complete"
