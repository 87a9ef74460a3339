"""An export to a file that goes on where it ended, however it ended.

The file may be moved away at any time (logrotate, with ``nocreate``): what follows goes to a new
one of its name. A file that is cut, or another one in its place, is an error, as a state that
speaks of bytes that are not there would skip records.
"""

from __future__ import annotations

import fcntl
import os
import time
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from audit_emit._export.exporter import Piece
from audit_emit._export.state import State
from audit_emit._format.record import Head
from audit_emit._runtime.files import naming, write_all
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
        self._head = head
        if not os.path.lexists(path) and (state := self._state()) is not None:
            # It was moved away while nobody wrote. Said before there is a new one, so that a crash
            # in between changes nothing.
            state._replace(length=0).keep(path)
        self._file = self._opened()
        try:
            self._begin()
        except BaseException:
            self._file.close()
            raise

    def _opened(self) -> FileIO:
        """The file of this name, locked; made where there is none."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        file = open(os.open(self._path, flags, 0o600), "r+b", buffering=0)  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise ExportError(f"another process exports to {self._path.name}") from None
        return file

    def _state(self) -> State | None:
        state = State.beside(self._path)
        if state is not None and state.form != self._form:
            raise ExportError(
                f"{self._path.name} was begun with other options ({state.form}); resume with "
                "the same ones, or export to another file"
            )
        return state

    def _begin(self) -> None:
        state = self._state()
        self.after: Head | None = None
        self._length = 0
        if state is not None:
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
        if not self._length:
            if state is None:  # a crash before the end of the next two lines leaves it resumable
                State(self._form, None, 0).keep(self._path)
            self._write(self._head)
            self._keep(self.after)

    def add(self, piece: Piece) -> None:
        """Write a piece; from time to time it is made durable.

        Raises:
            ExportError: somebody has replaced or cut the file.
            OSError: it cannot be written. What was kept before stays good.
        """
        self._look()
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
        with naming(os.fspath(self._path)):
            write_all(self._file.fileno(), data)
        self._length += len(data)

    def _look(self) -> None:
        """A state must not speak of a file that somebody has put in place of this one, or cut."""
        here = os.fstat(self._file.fileno())
        try:
            there = os.lstat(self._path)
        except FileNotFoundError:
            there = None
        same = there is not None and os.path.samestat(here, there)
        moved = there is None and here.st_nlink > 0
        if not (same or moved) or here.st_size != self._length:
            raise ExportError(
                f"{self._path.name} was replaced, removed or cut while it was written"
            )
        if moved:
            self._begin_another()

    def _begin_another(self) -> None:
        """The file was moved away: it is synced as it is, and the next one begins behind it."""
        os.fsync(self._file.fileno())
        State(self._form, self.after, 0).keep(self._path)
        before, self._file = self._file, self._opened()
        before.close()
        if os.fstat(self._file.fileno()).st_size:
            raise ExportError(f"{self._path.name} was replaced while it was written")
        self._length = self._synced = 0
        self._write(self._head)
        os.fsync(self._file.fileno())

    def _keep(self, head: Head | None) -> None:
        os.fsync(self._file.fileno())
        self._look()
        State(self._form, head, self._length).keep(self._path)
        self._synced, self._at = self._length, time.monotonic()
