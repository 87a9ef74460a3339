"""Verifies a log: feeds a verifier with the blocks of a reader, and never judges by itself.

The verdict is ``Verifier``'s alone. Where a reader can have blocks proved by other processes
(``ProvingReader``), a block that they cannot prove is fed here, line by line, so the findings are
the same however many processes there are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from audit_emit._checkpoints.anchoring import Anchored, Stamped
from audit_emit._checkpoints.beginning import start_of
from audit_emit._checkpoints.kept_tiles import leaves_of
from audit_emit._checkpoints.tiles import Store
from audit_emit._format.policy import Policy
from audit_emit._readers.base import (
    CUT,
    MISSING,
    UNREAD,
    Block,
    Flaw,
    LogReader,
    ProvedBlock,
    Prover,
    ProvingReader,
)
from audit_emit._readers.opening import open_readers
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._verify.anchored_outside import held_outside
from audit_emit._verify.anchors import CHECKPOINTS, Leaves
from audit_emit._verify.archived import Archived, Edge, heads_of, judge
from audit_emit._verify.findings import Report
from audit_emit._verify.verifier import Boundary, Demand, Expected, Verifier
from audit_emit._verify.witnessed import witnessed

Progress = Callable[[int, int], None]
"""Called with the number of bytes done, and of all bytes."""


class Options(NamedTuple):
    """What to verify with, and how; see ``Verifier``.

    Attributes:
        until: the range ends with the last record that is not later, as records have ``ts``.
        anchor_required: with keys, the newest signature must be near enough to the end.
        max_unanchored, max_age: how near; see ``Demand``.
        as_of: the time for that, in nanoseconds since 1970; now when it is not given.
        witnesses: who must have cosigned the log.
        anchors: checkpoints that were kept elsewhere.
        stamped: checks the tokens of a timestamp authority, which must be there then.
    """

    ring: KeyRing = KeyRing()
    heads: Mapping[int, str] = {}
    chain: str = ""
    origin: str = ""
    legacy: Boundary = Boundary()
    from_seq: int = 0
    since: str = ""
    until: str = ""
    strict: bool = False
    anchor_required: bool = True
    max_unanchored: int | None = None
    max_age: float | None = None
    as_of: int | None = None
    witnesses: Policy | None = None
    anchors: Sequence[Anchored] | None = None
    stamped: Stamped | None = None
    jobs: int = 1
    progress: Progress | None = None


class Verified(NamedTuple):
    """The verdict on one log, and how many files (or tables, or objects) it is in.

    Attributes:
        edge: where the archive ends and the disk begins; ``None`` without an archive.
    """

    log: str
    files: int
    report: Report
    edge: Edge | None = None


def verify_paths(where: Sequence[str], options: Options | None = None) -> list[Verified]:
    """Verify each log that is named; see ``open_readers``.

    Raises:
        OSError: a file cannot be read.
        UnsupportedError: a file is packed in a way that cannot be read here.
    """
    options = options or Options()
    # What is written from here on may be signed later than the files are looked at.
    options = options._replace(as_of=_now() if options.as_of is None else options.as_of)
    readers = open_readers(where, options.ring)
    try:
        return [verify_log(reader, options) for reader in readers]
    finally:
        for reader in readers:
            reader.close()


def verify_log(
    reader: LogReader,
    options: Options | None = None,
    beside: Callable[[Block | Flaw], None] = lambda _: None,
) -> Verified:
    """Verify one log.

    Args:
        beside: called with each block before it is judged, and with each flaw, for callers that
            need the records as well, without reading the log twice. With several processes
            (``options.jobs``) it does not get blocks that those have proved.

    Raises:
        OSError: it cannot be read.
        UnsupportedError: it is packed in a way that cannot be read here.
    """
    options = options or Options()
    checkpoints = reader.checkpoints()
    manifests = reader.manifests if isinstance(reader, Archived) else ()
    if isinstance(reader, Archived):
        reader.trust(options.ring)
    heads = heads_of(manifests, options.ring)
    verifier = Verifier(_expected(reader, options, heads, anchored=checkpoints is not None))
    if isinstance(reader, Archived):
        reader.trust(verifier.checkpoints.keys.ring)  # it grows as the log names others
    if checkpoints is not None:
        verifier.checkpoints.file = CHECKPOINTS  # an empty one is not the same as none
    for line in checkpoints or ():
        verifier.checkpoints.take(line)
    fed = _Fed(verifier, reader.size, options.progress)
    for item in _items(reader, verifier, options):
        if not isinstance(item, ProvedBlock):
            beside(item)
        fed.take(item)
    fed.end()
    judge(manifests, verifier.checkpoints.keys, verifier.findings)
    edge = reader.edge if isinstance(reader, Archived) else None
    report, ring = verifier.finish(), verifier.checkpoints.keys.ring
    if options.witnesses is not None:
        report = witnessed(reader, report, options.witnesses, ring)
    if options.anchors is not None:
        report = held_outside(reader, report, options.anchors, ring, options.stamped)
    return Verified(reader.name, fed.parts, report, edge)


def _expected(
    reader: LogReader, options: Options, heads: Mapping[int, str], *, anchored: bool
) -> Expected:
    """What the log of a reader must agree with.

    Args:
        heads: those from the signed manifests of an archive.
        anchored: there are checkpoints.
    """
    now = _now() if options.as_of is None else options.as_of
    demand = Demand(now, options.max_unanchored, options.max_age)
    part = options.from_seq > 1 or bool(options.since)
    start = None
    with suppress(OSError):  # what cannot be read is told when it is read in its order
        start = None if part else start_of(reader, options.ring)
    return Expected(
        ring=options.ring,
        heads={**heads, **options.heads},
        chain=options.chain,
        origin=options.origin,
        legacy=options.legacy,
        from_seq=options.from_seq,
        since=options.since,
        ends_early=bool(options.until),
        strict=options.strict,
        whole=reader.whole,
        demand=demand if options.anchor_required and (reader.whole or anchored) else None,
        kept=reader.kept if reader.whole else None,
        start=start,
        leaves=_leaves(reader) if start is not None else None,
    )


def _leaves(reader: LogReader) -> Leaves | None:
    """A function that reads the kept hashes of removed records; ``None`` where there are none."""
    if not reader.whole or not reader.directory:
        return None
    return partial(leaves_of, Store(reader.directory))


def _items(
    reader: LogReader, verifier: Verifier, options: Options
) -> Iterator[Block | Flaw | ProvedBlock]:
    if options.jobs > 1 and isinstance(reader, ProvingReader):
        prover = Prover(verifier.named, verifier.wants_tree, options.strict, verifier.watch)
        return reader.proved(prover, options.jobs, from_seq=options.from_seq, until=options.until)
    return reader.blocks(from_seq=options.from_seq, until=options.until)


def _now() -> int:
    return time.time_ns()


class _Fed:
    """Feeds a verifier, part by part.

    Attributes:
        parts: how many there were.
    """

    def __init__(self, verifier: Verifier, total: int, progress: Progress | None) -> None:
        self.parts = 0
        self._verifier = verifier
        self._total = total
        self._progress = progress
        self._part = ""

    def take(self, item: Block | Flaw | ProvedBlock) -> None:
        """Feed the next item of a reader."""
        if isinstance(item, Flaw):
            if item.kind == MISSING:
                self._verifier.missing(item.part, item.note)
            elif item.kind == UNREAD:
                self._verifier.unread(item.part, item.note)
            else:
                self._verifier.damaged(item.note, cut=item.kind == CUT)
            return
        if not item.offset or item.part != self._part:
            self.end()
            self._verifier.begin(item.part)
            self._part = item.part
            self.parts += 1
        if isinstance(item, Block):
            self._verifier.feed(item.data)
        elif not self._verifier.absorb(item.proof, item.size):
            self._verifier.feed(item.load(item.offset, item.size))
        if self._progress is not None:
            self._progress(item.read, max(self._total, item.read))

    def end(self) -> None:
        """The part is at its end."""
        if self.parts:
            self._verifier.end()
