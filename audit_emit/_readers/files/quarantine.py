"""The bytes that were moved aside from a log, as the log declares them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256

from audit_emit._readers.files.logfiles import BLOCK
from audit_emit._readers.files.regular import open_regular
from audit_emit._stores.jsonl.directory import Layout
from audit_emit.errors import NotRegularError

QUARANTINE = "quarantine"


class Quarantine:
    """The bytes that were moved aside from a log; read when somebody asks for the first time."""

    def __init__(self, layout: Layout) -> None:
        self._directory = os.path.join(layout.directory, QUARANTINE)
        self._kept: set[tuple[int, str]] | None = None

    def has(self, size: int, digest: str) -> bool:
        """Whether these bytes are there: their number, and their SHA-256.

        The newline that ends them belongs to the file that they were in, or to them.
        """
        if self._kept is None:
            self._kept = set(self._read())
        return (size, digest) in self._kept

    def _read(self) -> Iterator[tuple[int, str]]:
        # What cannot be read is no evidence that bytes are gone: such an error goes to the caller.
        try:
            names = os.listdir(self._directory)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            if name.endswith(".bytes"):
                with suppress(FileNotFoundError, IsADirectoryError, NotRegularError):
                    yield from _hashed(os.path.join(self._directory, name))


def _hashed(path: str) -> Iterator[tuple[int, str]]:
    """Size and SHA-256 of a file, without and with a newline after it."""
    descriptor = open_regular(path)
    hashed, size = sha256(), 0
    try:
        while data := os.read(descriptor, BLOCK):
            hashed.update(data)
            size += len(data)
    finally:
        os.close(descriptor)
    yield size, hashed.hexdigest()
    hashed.update(b"\n")
    yield size + 1, hashed.hexdigest()
