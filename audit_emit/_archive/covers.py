"""The checkpoints of a log in their order: which one covers a record."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from audit_emit._format.checkpoint import Checkpoint, check
from audit_emit._format.key_change import Succession
from audit_emit._readers.base import CheckpointLine
from audit_emit.errors import ArchiveError

_NEWEST = 1000
"""How many checkpoints at the end are tried, until one has a good signature."""


class Covered(NamedTuple):
    """The first good checkpoint that covers a record, and the lines since the one before."""

    lines: list[bytes]
    by: Checkpoint


class Covers:
    """Reads the checkpoints once, from the first one on.

    Args:
        lines: all of them.
        keys: the trusted keys.
        after: the line of the checkpoint that covered the part before; empty for none. It and the
            lines before it are skipped, but it may cover the next part as well.
    """

    def __init__(self, lines: Iterable[CheckpointLine], keys: Succession, after: str) -> None:
        self._keys = keys
        self._rest = _after(lines, after.encode())
        before = _parsed(after.encode())
        self._last: Covered | None = Covered([], before) if before is not None else None

    def up_to(self, last: int) -> Covered | None:
        """What covers a record that is later than those that were asked for before.

        Returns:
            ``None`` if nothing does yet.

        Raises:
            ArchiveError: see ``_after``.
        """
        if self._last is not None and self._last.by.head_seq >= last:
            return Covered([], self._last.by)
        kept: list[bytes] = []
        for line in self._rest:
            kept.append(line)
            found = _parsed(line)
            if found is not None and found.head_seq >= last and self._is_good(found):
                self._last = Covered(kept, found)
                return self._last
        return None

    def _is_good(self, found: Checkpoint) -> bool:
        return check(found, self._keys.ring) == "ok"


def newest_signed(lines: Iterable[CheckpointLine], keys: Succession) -> int:
    """The record up to which the newest good checkpoint covers the log; 0 for none.

    A signature takes a tenth of a millisecond to check, so it is only looked for at the end.
    """
    for line in reversed(deque((one.line for one in lines if one.lines == 1), maxlen=_NEWEST)):
        found = _parsed(line)
        if found is not None and check(found, keys.ring) == "ok":
            return found.head_seq
    return 0


def _after(lines: Iterable[CheckpointLine], mark: bytes) -> Iterator[bytes]:
    """The lines after one of them.

    Raises:
        ArchiveError: that one is not there any more.
    """
    passed = not mark
    for one in lines:
        if passed:
            yield one.line
        else:
            passed = one.line == mark
    if not passed:
        raise ArchiveError(
            "checkpoints", "the checkpoint that covers what is archived is gone from the log"
        )


def _parsed(line: bytes) -> Checkpoint | None:
    try:
        return Checkpoint.from_line(line)
    except ValueError:
        return None
