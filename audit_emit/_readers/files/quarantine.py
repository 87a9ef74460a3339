"""The bytes that a repair moved to ``quarantine/``, as the log declares them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256

from audit_emit._readers.files.logfiles import BLOCK
from audit_emit._readers.files.regular import open_regular
from audit_emit._stores.jsonl.directory import Layout
from audit_emit.errors import NotRegularError

QUARANTINE = "quarantine"
ENDING = ".bytes"


class Quarantine:
    """The bytes in ``quarantine/`` of a log; read when they are asked for the first time."""

    def __init__(self, layout: Layout) -> None:
        self._directory = layout.directory
        self._kept: set[tuple[int, str]] | None = None

    def has(self, size: int, digest: str) -> bool:
        """Whether these bytes are there: their number, and their SHA-256.

        The newline that ends them belongs to the file that they were in, or to them.
        """
        if self._kept is None:
            self._kept = set(self._read())
        return (size, digest) in self._kept

    def _read(self) -> Iterator[tuple[int, str]]:
        # An unreadable file is no evidence that bytes are gone, so the error goes to the caller.
        for path in moved_files(self._directory):
            with suppress(FileNotFoundError, IsADirectoryError, NotRegularError):
                yield from _hashed(path)


def moved_files(directory: str) -> list[str]:
    """The files in ``quarantine/`` of a log, in the order of their names.

    Links and directories there are ignored.

    Args:
        directory: of the log.

    Raises:
        OSError: the directory cannot be read.
    """
    place = os.path.join(directory, QUARANTINE)
    try:
        with os.scandir(place) as found:
            paths = [one.path for one in found if one.is_file(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(path for path in paths if path.endswith(ENDING))


def _hashed(path: str) -> Iterator[tuple[int, str]]:
    descriptor = open_regular(path)
    try:
        yield from hashed(iter(lambda: os.read(descriptor, BLOCK), b""))
    finally:
        os.close(descriptor)


def hashed(data: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Number and SHA-256 of bytes, without and with a newline after them."""
    hashed, size = sha256(), 0
    for block in data:
        hashed.update(block)
        size += len(block)
    yield size, hashed.hexdigest()
    hashed.update(b"\n")
    yield size + 1, hashed.hexdigest()
