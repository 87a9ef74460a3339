"""An export to a file that goes on where it ended, however it ended."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from audit_emit._export.exporter import Piece
from audit_emit._export.state import State
from audit_emit._format.record import Head
from audit_emit.errors import ExportError

SYNC_BYTES = 32 << 20
SYNC_SECONDS = 1.0
"""So much is written, or so much time passes, before it is synced and the state replaced."""


class ResumableFile:
    """The output of an export and its state, to be closed.

    Args:
        path: of the output; made with mode 0600 where it is not there.
        form: see ``State``.
        head: what comes before the first event.

    Attributes:
        after: the record behind which to go on.

    Raises:
        ExportError: what is there cannot be resumed with this format, these options and filters; is
            shorter than its state says; or is written to by another process.
        OSError: it cannot be opened or written.
    """

    def __init__(self, path: Path, form: str, head: bytes) -> None:
        self._path = path
        self._form = form
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = open(os.open(path, flags, 0o600), "r+b", buffering=0)  # noqa: SIM115
        try:
            self._begin(head)
        except BaseException:
            self._file.close()
            raise

    def _begin(self, head: bytes) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExportError(f"another process exports to {self._path.name}") from None
        state = State.beside(self._path)
        self.after: Head | None = None
        self._length = 0
        if state is not None:
            if state.form != self._form:
                raise ExportError(
                    f"{self._path.name} was begun with other options ({state.form}); resume with "
                    "the same ones, or export to another file"
                )
            size = os.fstat(self._file.fileno()).st_size
            if size < state.length:
                raise ExportError(
                    f"{self._path.name} has {size} bytes, and its state says {state.length}: it "
                    "was cut; move both away, and export anew"
                )
            self.after, self._length = state.head, state.length
        self._file.truncate(self._length)
        self._file.seek(self._length)
        self._synced, self._at = self._length, time.monotonic()
        if state is None:
            self._write(head)
            self._keep(None)

    def add(self, piece: Piece) -> None:
        """Write a piece; from time to time it is made durable.

        Raises:
            ExportError: somebody has replaced or cut the file.
            OSError: it cannot be written. What was kept before stays good.
        """
        self._refuse_another()
        self._write(piece.data)
        self.after = piece.head
        if self._length - self._synced > SYNC_BYTES or time.monotonic() - self._at > SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Make durable what was written, and say so in the state.

        Raises:
            ExportError: somebody has replaced or cut the file.
            OSError: it cannot be.
        """
        self._keep(self.after)

    def close(self) -> None:
        """Give the file back; what was not synced is exported again."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._length += len(data)

    def _refuse_another(self) -> None:
        """A state must not speak of a file that somebody has put in place of this one, or cut."""
        here = os.fstat(self._file.fileno())
        try:
            same = os.path.samestat(here, os.lstat(self._path))
        except FileNotFoundError:
            same = False
        if not same or here.st_size != self._length:
            raise ExportError(f"{self._path.name} was replaced or cut while it was written")

    def _keep(self, head: Head | None) -> None:
        os.fsync(self._file.fileno())
        self._refuse_another()
        State(self._form, head, self._length).keep(self._path)
        self._synced, self._at = self._length, time.monotonic()
