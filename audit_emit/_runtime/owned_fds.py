"""Descriptors of our own, whose numbers nobody else gets while one of our threads uses them.

A number that is read, closed by another thread, given to somebody else's file by the system and
then written to puts our line into that file. So whoever writes holds the number as an object, and
it is free again when nobody holds that.
"""

from __future__ import annotations

import os

from audit_emit._runtime.interrupts import let_through

__all__ = ["Identity", "Owned", "identity_of"]

Identity = tuple[int, int]
"""The device and inode of a file."""


def identity_of(number: int) -> Identity | None:
    """What a descriptor is open on; ``None`` when it is closed."""
    try:
        found = os.fstat(number)
    except OSError as error:
        let_through(error)
        return None
    return found.st_dev, found.st_ino


class Owned(int):
    """An open descriptor, closed when the last reference to this object goes.

    It is left alone when it is something else by then: the application closed every descriptor,
    and the number is somebody else's.
    """

    _identity: Identity | None

    @classmethod
    def of(cls, number: int, identity: Identity | None = None) -> Owned:
        """Take a descriptor over.

        Args:
            number: open.
            identity: what it was opened on; when it is not given, what it is open on now.
        """
        owned = cls(number)
        owned._identity = identity_of(number) if identity is None else identity
        return owned

    def close(self) -> None:
        """Close it now, if it is still what it was; nobody else may be using the number.

        Raises:
            OSError: the system could not write what was written to it (NFS tells that here).
        """
        identity, self._identity = self._identity, None
        if identity is not None and identity_of(self) == identity:
            os.close(self)

    def withdraw(self) -> None:
        """Let go of the file now; what still is to be written to the number fails with EBADF.

        The number stays taken until nobody holds it: by the null device, open for reading only.
        """
        if identity_of(self) != self._identity:
            self._identity = None
            return
        try:
            null = os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            let_through(error)
            return  # no descriptor to be had: the file is closed with the number
        try:
            os.dup2(null, self, inheritable=False)
            self._identity = identity_of(null)
        finally:
            os.close(null)

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # noqa: BLE001, S110 - at the very end the modules are empty
            pass
