"""Archives the closed and signed segments of a log, part by part.

The steps of one part; each can be repeated, as a kill or a lost answer may interrupt any of them:

1. Read it once: pack it, and check every hash and every link. It must lead to a signed checkpoint.
2. Put the packed object, then that of the checkpoints. What is there already is compared.
3. Sign the manifest, which names the one before, and put it. It commits the part.
4. Ask the store for both objects: size, checksum, lock, encryption.
5. Record it in the chain (``audit.archived``).

On a day without new records one manifest without objects says so. So an archive whose newest
manifest is older lost its newest manifests, or nobody archives any more. No such manifest is made
where there are new records that are not signed: it would hide that nothing is archived any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from audit_emit._archive.ahead import Ahead
from audit_emit._archive.covers import Covered, Covers, newest_signed
from audit_emit._archive.describing import Read, described, idle_after
from audit_emit._archive.journal import Journal
from audit_emit._archive.keeping import hold_new
from audit_emit._archive.moved import Moved
from audit_emit._archive.packing import Packer
from audit_emit._archive.puts import Puts
from audit_emit._archive.said import service_in
from audit_emit._archive.sources import Part, Source, checkpoint_lines
from audit_emit._archive.standing import late, later, lost, unknown
from audit_emit._archive.state import (
    DECLARED,
    Begun,
    begun,
    head_after,
    known_manifests,
    start_of,
    undeclared,
)
from audit_emit._checkpoints.checkpointer import Record
from audit_emit._checkpoints.new_leaves import GrowingTree, Position
from audit_emit._format.chain import ZERO
from audit_emit._format.key_change import Succession
from audit_emit._format.line_splitter import Lines
from audit_emit._format.manifest import Manifest, object_name, with_records
from audit_emit._format.record import head_of, parsed, ts_of
from audit_emit._objects.bucket import Bucket
from audit_emit._readers.typed import is_of_type
from audit_emit._retention.holds import Holds
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import ArchiveError, CheckpointError, ConfigError, ForgedChangeError

Progress = Callable[[int, int], None]
_DAY = len("2026-05-19")


class Done(NamedTuple):
    """The result of a run.

    Attributes:
        made: the manifests of this run.
        last: the last record that is in the archive now; 0 for none.
        waiting: why some closed segments were not archived; empty if all were.
        lost: which archived object is not there any more; empty for none.
        late: which record is still not signed, days after it was written; empty for none.
    """

    made: list[Manifest]
    last: int
    waiting: str = ""
    lost: str = ""
    late: str = ""


class Archiver:
    """Archives one log. The lock of its journal admits one at a time.

    Args:
        bucket: where to.
        source: the log.
        ring: the newest key signs the manifests; all of them check.
        journal: of this log and this archive.
        record: appends a record about the log to its chain.
        holds: reads the legal holds of the log.
        now_ns: the wall clock, in nanoseconds since 1970.
        stop: asked between two parts; true ends the run.

    Raises:
        ConfigError: the newest key cannot sign.
    """

    def __init__(
        self,
        bucket: Bucket,
        source: Source,
        ring: KeyRing,
        journal: Journal,
        record: Record,
        *,
        holds: Callable[[], Holds] = Holds,
        now_ns: Callable[[], int] = time.time_ns,
        stop: Callable[[], bool] = bool,
    ) -> None:
        if ring.signer is None:
            raise ConfigError("signing_key", "is needed: it signs the manifests of the archive")
        self._key = ring.signer
        self._bucket = bucket
        self._source = source
        self._keys = Succession(ring)
        self._ring = ring
        self._journal = journal
        self._record = record
        self._now_ns = now_ns
        self._stop = stop
        self._holds = holds
        self._held = Holds()
        self._puts = Puts(bucket, ring, now_ns)
        self._moved = Moved(source.reader.directory, bucket.settings.pack)
        self._reached = self._signed = 0
        self._had = bool(journal.entries)
        self._declared: list[bytes] = []
        self._ahead = Ahead(source.reader)

    def run(self, progress: Progress | None = None) -> Done:
        """Archive everything that can be archived now.

        Args:
            progress: called with the number of bytes read, and of all bytes.

        Raises:
            ArchiveError: the log or the archive is damaged, or they do not belong together.
            ObjectStoreError: the store did not do what it was asked.
            SinkError: the record of it could not be appended; the next run does that.
            OSError: a file cannot be read or written.
        """
        reader = self._source.reader
        known = known_manifests(self._bucket, self._journal, reader, self._ring, self._now)
        for one in known:
            self._moved.note(one)
        gone = lost(self._bucket, known[-1]) if self._had and known else ""
        self._declare_rest(known)
        held = self._held = self._holds()
        done = self._run(known[-1] if known else None, progress)
        if not self._had:
            gone = self._unknown(known, done.made)
        done = done._replace(lost=gone, late=late(self._source, self._signed, self._now_ns()))
        if known and not done.made and not (gone or done.late or done.waiting or self._stop()):
            self._attest(known[-1])
        if done.made and (now := self._holds()).all != held.all:
            for one in done.made:
                hold_new(self._bucket, one, now)
        return done

    def _unknown(self, known: list[Manifest], made: list[Manifest]) -> str:
        """Which manifest was taken away; it is reported, and new segments are archived anyway.

        Without a journal only the chain knows what was in the store. The parts that this run has
        read are not read again: the record that names a manifest comes after its own records.
        """
        last = known[-1].last_seq if known else 0
        rest = later(self._source.reader, max(last, self._reached), DECLARED)
        where = self._bucket.settings.shown
        return unknown(chain(self._declared, rest), [*known, *made], last, where)

    def _run(self, last: Manifest | None, progress: Progress | None) -> Done:
        signed = self._signed = newest_signed(checkpoint_lines(self._source.reader), self._keys)
        covers = self._covers(last)
        made: list[Manifest] = []
        parts = self._source.parts(self._start(last).record, signed)
        while (part := next(parts, None)) is not None:
            if self._stop():
                return Done(made, last.last_seq if last else 0, "told to stop")
            one = self._archive(part, last, covers)
            if one is None:
                return Done(made, last.last_seq if last else 0, f"{part.name} is not signed yet")
            if one.last_seq != self._reached:
                # Another archiver chose another end for it, and was first: go on from there.
                parts, covers = self._source.parts(head_after(one), signed), self._covers(one)
            last = one
            if one.records is None:
                continue
            made.append(one)
            if progress is not None:
                done = sum(each.object.size for each in made)
                progress(done, max(done, self._source.reader.size))
        return Done(made, last.last_seq if last else 0)

    def _covers(self, last: Manifest | None) -> Covers:
        """The checkpoints that come after those that are archived."""
        lines = checkpoint_lines(self._source.reader)
        return Covers(lines, self._keys, last.covering if last else "")

    def _declare_rest(self, known: list[Manifest]) -> None:
        """Record the parts that an earlier run archived without recording it.

        Each manifest names the one before it. So whatever the journal says, the chain must name the
        newest one: then none can be taken out of the store unseen.
        """
        named = with_records(known)
        noted = self._journal.done
        asked = [one for one in named if one is named[-1] or not noted("declared", one)]
        left = {one.place for one in undeclared(self._source.reader, asked)}
        for one in asked:
            self._declare(one, told=one.place not in left)

    # One part.

    def _archive(self, part: Part, last: Manifest | None, covers: Covers) -> Manifest | None:
        """Archive one part; ``None`` if no checkpoint covers it yet."""
        with Packer(self._bucket.settings.pack) as packer:
            start = self._start(last)
            read = self._read(part, start.position, packer)
            size = self._reached = read.position.frontier.size
            covered = covers.up_to(size)
            if covered is None:
                return None
            self._ahead.prove(read.position, covered.by)
            made = described(self._key, self._now(), last, start.position, read, covered)
            self._journal.add(self._now(), "packed", made)
            name = object_name(made.first_seq, size, "jsonl", self._bucket.settings.pack)
            records = self._puts.object(made, name, packer.file, packer.end())
            made = msgspec.structs.replace(made, records=records)
            self._journal.add(self._now(), "uploaded", made, version=records.version)
        made = self._with_checkpoints(made, covered)
        made = msgspec.structs.replace(made, moved=self._moved.put(made, self._puts))
        made = self._committed(made, last)
        if made.records is not None:
            self._declare(made)
        return made

    def _committed(self, made: Manifest, last: Manifest | None) -> Manifest:
        """Sign a manifest and put it; the one that is in the store now."""
        made, version = self._puts.manifest(made.signed(self._key), last)
        self._puts.confirm(made, version)
        hold_new(self._bucket, made, self._held)
        self._journal.add(self._now(), "confirmed", made, manifest=True, version=version)
        self._moved.note(made)
        return made

    def _attest(self, last: Manifest) -> None:
        """Put a manifest that says that nothing is new, if the newest one is of another day.

        The store may have one that the journal does not know, of an earlier day.
        """
        while (now := self._now())[:_DAY] > last.at[:_DAY]:
            last = self._committed(idle_after(last, now), last)

    def _start(self, last: Manifest | None) -> Begun:
        """The position at which the part that is not archived yet begins.

        Raises:
            ArchiveError: the oldest records were removed, and no trusted key signed that.
        """
        if last is not None:
            return Begun(start_of(last), head_after(last))
        try:
            return begun(self._source.reader, self._ring)
        except CheckpointError as error:
            raise ArchiveError(error.reason, str(error)) from None

    def _read(self, part: Part, start: Position, packer: Packer) -> Read:
        """Pack a part, and check its records on the way.

        Raises:
            ArchiveError: they do not follow what is archived.
        """
        follow = partial(_follow, self._keys)
        tree = GrowingTree(start, on_change=follow, on_own=self._own, timed=True)
        lines, service = Lines(), ""
        try:
            for data in packer.passed(part.data()):
                for block in lines.feed(data):
                    if not isinstance(block, bytes):
                        continue
                    tree.feed(block, 0)
                    service = service or service_in(block)
        except CheckpointError as error:
            raise ArchiveError(error.reason, f"{part.name}: {error}") from None
        if tree.span is None or tree.frontier.size == start.frontier.size:
            raise ArchiveError("sequence", f"{part.name} holds no record that can be archived")
        return Read(service, start.head or ZERO, tree.position, tree.span)

    def _own(self, line: bytes) -> None:
        if not self._had and is_of_type(line, DECLARED):
            self._declared.append(line)

    def _with_checkpoints(self, made: Manifest, covered: Covered) -> Manifest:
        if not covered.lines:
            return made
        pack = self._bucket.settings.pack
        with Packer(pack) as packer:
            for line in covered.lines:
                packer.add(line + b"\n")
            name = object_name(made.first_seq, made.last_seq, "checkpoints", pack)
            put = self._puts.object(made, name, packer.file, packer.end())
        return msgspec.structs.replace(made, checkpoints=put)

    def _declare(self, one: Manifest, *, told: bool = False) -> None:
        """Record in the chain that a part is archived; once, also after a kill in between."""
        fields = archived_fields(one, self._bucket.settings.shown)
        if not told:
            self._record(DECLARED, fields)
        if not self._journal.done("declared", one):
            self._journal.add(self._now(), "declared", one)

    def _now(self) -> str:
        return ts_of(self._now_ns())


def archived_fields(one: Manifest, where: str) -> dict[str, Any]:
    """The ``fields`` of ``audit.archived``."""
    return {
        "archive": where,
        "manifest": one.key,
        "manifest_sha256": one.digest(),
        "first_seq": one.first_seq,
        "last_seq": one.last_seq,
        "object": one.key_of(one.object),
        "version": one.object.version,
        "bytes": one.object.size,
        "sha256": one.object.sha256,
    }


def _follow(keys: Succession, seq: int, line: bytes) -> None:
    """Follow a change of key, if the record is one and is signed; verifiers report a forged one."""
    record, head = parsed(line), head_of(line)
    if record is None or head is None or not isinstance(record.get("fields"), dict):
        return
    with suppress(ForgedChangeError):
        keys.follow(record["fields"], seq, head.chain)
