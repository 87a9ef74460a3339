"""The files of one log directory: their names, and how they are opened (wire format, section 4)."""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import NamedTuple

from audit_emit._format import tail
from audit_emit._format.record import Head
from audit_emit._runtime.interrupts import let_through

FILE_MODE = 0o640
DIRECTORY_MODE = 0o750
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_UNREADABLE = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOENT, errno.ENXIO})
_FLAGS = os.O_RDWR | os.O_CREAT | _CLOEXEC | _NOFOLLOW | _NONBLOCK


class Layout(NamedTuple):
    """The paths that belong to one active segment."""

    directory: str
    active: str
    lock: str
    stem: str
    ending: str

    @classmethod
    def of(cls, path: str) -> Layout:
        """The layout around the active segment at ``path``."""
        directory, name = os.path.split(path)
        stem, ending = os.path.splitext(name)
        return cls(directory or os.curdir, path, path + ".lock", stem, ending)

    @property
    def lock_twin(self) -> str:
        """A second name of the lock file, see ``LockFile``."""
        return os.path.join(self.directory, "." + os.path.basename(self.lock))

    def closed(self, first_seq: int) -> str:
        """The path of a closed segment by its first ``seq``."""
        return os.path.join(self.directory, f"{self.stem}-{first_seq:020d}{self.ending}")

    def unused(self, first_seq: int) -> str:
        """The path to close a segment under: by its first ``seq``, or by the next that is free."""
        while is_there(path := self.closed(first_seq)):
            first_seq += 1
        return path

    def closed_segments(self) -> list[str]:
        """Paths of the closed segments, oldest first; empty when there is no directory.

        Raises:
            OSError: the directory cannot be read now. That is not the same as no segment.
        """
        named = re.compile(rf"{re.escape(self.stem)}-[0-9]{{20}}{re.escape(self.ending)}")
        try:
            names = os.listdir(self.directory)
        except (FileNotFoundError, NotADirectoryError) as error:
            let_through(error)
            return []
        return [os.path.join(self.directory, n) for n in sorted(names) if named.fullmatch(n)]


def open_file(path: str, *, append: bool, exclusive: bool = False) -> int:
    """A descriptor of the regular file at ``path``, made with mode 0640 if it is missing.

    Raises:
        OSError: it cannot be opened, is a symbolic link (``ELOOP``), or is not a regular file.
    """
    flags = _FLAGS | (os.O_APPEND if append else 0) | (os.O_EXCL if exclusive else 0)
    descriptor = os.open(path, flags, FILE_MODE)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"not a regular file: {path}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_closed(path: str) -> Head | None:
    """The last record of a closed segment; ``None`` when there is none or nobody may read it.

    What only has the name of one, a FIFO say, holds none, and is not waited for.

    Raises:
        OSError: it cannot be read now.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _CLOEXEC | _NOFOLLOW | _NONBLOCK)
    except OSError as error:
        let_through(error)
        if error.errno in _UNREADABLE:
            return None
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return None
        return tail.read_end(descriptor, found.st_size, far=False).head
    finally:
        os.close(descriptor)


def is_there(path: str, *, follow: bool = False) -> bool:
    """Whether there is something; ``os.path.lexists`` and ``exists`` would keep an interrupt."""
    try:
        os.stat(path, follow_symlinks=follow)
    except (OSError, ValueError) as error:
        let_through(error)
        return False
    return True


def is_directory(path: str) -> bool:
    """Whether there is a directory, as ``os.path.isdir``."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (OSError, ValueError) as error:
        let_through(error)
        return False


def make_directory(path: str) -> None:
    """Make ``path`` and what is missing above it, each with mode 0750."""
    missing = []
    while not is_directory(path):
        missing.append(path)
        parent = os.path.dirname(path)
        if parent == path:
            break
        path = parent
    for directory in reversed(missing):
        try:
            os.mkdir(directory, DIRECTORY_MODE)
        except FileExistsError as error:
            let_through(error)
            continue


def name_of(descriptor: int) -> str | None:
    """The name that an open file has now, where the platform tells (Linux)."""
    try:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
    except OSError as error:
        let_through(error)
        return None
    return None if name.endswith(" (deleted)") else name
