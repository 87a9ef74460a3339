"""What a walk has to say of its own work: what was cut, and what was held back by which rule."""

from __future__ import annotations

from collections.abc import Sequence

from audit_emit._fields.frame import Frame
from audit_emit._format import encode

__all__ = ["MAX_CUTS", "Notes"]

MAX_CUTS = 32
CUT_ROOM = 5 * 1024
MAX_PATH = 120
MAX_REPORT = 32


class Notes:
    """The places that a walk is at, and what it notes of them.

    Attributes:
        cuts: what was cut, as text, at most ``MAX_CUTS``; ``cut`` counts all.
        redacted: how many values were held back, whole or in part.
        report: which rule held back something where, as ``path: rule``; ``None`` when not asked.
    """

    def __init__(self, *, report: bool) -> None:
        self._stack: list[Frame] = []
        self._cut_room = CUT_ROOM
        self.cuts: list[str] = []
        self.cut = 0
        self.redacted = 0
        self.report: list[str] | None = [] if report else None

    def _note(self, what: str) -> None:
        self.cut += 1
        if len(self.cuts) < MAX_CUTS and self._cut_room > 0:
            path = self._path()
            entry = f"{path}: {what}" if path else what
            self._cut_room -= len(encode.text(entry).encode()) + 1
            self.cuts.append(entry)

    def _count_redacted(self, *rules: str) -> None:
        """One more value was held back; ``rules`` say why."""
        self.redacted += 1
        if self.report is not None and len(self.report) < MAX_REPORT:
            path = self._path()
            self.report += [f"{path}: {rule}" for rule in rules]

    def _merge(self, inner: Notes) -> None:
        """What was held back in a text that is JSON itself."""
        self.redacted += inner.redacted
        if self.report is not None and inner.report and len(self.report) < MAX_REPORT:
            path = self._path()
            if self._is_personal(self._stack):
                rules = dict.fromkeys(entry.rpartition(": ")[2] for entry in inner.report)
                self.report += [f"{path}: {rule}" for rule in rules]
            else:
                self.report += [f"{path}.{entry}" for entry in inner.report]

    def _is_personal(self, stack: Sequence[Frame]) -> bool:
        """Whether the walk is in a value of a person: what it has there, no note may tell."""
        return any(frame.index in frame.subjects for frame in stack)

    def _path(self) -> str:
        parts = []
        for frame in self._stack:
            parts.append(f".{frame.label}" if frame.kind == "dict" else f"[{frame.index}]")
            if frame.index in frame.subjects:
                break  # the names below are sealed with the value
        path = "".join(parts).lstrip(".")
        return path if len(path) <= MAX_PATH else path[: MAX_PATH - 1] + "\u2026"
