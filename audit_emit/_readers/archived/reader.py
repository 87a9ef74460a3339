"""A log that is in an archive, as a whole or with its newer part on the disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from audit_emit._format.checkpoint import Checkpoint
from audit_emit._format.line_splitter import Lines, split_lines
from audit_emit._format.manifest import Manifest, Packed, with_records
from audit_emit._readers.archived.cutting import before
from audit_emit._readers.archived.fetching import cold_file, object_file
from audit_emit._readers.archived.manifests import Cold
from audit_emit._readers.archived.vouching import Vouching
from audit_emit._readers.base import MISSING, CheckpointLine, Flaw, Place
from audit_emit._readers.files.logfiles import BLOCK, CHECKPOINTS, Log, LogFile, in_order
from audit_emit._readers.files.packing import broken, unpacked
from audit_emit._readers.files.quarantine import hashed
from audit_emit._readers.files.reader import FilesReader
from audit_emit._readers.files.unpacked import damage_raises
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import ArchiveError


class Edge(NamedTuple):
    """Where the archive ends and the disk begins; 0 for nothing there.

    Attributes:
        oldest_hot_seq: the first record that is on the disk.
        highest_archived_seq: the last one that is in the archive.
    """

    oldest_hot_seq: int
    highest_archived_seq: int


class ArchivedReader(FilesReader):
    """See ``LogReader``. What is on the disk is read there, and the rest from the archive.

    Args:
        cold: the part of the log that the archive has.
        hot: the part of the same log on the disk, if any; this reader replaces that one.
        below: records from this number on are not read from the archive; 0: all are.
        ring: the keys that are given; see ``Vouching``.

    Attributes:
        manifests: of the archive; a verifier checks their signatures.
        edge: see ``Edge``.
    """

    def __init__(
        self,
        cold: Cold,
        hot: FilesReader | None = None,
        *,
        below: int = 0,
        ring: KeyRing = KeyRing(),  # noqa: B008 - never changed
    ) -> None:
        self._vouching = Vouching(cold.manifests, ring)
        here = hot.log.files if hot is not None else []
        begun = {file.first_seq for file in here}
        away = [
            cold_file(cold.settings, one, self._vouching)
            for one in with_records(cold.manifests)
            if one.first_seq not in begun
        ]
        if below:
            away = [before(file, below) for file in away if file.first_seq < below]
        name = f"{cold.settings.shown}#chain={cold.chain}"
        log = Log(name, in_order(away), "")
        if hot is not None:
            log = hot.log._replace(
                name=f"{hot.name} {name}", files=in_order([*away, *here]), missing=hot.log.missing
            )
        super().__init__(log, hot.layout if hot is not None else None)
        self.manifests: list[Manifest] = cold.manifests
        self.edge = Edge(
            min((file.first_seq for file in here if file.first_seq > 0), default=0),
            highest(cold.manifests),
        )
        self.away: list[LogFile] = away
        """What is read from the archive."""
        self._cold = cold
        self._moved: set[tuple[int, str]] | None = None

    def trust(self, ring: KeyRing) -> None:
        """See ``Vouching``."""
        self._vouching.trust(ring)

    def _flaws(self) -> Iterator[Flaw]:
        for key, why in self._cold.wrong:
            yield Flaw(key, MISSING, f"in the archive: {why}")
        yield from super()._flaws()

    def checkpoints(self) -> Iterator[CheckpointLine] | None:
        """See ``LogReader``: those on the disk, which keeps all of them, else those archived."""
        if self.log.checkpoints or self.layout is not None:
            return super().checkpoints()
        return self._archived() if self.manifests else None

    def kept(self, size: int, digest: str) -> bool:
        """See ``LogReader``: what the archive has of it is as good."""
        if super().kept(size, digest):
            return True
        if self._moved is None:
            self._moved = set(self._each_moved())
        return (size, digest) in self._moved

    def _each_moved(self) -> Iterator[tuple[int, str]]:
        for one in self.manifests:
            for part in one.moved:
                with suppress(ArchiveError, *broken()):  # what is gone there, too, is not kept
                    yield from hashed(self._unpacked(one, part))

    def _archived(self) -> Iterator[CheckpointLine]:
        """The archived checkpoints of archived records, then the seal of the last manifest."""
        end = self._last_read()
        last = end.last_seq if end is not None else 0
        offset, newest = 0, 0
        for number, line in enumerate(self._lines(), 1):
            size = _size_of(line)
            if size <= last:
                newest = max(newest, size)
                yield CheckpointLine(Place(CHECKPOINTS, offset, number), line, size=len(line))
            offset += len(line) + 1
        if end is not None and newest < last:
            seal = end.seal.encode()
            yield CheckpointLine(Place(CHECKPOINTS, offset, 0), seal, size=len(seal))

    def _last_read(self) -> Manifest | None:
        """The last part that is read: only its seal belongs at the end of the checkpoints."""
        return next(
            (
                one
                for one in reversed(with_records(self.manifests))
                if not self._vouching.refused(one, one.object)
            ),
            None,
        )

    def _lines(self) -> Iterator[bytes]:
        for one in self.manifests:
            part = one.checkpoints
            # Checkpoints from a manifest that no trusted key signed are left out.
            if part is not None and not self._vouching.refused(one, part):
                lines = Lines()
                with damage_raises(self._file(one, part)):
                    for data in self._unpacked(one, part):
                        for block in lines.feed(data):
                            yield from split_lines(block) if isinstance(block, bytes) else ()

    def _unpacked(self, of: Manifest, part: Packed) -> Iterator[bytes]:
        """The bytes of an object, no more than its manifest says."""
        file = self._file(of, part)
        left = part.size
        with file.opened() as descriptor, unpacked(file, descriptor) as stream:
            while left > 0 and (data := stream.read(min(BLOCK, left))):
                left -= len(data)
                yield data

    def _file(self, of: Manifest, part: Packed) -> LogFile:
        return object_file(self._cold.settings, of, part, self._vouching)


def highest(manifests: Sequence[Manifest]) -> int:
    """The last record of an archive; 0 for none."""
    return max((one.last_seq for one in manifests), default=0)


def _size_of(line: bytes) -> int:
    """The number of records that a checkpoint covers; 0 for a line that is none, which is kept."""
    try:
        return Checkpoint.from_line(line).head_seq
    except ValueError:
        return 0
