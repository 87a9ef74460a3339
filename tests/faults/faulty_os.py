"""An ``os`` whose calls fail on command, put in the place of the one that the sinks see."""

from __future__ import annotations

import errno
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

from audit_emit._format import tail
from audit_emit._runtime import duplicates
from audit_emit._runtime import nonblocking_fd as descriptor
from audit_emit._stores.jsonl import (
    critical,
    durability,
    lockfile,
    retired,
    rotation,
    segment,
    store,
    takeover,
    whole_lines,
)
from audit_emit._stores.jsonl import directory as segments

STEP_NS = 20_000
"""What a look at the clock takes here."""

MODULES = (
    critical,
    descriptor,
    duplicates,
    durability,
    retired,
    rotation,
    lockfile,
    segment,
    segments,
    tail,
    takeover,
    whole_lines,
)

ERRORS: dict[str, tuple[int, ...]] = {
    "write": (
        errno.EIO,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EROFS,
        errno.ESTALE,
        errno.EINTR,
    ),
    "pwritev": (errno.EIO, errno.EAGAIN, errno.EPIPE, errno.ENOSPC, errno.EINTR),
    "open": (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.ESTALE, errno.EINTR),
    "stat": (errno.EIO, errno.ESTALE, errno.EACCES),
    "fstat": (errno.EIO, errno.ESTALE),
    "lseek": (errno.EIO, errno.ESTALE),
    "pread": (errno.EIO, errno.ESTALE, errno.EINTR),
    "rename": (errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT),
    "unlink": (errno.EIO, errno.EROFS),
    "mkdir": (errno.EIO, errno.ENOSPC, errno.EROFS),
    "listdir": (errno.EIO, errno.EMFILE),
    "ftruncate": (errno.EIO, errno.EROFS),
    "dup": (errno.EMFILE,),
    "close": (errno.EIO, errno.EINTR),
    "fdatasync": (errno.EIO, errno.ENOSPC, errno.EDQUOT),
    "flock": (errno.EIO, errno.ENOLCK, errno.EINTR, errno.ESTALE),
}
"""What each kind of call is made to fail with."""

SHORT = ("none", "one", "half", "all-but-one")
"""How much of its bytes a short write takes."""


class Fault(NamedTuple):
    """The ``first`` call of a kind, counted from 0, and those after it until ``times`` have failed.

    ``error`` is an ``errno``; for a write it may be one of ``SHORT`` instead.
    """

    kind: str
    first: int
    error: int | str
    times: int = 1

    def __str__(self) -> str:
        error = self.error if isinstance(self.error, str) else errno.errorcode[self.error]
        return f"{self.kind}[{self.first}+{self.times}] {error}"


class FaultyOS:
    """Passes everything on to ``os`` and fails what its faults say.

    Calls of other threads are neither counted nor failed: what those do, and when, is chance.

    Attributes:
        calls: how often each kind was called.
        hits: how many calls were made to fail.
    """

    def __init__(self, *faults: Fault) -> None:
        self.faults = list(faults)
        self.calls = dict.fromkeys(ERRORS, 0)
        self.hits = 0
        self._thread = threading.get_ident()

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self.wrap(name, real) if name in ERRORS else real

    def wrap(self, kind: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """The call ``real`` with the faults of ``kind``."""

        def call(*args: Any, **options: Any) -> Any:
            if threading.get_ident() != self._thread:
                return real(*args, **options)
            index = self.calls[kind]
            self.calls[kind] += 1
            for fault in self.faults:
                if fault.kind == kind and fault.first <= index < fault.first + fault.times:
                    self.hits += 1
                    return self._fail(fault, real, args, options)
            return real(*args, **options)

        return call

    def heal(self) -> None:
        """Let every call work from now on."""
        self.faults.clear()

    def _fail(
        self, fault: Fault, real: Callable[..., Any], args: Any, options: dict[str, Any]
    ) -> Any:
        if isinstance(fault.error, str):
            number, data = args[:2]
            part = {"none": 0, "one": 1, "half": len(data) // 2, "all-but-one": len(data) - 1}
            return real(number, data[: part[fault.error]])
        if fault.kind == "close":
            # A failing close has closed nevertheless (Linux).
            real(*args, **options)
        raise OSError(fault.error, os.strerror(fault.error))

    @contextmanager
    def installed(self) -> Iterator[FaultyOS]:
        """In the place of ``os``, ``flock`` and ``fdatasync`` in every module that does I/O."""
        with ExitStack() as stack:
            for module in MODULES:
                stack.enter_context(patch.object(module, "os", self))
            # How long it takes is not what decides which calls are made.
            ticks = itertools.count(10**15, STEP_NS).__next__
            locked = self.wrap("flock", lockfile.flock)
            synced = self.wrap("fdatasync", lambda _: None)
            for module, name, call in (
                (lockfile, "flock", locked),
                (store, "flock", locked),
                (critical, "flock", locked),
                (retired, "fdatasync", synced),
                (durability, "fdatasync", synced),
                (store, "lseek", self.lseek),
                (store, "monotonic_ns", ticks),
                (critical, "monotonic_ns", ticks),
            ):
                stack.enter_context(patch.object(module, name, call))
            yield self
