"""A chain in a database whose oldest records are only in an archive, read as one log.

Records before the first row of the database are read from the archive, all others from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Self

from audit_emit._format.record import Head
from audit_emit._readers.archived.manifests import Cold
from audit_emit._readers.archived.reader import ArchivedReader, Edge, highest
from audit_emit._readers.base import Block, Bounds, CheckpointLine, Flaw
from audit_emit._readers.postgres.reader import PostgresReader
from audit_emit._readers.typed import records_of
from audit_emit._signing.trusted_keys import KeyRing


class ArchivedRows:
    """See ``LogReader`` and ``TypedReader``.

    Args:
        cold: the part of the chain that the archive has.
        hot: the part that the database has; closed with this reader.
        ring: the keys that are given; see ``Vouching``.

    Attributes:
        manifests, edge, away: see ``ArchivedReader``.
    """

    size = -1
    directory = ""

    def __init__(self, cold: Cold, hot: PostgresReader, ring: KeyRing) -> None:
        first = hot.bounds().first
        self._hot = hot
        self._begin = first.seq if first is not None else highest(cold.manifests) + 1
        self._cold = ArchivedReader(cold, below=self._begin, ring=ring)
        self.name = f"{hot.name} {self._cold.name}"
        self.whole = hot.whole
        self.manifests = cold.manifests
        self.away = self._cold.away
        self.edge = Edge(first.seq if first is not None else 0, highest(cold.manifests))

    def trust(self, ring: KeyRing) -> None:
        """See ``Vouching``."""
        self._cold.trust(ring)

    def blocks(self, *, from_seq: int = 0, until: str = "") -> Iterator[Block | Flaw]:
        """See ``LogReader``."""
        if from_seq > self._begin:  # the record before it, which must lead to it, is a row, too
            yield from self._hot.blocks(from_seq=from_seq, until=until)
            return
        if until and next(self._hot.blocks(until=until), None) is None:
            yield from self._cold.blocks(from_seq=from_seq, until=until)
            return
        yield from self._cold.blocks(from_seq=from_seq)
        yield from self._hot.blocks(until=until)

    def search(self, *, seq: int = 0, since: str = "", until: str = "") -> Iterator[Block]:
        """See ``LogReader``."""
        if seq >= self._begin or not seq:
            yield from self._hot.search(seq=seq, since=since, until=until)
        if seq < self._begin:
            yield from self._cold.search(seq=seq, since=since, until=until)

    def of_type(self, event_type: str) -> Iterator[tuple[str, bytes]]:
        """See ``TypedReader``."""
        return chain(self._hot.of_type(event_type), records_of(self._cold, event_type))

    def since(self, head: Head | None) -> Iterator[Block | Flaw]:
        """See ``LogReader``."""
        if head is None:
            yield from self.blocks()
        elif head.seq >= self._begin:
            yield from self._hot.since(head)
        else:
            yield from self._cold.since(head)
            yield from self._hot.blocks()

    def checkpoints(self) -> Iterator[CheckpointLine] | None:
        """See ``LogReader``: the database keeps all of them, also of rows that are gone."""
        return self._hot.checkpoints()

    def kept(self, size: int, digest: str) -> bool:
        """See ``LogReader``."""
        return self._hot.kept(size, digest)

    def bounds(self) -> Bounds:
        """See ``LogReader``."""
        here, away = self._hot.bounds(), self._cold.bounds()
        return Bounds(away.first or here.first, here.last or away.last)

    def close(self) -> None:
        """See ``LogReader``."""
        self._cold.close()
        self._hot.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
