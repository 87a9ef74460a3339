"""Parts of packed files, which can only be read from their beginning."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

from audit_emit._readers.files.logfiles import BLOCK, LogFile
from audit_emit._readers.files.packing import broken, refuse_wide, unpacked
from audit_emit.errors import ArchiveError


class Unpacked:
    """One packed file; reading an earlier part starts again at its beginning."""

    def __init__(self) -> None:
        self._file: LogFile | None = None
        self._stack = ExitStack()
        self._stream: IO[bytes]
        self._position = 0

    def read(self, file: LogFile, offset: int, size: int) -> bytes:
        """Bytes of the file as it is when not packed.

        Raises:
            OSError: it cannot be read, or it is damaged.
        """
        with damage_raises(file):
            if self._file is not file or offset < self._position:
                self.close()
                self._stream = self._stack.enter_context(_opened(file))
                self._file, self._position = file, 0
            while self._position < offset:
                skipped = len(self._stream.read(min(offset - self._position, BLOCK)))
                if not skipped:
                    return b""
                self._position += skipped
            data = b""
            while len(data) < size and (more := self._stream.read(size - len(data))):
                data += more
            self._position += len(data)
            return data

    def close(self) -> None:
        """Let go of the file."""
        self._stack.close()
        self._file = None


@contextmanager
def _opened(file: LogFile) -> Iterator[IO[bytes]]:
    with file.opened() as descriptor, unpacked(file, descriptor) as stream:
        yield stream


@contextmanager
def damage_raises(file: LogFile) -> Iterator[None]:
    """Turn damage into an error, where an answer would be wrong without the unreadable part.

    Raises:
        OSError: the file is damaged or cut off.
        UnsupportedError: it takes more memory than a reader may take.
    """
    try:
        yield
    except broken() as error:
        refuse_wide(error, file.name)
        raise OSError(errno.EIO, "is packed, and damaged or cut off", file.path) from error
    except ArchiveError as error:
        raise OSError(errno.EIO, str(error), file.path) from error
