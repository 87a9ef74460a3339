"""Which records about themselves a process and its forked children have written already.

Without this, a process that forks for every task would write ``audit.started`` for each of them.
The digests of the records are in memory that forked children share with their parent, so that a
child finds those of its parent and its siblings without reading a file.
"""

from __future__ import annotations

import mmap

from audit_emit._runtime.interrupts import let_through

__all__ = ["SharedDigests"]

_SIZE = 16
_ROOM = 4096 // _SIZE
_FREE = bytes(_SIZE)


class SharedDigests:
    """A set of digests of ``_SIZE`` bytes; what no longer fits into the shared memory is forgotten.

    Two processes that add at the same moment may overwrite each other's digest; the record is then
    written twice.
    """

    def __init__(self) -> None:
        self._own: set[bytes] = set()
        self._shared: mmap.mmap | None = None
        self._is_child = False

    def inherit(self) -> None:
        """Take over, in a forked child, what its parent and its siblings have written."""
        self._is_child = True

    def __contains__(self, digest: bytes) -> bool:
        """Whether the parent or a sibling of this forked child, or the child itself, has added it.

        Always false in a process that was not forked.
        """
        return self._is_child and (digest[:_SIZE] in self._own or digest[:_SIZE] in self._slots())

    def add(self, digest: bytes) -> None:
        """Remember a digest, in this process and in those that share its memory."""
        self._own.add(digest[:_SIZE])
        slots = self._slots()
        if self._shared is not None and _FREE in slots and digest[:_SIZE] not in slots:
            at = slots.index(_FREE) * _SIZE
            self._shared[at : at + _SIZE] = digest[:_SIZE]

    def share(self) -> None:
        """Share the digests with all children that are forked from now on."""
        if self._shared is None:
            try:
                self._shared = mmap.mmap(-1, _ROOM * _SIZE)
            except OSError as error:
                let_through(error)
                return  # no memory for it: each child writes the record again
            for digest in self._own:
                self.add(digest)

    def _slots(self) -> list[bytes]:
        content = b"" if self._shared is None else self._shared[:]
        return [content[at : at + _SIZE] for at in range(0, len(content), _SIZE)]
