"""Bytes that a repair moved aside go into the archive as well: the log declares them.

Each is an object that has its SHA-256 for a name, so the same bytes are there once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from audit_emit._archive.packing import Packer
from audit_emit._archive.puts import Puts
from audit_emit._format.manifest import MOST_MOVED, Manifest, Packed, moved_name
from audit_emit._readers.files.quarantine import moved_files
from audit_emit._readers.files.regular import open_regular

_BLOCK = 256 * 1024


class Moved:
    """What of a log is in ``quarantine/``, and which of it the archive has; for one run.

    Args:
        directory: of the log; empty where it has none.
        pack: how to pack.
    """

    def __init__(self, directory: str, pack: str) -> None:
        self._directory = directory
        self._pack = pack
        self._there: set[str] = set()
        self._read: dict[str, str] = {}
        """The SHA-256 of the files that this run has read, so that each part does not read them."""

    def note(self, one: Manifest) -> None:
        """What a manifest names is there."""
        self._there.update(part.sha256 for part in one.moved)

    def put(self, of: Manifest, puts: Puts) -> tuple[Packed, ...]:
        """Put what is not there yet; no more than one manifest can name.

        Raises:
            OSError: it cannot be read.
            ArchiveError, ObjectStoreError: see ``Puts``.
        """
        made: list[Packed] = []
        for path in moved_files(self._directory) if self._directory else ():
            if len(made) == MOST_MOVED:
                break
            if self._read.get(path) in self._there:
                continue
            with Packer(self._pack) as packer:
                for data in _data(path):
                    packer.add(data)
                sizes = packer.end()
                self._read[path] = sizes.sha256
                if sizes.sha256 in self._there or sizes.sha256 in {one.sha256 for one in made}:
                    continue
                made.append(
                    puts.object(of, moved_name(sizes.sha256, self._pack), packer.file, sizes)
                )
        return tuple(made)


def _data(path: str) -> Iterator[bytes]:
    descriptor = open_regular(path)
    try:
        while data := os.read(descriptor, _BLOCK):
            yield data
    finally:
        os.close(descriptor)
