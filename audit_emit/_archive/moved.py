"""Archives the bytes that a repair moved to ``quarantine/``, as the log declares them.

The name of each object is its SHA-256, so the same bytes are stored once.
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
    """The files of a log in ``quarantine/``, and which of them the archive has; for one run.

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
        """Remember that the archive has the files that a manifest names."""
        self._there.update(part.sha256 for part in one.moved)

    def put(self, of: Manifest, puts: Puts) -> tuple[Packed, ...]:
        """Put the files that are not there yet, at most as many as one manifest can name.

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
