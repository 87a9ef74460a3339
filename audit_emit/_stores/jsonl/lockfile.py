"""The lock between processes: ``flock`` on a file of its own, opened anew in every process.

An inherited descriptor would exclude nobody (parent and child share its lock), and POSIX locks are
dropped when any descriptor of the file is closed in the process; hence ``flock``, and a file that
nothing else ever opens.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from typing import Any

from audit_emit._format.tail import pread
from audit_emit._runtime.interrupts import let_through, quietly
from audit_emit._stores.jsonl.directory import is_there, open_file

try:
    import fcntl
except ImportError:  # not a POSIX platform: one writing process per log
    fcntl = None  # type: ignore[assignment]

SUPPORTED = fcntl is not None
LOCK = fcntl.LOCK_EX | fcntl.LOCK_NB if SUPPORTED else 0
UNLOCK = fcntl.LOCK_UN if SUPPORTED else 0


def _exclude_nobody(descriptor: int, _operation: int, /) -> None:
    """Stand in for ``flock`` where the platform has nothing to exclude with."""
    if descriptor < 0:
        raise ValueError("the lock file is not open")


flock: Callable[[int, int], None] = fcntl.flock if SUPPORTED else _exclude_nobody

SIZE = 512
"""Bytes of the lock file with the record after which the active file begins (``LastSegment``)."""

__all__ = ["LOCK", "SIZE", "SUPPORTED", "UNLOCK", "LockFile", "flock"]

_HAS_PWRITE = hasattr(os, "pwrite")
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})


class LockFile:
    """The descriptor of the lock file, and waiting for the lock within a bound.

    Args:
        path: of the lock file.
        twin: a second name (a hard link) for it. A process that finds the file deleted, while
            others have it open, makes it again from its twin: the same file, so the same lock.
    """

    def __init__(self, path: str, twin: str | None = None) -> None:
        self.path = path
        self._twin = twin
        self.links: int = 1
        """How many names the file has as long as nobody deletes one."""
        self.descriptor: int = -1
        self.supported: bool = SUPPORTED
        self.identity: tuple[int, int] | None = None

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # noqa: BLE001, S110 - modules are empty while the interpreter shuts down
            pass

    def open(self) -> None:
        """Open the lock file, making it if it is missing.

        Raises:
            OSError: it cannot be opened.
        """
        if self._twin is not None and not is_there(self.path):
            with quietly(OSError, AttributeError):
                os.link(self._twin, self.path)
        descriptor = open_file(self.path, append=False)
        try:
            found = os.fstat(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        try:
            self.descriptor = descriptor
        except OSError:
            if (
                self.__class__ is _Abandoned
            ):  # a signal handler has forked: this one is the parent's
                os.close(descriptor)
            raise
        self.identity = (found.st_dev, found.st_ino)
        self.links = 1
        if self._twin is not None:
            # Not every file system has hard links, nor every platform.
            with quietly(OSError, AttributeError):
                self._tie(self._twin)

    def _tie(self, twin: str) -> None:
        """Give the file its second name, which an earlier lock file may still have."""
        try:
            there = os.stat(twin, follow_symlinks=False)
            if (there.st_dev, there.st_ino) != self.identity:
                os.unlink(twin)
                os.link(self.path, twin)
        except FileNotFoundError as error:
            let_through(error)
            os.link(self.path, twin)
        self.links = min(os.fstat(self.descriptor).st_nlink, 2)

    def acquire(self, deadline: float) -> bool:
        """Take the lock, waiting until ``deadline`` (``time.monotonic()``).

        Returns:
            Whether it was taken. Where the file system has no locks it counts as taken, and
            ``supported`` says so.

        Raises:
            OSError: the lock file is gone or broken.
        """
        pause = 2e-4
        while True:
            try:
                flock(self.descriptor, LOCK)
            except BlockingIOError as error:
                let_through(error)
                if time.monotonic() >= deadline:
                    return False
            except ValueError as error:
                let_through(error)
                # A fork in here: the descriptor was the parent's, and is closed.
                raise OSError(errno.EBADF, "closed while it was waited for") from None
            except OSError as error:
                let_through(error)
                if error.errno not in _NO_LOCKS:
                    raise
                self.supported = False
                return True
            else:
                self.supported = SUPPORTED
                return True
            # Short pauses cost more than they gain: every look takes the processor from a holder.
            time.sleep(pause)
            pause = min(pause + 1e-4, 5e-4)

    def recall(self, place: int = 0, length: int = SIZE) -> bytes:
        """What ``remember`` wrote last, in any process; empty when nothing did."""
        try:
            return pread(self.descriptor, length, place)
        except (OSError, ValueError) as error:
            let_through(error)
            return b""

    def remember(self, content: bytes, place: int = 0) -> bool:
        """Keep some bytes in the lock file, unless the disk is full. Called with the lock held.

        Returns:
            Whether they are kept.
        """
        try:
            # Nothing is called between the look at the descriptor and the write: in a child that a
            # signal handler has forked, its number may be another file of the child's.
            if self.is_linked():
                if not _HAS_PWRITE:
                    os.lseek(self.descriptor, place, os.SEEK_SET)
                    return os.write(self.descriptor, content) == len(content)
                return os.pwrite(self.descriptor, content, place) == len(content)
        except (OSError, ValueError) as error:
            let_through(error)
        return False

    def allocate(self) -> bool:
        """Have the block of the file allocated, so that it can be written on a full disk, too.

        Returns:
            Whether that had to be done: the file is new.
        """
        new = self.length() < SIZE
        if new:
            self.remember(b" " * (SIZE - 1) + b"\n")
        return new

    def length(self) -> int:
        """Bytes in the file: more than ``SIZE`` when it holds undeclared losses."""
        try:
            return os.fstat(self.descriptor).st_size
        except (OSError, ValueError) as error:
            let_through(error)
            return 0

    def forgive(self) -> None:
        """Remove the note of losses, now that they are declared. Called with the lock held."""
        with quietly(OSError, ValueError):
            os.ftruncate(self.descriptor, SIZE)

    def is_linked(self) -> bool:
        """Whether the descriptor is ours and its file has its names, so that others take it."""
        try:
            found = os.fstat(self.descriptor)
        except (OSError, ValueError) as error:
            let_through(error)
            return False
        return found.st_nlink >= self.links and (found.st_dev, found.st_ino) == self.identity

    def is_current(self) -> bool:
        """Whether the descriptor is still ours and still the file that others would open."""
        try:
            mine, there = os.fstat(self.descriptor), os.stat(self.path, follow_symlinks=False)
        except (OSError, ValueError) as error:
            let_through(error)
            return False
        own = (mine.st_dev, mine.st_ino)
        return own == self.identity == (there.st_dev, there.st_ino)

    def close(self) -> None:
        """Close the descriptor, if it is still ours."""
        # All at once: a child that a signal handler forks below has to close it, too, or it would
        # hold the lock as long as it lives.
        identity, descriptor, self.descriptor = self.identity, self.descriptor, -1
        if descriptor < 0:
            return
        try:
            found = os.fstat(descriptor)
            ours = (found.st_dev, found.st_ino) == identity
        except OSError as error:
            let_through(error)
            # Not closed, it would hold the lock against ourselves.
            ours = error.errno != errno.EBADF
        if ours:
            with quietly(OSError):
                os.close(descriptor)

    def abandon(self) -> None:
        """Give an inherited descriptor back; a frame that is still in here does nothing more."""
        self.close()
        self.__class__ = _Abandoned


class _Abandoned(LockFile):
    """What a forked child has of its parent's lock file, should it go on where the parent was.

    With a descriptor that it inherited it would have the parent's own lock: take it while the
    parent is inside, and, worse, give it back.
    """

    def __getattribute__(self, name: str) -> Any:
        if name in {"close", "__class__"}:
            return super().__getattribute__(name)
        raise OSError(errno.EBADF, "forked while the lock file was opened, or waited for")

    def __setattr__(self, name: str, value: object) -> None:
        raise OSError(errno.EBADF, "forked while the lock file was opened, or waited for")

    def close(self) -> None:
        """There is nothing to close any more."""
