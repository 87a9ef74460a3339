"""A file that several processes change in place under ``flock``, and that may be replaced."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from audit_emit.errors import KeyStoreError

try:
    import fcntl
except ImportError:  # not a POSIX platform: one process per file
    fcntl = None  # type: ignore[assignment]

__all__ = ["LockedFile", "apart", "unusable"]

LOCK_SECONDS = 10.0
"""How long one call waits for the lock; ``emit`` waits for the whole call no longer than it may."""

_MODE = 0o600
_BLOCK = 1 << 20
_FLAGS = (
    os.O_RDWR
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)


@contextmanager
def unusable(path: str) -> Iterator[None]:
    """What the system says of a file, as an error of a store of keys.

    Raises:
        KeyStoreError: the file cannot be used.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, KeyStoreError):
            raise
        name = errno.errorcode.get(error.errno or 0, type(error).__name__)
        raise KeyStoreError(name, f"{path}: {error.strerror or error}") from error


class LockedFile:
    """The descriptor, the lock of the threads, and that of the processes.

    Args:
        path: absolute.

    Attributes:
        opened: how often it was opened; contents read before the last time are not valid now.
    """

    def __init__(self, path: str) -> None:
        self.path: str = path
        self.descriptor: int = -1
        self.opened: int = 0
        self._mutex = threading.Lock()
        self._holder: threading.Lock | None = None
        """The lock of the threads while both are held. In a child that a signal handler has forked
        in here it is the parent's: the child continues at the same place, and holds nothing."""
        self._identity: tuple[int, int] | None = None

    @contextmanager
    def held(self, *, make: bool = False, timeout: float = LOCK_SECONDS) -> Iterator[bool]:
        """Hold both locks; gives whether there is a file.

        Args:
            make: the file, with mode 0600, where it is missing.
            timeout: seconds to wait for both locks together.

        Raises:
            KeyStoreError: another one holds it for too long; or the file cannot be used.
        """
        latest = time.monotonic() + timeout
        mutex = self._mutex
        if not mutex.acquire(timeout=timeout):
            raise KeyStoreError("busy", f"another thread uses {self.path}")
        try:
            with unusable(self.path):
                there = self._opened(make=make)
                if there:
                    self._lock(latest)
                self._holder = mutex
                try:
                    yield there
                finally:
                    self._holder = None
                    if there and self.descriptor >= 0 and fcntl is not None:
                        fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        finally:
            mutex.release()

    def is_in_place(self) -> bool:
        """Whether the path is the file that is open: a restored backup is another one."""
        try:
            found = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def _opened(self, *, make: bool) -> bool:
        """Open the file, and open it anew where the path is another one by now."""
        if self.descriptor >= 0 and self.is_in_place():
            return True
        if self._identity is not None and not os.path.lexists(self.path):
            # Made anew, it would give out other keys, and lose them once the file is put back.
            raise KeyStoreError("missing", f"{self.path} was there and is gone: put it back")
        self.forget()
        if make and not os.path.lexists(os.path.dirname(self.path)):
            os.makedirs(os.path.dirname(self.path), mode=0o750, exist_ok=True)
        mutex = self._mutex
        try:
            opened = os.open(self.path, _FLAGS | (os.O_CREAT if make else 0), _MODE)
        except FileNotFoundError:
            if make:
                raise
            return False
        if self._mutex is not mutex:  # forked meanwhile: with this one goes the parent's lock
            os.close(opened)
            raise OSError(errno.EBADF, "forked while it was opened")
        self.descriptor = opened
        found = os.fstat(self.descriptor)
        if not stat.S_ISREG(found.st_mode):
            self.forget()
            raise KeyStoreError("not-regular", f"{self.path} is not a regular file")
        self._identity = (found.st_dev, found.st_ino)
        self.opened += 1
        return True

    def _lock(self, latest: float) -> None:
        pause = 1e-4
        while fcntl is not None:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= latest:
                    raise KeyStoreError("busy", f"another process uses {self.path}") from None
                time.sleep(pause)
                pause = min(pause * 2, 0.01)
                continue
            # Who waited may hold the lock of a file that was replaced meanwhile.
            if self.is_in_place():
                return
            self._opened(make=True)

    @property
    def size(self) -> int:
        """Its bytes."""
        return os.fstat(self.descriptor).st_size

    def read(self, at: int, size: int) -> bytes:
        """Some bytes; fewer at the end of the file."""
        return os.pread(self.descriptor, size, at)

    def put(self, at: int, data: bytes) -> None:
        """Overwrite or append bytes, not yet synced.

        Raises:
            OSError: they are not there, or not all of them.
        """
        self._check_holder()
        if os.pwrite(self.descriptor, data, at) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def cut(self, size: int) -> None:
        """Let it end there."""
        self._check_holder()
        os.ftruncate(self.descriptor, size)

    def _check_holder(self) -> None:
        if self._holder is not self._mutex:
            raise OSError(errno.EBADF, "forked while it was held")

    def sync(self, *, name: bool = False) -> None:
        """Have the disk keep what was written; with ``name``, also that there is such a file."""
        os.fsync(self.descriptor)
        if name:
            directory = os.open(os.path.dirname(self.path), os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def has(self, data: bytes) -> bool:
        """Whether this is anywhere in the file, read anew through a descriptor of its own."""
        with open(self.path, "rb", buffering=0) as file:
            kept = b""
            while block := file.read(_BLOCK):
                if data in kept + block:
                    return True
                kept = block[-len(data) :]
        return False

    def forget(self) -> None:
        """Close the descriptor."""
        descriptor, self.descriptor, self._identity = self.descriptor, -1, None
        if descriptor >= 0:
            os.close(descriptor)

    def after_fork(self) -> None:
        """Begin anew in a forked child: an inherited descriptor has the lock of the parent's."""
        self._mutex = threading.Lock()
        with suppress(OSError):
            self.forget()

    def close(self) -> None:
        """Give the descriptor back."""
        with self._mutex:
            self.forget()


@contextmanager
def apart(path: str) -> Iterator[None]:
    """Keep two apart that hold the lock of a file which has nothing in it.

    Raises:
        KeyStoreError: another one holds it for too long.
    """
    lock, failed = LockedFile(path), None
    try:
        with lock.held(make=True):
            try:
                yield
            except BaseException as error:  # noqa: BLE001 - none of the lock's
                failed = error
    finally:
        lock.close()
    if failed is not None:
        raise failed
