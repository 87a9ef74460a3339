"""Which reader a log needs: the one place that looks at what names it."""

from __future__ import annotations

from collections.abc import Sequence

from audit_emit._readers.base import LogReader
from audit_emit._readers.files.opening import readers_of


def open_readers(where: Sequence[str]) -> list[LogReader]:
    """The logs that are named, each to be closed.

    Args:
        where: a path (a directory or an active segment stands for its whole log; single segments,
            packed or not, with their checkpoints or without, make up one log more), or ``-`` for
            standard input.

    Raises:
        FileNotFoundError: there is nothing.
        OSError: it cannot be read.
        UnsupportedError: it is packed in a way that cannot be read here.
    """
    return [*readers_of(where)]
