"""File descriptors that stay open as long as any thread may use them.

Suppose that one thread reads the number of a descriptor, another one closes it, the system gives
the number to a file of the application, and the first thread then writes to the number: our line is
in the application's file. So a descriptor is an object here. Whoever writes keeps a reference to
it, and it is closed when the last reference is gone.
"""

from __future__ import annotations

import os

from audit_emit._runtime.interrupts import let_through

__all__ = ["Identity", "Owned", "identity_of"]

Identity = tuple[int, int]
"""Device and inode of a file."""


def identity_of(number: int) -> Identity | None:
    """The identity of the file that a descriptor refers to; ``None`` when it is closed."""
    try:
        found = os.fstat(number)
    except OSError as error:
        let_through(error)
        return None
    return found.st_dev, found.st_ino


class Owned(int):
    """An open descriptor that is closed when the last reference to this object is gone.

    It is not closed if its number refers to another file by then: the application may have closed
    all descriptors, and the number is in use for something else.
    """

    _identity: Identity | None

    @classmethod
    def of(cls, number: int, identity: Identity | None = None) -> Owned:
        """Take ownership of a descriptor.

        Args:
            number: an open descriptor.
            identity: the identity of its file; looked up when not given.
        """
        owned = cls(number)
        owned._identity = identity_of(number) if identity is None else identity
        return owned

    def close(self) -> None:
        """Close it now, if it still refers to the same file. No other thread may be using it.

        Raises:
            OSError: the system could not store what was written before (NFS reports that here).
        """
        identity, self._identity = self._identity, None
        if identity is not None and identity_of(self) == identity:
            os.close(self)

    def withdraw(self) -> None:
        """Release the file now, while other threads may still use the number.

        The number is redirected to the null device, opened for reading only: writes to it fail with
        EBADF, and the system cannot give the number to another file until the last reference is
        gone.
        """
        if identity_of(self) != self._identity:
            self._identity = None
            return
        try:
            null = os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            let_through(error)
            return  # no descriptor is available; the file stays open as long as the number
        try:
            os.dup2(null, self, inheritable=False)
            self._identity = identity_of(null)
        finally:
            os.close(null)

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # noqa: BLE001, S110 - modules are empty while the interpreter shuts down
            pass
