"""Declares in the chain that nothing was signed: ``audit.checkpoint_refused``, once per refusal.

A signer refuses when the log is not what was signed before, or when what holds the key signs with
another one. That may be an attack, so it is declared in the log, and not only in the health of one
process. A signer tries again every half a minute, and one that ``cron`` starts has no memory of
earlier tries: so the end of the log is read first, in case it already declares the same refusal.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from audit_emit._format.record import parsed
from audit_emit._readers.files.plain_lines import backward
from audit_emit._readers.files.regular import open_regular
from audit_emit._stores.jsonl.directory import Layout
from audit_emit.errors import CheckpointError, SignerError, SinkError

RECORD = "audit.checkpoint_refused"

REASONS = frozenset(
    {
        "another-chain",
        "bad-signature",
        "changed",
        "hash-mismatch",
        "missing-segment",
        "not-extended",
        "sequence",
        "state",
        "state-missing",
        "tampered",
        "truncated",
    }
)
"""The reasons that are declared. A busy signer and a time-out are no refusals."""

_MOST = 1 << 20
"""Bytes at the end of a log that are searched. A refusal further back is declared again."""

_OURS = b'"event_type":"audit.checkpoint'

Lines = Callable[[], Iterator[bytes]]


class Refusals:
    """Declares the refusals of one signer.

    Args:
        record: appends a record about the log to its chain.
        newest_first: the lines of the log, the last one first.
    """

    def __init__(self, record: Callable[[str, dict[str, Any]], None], newest_first: Lines) -> None:
        self._record = record
        self._newest_first = newest_first
        self._told = ""

    def tell(self, error: CheckpointError | SignerError, origin: str) -> None:
        """Say in the chain why nothing was signed, if it does not say so already.

        A log that cannot be written to cannot say so; the error itself is raised by the caller.
        """
        if error.reason not in REASONS or error.reason == self._told:
            return
        with suppress(SinkError, OSError):
            if not self._is_said(error.reason, origin):
                self._record(RECORD, {"reason": error.reason, "origin": origin})
            self._told = error.reason

    @contextmanager
    def told(self, origin: str) -> Iterator[None]:
        """Declare a refusal raised in the block; without one, the next is declared anew."""
        try:
            yield
        except (CheckpointError, SignerError) as error:
            self.tell(error, origin)
            raise
        self._told = ""

    def _is_said(self, reason: str, origin: str) -> bool:
        """Whether the last record about signatures, near the end of the log, is this refusal."""
        left = _MOST
        for line in self._newest_first():
            left -= len(line) + 1
            if _OURS in line:
                found = parsed(line)
                fields = found.get("fields") if found is not None else None
                if found is not None and found.get("event_type") == RECORD:
                    return fields == {"reason": reason, "origin": origin}
                if found is not None and found.get("event_type") == "audit.checkpoint":
                    return False
            if left <= 0:
                break
        return False


def newest_first(layout: Layout) -> Iterator[bytes]:
    """The lines of the active segment, the last one first.

    Raises:
        OSError: it cannot be read.
    """
    descriptor = open_regular(layout.active)
    try:
        yield from backward(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)
